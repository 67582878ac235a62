package webm

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/iotest"
)

// The frames of a segment are found where they are, wherever it is torn.
func TestFrames(t *testing.T) {
	data, _ := scanSegment()
	all := []Frame{{Time: 1000, Size: 3, Key: true}, {Time: 1033, Size: 1}, {Time: 1066, Size: 500, Key: false}}
	for i, content := range [][]byte{[]byte("key"), []byte("d"), bytes.Repeat([]byte("x"), 500)} {
		all[i].Offset = int64(bytes.LastIndex(data, content))
	}
	for size := range len(data) + 1 {
		var want []Frame
		for _, f := range all {
			if f.Offset+f.Size <= int64(size) {
				want = append(want, f)
			}
		}
		got, err := Frames(bytes.NewReader(data[:size]), false)
		if err == nil && size != len(data) && len(got) > 0 {
			got[len(got)-1].Key = want[len(want)-1].Key // what it refers to is behind it
		}
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("cut to %d of %d bytes: %+v, %v; want %+v", size, len(data), got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := Frames(iotest.ErrReader(broken), false); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// The first frame is found without the rest, alone in its Cluster or not.
func TestFirstFrame(t *testing.T) {
	data, _ := scanSegment()
	key := Chunk{Time: 5, Samples: []Sample{{Data: []byte("alone"), Duration: 33, Key: true}}}
	delta := Chunk{Time: 5, Samples: []Sample{{Data: []byte("d"), Duration: 33}}}
	for _, tt := range []struct {
		data []byte
		want Frame
	}{{data[:30], Frame{1000, 18, 3, true}}, {key.Append(nil), Frame{5, 16, 5, true}}, {delta.Append(nil), Frame{5, 16, 1, false}}} {
		got, err := Frames(bytes.NewReader(tt.data), true)
		if err != nil || len(got) != 1 || got[0].Time != tt.want.Time || got[0].Size != tt.want.Size || got[0].Key != tt.want.Key {
			t.Errorf("%+v, %v; want %+v", got, err, tt.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	data, _ := scanSegment()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Frames(bytes.NewReader(data), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range got {
			if frame.Size < 0 || frame.Offset < 0 || frame.Offset+frame.Size > int64(len(data)) {
				t.Fatalf("%+v is not in %d bytes", frame, len(data))
			}
		}
	})
}
