//go:build !race

package recorder

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// Every layer of a simulcast publisher is a Representation, bit-exact, with
// segments that begin together.
func TestSimulcast(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_high.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	for _, tr := range s.tracks[1:3] {
		tr.src = withTimes(tr.src, s.tracks[0].src) // encodings of one camera share its times
	}
	g.start("camera", "")
	s.send(20 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 1 || len(got.Tracks) != 4 {
		t.Fatalf("%d periods, %d tracks; want 1 with 3 layers and audio", len(got.Periods), len(got.Tracks))
	}
	for i, id := range []string{"video", "video-2", "video-3"} {
		report := g.compare(s.layerLog(i), got.WithLayer(id), compare.Options{})
		if first := report.Tracks[0].First; first != 0 {
			t.Errorf("%s begins with frame %d", id, first)
		}
		layer, _ := got.Layer(id)
		if n := len(layer.Segments); n < 9 {
			t.Errorf("%s has %d segments of 2 s in 20 s", id, n)
		}
	}
	if rec.Status != media.StatusComplete || len(rec.Tracks) != 4 || rec.Tracks[2].RID != "c" || rec.Tracks[2].Layer != 2 {
		t.Errorf("ended as %+v", rec)
	}
}

// A layer that is turned off and on again makes new Periods and breaks nothing;
// so does the one that leads.
func TestSimulcastLayersComeAndGo(t *testing.T) {
	for _, off := range []int{0, 1} {
		g := newRig(t, nil)
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_high.h264"), source(t, "opus_stereo.ogg"))
		s.tracks[1].src = withTimes(s.tracks[1].src, s.tracks[0].src)
		g.start("camera", "")
		step := func(d time.Duration) {
			for ; d > 0; d -= time.Second {
				s.send(time.Second)
				g.caughtUp("camera")
			}
		}
		step(8 * time.Second)
		s.tracks[off].off = true
		step(8 * time.Second)
		s.tracks[off].off = false
		step(10 * time.Second)
		rec := g.stop("camera")
		got := g.read(rec.RecordDir)
		if len(got.Periods) < 3 {
			t.Errorf("layer %d off and on: %d periods, want 3", off, len(got.Periods))
		}
		for i, id := range []string{"video", "video-2"} {
			layer, _ := got.Layer(id)
			last := layer.Samples[len(layer.Samples)-1]
			if end := (last.Time + last.Duration).Duration(90000); end < 25*time.Second {
				t.Errorf("layer %d off: %s ends at %v", off, id, end)
			}
			missing := len(s.tracks[i].log.Units) - len(layer.Samples)
			if limit := map[bool]int{true: 90, false: 2}[i == off]; missing > limit {
				t.Errorf("layer %d off: %s lacks %d frames of %d", off, id, missing, len(s.tracks[i].log.Units))
			}
		}
		wholeLayers(t, got)
		// Its last picture stays to the end of the Period; then it is not there.
		gaps := rec.Tracks[off].Gaps
		if d := holes(rec.Tracks[off])[arrange.CauseLayer]; rec.Status != media.StatusComplete || len(gaps) != 2 || d < 8 || d > 11 {
			t.Errorf("layer %d off: %s with the gaps %v", off, rec.Status, gaps)
		}
		s.log.Video = nil
		g.compare(s.log, got.WithLayer("none"), compare.Options{})
	}
}

// What a layer lacks at the beginning is of its coming late, also where a publisher without
// layers has come since.
func TestSimulcastThenWithout(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_high.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[1].src = withTimes(s.tracks[1].src, s.tracks[0].src)
	s.tracks[0].off = true
	g.start("camera", "")
	s.send(4 * time.Second)
	g.caughtUp("camera")
	s.tracks[0].off = false
	s.send(10 * time.Second)
	s.pub.Close()
	s = g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.send(5 * time.Second)
	rec := g.stop("camera")
	first := media.Gap{}
	if gaps := rec.Tracks[0].Gaps; len(gaps) > 0 {
		first = gaps[0]
	}
	if first.Start != 0 || first.Duration < 4 || first.Cause != arrange.CauseLayer || rec.Status != media.StatusComplete {
		t.Errorf("ended as %s (%s) with the gap %+v", rec.Status, rec.Reason, first)
	}
}

// Layers rotate together.
func TestSimulcastRotation(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_high.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[1].src = withTimes(s.tracks[1].src, s.tracks[0].src)
	g.start("camera", "")
	s.send(15 * time.Second)
	g.stop("camera")
	g.listed()
	frames := map[string]int{}
	for dir := range g.catalogue.last {
		got := g.read(dir)
		for _, tr := range got.Tracks {
			frames[tr.ID] += len(tr.Samples)
		}
	}
	if len(g.catalogue.last) != 2 || frames["video"] != len(s.tracks[0].log.Units) || frames["video-2"] != len(s.tracks[1].log.Units) {
		t.Errorf("%d recordings with frames %v, sent %d and %d", len(g.catalogue.last), frames, len(s.tracks[0].log.Units), len(s.tracks[1].log.Units))
	}
}

// A layer of a publisher that has left is none of a recording that begins later: nothing
// of it is missing there.
func TestLayerOfAnotherRecording(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 6 * time.Second })
	first := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	first.send(4 * time.Second)
	first.leave()
	second := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	second.send(10 * time.Second)
	second.leave()
	rec := g.stop("camera")
	if rec.Status != media.StatusComplete || len(rec.Tracks) != 2 {
		t.Errorf("the last recording is %s (%s) with the tracks %+v, want one of video and one of audio", rec.Status, rec.Reason, rec.Tracks)
	}
	if g.listed(); len(g.catalogue.all()) < 2 {
		t.Error("no recording has begun with the second publisher")
	}
}

