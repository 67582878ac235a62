package recording

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// Of more indexes than somebody reads one by one there is a summary, of the segments that
// are in them.
func TestSampleSummary(t *testing.T) {
	var x indexes
	tables := []fmp4.Table{{Offset: 100, Samples: []fmp4.Entry{{Size: 7, Duration: 960, Key: true}, {Size: 5, Duration: 960, Key: true}}}}
	most := media.DirectIndexes*media.IndexGroup + 1
	for n := 1; n <= most; n++ {
		x.add(lane{Kind: media.Audio}, media.Segment{Number: n, Name: fmt.Sprintf("a_seg_%04d.m4s", n)}, tables)
		x.add(lane{Kind: media.Video}, media.Segment{Number: 1, Name: "v_seg_0001.m4s"}, tables)
	}
	data, ok := x.get("a_samples.idx")
	list, err := fmp4.ReadSummaries(data)
	if !ok || err != nil || len(list) != most || list[most-1] != fmp4.Summarize(most, tables) {
		t.Errorf("%d segments, %v", len(list), err)
	}
	if sums := x.sums(); len(sums) != 1 || sums[0].name != "a_samples.idx" {
		t.Errorf("%d summaries are stored", len(sums))
	}
}

// What a sender makes of a group is bounded: segments beyond it are not in the index.
func TestSampleIndexIsBounded(t *testing.T) {
	var x indexes
	table := fmp4.Table{Samples: make([]fmp4.Entry, 1<<16)}
	for n := 1; n < media.IndexGroup; n++ {
		if full := x.add(lane{Kind: media.Audio}, media.Segment{Number: n, Name: fmt.Sprintf("a_seg_%04d.m4s", n)}, []fmp4.Table{table}); full != nil {
			t.Fatalf("full with segment %d", n)
		}
	}
	full := x.add(lane{Kind: media.Audio}, media.Segment{Number: media.IndexGroup, Name: "a_seg_0256.m4s"}, nil)
	if full == nil || full.name != "a_samples_0001.idx" || full.index.Len() > fmp4.MaxIndex || full.index.Len() < fmp4.MaxIndex/2 {
		t.Fatalf("the index of a full group: %+v", full)
	}
	if len(x.rest()) > 0 {
		t.Error("it is there twice")
	}
}

// The last index of a track is there until it is stored: a file that was made of it is read.
func TestSampleIndexUntilStored(t *testing.T) {
	var x indexes
	tables := []fmp4.Table{{Samples: []fmp4.Entry{{Size: 7, Duration: 960, Key: true}}}}
	x.add(lane{Kind: media.Audio}, media.Segment{Number: 1, Name: "a_seg_0001.m4s", Bytes: 7}, tables)
	want, _ := x.get("a_samples_0001.idx")
	rest := x.rest()
	if got, ok := x.get("a_samples_0001.idx"); !ok || !bytes.Equal(got, want) || len(rest) != 1 {
		t.Fatalf("%d bytes while it is stored, %d groups", len(got), len(rest))
	}
	x.drop(rest[0])
	if _, ok := x.get("a_samples_0001.idx"); ok {
		t.Error("it is there when it is stored")
	}
}
