package fmp4

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// A summary counts what the segments of a track have, by which the size of each table of
// an MP4 file is known without the sample indexes. docs/formats/sample-index.md describes
// it.
const (
	// MaxSummary is the longest summary, in bytes.
	MaxSummary = 4 << 20

	summaryMagic   = "LSUM"
	summaryVersion = 1
	summaryFields  = 8 // numbers for each segment
)

// Summary is what the samples of a segment are together.
type Summary struct {
	Number    int    // of the segment
	Samples   uint32 // how many there are
	Bytes     int64  // of all samples
	Keys      uint32 // samples that are key frames
	Durations uint32 // runs of samples that last equally long
	Last      uint32 // duration of the last sample
	LastRun   uint32 // samples of the last such run
	// Compositions is how many runs of samples there are with the same composition offset;
	// 0: all of them are 0.
	Compositions uint32
}

// Summarize sums up the samples of a segment, of which there is one at least.
func Summarize(number int, tables []Table) Summary {
	s := Summary{Number: number}
	shifted, composition := false, int32(0)
	for i := range tables {
		for _, e := range tables[i].Samples {
			if s.Samples == 0 || e.Duration != s.Last {
				s.Durations++
				s.LastRun = 0
			}
			if s.Samples == 0 || e.Composition != composition {
				s.Compositions++
			}
			if e.Key {
				s.Keys++
			}
			shifted = shifted || e.Composition != 0
			composition = e.Composition
			s.Last = e.Duration
			s.LastRun++
			s.Samples++
			s.Bytes += int64(e.Size)
		}
	}
	if !shifted {
		s.Compositions = 0
	}
	return s
}

// Summaries are those of a track, in the order of their numbers, as they are written. The
// zero value is one without segments.
type Summaries struct {
	records []byte
	last    int
}

// Fit adds a segment if the summary is not too long with it, the segment's number is higher
// than those before it, and it has samples.
func (x *Summaries) Fit(s Summary) bool {
	before := len(x.records)
	if s.Number <= x.last || s.Samples == 0 {
		return false
	}
	for _, v := range [summaryFields]uint64{
		uint64(s.Number - x.last), uint64(s.Samples), uint64(s.Bytes), uint64(s.Keys),
		uint64(s.Durations), uint64(s.Last), uint64(s.LastRun), uint64(s.Compositions),
	} {
		x.records = binary.AppendUvarint(x.records, v)
	}
	if len(x.records) > MaxSummary-indexHeader-indexCheck {
		x.records = x.records[:before]
		return false
	}
	x.last = s.Number
	return true
}

// Bytes returns the summary.
func (x *Summaries) Bytes() []byte {
	b := make([]byte, 0, indexHeader+len(x.records)+indexCheck)
	b = append(append(b, summaryMagic...), summaryVersion)
	b = append(b, x.records...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// ReadSummaries returns what a summary says of each segment, in the order of their numbers.
func ReadSummaries(data []byte) ([]Summary, error) {
	if len(data) < indexHeader+indexCheck || string(data[:len(summaryMagic)]) != summaryMagic {
		return nil, fmt.Errorf("%w: it does not begin as a summary", errIndex)
	}
	body := data[:len(data)-indexCheck]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil, fmt.Errorf("%w: the checksum of its summary is wrong", errIndex)
	}
	if v := body[len(summaryMagic)]; v != summaryVersion {
		return nil, fmt.Errorf("the summary of a sample index has version %d, and this program reads version %d", v, summaryVersion)
	}
	r := indexReader{rest: body[indexHeader:]}
	list := make([]Summary, 0, len(r.rest)/(summaryFields+4))
	for number := 0; len(r.rest) > 0; {
		step := int(r.number(math.MaxInt32))
		number += step
		s := Summary{Number: number, Samples: uint32(r.number(math.MaxUint32)), Bytes: int64(r.number(math.MaxInt64 >> 16))}
		s.Keys = uint32(r.number(uint64(s.Samples)))
		s.Durations = uint32(r.number(uint64(s.Samples)))
		s.Last = uint32(r.number(math.MaxUint32))
		s.LastRun = uint32(r.number(uint64(s.Samples)))
		s.Compositions = uint32(r.number(uint64(s.Samples)))
		if r.bad || step == 0 || number > math.MaxInt32 || s.Samples == 0 || s.Durations == 0 || s.LastRun == 0 {
			return nil, fmt.Errorf("%w: its summary says of segment %d what cannot be", errIndex, number)
		}
		list = append(list, s)
	}
	return slices.Clip(list), nil
}