// wholeLayers checks that all layers of a Period last as long as the others: a
// player that has chosen one meets no hole.
func wholeLayers(t *testing.T, rec *verify.Recording) {
	t.Helper()
	for i, p := range rec.Periods {
		ends := map[string]media.Ticks{}
		for _, tr := range rec.Tracks {
			for _, s := range tr.Segments {
				if tr.Kind == media.Video && s.Period == i {
					ends[tr.ID] = s.Time + s.Duration
				}
			}
		}
		for id, end := range ends {
			if d := ends["video"] - end; ends["video"] != 0 && (d > 9000 || d < -9000) {
				t.Errorf("%s of period %d, from %v, ends at %d, video at %d", id, i+1, p.Start, end, ends["video"])
			}
		}
	}
}

// Where a layer has lost its key frame no segment begins: segments of layers begin
// together, and the next key frame that all of them have is soon enough.
func TestSimulcastLosesCut(t *testing.T) {
	for _, lossy := range []int{0, 1} {
		g := newRig(t, nil)
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		g.start("camera", "")
		units, key, keys := s.tracks[0].src.Units, -1, 0
		s.tracks[lossy].lose = func(unit int) bool {
			if units[unit%len(units)].Key && unit != key {
				key, keys = unit, keys+1
			}
			return unit == key && keys%5 == 0
		}
		for range 25 {
			s.send(time.Second)
			g.caughtUp("camera")
		}
		rec := g.stop("camera")
		got := g.read(rec.RecordDir)
		if rec.Status != media.StatusDegraded || len(got.Periods) != 1 {
			t.Errorf("layer %d lost key frames: %s with %d periods", lossy, rec.Status, len(got.Periods))
		}
		for i, id := range []string{"video", "video-2"} {
			layer, _ := got.Layer(id)
			missing := len(s.tracks[i].log.Units) - len(layer.Samples)
			// Nothing of a GOP without its key frame can be decoded.
			if limit := map[bool]int{true: 10 * 30, false: 0}[i == lossy]; missing > limit {
				t.Errorf("layer %d lost key frames: %s lacks %d of %d frames", lossy, id, missing, len(s.tracks[i].log.Units))
			}
		}
	}
}

