package movie

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// track collects the samples of a track, in the order of decoding.
type track struct {
	trak      *mp4.TrakBox // as the first init segment has it
	kind      media.Kind
	timescale uint32
	entries   [][]byte // the sample entries, encoded
	entry     uint32   // index of the one in use, from 1

	start, end media.Ticks // of the samples
	parts      []*part
	total      counts
	shifted    bool // some sample has a composition offset

	shift   media.Ticks // of the times of what is added now
	stop    media.Ticks // nothing is added that is shown later
	leaving bool        // samples are left out ...
	until   media.Ticks // ... that end then or before
	forKey  bool        // ... and until the next key frame
}

// found is a segment with what is known of it.
type found struct {
	*segment
	object int32
	group  *group       // in which its tables are; nil: nowhere
	sum    fmp4.Summary // of its samples, where tables are nil
	tables []fmp4.Table
}

// newTrack returns a track without samples of the format that an init segment describes.
func newTrack(kind media.Kind, init []byte) (*track, error) {
	trak, err := trakOf(init)
	if err != nil {
		return nil, err
	}
	t := &track{trak: trak, kind: kind, timescale: trak.Mdia.Mdhd.Timescale}
	if err := t.begin(init); err != nil {
		return nil, err
	}
	return t, nil
}

// trakOf returns the trak box of an init segment.
func trakOf(init []byte) (*mp4.TrakBox, error) {
	f, err := mp4.DecodeFile(bytes.NewReader(init))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the init segment: %w", err)
	case f.Init == nil || f.Init.Moov == nil || f.Init.Moov.Trak == nil || f.Init.Moov.Trak.Tkhd == nil:
		return nil, fmt.Errorf("read the init segment: it has no track")
	}
	mdia := f.Init.Moov.Trak.Mdia
	if mdia == nil || mdia.Mdhd == nil || mdia.Mdhd.Timescale == 0 || mdia.Minf == nil || mdia.Minf.Stbl == nil ||
		mdia.Minf.Stbl.Stsd == nil || len(mdia.Minf.Stbl.Stsd.Children) != 1 {
		return nil, fmt.Errorf("read the init segment: it has no sample entry")
	}
	return f.Init.Moov.Trak, nil
}

// begin says that what follows is of the format of another init segment.
func (t *track) begin(init []byte) error {
	trak, err := trakOf(init)
	if err != nil {
		return err
	}
	entry := trak.Mdia.Minf.Stbl.Stsd.Children[0]
	if len(t.entries) > 0 && trak.Mdia.Mdhd.Timescale != t.timescale {
		return fault.Errorf(fault.Conflict, "its %s goes on with another clock rate, which one file cannot have", t.kind)
	}
	first := t.trak.Mdia.Minf.Stbl.Stsd
	if len(t.entries) > 0 && entry.Type() != first.Children[0].Type() {
		return fault.Errorf(fault.Conflict, "its %s changes from %s to %s, which one file cannot have", t.kind, first.Children[0].Type(), entry.Type())
	}
	var encoded bytes.Buffer
	if err := entry.Encode(&encoded); err != nil {
		return fmt.Errorf("encode the sample entry: %w", err)
	}
	for i, e := range t.entries {
		if bytes.Equal(e, encoded.Bytes()) {
			t.entry = uint32(i + 1)
			return nil
		}
	}
	t.entries = append(t.entries, encoded.Bytes())
	t.entry = uint32(len(t.entries))
	if t.entry > 1 {
		first.AddChild(entry)
		t.trak.Tkhd.Width, t.trak.Tkhd.Height = max(t.trak.Tkhd.Width, trak.Tkhd.Width), max(t.trak.Tkhd.Height, trak.Tkhd.Height)
	}
	return nil
}

// opusSilence is a packet of 20 ms of silence, as libopus makes it.
var opusSilence = []byte{0xfc, 0xff, 0xfe}

// silent is the object of chunks that are made of opusSilence, and lie nowhere.
const silent = -1

// leaveOut leaves out the samples that end at a time or before it, and with forKey all
// until the next key frame.
func (t *track) leaveOut(until media.Ticks, forKey bool) {
	t.leaving, t.until, t.forKey = true, until, forKey
}

