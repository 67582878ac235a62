//go:build !race

package recorder

import (
	"fmt"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
)

// ladders are layers of one camera: with the same timestamps in all, as OBS has them, and
// each with its own, as browsers do.
var ladders = map[string]bool{"equal": true, "own": false}

// publishLadder publishes three layers with sound.
func (g *rig) publishLadder(equal bool) *sender {
	g.t.Helper()
	first := source(g.t, "h264_baseline.h264")
	s := g.publish("camera", first, withTimes(source(g.t, "h264_high.h264"), first), withTimes(source(g.t, "h264_small.h264"), first), source(g.t, "opus_stereo.ogg"))
	for _, tr := range s.tracks[:3] {
		if equal {
			tr.ts = s.tracks[0].ts
		}
	}
	return s
}

// turn has all layers send, from a key frame on, or not.
func (s *sender) turn(on bool) {
	for i := range s.tracks[:3] {
		s.tracks[i].off = !on
		if on {
			s.skipToKey(i)
		}
	}
}

// wholeLadder wants all that was sent of each layer, and of the sound, in Periods that are
// whole.
func wholeLadder(t *testing.T, s *sender, rec media.Recording, got *verify.Recording) {
	t.Helper()
	whole(t, rec, got.WithLayer("video"))
	wholeLayers(t, got)
	for i, id := range []string{"video", "video-2", "video-3"} {
		report := compare.Recording(s.layerLog(i), got.WithLayer(id), compare.Options{MaxAV: -1})
		if err := report.Err(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		for _, tr := range report.Tracks {
			if tr.Matched != tr.Sent {
				t.Errorf("%s, %s: %d of %d units", id, tr.Kind, tr.Matched, tr.Sent)
			}
		}
	}
}

// The camera of a sender of layers is off for 14 s: of each layer the last picture stands,
// and all that was sent is there.
func TestSimulcastCameraOff(t *testing.T) {
	for name, equal := range ladders {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publishLadder(equal)
			g.start("camera", "")
			s.steps(10 * time.Second)
			s.turn(false)
			s.steps(14 * time.Second)
			s.turn(true)
			s.steps(10 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			wholeLadder(t, s, rec, got)
			if d := holes(rec.Tracks[0])[arrange.CausePause]; d < 13.9 || d > 14.1 || rec.Status != media.StatusDegraded {
				t.Errorf("pause of %v s, %s (%s)", d, rec.Status, rec.Reason)
			}
		})
	}
}

// The sound of a sender of layers comes later.
func TestSimulcastLateSound(t *testing.T) {
	for name, equal := range ladders {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publishLadder(equal)
			s.tracks[3].off = true
			g.start("camera", "")
			s.steps(12 * time.Second)
			s.tracks[3].off = false
			s.steps(10 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			wholeLadder(t, s, rec, got)
			if d := holes(rec.Tracks[3])[arrange.CauseAbsent]; rec.Periods != 1 || d < 11.9 || d > 12.1 {
				t.Errorf("%d Periods, absent for %v s", rec.Periods, d)
			}
		})
	}
}

// A layer that was announced and is never sent takes nothing from the others, and is in
// the ledger as absent from the first moment to the last.
func TestSimulcastLayerNeverComes(t *testing.T) {
	for never := range 3 {
		t.Run(fmt.Sprint(never), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publishLadder(true)
			s.tracks[never].off = true
			g.start("camera", "")
			s.steps(15 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			wholeLayers(t, got)
			for i, tr := range rec.Tracks[:3] {
				if i == never {
					if tr.Recorded || tr.Frames > 0 || tr.MediaSeconds > 0 || tr.GapSeconds < 14.9 {
						t.Errorf("of the layer that never came: %+v", tr)
					}
					continue
				}
				if sent := int64(len(s.tracks[i].log.Units)); tr.Frames != sent || tr.GapSeconds > 0.05 {
					t.Errorf("%d frames of %d: %+v", tr.Frames, sent, tr)
				}
			}
			if rec.Periods != 1 || rec.Status != media.StatusComplete {
				t.Errorf("%d Periods, %s (%s)", rec.Periods, rec.Status, rec.Reason)
			}
		})
	}
}

// All layers come 12 s later than the sound: in one Period, beside which there is the
// neutral picture alone, and of none anything is left out.
func TestSimulcastLatePicture(t *testing.T) {
	for name, equal := range ladders {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publishLadder(equal)
			s.turn(false)
			g.start("camera", "")
			s.steps(12 * time.Second)
			s.turn(true)
			s.steps(10 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			wholeLadder(t, s, rec, got)
			if rec.Periods != 2 {
				t.Errorf("%d Periods, want that of the neutral picture and one", rec.Periods)
			}
			for _, tr := range rec.Tracks[:3] {
				absent := holes(tr)[arrange.CauseAbsent] + holes(tr)[arrange.CauseLayer]
				if absent < 11.9 || absent > 12.1 || tr.FramesDropped > 0 {
					t.Errorf("%s: absent for %v s: %+v", tr.RID, absent, tr)
				}
			}
		})
	}
}
