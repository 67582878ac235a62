package movie

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// part is consecutive samples of a track that are of one segment. They follow each other in
// the file without a hole: a chunk of MP4.
type part struct {
	at     int64       // in the file
	size   int64       // there
	time   media.Ticks // of the first sample, in the file's track
	object int32       // index in Movie.keys, or silent
	ends   bool        // nothing else of the object is behind it
	entry  uint32      // the sample entry, from 1

	// What is in it. last of sum is not that of the file where it lasts longer there.
	sum      fmp4.Summary
	last     uint32 // duration of the last sample
	extended bool   // last is another than in sum

	// Where its tables are: here, or from first to end in those of the segment.
	tables     []fmp4.Table
	group      *group
	first, end int32
	began      media.Ticks // what the segment says that its time is

	before counts // what all parts of the track before it have
}

// counts is what the tables of a track have one entry each for.
type counts struct{ samples, keys, durations, compositions uint32 }

// durations returns how many runs of durations the part has.
func (p *part) durations() uint32 {
	if p.extended && p.sum.LastRun > 1 {
		return p.sum.Durations + 1
	}
	return p.sum.Durations
}

// compositions returns how many runs of composition offsets it has.
func (p *part) compositions() uint32 { return max(p.sum.Compositions, 1) }

// appendTo appends all that the part is.
func (p *part) appendTo(b []byte) []byte {
	for _, v := range [...]int64{
		p.at, p.size, int64(p.time), int64(p.object), int64(p.entry), int64(p.last), int64(p.began), int64(p.sum.Number), int64(p.sum.Samples),
		p.sum.Bytes, int64(p.sum.Keys), int64(p.sum.Durations), int64(p.sum.Last), int64(p.sum.LastRun), int64(p.sum.Compositions),
	} {
		b = binary.AppendVarint(b, v)
	}
	return b
}

// errOther says that an index is not the one that a file was made of.
var errOther = errors.New("the sample index has changed since the file was made")

// IsStale reports whether a file could not be read because something of the storage is
// another than when it was made.
func IsStale(err error) bool { return errors.Is(err, errOther) }

// read returns the tables of the part.
func (p *part) read(ctx context.Context, from source) ([]fmp4.Table, error) {
	if p.tables != nil || p.object == silent {
		return p.tables, nil
	}
	file, err := p.group.load(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("sample index %q: %w", p.group.key, err)
	}
	s, ok, err := file.Segment(p.sum.Number)
	if err != nil {
		return nil, fmt.Errorf("sample index %q: %w", p.group.key, err)
	}
	end := p.end
	if end == 0 {
		end = int32(len(s.Tables))
	}
	if !ok || int(end) > len(s.Tables) || p.first >= end {
		return nil, fmt.Errorf("%w: %q, segment %d", errOther, p.group.key, p.sum.Number)
	}
	tables := s.Tables[p.first:end]
	if tables[0].Time != p.began || fmp4.Summarize(p.sum.Number, tables) != p.sum {
		return nil, fmt.Errorf("%w: %q, segment %d", errOther, p.group.key, p.sum.Number)
	}
	return tables, nil
}

// table is one of the tables of an MP4 track.
type table uint8

const (
	noTable      table = iota
	durations          // stts
	compositions       // ctts
	sizes              // stsz
	keys               // stss
	offsets            // co64
	rolls              // sbgp
)

// width returns how many bytes an entry has.
func (k table) width() int64 {
	if k == sizes || k == keys {
		return 4
	}
	return 8
}

// position returns how many entries a table has before those of the i-th part of a track.
func (k table) position(t *track, i int) uint32 {
	c := &t.parts[i].before
	switch k {
	case durations:
		return c.durations
	case compositions:
		return c.compositions
	case sizes:
		return c.samples
	case keys:
		return c.keys
	}
	return uint32(i)
}

// length returns how many entries a table has.
func (k table) length(t *track) uint32 {
	switch k {
	case durations:
		return t.total.durations
	case compositions:
		return t.total.compositions
	case sizes:
		return t.total.samples
	case keys:
		return t.total.keys
	}
	return uint32(len(t.parts))
}

// append appends the entries of a part. tables are its own.
func (k table) append(dst []byte, p *part, tables []fmp4.Table) []byte {
	if k == offsets {
		return binary.BigEndian.AppendUint64(dst, uint64(p.at))
	}
	if p.object == silent {
		tables = silence(p)
	}
	switch k {
	case durations:
		return appendDurations(dst, p, tables)
	case compositions:
		return appendCompositions(dst, tables)
	case rolls:
		dst = binary.BigEndian.AppendUint32(dst, p.sum.Samples)
		return binary.BigEndian.AppendUint32(dst, fmp4.RollGroup(shortest(tables)))
	}
	number := p.before.samples
	for i := range tables {
		for _, e := range tables[i].Samples {
			number++
			switch {
			case k == sizes:
				dst = binary.BigEndian.AppendUint32(dst, e.Size)
			case e.Key:
				dst = binary.BigEndian.AppendUint32(dst, number)
			}
		}
	}
	return dst
}

// silence returns the table of a part of silence.
func silence(p *part) []fmp4.Table {
	samples := make([]fmp4.Entry, p.sum.Samples)
	for i := range samples {
		samples[i] = fmp4.Entry{Size: uint32(len(opusSilence)), Duration: p.sum.Last, Key: true}
	}
	return []fmp4.Table{{Time: p.time, Samples: samples}}
}

// appendDurations appends the runs of samples that last equally long.
func appendDurations(dst []byte, p *part, tables []fmp4.Table) []byte {
	run := [2]uint32{} // samples, ticks
	flush := func() {
		if run[0] > 0 {
			dst = binary.BigEndian.AppendUint32(dst, run[0])
			dst = binary.BigEndian.AppendUint32(dst, run[1])
		}
	}
	for i := range tables {
		for _, e := range tables[i].Samples {
			if e.Duration != run[1] {
				flush()
				run = [2]uint32{0, e.Duration}
			}
			run[0]++
		}
	}
	if p.extended {
		run[0]--
		flush()
		run = [2]uint32{1, p.last}
	}
	flush()
	return dst
}

// appendCompositions appends the runs of samples with the same composition offset.
func appendCompositions(dst []byte, tables []fmp4.Table) []byte {
	count, offset := uint32(0), int32(0)
	flush := func() {
		if count > 0 {
			dst = binary.BigEndian.AppendUint32(dst, count)
			dst = binary.BigEndian.AppendUint32(dst, uint32(offset))
		}
	}
	for i := range tables {
		for _, e := range tables[i].Samples {
			if e.Composition != offset {
				flush()
				count, offset = 0, e.Composition
			}
			count++
		}
	}
	flush()
	return dst
}

// shortest returns the duration of the part's shortest sample.
func shortest(tables []fmp4.Table) uint32 {
	least := uint32(math.MaxUint32)
	for i := range tables {
		for _, e := range tables[i].Samples {
			least = min(least, e.Duration)
		}
	}
	return least
}

// run is a piece of a file's bytes: those of an object, or others.
type run struct {
	bytes  []byte // nil: of the object
	offset int64  // there
	size   int64
}

// runs returns what an MP4 file has of a part.
func runs(p *part, tables []fmp4.Table) (list []run) {
	if p.object == silent {
		for range p.sum.Samples {
			list = append(list, run{bytes: opusSilence, size: int64(len(opusSilence))})
		}
		return list
	}
	for i := range tables {
		size := int64(0)
		for _, e := range tables[i].Samples {
			size += int64(e.Size)
		}
		list = append(list, run{offset: tables[i].Offset, size: size})
	}
	return list
}
