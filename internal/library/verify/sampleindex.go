package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// layout is where the samples of a segment are and what they are, as a hash: of a segment
// as it was read, or as a sample index says.
type layout struct{ sum hash.Hash }

func newLayout() layout { return layout{sha256.New()} }

// add adds a sample.
func (l layout) add(time, offset, size, duration, composition int64, key bool) {
	var b [41]byte
	for i, v := range []int64{time, offset, size, duration, composition} {
		binary.BigEndian.PutUint64(b[8*i:], uint64(v))
	}
	if key {
		b[40] = 1
	}
	l.sum.Write(b[:])
}

// layout returns that of a segment, as far as it has been read.
func (r *reader) layout(segment string) layout {
	l, ok := r.layouts[segment]
	if !ok {
		l = newLayout()
		r.layouts[segment] = l
	}
	return l
}

// checkIndexes compares the sample indexes with the segments. There may be none, and they
// may lack segments.
func (r *reader) checkIndexes() error {
	for _, t := range r.rec.Tracks {
		seen, counted := map[string]bool{}, map[int64]totals{}
		for i := range t.Segments {
			s := &t.Segments[i]
			name := media.SampleIndexName(s.Name, s.Number)
			if isWebMName(s.Name) || seen[name] {
				continue
			}
			seen[name] = true
			data, err := r.read(name)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := r.checkIndex(t, data, counted); err != nil {
				r.problem(name, "%v", err)
			}
		}
		if len(counted) == 0 {
			continue
		}
		if err := r.checkSummary(t, counted); err != nil {
			return err
		}
	}
	return nil
}

// checkIndex compares a sample index of a track (docs/formats/sample-index.md), and counts
// what it says of each segment.
func (r *reader) checkIndex(t *Track, data []byte, counted map[int64]totals) error {
	const head, tail = "LSIX\x01", 4
	if len(data) < len(head)+tail || !strings.HasPrefix(string(data), head) {
		return errors.New("is no sample index of version 1")
	}
	end := len(data) - tail
	if crc32.ChecksumIEEE(data[:end]) != binary.BigEndian.Uint32(data[end:]) {
		return errors.New("has a wrong checksum")
	}
	byNumber := map[int]*Segment{}
	for i := range t.Segments {
		byNumber[t.Segments[i].Number] = &t.Segments[i]
	}
	rest := &numbers{Reader: bytes.NewReader(data[len(head):end])}
	for last := 0; rest.Len() > 0; {
		size := rest.next()
		if size > int64(rest.Len()) {
			return errors.New("has a segment that is longer than it")
		}
		body := make([]byte, size)
		_, _ = rest.Read(body) // all is there
		one := &numbers{Reader: bytes.NewReader(body)}
		number := int(one.next())
		s := byNumber[number]
		switch {
		case number <= last:
			return fmt.Errorf("has segment %d behind %d", number, last)
		case s == nil:
			return fmt.Errorf("has segment %d, which the manifest does not name", number)
		}
		last = number
		sum, err := r.checkIndexed(s, one)
		if err != nil {
			return fmt.Errorf("says of %s %w", s.Name, err)
		}
		counted[int64(number)] = sum
	}
	return nil
}

// checkIndexed compares what an index says of a segment, behind its number.
func (r *reader) checkIndexed(s *Segment, b *numbers) (sum totals, err error) {
	size, time, at, found := b.next(), b.next(), int64(0), newLayout()
	for chunks := b.next(); chunks > 0 && !b.bad; chunks-- {
		at += b.next()
		count := b.next()
		if count > int64(b.Len()) {
			return sum, fmt.Errorf("that a chunk has %d samples", count)
		}
		samples := b.samples(int(count))
		for _, x := range samples {
			found.add(time, at, x.size, x.duration, x.composition, x.key)
			time, at = time+x.duration, at+x.size
			sum.count(x)
		}
	}
	read, ok := r.layouts[s.Name]
	switch {
	case b.bad || b.Len() > 0:
		return sum, errors.New("what cannot be read")
	case !ok:
		return sum, nil // the segment cannot be read either, and that is said
	case size != s.Bytes:
		return sum, fmt.Errorf("%d bytes, it has %d", size, s.Bytes)
	case !bytes.Equal(read.sum.Sum(nil), found.sum.Sum(nil)):
		return sum, errors.New("other samples than it has")
	}
	return sum, nil
}

// numbers reads numbers; it is bad after what is none.
type numbers struct {
	*bytes.Reader
	bad bool
}

// next returns the next number, 0 where there is none.
func (b *numbers) next() int64 {
	v, err := binary.ReadUvarint(b)
	if err != nil || int64(v) < 0 {
		b.bad = true
		return 0
	}
	return int64(v)
}

// signed returns the next number that has a sign, 0 where there is none.
func (b *numbers) signed() int64 {
	v, err := binary.ReadVarint(b)
	b.bad = b.bad || err != nil
	return v
}

// indexedSample is what an index says of a sample.
type indexedSample struct {
	size, duration, composition int64
	key                         bool
}

// samples reads the samples of a chunk.
func (b *numbers) samples(count int) []indexedSample {
	samples := make([]indexedSample, count)
	each, last := b.next(), int64(0)
	for i := range samples {
		if i == 0 || each == 1 {
			last += b.signed()
		}
		samples[i].duration = last
	}
	last = 0
	for i := range samples {
		last += b.signed()
		samples[i].size = last
		b.bad = b.bad || last < 0 || samples[i].duration < 0
	}
	mode := b.next()
	bits := make([]byte, (count+7)/8)
	if mode == 3 {
		if n, _ := b.Read(bits); n < len(bits) {
			b.bad = true
		}
	}
	for i := range samples {
		samples[i].key = mode == 2 || mode == 1 && i == 0 || mode == 3 && bits[i/8]>>(i%8)&1 == 1
	}
	composed := b.next()
	b.bad = b.bad || each > 1 || mode > 3 || composed > 1
	for i := range samples {
		if composed == 1 && !b.bad {
			samples[i].composition = b.signed()
		}
	}
	return samples
}
