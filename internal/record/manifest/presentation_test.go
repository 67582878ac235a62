package manifest

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// What was added of a segment comes back, with its number and name.
func TestSegments(t *testing.T) {
	p := dynamic(Period{ID: "p1", Sets: []AdaptationSet{video(h264, 7, NewTimeline(0))}})
	r := &p.Periods[0].Sets[0].Representations[0]
	r.Bandwidth, p.LongestSegment = 0, 0
	want := []media.Segment{
		{Number: 7, Name: "v_seg_0007.m4s", Time: 90, Duration: 540000, Bytes: 900_000, Frames: 180},
		{Number: 8, Name: "v_seg_0008.m4s", Time: 540090, Duration: 630000, Bytes: 700_000, Frames: 210},
		{Number: 9, Name: "v_seg_0009.m4s", Time: 1170090, Duration: 900, Bytes: 30_000, Frames: 1},
	}
	for _, s := range want {
		d, err := p.Add(r, s)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "length of "+s.Name, d, s.Duration.Duration(90000))
	}
	for i, s := range want {
		equal(t, s.Name, r.Segment(i), s)
	}
	equal(t, "segments", r.Timeline.Len(), len(want))
	equal(t, "start", r.Timeline.Start(), want[0].Time)
	equal(t, "longest segment", p.LongestSegment, 7*time.Second)
	equal(t, "bandwidth", r.Bandwidth, 900_000*8/6) // the last one's is no rate: it is hardly a segment
	if _, err := p.Add(r, want[0]); err == nil {
		t.Error("a segment that is there already was taken")
	}
	equal(t, "segments after one that was refused", r.Timeline.Len(), len(want))
}
