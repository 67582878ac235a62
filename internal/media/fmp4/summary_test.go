package fmp4

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"reflect"
	"testing"
)

// summary returns one of two segments.
func summary(t testing.TB) (x Summaries, list []Summary) {
	t.Helper()
	tables := []Table{{Samples: []Entry{
		{Size: 150, Duration: 3000, Composition: 3000, Key: true}, {Size: 50, Duration: 3000}, {Size: 7, Duration: 9},
	}}}
	list = []Summary{
		{Number: 3, Samples: 3, Bytes: 207, Keys: 1, Durations: 2, Last: 9, LastRun: 1, Compositions: 2},
		{Number: 7, Samples: 1, Bytes: 5, Keys: 1, Durations: 1, Last: 960, LastRun: 1},
	}
	if got := Summarize(3, tables); got != list[0] {
		t.Fatalf("%+v", got)
	}
	for _, s := range list {
		if !x.Fit(s) {
			t.Fatalf("%+v has no room", s)
		}
	}
	return x, list
}

// What is written of a summary is read again, and not what is damaged.
func TestSummary(t *testing.T) {
	x, want := summary(t)
	whole := x.Bytes()
	if list, err := ReadSummaries(whole); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v, %v", list, err)
	}
	for i := range whole {
		torn := bytes.Clone(whole)
		torn[i] ^= 0x20
		if _, err := ReadSummaries(torn); err == nil {
			t.Errorf("byte %d may be anything", i)
		}
		if _, err := ReadSummaries(whole[:i]); err == nil {
			t.Errorf("it is read where it ends at byte %d", i)
		}
	}
}

// A summary is never longer than what is read of one, and its segments are in their order.
func TestSummaryIsBounded(t *testing.T) {
	x, _ := summary(t)
	if x.Fit(Summary{Number: 7, Samples: 1, Durations: 1, LastRun: 1}) || x.Fit(Summary{Number: 8}) {
		t.Error("it has a segment twice, or one without samples")
	}
	s := Summary{
		Samples: math.MaxUint32, Bytes: math.MaxInt64 >> 16, Keys: math.MaxUint32, Durations: math.MaxUint32,
		Last: math.MaxUint32, LastRun: math.MaxUint32, Compositions: math.MaxUint32,
	}
	n := 8
	for s.Number = n; x.Fit(s); s.Number = n {
		n++
	}
	data := x.Bytes()
	if list, err := ReadSummaries(data); err != nil || len(data) > MaxSummary || list[len(list)-1].Number != n-1 {
		t.Errorf("%d bytes, %d segments, %v", len(data), len(list), err)
	}
}

// Whatever is in a summary with a right checksum: reading it ends, and what is read can be
// written and read again.
func FuzzReadSummaries(f *testing.F) {
	x, _ := summary(f)
	f.Add(x.records)
	f.Fuzz(func(t *testing.T, records []byte) {
		data := append([]byte(summaryMagic+"\x01"), records...)
		data = binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
		list, err := ReadSummaries(data)
		if err != nil {
			return
		}
		if len(list)*summaryFields > len(records) {
			t.Fatalf("%d segments of %d bytes", len(list), len(records))
		}
		var again Summaries
		for _, s := range list {
			if !again.Fit(s) {
				t.Fatalf("%+v cannot be written", s)
			}
		}
		if same, err := ReadSummaries(again.Bytes()); err != nil || !reflect.DeepEqual(same, list) {
			t.Fatalf("read %+v; what is written of it is read as %+v, %v", list, same, err)
		}
	})
}
