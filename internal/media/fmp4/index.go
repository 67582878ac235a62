package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/live777/recorder/internal/media"
)

// A sample index has the tables of a group of segments: where their samples are, how long
// they last and which of them are key frames. Who has it needs no segment to make an MP4
// file's tables. docs/formats/sample-index.md describes it.

const (
	// MaxIndex is the longest index, in bytes.
	MaxIndex = 4 << 20
	// maxDecoded bounds the samples that one segment of an index is said to have: an
	// hour of the smallest packets.
	maxDecoded = 1 << 21

	indexMagic   = "LSIX"
	indexVersion = 1
	indexHeader  = len(indexMagic) + 1
	indexCheck   = 4 // CRC-32 (IEEE) of all before it
)

// How a property of a chunk's samples is written.
const (
	allAlike = iota
	eachItsOwn
)

// How the key frames of a chunk are written.
const (
	keysNone = iota
	keysFirst
	keysAll
	keysBits // a bit each
	keysModes
)

// IndexedSegment is what an index says of a segment.
type IndexedSegment struct {
	Number int
	Bytes  int64 // of the segment
	Tables []Table
}

// Index is a group of segments, one after the other, as it is written. The zero value is
// one without segments.
type Index struct{ records []byte }

// Len returns how many bytes the segments have so far.
func (x *Index) Len() int { return len(x.records) }

// Add adds a segment behind those before it.
func (x *Index) Add(s IndexedSegment) {
	var b []byte
	b = binary.AppendUvarint(b, uint64(s.Number))
	b = binary.AppendUvarint(b, uint64(s.Bytes))
	at := int64(0)
	if len(s.Tables) > 0 {
		b = binary.AppendUvarint(b, uint64(s.Tables[0].Time))
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Tables)))
	for i := range s.Tables {
		b, at = appendTable(b, &s.Tables[i], at)
	}
	x.records = binary.AppendUvarint(x.records, uint64(len(b)))
	x.records = append(x.records, b...)
}

// Fit adds a segment if the index is not too long with it, and has samples to tell of.
func (x *Index) Fit(s IndexedSegment) bool {
	before := len(x.records)
	if len(s.Tables) == 0 {
		return false
	}
	if x.Add(s); len(x.records) > MaxIndex {
		x.records = x.records[:before]
		return false
	}
	return true
}