const (
	// maxPart is how long a part may be. Longer ones are divided where the segment's
	// chunks are, so that sound and pictures stay beside each other.
	maxPart = 10 * time.Second
	// maxOrder is by how much pictures may be shown later than they are decoded.
	maxOrder = 10 * time.Second
)

// needs reports whether the tables of a segment are needed to add it, of which there is a
// summary: not all of it is wanted, or it is divided.
func (t *track) needs(s *segment, sum *fmp4.Summary) bool {
	end := s.end() + t.shift
	if sum.Compositions > 0 && t.stop < math.MaxInt64 {
		end += media.TicksOf(maxOrder, t.timescale)
	}
	return t.leaving || end > t.stop || len(t.parts) > 0 && t.end > s.time+t.shift || s.duration.Duration(t.timescale) > maxPart
}

// add adds the samples of a segment, as far as they are wanted. A hole before them is
// bridged. Of what overlaps the media before, only the rest is added.
func (t *track) add(x *found) error {
	if x.tables == nil {
		p := &part{object: x.object, ends: true, sum: x.sum, group: x.group, began: x.time}
		return t.append(p, x.time+t.shift, x.duration)
	}
	kept, first := t.crop(x.tables)
	if len(kept) == 0 {
		return nil
	}
	step := len(kept)
	if x.duration.Duration(t.timescale) > maxPart {
		step = 1
	}
	for i := 0; i < len(kept); i += step {
		list, of := kept[i:i+step], x.tables[first+i:first+i+step]
		p := &part{
			object: x.object, ends: i+step == len(kept), sum: fmp4.Summarize(x.number, list), tables: list,
			group: x.group, first: int32(first + i), end: int32(first + i + step), began: of[0].Time,
		}
		time := list[0].Time + t.shift
		length := endOf(list) - list[0].Time
		if x.group != nil && p.sum == fmp4.Summarize(x.number, of) {
			p.tables = nil // the index has them
		}
		if err := t.append(p, time, length); err != nil {
			return err
		}
	}
	return nil
}

// crop returns what is wanted of the tables of a segment, and the first of them of which
// something is.
func (t *track) crop(tables []fmp4.Table) (kept []fmp4.Table, first int) {
	for i, table := range t.before(tables) {
		samples := t.rest(&table)
		if len(samples) == 0 {
			continue
		}
		if len(kept) == 0 {
			first = i
		}
		table.Samples = samples
		kept = append(kept, table)
	}
	if len(kept) == 0 || endOf(kept)+t.shift <= t.stop {
		return kept, first
	}
	end := kept[0].Time + t.shift
	for i := range kept {
		kept[i].Samples = slices.Clone(kept[i].Samples)
		for j := range kept[i].Samples {
			s := &kept[i].Samples[j]
			if s.Composition == 0 && end < t.stop {
				s.Duration = uint32(min(media.Ticks(s.Duration), t.stop-end))
			}
			end += media.Ticks(s.Duration)
		}
	}
	return kept, first
}

// append adds a part that begins at a time.
func (t *track) append(p *part, at, length media.Ticks) error {
	if len(t.parts) == 0 {
		t.start, t.end = at, at
	} else if err := t.bridge(at - t.end); err != nil {
		return err
	}
	p.time, p.size, p.entry, p.last = t.end, p.sum.Bytes, t.entry, p.sum.Last
	t.put(p)
	t.end += length
	return nil
}

// put puts a part behind those before it.
func (t *track) put(p *part) {
	p.before = t.total
	t.total.samples += p.sum.Samples
	t.total.keys += p.sum.Keys
	t.total.durations += p.durations()
	t.total.compositions += p.compositions()
	t.shifted = t.shifted || p.sum.Compositions > 0
	t.parts = append(t.parts, p)
}

