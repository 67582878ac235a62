package webm

import (
	"bytes"
	"testing"

	"github.com/live777/recorder/internal/media"
)

func scanSegment() (data []byte, spans []media.Span) {
	for i, c := range []Chunk{
		{Time: 1000, Samples: []Sample{{Data: []byte("key"), Duration: 33, Key: true}, {Data: []byte("d"), Duration: 33}}},
		{Time: 1066, Samples: []Sample{{Data: bytes.Repeat([]byte("x"), 500), Duration: 40}}},
	} {
		data = c.Append(data)
		spans = append(spans, media.Span{Bytes: int64(len(data)), Start: 1000, End: []media.Ticks{1066, 1106}[i], Samples: 2 + i})
	}
	return data, spans
}

// Wherever a segment is cut off, the whole Clusters before are found.
func TestScanTorn(t *testing.T) {
	data, spans := scanSegment()
	for size := range len(data) + 1 {
		var want media.Span
		for _, s := range spans {
			if s.Bytes <= int64(size) {
				want = s
			}
		}
		got, err := Scan(bytes.NewReader(data[:size]), int64(size))
		if err != nil || got != want {
			t.Fatalf("cut to %d of %d bytes: %+v, %v; want %+v", size, len(data), got, err, want)
		}
	}
	gap := Chunk{Time: 2000, Samples: []Sample{{Data: []byte("x"), Duration: 33}}}
	data = gap.Append(data)
	if got, err := Scan(bytes.NewReader(data), int64(len(data))); err != nil || got != spans[1] {
		t.Errorf("a Cluster that begins later: %+v, %v; want %+v", got, err, spans[1])
	}
}

// The first frame of a segment is found where it is a key frame, alone in its Cluster
// or not.
func TestFirstKey(t *testing.T) {
	data, _ := scanSegment()
	single := Chunk{Time: 5, Samples: []Sample{{Data: []byte("alone"), Duration: 33, Key: true}}}
	delta := Chunk{Time: 5, Samples: []Sample{{Data: []byte("d"), Duration: 33}, {Data: []byte("e"), Duration: 33}}}
	for _, tt := range []struct {
		data []byte
		want string
	}{{data, "key"}, {single.Append(nil), "alone"}, {delta.Append(nil), ""}, {data[:20], ""}, {nil, ""}} {
		got, ok := FirstKey(bytes.NewReader(tt.data), int64(len(tt.data)))
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("%q, %v; want %q", got, ok, tt.want)
		}
	}
}

func FuzzScan(f *testing.F) {
	data, _ := scanSegment()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Scan(bytes.NewReader(data), int64(len(data)))
		if err != nil || got.Bytes > int64(len(data)) || got.Bytes > 0 && got.End <= got.Start {
			t.Fatalf("%+v, %v", got, err)
		}
		again, err := Scan(bytes.NewReader(data[:got.Bytes]), got.Bytes)
		if err != nil || again != got {
			t.Fatalf("what is left gives %+v, %v; it was %+v", again, err, got)
		}
	})
}