// Bytes returns the index.
func (x *Index) Bytes() []byte {
	b := make([]byte, 0, indexHeader+len(x.records)+indexCheck)
	b = append(append(b, indexMagic...), indexVersion)
	b = append(b, x.records...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// appendTable appends a chunk, of which the one before ends at a byte of the segment, and
// returns where this one ends.
func appendTable(b []byte, t *Table, before int64) ([]byte, int64) {
	b = binary.AppendUvarint(b, uint64(t.Offset-before))
	b = binary.AppendUvarint(b, uint64(len(t.Samples)))
	same := !slices.ContainsFunc(t.Samples, func(e Entry) bool { return e.Duration != t.Samples[0].Duration })
	if same {
		b = append(b, allAlike)
	} else {
		b = append(b, eachItsOwn)
	}
	end, keys, shifted := t.Offset, 0, false
	var last Entry // of which the difference is told
	for i, s := range t.Samples {
		if i == 0 || !same {
			b = binary.AppendVarint(b, int64(s.Duration)-int64(last.Duration))
		}
		last.Duration = s.Duration
	}
	for _, s := range t.Samples {
		b = binary.AppendVarint(b, int64(s.Size)-int64(last.Size))
		last.Size = s.Size
		end += int64(s.Size)
		if s.Key {
			keys++
		}
		shifted = shifted || s.Composition != 0
	}
	b = appendKeys(b, t.Samples, keys)
	if !shifted {
		return append(b, allAlike), end
	}
	b = append(b, eachItsOwn)
	for _, s := range t.Samples {
		b = binary.AppendVarint(b, int64(s.Composition))
	}
	return b, end
}

// appendKeys appends which of the samples are the key frames, of which there are so many.
func appendKeys(b []byte, samples []Entry, keys int) []byte {
	switch {
	case keys == 0:
		return append(b, keysNone)
	case keys == len(samples):
		return append(b, keysAll)
	case keys == 1 && samples[0].Key:
		return append(b, keysFirst)
	}
	b = append(b, keysBits)
	bits := make([]byte, (len(samples)+7)/8)
	for i, s := range samples {
		if s.Key {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return append(b, bits...)
}

// errIndex says that an index is damaged, or is none.
var errIndex = errors.New("the sample index is damaged")

// IndexFile is an index that was read, of which segments are decoded when they are asked
// for. It does not change, and is safe for concurrent use.
type IndexFile struct {
	numbers []int    // of the segments, rising
	records [][]byte // what is said of each
}

// OpenIndex returns an index whose checksum is right. It keeps data.
func OpenIndex(data []byte) (*IndexFile, error) {
	if len(data) < indexHeader+indexCheck || string(data[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", errIndex)
	}
	body := data[:len(data)-indexCheck]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errIndex)
	}
	if v := body[len(indexMagic)]; v != indexVersion {
		return nil, fmt.Errorf("the sample index has version %d, and this program reads version %d", v, indexVersion)
	}
	x := &IndexFile{}
	r := indexReader{rest: body[indexHeader:]}
	for len(r.rest) > 0 {
		n := r.number(uint64(len(r.rest)))
		if r.bad || n > uint64(len(r.rest)) {
			return nil, errIndex
		}
		record := r.take(int(n))
		one := indexReader{rest: record}
		number := int(one.number(math.MaxInt32))
		if one.bad || len(x.numbers) > 0 && number <= x.numbers[len(x.numbers)-1] {
			return nil, fmt.Errorf("%w: segment %d", errIndex, number)
		}
		x.numbers, x.records = append(x.numbers, number), append(x.records, record)
	}
	return x, nil
}

// Segment returns what the index says of the segment of a number; ok is false if it has
// none.
func (x *IndexFile) Segment(number int) (s IndexedSegment, ok bool, err error) {
	i, ok := slices.BinarySearch(x.numbers, number)
	if !ok {
		return s, false, nil
	}
	s, err = x.segment(i)
	return s, err == nil, err
}

// segment decodes the i-th segment.
func (x *IndexFile) segment(i int) (IndexedSegment, error) {
	r := indexReader{rest: x.records[i]}
	s := r.segment()
	if r.bad || len(r.rest) > 0 {
		return s, fmt.Errorf("%w: segment %d", errIndex, x.numbers[i])
	}
	return s, nil
}

// ReadIndex returns the segments of an index, in its order.
func ReadIndex(data []byte) (segments []IndexedSegment, err error) {
	x, err := OpenIndex(data)
	if err != nil {
		return nil, err
	}
	for i := range x.numbers {
		s, err := x.segment(i)
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// indexReader reads what it has. After something that cannot be read it is bad.
type indexReader struct {
	rest []byte
	bad  bool
}

// number reads a number up to a largest one.
func (r *indexReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// take reads n bytes.
func (r *indexReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// segment reads a segment.
func (r *indexReader) segment() (s IndexedSegment) {
	s.Number = int(r.number(math.MaxInt32))
	s.Bytes = int64(r.number(math.MaxInt64))
	at, time := int64(0), media.Ticks(r.number(math.MaxInt64/2))
	samples := uint64(0)
	for n := r.number(uint64(len(r.rest))); n > 0 && !r.bad; n-- {
		t := Table{Time: time}
		count := r.table(&t, at, s.Bytes, maxDecoded-samples)
		samples += count
		at = t.Offset
		for _, e := range t.Samples {
			time += media.Ticks(e.Duration)
			at += int64(e.Size)
		}
		s.Tables = append(s.Tables, t)
		r.bad = r.bad || at > s.Bytes
	}
	return s
}

// table reads a chunk behind one that ends at a byte of a segment of size bytes, with at
// most so many samples.
func (r *indexReader) table(t *Table, before, size int64, most uint64) (count uint64) {
	t.Offset = before + int64(r.number(uint64(max(size-before, 0))))
	count = r.number(min(most, uint64(len(r.rest)))) // each has a byte at least
	if r.bad || count == 0 {
		r.bad = true
		return 0
	}
	t.Samples = make([]Entry, count)
	each := r.number(eachItsOwn) == eachItsOwn
	for i := range t.Samples {
		if i == 0 {
			t.Samples[i].Duration = uint32(r.signed(0, 0, math.MaxUint32))
			continue
		}
		t.Samples[i].Duration = t.Samples[i-1].Duration
		if each {
			t.Samples[i].Duration = uint32(r.signed(int64(t.Samples[i-1].Duration), 0, math.MaxUint32))
		}
	}
	last := int64(0)
	for i := range t.Samples {
		last = r.signed(last, 0, math.MaxUint32)
		t.Samples[i].Size = uint32(last)
	}
	r.keys(t.Samples)
	if r.number(eachItsOwn) == eachItsOwn {
		for i := range t.Samples {
			t.Samples[i].Composition = int32(r.signed(0, math.MinInt32, math.MaxInt32))
		}
	}
	return count
}

// signed reads a number that is added to another; the sum has bounds.
func (r *indexReader) signed(to, least, most int64) int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 || v < -1<<33 || v > 1<<33 || to+v < least || to+v > most {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return to + v
}

// keys reads which samples are key frames.
func (r *indexReader) keys(samples []Entry) {
	mode := r.number(keysModes - 1)
	var bits []byte
	if mode == keysBits {
		bits = r.take((len(samples) + 7) / 8)
	}
	for i := range samples {
		switch mode {
		case keysFirst:
			samples[i].Key = i == 0
		case keysAll:
			samples[i].Key = true
		case keysBits:
			samples[i].Key = bits[i/8]&(1<<(i%8)) != 0
		}
	}
}
