package recorder

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// pause pauses a recording that has everything that was sent, or goes on with it.
func (g *rig) pause(stream string, pause bool) media.Recording {
	g.t.Helper()
	g.caughtUp(stream)
	rec, err := g.recorder.Pause(context.Background(), stream, pause)
	if err != nil {
		g.t.Fatal(err)
	}
	if (rec.PausedSince != nil) != pause {
		g.t.Fatalf("paused since %v, want paused %v", rec.PausedSince, pause)
	}
	return rec
}

// chapter returns what was sent since the last one.
func (s *sender) chapter() *load.Log {
	log := *s.log
	for _, tr := range s.tracks {
		sent := *tr.log
		tr.log.Units = nil
		if tr.Kind == media.Video {
			log.Video = &sent
		} else {
			log.Audio = &sent
		}
	}
	return &log
}

// sendToKey sends up to the next key frame.
func (s *sender) sendToKey() {
	for tr := s.tracks[0]; !tr.src.Units[tr.unit%len(tr.src.Units)].Key; {
		s.send(tr.next - s.at + 1)
	}
}

// checkPaused checks a recording of camera and microphone that was paused once, after
// some time and for about as long.
func (g *rig) checkPaused(rec media.Recording, before, after *load.Log, from, length time.Duration) {
	g.t.Helper()
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 2 {
		g.t.Fatalf("periods %+v, want two", got.Periods)
	}
	g.compare(before, got.InPeriods(0, 0), compare.Options{})
	g.compare(after, got.InPeriods(1, 1), compare.Options{})
	for _, tr := range rec.Tracks {
		if len(tr.Gaps) != 1 || tr.Gaps[0].Cause != arrange.CausePaused || tr.Gaps[0].Filled ||
			math.Abs(tr.Gaps[0].Start-from.Seconds()) > 0.1 || tr.Gaps[0].Duration < length.Seconds()-0.1 || tr.Gaps[0].Duration > length.Seconds()+2.1 {
			g.t.Errorf("%s: gaps %+v, want one from %v on for %v", tr.Kind, tr.Gaps, from, length)
		}
		if tr.PacketsLost+tr.FramesDropped+tr.FramesBeforeKey > 0 {
			g.t.Errorf("%s: something is counted as missing: %+v", tr.Kind, tr)
		}
	}
}

// A pause takes nothing away from the verdict, and what was sent before and behind it is
// recorded whole and at its time.
func TestPauseAndGoOn(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		t.Run(video, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, video), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.send(5 * time.Second)
			first := g.pause("camera", true)
			if again := g.pause("camera", true); !again.PausedSince.Equal(*first.PausedSince) {
				t.Errorf("paused since %v, and then %v", first.PausedSince, again.PausedSince)
			}
			before := s.chapter()
			s.drop = func(_ media.Kind, unit, _ int) bool { return unit%7 == 0 } // nobody misses it
			s.send(7 * time.Second)
			s.sendToKey()
			s.drop = nil
			if st := g.recorder.Status("camera"); !st.Recording || st.Info.PausedSince == nil || st.Info.Duration > 5.1 {
				t.Errorf("status in the pause: %+v", st)
			}
			for _, listed := range []media.Recording{g.recorder.Active()[0], g.told(first.RecordDir)} {
				if listed.PausedSince == nil {
					t.Errorf("listed as %+v", listed)
				}
			}
			s.chapter()
			g.pause("camera", false)
			g.pause("camera", false)
			s.send(5 * time.Second)
			rec := g.stop("camera")
			if rec.Status != media.StatusComplete || rec.PausedSince != nil {
				t.Errorf("ended as %s (%s), paused since %v", rec.Status, rec.Reason, rec.PausedSince)
			}
			g.checkPaused(rec, before, s.chapter(), 5*time.Second, 8*time.Second)
		})
	}
}

// told returns what the catalogue is told of a recording.
func (g *rig) told(dir string) media.Recording {
	g.t.Helper()
	g.listed()
	return g.catalogue.get(dir)
}

// Where nothing is recorded there is nothing to pause.
func TestPauseOfNothing(t *testing.T) {
	g := newRig(t, nil)
	for _, pause := range []bool{true, false} {
		_, err := g.recorder.Pause(context.Background(), "camera", pause)
		if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "/api/record/camera") {
			t.Errorf("pause %v: %v", pause, err)
		}
	}
	s := g.publish("camera", source(t, "opus_mono.ogg"))
	g.start("camera", "")
	s.send(time.Second)
	g.stop("camera")
	if _, err := g.recorder.Pause(context.Background(), "camera", true); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of a recording that has ended: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.start("camera", "")
	if _, err := g.recorder.Pause(ctx, "camera", true); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("by a client that has left: %v", err)
	}
}

// A recording that ends while it is paused ends where the pause began.
func TestStopWhilePaused(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	g.start("camera", "")
	s.send(4 * time.Second)
	g.pause("camera", true)
	before := s.chapter()
	s.send(4 * time.Second)
	rec := g.stop("camera")
	if rec.Status != media.StatusComplete || rec.PausedSince != nil || rec.Duration > 4.1 || rec.Periods != 1 {
		t.Errorf("ended as %+v", rec)
	}
	g.compare(before, g.read(rec.RecordDir), compare.Options{})
}

