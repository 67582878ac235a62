package fmp4

import (
	"bytes"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// scanSegment returns a segment of three chunks, of which the second has samples
// of different durations and kinds, and the span after each of them.
func scanSegment(kind media.Kind) (data []byte, spans []media.Span) {
	chunks := []Chunk{
		{Time: 90_000, First: true, Capture: time.Unix(1700000000, 0), Samples: []Sample{
			{Data: []byte("key frame"), Duration: 3000, Key: true}, {Data: []byte("delta"), Duration: 3000},
		}},
		{Time: 96_000, Samples: []Sample{
			{Data: []byte("d"), Duration: 3000}, {Data: []byte("another"), Duration: 4500, Key: true}, {Data: nil, Duration: 1},
		}},
		{Time: 103_501, Samples: []Sample{{Data: bytes.Repeat([]byte("x"), 300), Duration: 9}}},
	}
	samples := 0
	for i, c := range chunks {
		samples += len(c.Samples)
		c.TrackID, c.Kind, c.Sequence = 1, kind, uint32(7+i)
		data = c.Append(data)
		end := c.Time
		for _, s := range c.Samples {
			end += media.Ticks(s.Duration)
		}
		spans = append(spans, media.Span{Bytes: int64(len(data)), Start: 90_000, End: end, Samples: samples, Sequence: c.Sequence})
	}
	return data, spans
}

// Wherever a segment is cut off, the whole chunks before are found.
func TestScanTorn(t *testing.T) {
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		data, spans := scanSegment(kind)
		for size := range len(data) + 1 {
			var want media.Span
			for _, s := range spans {
				if s.Bytes <= int64(size) {
					want = s
				}
			}
			got, err := Scan(bytes.NewReader(data[:size]), int64(size))
			if err != nil || got != want {
				t.Fatalf("%s cut to %d of %d bytes: %+v, %v; want %+v", kind, size, len(data), got, err, want)
			}
			// A file system may have made the file longer before it wrote the data.
			padded := append(bytes.Clone(data[:size]), make([]byte, len(data)-size)...)
			if got, err = Scan(bytes.NewReader(padded), int64(len(data))); err != nil || got.Bytes > int64(len(data)) {
				t.Fatalf("%s with zeros from %d on: %+v, %v", kind, size, got, err)
			}
		}
	}
}

func TestScanForeign(t *testing.T) {
	data, spans := scanSegment(media.Video)
	gap := Chunk{TrackID: 1, Kind: media.Video, Sequence: 10, Time: spans[2].End + 1, Samples: []Sample{{Data: []byte("x"), Duration: 1}}}
	for name, tail := range map[string][]byte{
		"a chunk that begins later": gap.Append(nil),
		"a second first chunk":      data[:spans[0].Bytes],
		"an mdat alone":             appendHeader(nil, boxHeaderSize, "mdat"),
		"a box of length 0":         make([]byte, 64),
	} {
		got, err := Scan(bytes.NewReader(append(bytes.Clone(data), tail...)), int64(len(data)+len(tail)))
		if err != nil || got != spans[2] {
			t.Errorf("%s behind a segment: %+v, %v; want %+v", name, got, err, spans[2])
		}
	}
}

func FuzzScan(f *testing.F) {
	data, _ := scanSegment(media.Audio)
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

// The key frame that a segment begins with is found, and no other sample.
func TestFirstKey(t *testing.T) {
	data, spans := scanSegment(media.Video)
	if got, ok := FirstKey(bytes.NewReader(data), int64(len(data))); !ok || string(got) != "key frame" {
		t.Errorf("%q, %v", got, ok)
	}
	rest := data[spans[0].Bytes:] // begins with a sample that is no key frame
	if got, ok := FirstKey(bytes.NewReader(rest), int64(len(rest))); ok {
		t.Errorf("a segment that begins with another sample: %q", got)
	}
	none := Chunk{TrackID: 1, Kind: media.Video, Samples: []Sample{{Data: []byte("a"), Duration: 3000}, {Data: []byte("b"), Duration: 3000}}}
	alike := none.Append(nil) // tfhd tells that none is a key frame
	if got, ok := FirstKey(bytes.NewReader(alike), int64(len(alike))); ok {
		t.Errorf("a segment without a key frame: %q", got)
	}
	for _, n := range []int64{0, 10, spans[0].Bytes / 2} {
		if got, ok := FirstKey(bytes.NewReader(data[:n]), n); ok {
			t.Errorf("of %d bytes: %q", n, got)
		}
	}
}

// The tables of a segment's chunks say where each sample is, and what it is.
func TestTables(t *testing.T) {
	chunks := []Chunk{
		{Time: 90_000, First: true, Samples: []Sample{
			{Data: []byte("key frame"), Duration: 3000, Key: true}, {Data: []byte("shown later"), Duration: 3000, Composition: 6000},
			{Data: []byte("earlier"), Duration: 3001, Composition: -3000},
		}},
		{Time: 99_001, Samples: []Sample{{Data: []byte("d"), Duration: 3000}, {Data: []byte("another"), Duration: 3000}}},
		{Time: 105_001, Samples: []Sample{{Data: []byte("x"), Duration: 9}, {Data: []byte("yy"), Duration: 9, Key: true}, {Duration: 9}}},
	}
	var data []byte
	for i, c := range chunks {
		c.TrackID, c.Kind, c.Sequence = 1, media.Video, uint32(i)
		data = c.Append(data)
	}
	torn := append(bytes.Clone(data), data[len(data)-90:]...)
	tables, err := Tables(bytes.NewReader(torn), int64(len(torn)))
	if err != nil || len(tables) != len(chunks) {
		t.Fatalf("%d tables, %v; want %d", len(tables), err, len(chunks))
	}
	for i, c := range chunks {
		table := tables[i]
		if table.Time != c.Time || len(table.Samples) != len(c.Samples) {
			t.Fatalf("chunk %d: %+v", i, table)
		}
		at := table.Offset
		for j, s := range c.Samples {
			e := table.Samples[j]
			if got := data[at : at+int64(e.Size)]; !bytes.Equal(got, s.Data) {
				t.Errorf("chunk %d, sample %d: %q, want %q", i, j, got, s.Data)
			}
			if e.Duration != s.Duration || e.Composition != s.Composition || e.Key != s.Key {
				t.Errorf("chunk %d, sample %d: %+v, want %+v", i, j, e, s)
			}
			at += int64(e.Size)
		}
	}
}
