package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// resized is video that changes its size after d, at a key frame.
func resized(t *testing.T, d time.Duration) *load.Source {
	t.Helper()
	s, err := load.Join(source(t, "h264_baseline.h264").Head(d), source(t, "h264_small.h264"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Video that arrives later than the audio of its time begins a Period: the
// audio has waited, and each Period has its own.
func TestAudioWaitsForTheBoundary(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", resized(t, 4*time.Second), source(t, "opus_stereo.ogg"))
	s.tracks[0].delay = 400 * time.Millisecond
	g.start("camera", "")
	s.send(9 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	g.compare(s.log, got, compare.Options{})
	if len(got.Periods) != 2 || rec.Status != media.StatusComplete {
		t.Fatalf("%s with periods %+v, want a second one for the other size", rec.Status, got.Periods)
	}
	inTheirPeriods(t, got)
}

// inTheirPeriods checks that a recording of two Periods has each sample in the
// one of its time.
func inTheirPeriods(t *testing.T, got *verify.Recording) {
	t.Helper()
	for _, tr := range got.Tracks {
		for _, sample := range tr.Samples {
			at := sample.Time.Duration(tr.Timescale)
			if (at >= got.Periods[1].Start) != (sample.Period == 1) {
				t.Fatalf("%s at %v is in Period %d, which changes at %v", tr.Kind, at, sample.Period, got.Periods[1].Start)
			}
		}
	}
}

// The first key frame that comes, after the audio has begun alone, waits for packets
// that are missing before it: the audio waits with it.
func TestAudioWaitsForTheFirstVideo(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	s.tracks[0].lose = func(unit int) bool { return unit < 180 && unit != 100 }
	g.start("camera", "")
	s.sendSteps(12 * time.Second)
	got := g.read(g.stop("camera").RecordDir)
	if len(got.Periods) != 2 || got.Periods[1].Start > 6050*time.Millisecond {
		t.Fatalf("periods %+v, want a second one with the video at 6 s", got.Periods)
	}
	inTheirPeriods(t, got)
}

// A browser raises its resolution in the first seconds, before it has reported:
// the audio from before the new Period is not lost with the waiting.
func TestBoundaryBeforeReports(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", resized(t, time.Second), source(t, "opus_stereo.ogg"))
	s.silent = 2300 * time.Millisecond
	g.start("camera", "")
	s.send(9 * time.Second)
	rec := g.stop("camera")
	report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
	if tr := report.Tracks[1]; tr.First != 0 || tr.Matched != tr.Sent || rec.Periods != 2 {
		t.Errorf("%d of %d audio packets from #%d, in %d periods", tr.Matched, tr.Sent, tr.First, rec.Periods)
	}
}

// Through a hole in the video the sound goes on, and the last picture with it.
func TestPictureLastsAsLongAsTheSound(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3 * time.Second)
	s.drop = func(k media.Kind, _, _ int) bool { return k == media.Video }
	s.send(6 * time.Second)
	s.drop = nil
	s.send(5 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 1 {
		t.Fatalf("periods %+v, want one", got.Periods)
	}
	video := rec.Tracks[0]
	if len(video.Gaps) != 1 || !video.Gaps[0].Filled || video.Gaps[0].Cause != arrange.CauseLoss || video.Gaps[0].Duration < 6 {
		t.Errorf("gaps %+v, want one of loss of 6 s, filled", video.Gaps)
	}
}

// Where the sound is lost for longer than the picture, silence stands there.
func TestSoundBeginsWithThePicture(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3 * time.Second)
	s.drop = func(media.Kind, int, int) bool { return true }
	s.send(5 * time.Second)
	s.drop = func(k media.Kind, _, _ int) bool { return k == media.Audio }
	s.send(2 * time.Second)
	s.drop = nil
	s.send(4 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	if len(got.Periods) != 1 {
		t.Fatalf("periods %+v, want one", got.Periods)
	}
	if gaps := rec.Tracks[1].Gaps; len(gaps) != 1 || gaps[0].Cause != arrange.CauseLoss || gaps[0].Duration < 6.5 {
		t.Errorf("the gaps of the audio are %+v", gaps)
	}
}

// A Period that ends right after a key frame needs no more bandwidth for that.
func TestBandwidthOfShortSegment(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	g.start("camera", "")
	s.send(6*time.Second + 10*time.Millisecond) // with a key frame at the end
	rec := g.stop("camera")
	track, _ := g.read(rec.RecordDir).Track(media.Video)
	peak := int64(0)
	for _, s := range track.Segments {
		peak = max(peak, s.Bytes*8/2) // bit/s over a segment of 2 s
	}
	data, err := os.ReadFile(filepath.Join(g.root, rec.MPDPath))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(track.Segments); n != 4 || !strings.Contains(string(data), fmt.Sprintf(`bandwidth="%d"`, peak)) {
		t.Errorf("%d segments, want a bandwidth of %d in\n%s", n, peak, data)
	}
}

// The picture changes its size in the last moment, and no more sound comes: the Period
// of the new size has sound like the others, without data.
func TestSoundOfTheLastMoment(t *testing.T) {
	for _, ends := range []struct {
		name string
		end  func(s *sender)
	}{
		{"stopped", func(*sender) {}},
		{"left", (*sender).leave},
	} {
		t.Run(ends.name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", resized(t, 4*time.Second), source(t, "opus_stereo.ogg"))
			s.tracks[1].delay = 100 * time.Millisecond
			g.start("camera", "")
			s.send(4020 * time.Millisecond)
			g.caughtUp("camera")
			ends.end(s)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			if len(got.Periods) != 2 || rec.Status != media.StatusComplete {
				t.Fatalf("%s (%s) with periods %+v", rec.Status, rec.Reason, got.Periods)
			}
			last := got.InPeriods(1, 1)
			if len(last.Tracks) != 2 {
				t.Fatalf("the last Period has %d tracks", len(last.Tracks))
			}
			for _, tr := range last.Tracks {
				if n := len(tr.Samples); n == 0 || n > 3 {
					t.Errorf("%s: %d samples", tr.ID, n)
				}
			}
			sent := compare.Recording(s.log, got, compare.Options{}).Tracks[1]
			if lacks := sent.Sent - sent.Matched; lacks > 6 {
				t.Errorf("%d of %d packets", sent.Matched, sent.Sent)
			}
		})
	}
}