// A publisher that comes back in a pause finds the recording paused, named by auto_streams
// or not; one that stays away ends it.
func TestReconnectWhilePaused(t *testing.T) {
	g := newRig(t, func(o *Options) { o.AutoStreams = []string{"cam*"} })
	start := g.clock.Now()
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	s.send(4 * time.Second)
	g.pause("camera", true)
	before := s.chapter()
	s.send(2 * time.Second)
	s.leave()
	g.clock.advance(start.Add(9 * time.Second))
	back := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	back.send(3 * time.Second)
	back.sendToKey()
	back.chapter()
	if st := g.recorder.Status("camera"); !st.Recording || st.Info.PausedSince == nil {
		t.Errorf("status: %+v", st)
	}
	g.pause("camera", false)
	back.send(4 * time.Second)
	g.caughtUp("camera")
	after := back.chapter()
	dir := g.pause("camera", true).RecordDir
	back.leave()
	g.caughtUp("camera")
	g.clock.advance(g.clock.Now().Add(20 * time.Second))
	await.Until(t, "the recording has ended", func() bool { return !g.recorder.Recording("camera") })
	rec := g.told(dir)
	if rec.Status != media.StatusComplete {
		t.Errorf("ended as %s (%s)", rec.Status, rec.Reason)
	}
	g.checkPaused(rec, before, after, 4*time.Second, 9*time.Second)
}

// A recording that reaches its limit in a pause has ended where that began, and the next
// begins behind the pause.
func TestRotationWhilePaused(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxRecording = 6 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	first := g.start("camera", "")
	s.send(4 * time.Second)
	g.pause("camera", true)
	before := s.chapter()
	s.send(10 * time.Second)
	s.sendToKey()
	if n := len(g.recorder.Active()); n != 1 {
		t.Errorf("%d recordings run in the pause", n)
	}
	s.chapter()
	g.pause("camera", false)
	s.send(4 * time.Second)
	second := g.stop("camera")
	old := g.told(first.RecordDir)
	for _, rec := range []media.Recording{old, second} {
		if rec.Status != media.StatusComplete || rec.Periods != 1 || rec.Duration > 4.1 || rec.Tracks[0].GapSeconds+rec.Tracks[1].GapSeconds > 0.01 {
			t.Errorf("ended as %+v", rec)
		}
	}
	if second.RecordDir == first.RecordDir || second.Start.Sub(old.Start) < 14*time.Second {
		t.Errorf("%s at %v follows %s at %v", second.RecordDir, second.Start, old.RecordDir, old.Start)
	}
	g.compare(before, g.read(old.RecordDir), compare.Options{})
	g.compare(s.chapter(), g.read(second.RecordDir), compare.Options{})
}

// A node that dies in a pause finds the recording paused when it comes back, however late.
func TestCrashWhilePaused(t *testing.T) {
	g := newRig(t, func(o *Options) { o.SegmentDuration, o.ChunkDuration = time.Second, 250*time.Millisecond })
	withJournals(t, g.root, &g.recorder.o)
	start := g.clock.Now()
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	dir := g.start("camera", "").RecordDir
	s.send(4 * time.Second)
	since := g.pause("camera", true).PausedSince
	before := s.chapter()
	s.send(time.Second)
	g.caughtUp("camera")
	img := image{dir: t.TempDir(), listed: g.catalogue.all()}
	if err := os.CopyFS(img.dir, os.DirFS(g.root)); err != nil {
		t.Fatal(err)
	}
	g.stop("camera")

	again := after(t, img, start.Add(2*time.Hour), time.Minute)
	if err := again.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	st := again.recorder.Status("camera")
	if !st.Recording || st.Info.RecordDir != dir || st.Info.PausedSince == nil || !st.Info.PausedSince.Equal(*since) {
		t.Fatalf("status after the restart: %+v", st)
	}
	back := again.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
	again.items["camera"] = 1
	back.send(3 * time.Second)
	back.sendToKey()
	back.chapter()
	again.pause("camera", false)
	back.send(4 * time.Second)
	rec := again.stop("camera")
	if rec.RecordDir != dir || rec.Recovered != 1 || rec.Reason != reasonRecovered {
		t.Errorf("ended as %+v", rec)
	}
	again.checkPaused(rec, before, back.chapter(), 4*time.Second, 2*time.Hour)
}

// The node may die at any moment around pauses.
func TestCrashAroundPauses(t *testing.T) {
	images, _ := shot(t, false, func(*Options) {}, func(g *rig) []*sender {
		g.clock.advance(time.Now())
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
		g.start("camera", "")
		for range 3 {
			s.send(700 * time.Millisecond)
			g.pause("camera", true)
			s.send(600 * time.Millisecond)
			g.pause("camera", false)
		}
		g.stop("camera")
		return []*sender{s}
	})
	for i := 10; i < len(images); i += 9 {
		img := images[i]
		t.Run(img.at, func(t *testing.T) {
			t.Parallel()
			g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st := g.recorder.Status("camera"); st.Recording { // it waits for its publisher
				if st.Info.PausedSince == nil {
					t.Errorf("it waits, and is not paused: %+v", st)
				}
				g.stop("camera")
			}
			g.listed()
			for _, dir := range g.dirs() {
				info := g.info(dir)
				if info.Status == media.StatusRecording || info.PausedSince != nil {
					t.Errorf("%s is %s, paused since %v", dir, info.Status, info.PausedSince)
				}
				if info.Duration == 0 {
					continue
				}
				rec := g.read(dir)
				for l, n := range img.frames[dir] {
					if track, ok := rec.Track(l.Kind); n > framesOfChunk && (!ok || n-len(track.Samples) > framesOfChunk) {
						t.Errorf("of %d samples of %s too few are left", n, l.String())
					}
				}
			}
		})
	}
}
