package recorder

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// B-frames of a sender that never sends another key frame: segments begin where nothing
// that was decoded before is shown later.
func TestNoOtherKeyFrameReordered(t *testing.T) {
	src, err := load.Picture{Size: "128x72", GOP: 1000, Profile: "high", BFrames: 2}.Encode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, nil)
	s := g.publish("camera", src, source(t, "opus_stereo.ogg"))
	s.tracks[0].shown = func(unit int) int64 { return int64(src.Units[unit%len(src.Units)].Composition) }
	g.start("camera", "")
	s.steps(25 * time.Second)
	rec := g.stop("camera")
	got, err := verify.ReadRecording(t.Context(), g.store, rec.RecordDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.Problems {
		t.Error(p)
	}
	video, _ := got.Track(media.Video)
	if n := len(video.Segments); n < 4 || rec.Periods != 1 {
		t.Errorf("%d segments in %d periods", n, rec.Periods)
	}
}

// Few pictures, and no other key frame: copies that stand where a segment begins are in
// the ledger, however close the pictures are.
func TestFewPicturesWithoutKeyFrames(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(every.String(), func(t *testing.T) {
			g := newRig(t, nil)
			src, err := load.Picture{Size: "128x72", GOP: 1000}.Encode(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := g.publish("camera", src.Every(every), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.steps(30 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			report := g.compare(s.log, got, compare.Options{})
			if tr := report.Tracks[0]; tr.Matched != tr.Sent || rec.Periods != 1 || rec.Status != media.StatusComplete {
				t.Errorf("%d of %d pictures in %d periods, %s (%s)", tr.Matched, tr.Sent, rec.Periods, rec.Status, rec.Reason)
			}
		})
	}
}
