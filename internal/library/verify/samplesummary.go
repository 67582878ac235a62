package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// totals is what a summary of sample indexes says of a segment, in the order in which it
// stands there.
type totals struct {
	samples, bytes, keys       int64
	durations, last, lastRun   int64
	compositions, shiftedRuns  int64 // runs of composition offsets, and 0 or the same where one is not 0
	composition, anyoneShifted int64
}

// count adds a sample.
func (t *totals) count(x indexedSample) {
	if t.samples == 0 || x.duration != t.last {
		t.durations++
		t.lastRun = 0
	}
	if t.samples == 0 || x.composition != t.composition {
		t.shiftedRuns++
	}
	if t.composition = x.composition; x.composition != 0 {
		t.anyoneShifted = 1
	}
	if x.key {
		t.keys++
	}
	t.samples++
	t.bytes += x.size
	t.last = x.duration
	t.lastRun++
	t.compositions = t.anyoneShifted * t.shiftedRuns
}

// said returns what the summary is to say.
func (t *totals) said() [7]int64 {
	return [7]int64{t.samples, t.bytes, t.keys, t.durations, t.last, t.lastRun, t.compositions}
}

// checkSummary compares the summary of a track's sample indexes, of which there may be
// none, with what they say. It may lack segments.
func (r *reader) checkSummary(t *Track, counted map[int64]totals) error {
	name := media.SampleSummaryName(t.Segments[0].Name)
	data, err := r.read(name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err == nil {
		if problem := compareSummary(data, counted); problem != nil {
			r.problem(name, "%v", problem)
		}
	}
	return err
}

func compareSummary(data []byte, counted map[int64]totals) error {
	const head, tail = "LSUM\x01", 4
	if len(data) < len(head)+tail || !strings.HasPrefix(string(data), head) {
		return errors.New("is no summary of version 1")
	}
	end := len(data) - tail
	if crc32.ChecksumIEEE(data[:end]) != binary.BigEndian.Uint32(data[end:]) {
		return errors.New("has a wrong checksum")
	}
	rest := &numbers{Reader: bytes.NewReader(data[len(head):end])}
	for number := int64(0); rest.Len() > 0; {
		number += rest.next()
		var said [7]int64
		for i := range said {
			said[i] = rest.next()
		}
		have, ok := counted[number]
		switch {
		case rest.bad:
			return errors.New("has what cannot be read")
		case !ok:
			return fmt.Errorf("has segment %d, which is in no index", number)
		case said != have.said():
			return fmt.Errorf("says %v of segment %d, the index %v", said, number, have.said())
		}
	}
	return nil
}
