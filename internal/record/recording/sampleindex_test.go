package recording

import (
	"fmt"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

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