// before returns the tables up to the last sample that is shown before the track stops.
// What is decoded before it stays, as it may be needed.
func (t *track) before(tables []fmp4.Table) []fmp4.Table {
	chunk, sample := -1, -1
	for i := range tables {
		time := tables[i].Time + t.shift
		for j, s := range tables[i].Samples {
			if time+media.Ticks(s.Composition) < t.stop {
				chunk, sample = i, j
			}
			time += media.Ticks(s.Duration)
		}
	}
	if chunk < 0 {
		return nil
	}
	last := tables[chunk]
	if chunk == len(tables)-1 && sample == len(last.Samples)-1 {
		return tables
	}
	last.Samples = last.Samples[:sample+1]
	return append(slices.Clone(tables[:chunk]), last)
}

// rest returns the samples of a table that are not left out, and has it begin with them.
func (t *track) rest(table *fmp4.Table) []fmp4.Entry {
	if early := t.end - table.Time - t.shift; !t.leaving && len(t.parts) > 0 && early > 0 && early >= t.lastDuration() {
		t.leaveOut(t.end, t.kind == media.Video)
	}
	for i, s := range table.Samples {
		if !t.leaving || table.Time+t.shift+media.Ticks(s.Duration) > t.until && (s.Key || !t.forKey) {
			t.leaving = false
			return table.Samples[i:]
		}
		table.Time += media.Ticks(s.Duration)
		table.Offset += int64(s.Size)
	}
	return nil
}

// lastDuration returns how long the last sample lasts.
func (t *track) lastDuration() media.Ticks { return media.Ticks(t.parts[len(t.parts)-1].last) }

// bridge fills a hole behind the last sample. A picture lasts until the next one. Sound is
// filled with packets of silence, because Chromium plays no more sound after a packet that
// lasts for seconds.
func (t *track) bridge(hole media.Ticks) error {
	if hole <= 0 {
		return t.extend(hole) // clocks are rounded where one recording follows another
	}
	packet := media.Ticks(t.timescale / 50)
	packets := hole / packet
	if !t.isPlainOpus() || packets == 0 {
		return t.extend(hole)
	}
	if err := t.extend(hole - packets*packet); err != nil {
		return err
	}
	for ; packets > 0; packets -= min(packets, 50) {
		n := uint32(min(packets, 50)) // a second, so that sound and pictures stay beside each other
		size := int64(n) * int64(len(opusSilence))
		t.put(&part{
			time: t.end, size: size, object: silent, entry: t.entry, last: uint32(packet),
			sum: fmp4.Summary{Samples: n, Bytes: size, Keys: n, Durations: 1, Last: uint32(packet), LastRun: n},
		})
		t.end += media.Ticks(n) * packet
	}
	return nil
}

// isPlainOpus reports whether packets are Opus of at most two channels, of which each is
// decoded by itself alone (RFC 7845 5.1.1.1).
func (t *track) isPlainOpus() bool {
	entry, ok := t.trak.Mdia.Minf.Stbl.Stsd.Children[t.entry-1].(*mp4.AudioSampleEntryBox)
	return ok && entry.Dops != nil && entry.Dops.ChannelMappingFamily == 0
}

// extend has the last sample last longer, or shorter.
func (t *track) extend(by media.Ticks) error {
	if by == 0 {
		return nil
	}
	p := t.parts[len(t.parts)-1]
	whole := by + media.Ticks(p.last)
	if whole <= 0 {
		return fmt.Errorf("media begins %d ticks before the end of what is before it", -by)
	}
	if whole > math.MaxUint32 {
		return fault.Errorf(fault.Conflict, "nothing was recorded for %v, which is too long for one file", by.Duration(t.timescale))
	}
	t.end += by
	runs := p.durations()
	p.last, p.extended = uint32(whole), true
	t.total.durations += p.durations() - runs
	return nil
}

// startTime returns when the first part begins, in nanoseconds of media time.
func (t *track) startTime() int64 { return int64(t.start.Duration(t.timescale)) }

// scale converts a time, from 0 on, of so many units a second to others, exactly but for
// one rounding.
func scale(v int64, from, to uint32) uint64 {
	hi, lo := bits.Mul64(uint64(v), uint64(to))
	lo, carry := bits.Add64(lo, uint64(from/2), 0)
	q, _ := bits.Div64(hi+carry, lo, uint64(from))
	return q
}