// A layer whose key frames are at other pictures stays for three targets, in one
// segment; then it is left out, which is counted, and said in words.
func TestSimulcastOtherKeyFrames(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.step(4500 * time.Millisecond)
	s.tracks[1].unit += 15 // from here on
	s.step(15 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	layer, _ := got.Layer("video-2")
	if rec.Periods != 2 || len(layer.Segments) != 3 {
		t.Errorf("%d Periods, the layer has %d segments, want 2 and 3", rec.Periods, len(layer.Segments))
	}
	sent, stored, dropped := len(s.tracks[1].log.Units), len(layer.Samples), rec.Tracks[1].FramesDropped
	want := fmt.Sprintf("video: "+reasonApart, dropped)
	if rec.Status != media.StatusDegraded || rec.Reason != want || stored+int(dropped) != sent {
		t.Errorf("%s (%s): of %d frames %d are recorded, %d left out", rec.Status, rec.Reason, sent, stored, dropped)
	}
	if end := layer.Segments[2].Time + layer.Segments[2].Duration; end < 10*90000 || end > 11*90000 {
		t.Errorf("the layer ends at %d", end)
	}
}

// A layer that never has a key frame where the other has one is in no Period; that it could
// have been decoded is said.
func TestSimulcastNeverTogether(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[1].unit += 15
	g.start("camera", "")
	s.step(15 * time.Second)
	rec := g.stop("camera")
	layer := &rec.Tracks[1]
	want := fmt.Sprintf("video: "+reasonApart, layer.FramesDropped-layer.FramesBeforeKey)
	if rec.Status != media.StatusDegraded || rec.Reason != want || layer.Frames != 0 {
		t.Errorf("%s (%s), want %q: %+v", rec.Status, rec.Reason, want, layer)
	}
}

// The lead is turned off while the other layer, which has lost the key frame of a
// cut, is out of the Period: that leads, from its next key frame on.
func TestSimulcastLeadsAfterLoss(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"))
	s.tracks[1].lose = func(unit int) bool { return unit == 120 } // the key frame at 4 s
	g.start("camera", "")
	s.step(5800 * time.Millisecond) // no Period begins before the next key frame
	s.tracks[0].off = true
	s.step(8 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	layer, _ := got.Layer("video-2")
	follows(t, layer, s.tracks[1].src)
	last := layer.Samples[len(layer.Samples)-1]
	if end := last.Time.Duration(90000); rec.Periods != 2 || end < 13700*time.Millisecond || len(layer.Samples) < 320 {
		t.Errorf("%d periods, the layer has %d frames up to %v", rec.Periods, len(layer.Samples), end)
	}
}

// follows checks that each frame of a track that is no key frame comes right
// after the one that the source has before it.
func follows(t *testing.T, tr *verify.Track, src *load.Source) {
	t.Helper()
	units := map[[sha256.Size]byte][]int{}
	for i := range src.Units {
		units[src.Units[i].SHA256] = append(units[src.Units[i].SHA256], i)
	}
	for i := 1; i < len(tr.Samples); i++ {
		before, at := units[sha256.Sum256(tr.Samples[i-1].Data)], units[sha256.Sum256(tr.Samples[i].Data)]
		next := func(unit int) bool { return slices.Contains(before, unit-1) }
		if !tr.Samples[i].Key && !slices.ContainsFunc(at, next) {
			t.Errorf("%s: the frame at %d follows another than the sender's", tr.ID, tr.Samples[i].Time)
		}
	}
}

// Where the lead's time is corrected, that of the layers is with it.
func TestSimulcastDrift(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	for range 60 {
		s.send(time.Second)
		g.caughtUp("camera")
		s.hurry(2 * time.Millisecond)
	}
	got := g.read(g.stop("camera").RecordDir)
	if len(got.Periods) != 1 {
		t.Errorf("%d periods, want 1", len(got.Periods))
	}
	wholeLayers(t, got)
	first, _ := got.Layer("video")
	second, _ := got.Layer("video-2")
	if len(first.Segments) != len(second.Segments) || len(first.Samples) != len(second.Samples) {
		t.Errorf("%d and %d segments, %d and %d frames", len(first.Segments), len(second.Segments), len(first.Samples), len(second.Samples))
	}
	sent := s.tracks[0].ts - s.tracks[0].log.Units[0].Timestamp
	last := first.Segments[len(first.Segments)-1]
	if corrected := media.Ticks(sent) - last.Time - last.Duration; corrected < 3000 {
		t.Errorf("%d ticks were corrected, too few for this test to mean anything", corrected)
	}
}
