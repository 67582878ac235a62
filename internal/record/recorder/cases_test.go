//go:build !race

package recorder

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// The first packet of sound is recorded if at least half of it is behind time 0. What
// is before is no loss: nobody was there to see the picture.
func TestFirstSoundOverlapsTheBeginning(t *testing.T) {
	for early, first := range map[time.Duration]int{100 * time.Microsecond: 0, 9 * time.Millisecond: 0, 11 * time.Millisecond: 1, 300 * time.Millisecond: 15} {
		t.Run(early.String(), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			s.tracks[1].next -= early
			g.start("camera", "")
			s.send(8 * time.Second)
			rec := g.stop("camera")
			audio := g.compare(s.log, g.read(rec.RecordDir), compare.Options{}).Tracks[1]
			if audio.First != first || audio.Matched != audio.Sent-first {
				t.Errorf("%d of %d packets from #%d on, want #%d", audio.Matched, audio.Sent, audio.First, first)
			}
			if rec.Status != media.StatusComplete || rec.Tracks[1].FramesDropped > 0 {
				t.Errorf("ended as %+v", rec)
			}
		})
	}
}

// sizes is video whose size is another one after so many frames, and then again.
func sizes(t *testing.T, frames int) *load.Source {
	t.Helper()
	src := *source(t, "h264_baseline.h264")
	small := slices.Clone(source(t, "h264_small.h264").Units[:frames])
	for i := range small {
		small[i].Duration = src.Units[0].Duration
	}
	src.Units = append(src.Units[:frames:frames], small...)
	return &src
}

// A sender that changes its size several times a second is not followed each time, and
// what is left out is counted.
func TestManySizes(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", sizes(t, 10), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(40 * time.Second)
	rec := g.stop("camera")
	whole(t, rec, g.read(rec.RecordDir))
	if rec.Periods < 30 || rec.Periods > 50 {
		t.Errorf("%d Periods in 40 s with 120 sizes, want ten and about one a second", rec.Periods)
	}
	video, sent := rec.Tracks[0], int64(len(s.log.Video.Units))
	if video.Frames+video.FramesDropped != sent || rec.Status != media.StatusDegraded {
		t.Errorf("%d frames of %d, %d left out: %s (%s)", video.Frames, sent, video.FramesDropped, rec.Status, rec.Reason)
	}
	if !slices.ContainsFunc(video.Gaps, isLimit) || !strings.Contains(rec.Reason, reasonLimit) {
		t.Errorf("gaps %+v, %s", video.Gaps, rec.Reason)
	}
}

// A publisher that comes back several times a second is not followed each time.
func TestManyPublishers(t *testing.T) {
	for name, files := range map[string][]string{"both": {"h264_baseline.h264", "opus_stereo.ogg"}, "sound": {"opus_stereo.ogg"}} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			var s *sender
			sent := map[string]int64{}
			for i := range 40 {
				var sources []*load.Source
				for _, file := range files {
					sources = append(sources, source(t, file))
				}
				if s = g.publish("camera", sources...); i == 0 {
					g.start("camera", "")
				}
				s.steps(200 * time.Millisecond)
				for _, tr := range s.tracks {
					sent[tr.Kind.String()] += int64(len(tr.log.Units))
				}
				if i < 39 {
					s.leave()
				}
			}
			rec := g.stop("camera")
			whole(t, rec, g.read(rec.RecordDir))
			if rec.Periods < 14 || rec.Periods > 18 || rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, reasonLimit) {
				t.Errorf("%d Periods in 8 s with 40 publishers, want ten and about one a second: %s (%s)", rec.Periods, rec.Status, rec.Reason)
			}
			for _, track := range rec.Tracks {
				if out := track.FramesDropped + track.PacketsCorrected; track.Frames+out != sent[track.Kind] || !slices.ContainsFunc(track.Gaps, isLimit) {
					t.Errorf("%s: %d frames of %d, %d left out, gaps %+v", track.Kind, track.Frames, sent[track.Kind], out, track.Gaps)
				}
			}
		})
	}
}

// A recording has no more Periods than players can take: it goes on in another, of which
// nothing is missing.
func TestManyPeriods(t *testing.T) {
	g := newRig(t, nil)
	g.recorder.periods = 5
	s := g.publish("camera", sizes(t, 30), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(18 * time.Second)
	g.stop("camera")
	g.listed()
	frames := 0
	for dir, rec := range g.catalogue.last {
		got := g.read(dir)
		whole(t, rec, got)
		video, _ := got.Track(media.Video)
		frames += len(video.Samples)
		if rec.Periods > 5 || rec.Status != media.StatusComplete {
			t.Errorf("%s has %d Periods, and is %s (%s)", dir, rec.Periods, rec.Status, rec.Reason)
		}
	}
	if n := len(g.catalogue.last); n != 4 || frames != len(s.log.Video.Units) {
		t.Errorf("%d recordings with %d frames of %d, want 4", n, frames, len(s.log.Video.Units))
	}
}

// hold is a node that stands still for d: what comes meanwhile waits in its socket for
// as long as that has room, and the rest is lost.
func (s *sender) hold(d, room time.Duration) {
	wake, full := s.at+d, s.at+room
	for tr := s.next(full); tr != nil; tr = s.next(full) {
		for _, other := range s.tracks {
			other.delay = 0
		}
		tr.delay = wake - tr.next
		s.sendUnit(tr)
		tr.delay = 0
	}
	lost := map[*sentTrack]int{}
	for _, tr := range s.tracks {
		lost[tr] = len(tr.log.Units)
	}
	reports := s.reports
	s.reports, s.drop = false, func(media.Kind, int, int) bool { return true }
	s.at = wake - d
	s.send(d)
	s.reports, s.drop = reports, nil
	for _, tr := range s.tracks {
		for i := range tr.log.Units[lost[tr]:] {
			tr.log.Units[lost[tr]+i].Lost = 1
		}
	}
}

// The node stands still for 25 s, as a virtual machine does that is paused: all that
// did not come is in the ledger, of both tracks, and nothing else is.
func TestStandstill(t *testing.T) {
	for _, room := range []time.Duration{0, 1500 * time.Millisecond} {
		t.Run(room.String(), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.steps(9500 * time.Millisecond)
			s.hold(25*time.Second, room)
			s.steps(10 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			lasts(t, got, 44500*time.Millisecond)
			g.compare(s.log, got, compare.Options{AllowLost: true, AllowFillers: true})
			want := (25*time.Second - room).Seconds()
			for _, tr := range rec.Tracks {
				// Of video what is left of its group of pictures is of no use.
				if d := holes(tr)[arrange.CauseLoss]; d < want-0.1 || d > want+1.1 || d-tr.FilledSeconds-tr.GapSeconds > 0.1 {
					t.Errorf("%s: %v s are missing, want %v: %+v", tr.Kind, d, want, tr)
				}
			}
			if rec.Status != media.StatusDegraded {
				t.Errorf("ended as %s", rec.Status)
			}
		})
	}
}

// A shared screen of five pictures a second whose size changes right after one of them:
// that ends there, and the Period of the new size begins with its first picture.
func TestFewPicturesOfAnotherSize(t *testing.T) {
	big, small := source(t, "h264_baseline.h264"), source(t, "h264_small.h264")
	src, err := load.Join(big.Head(time.Second), small)
	if err != nil {
		t.Fatal(err)
	}
	n := len(big.Head(time.Second).Units)
	for i := range src.Units {
		src.Units[i].Duration = media.TicksOf(190*time.Millisecond, src.ClockRate)
	}
	src.Units[n-1].Duration = media.TicksOf(30*time.Millisecond, src.ClockRate)
	g := newRig(t, nil)
	s := g.publish("camera", src, source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(40 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	whole(t, rec, got)
	if rec.Periods != 2 || rec.Status != media.StatusComplete {
		t.Errorf("%d periods, %s (%s)", rec.Periods, rec.Status, rec.Reason)
	}
	if f := rec.Tracks[0].Formats; len(f) != 2 || f[0].Start != 0 || f[1].Start <= 0 || f[0].Height <= f[1].Height {
		t.Errorf("the ledger has the formats %+v", f)
	}
	g.compare(s.log, got, compare.Options{})
}

// A sender whose size is another one with each frame: all of it is well formed, there is
// a Period a second at most, and the rest is counted.
func TestAnotherSizeEachFrame(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", sizes(t, 1), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(25 * time.Second)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	whole(t, rec, got)
	lasts(t, got, 25*time.Second)
	if rec.Periods < 20 || rec.Periods > 10+25 {
		t.Errorf("%d periods", rec.Periods)
	}
	video, sent := rec.Tracks[0], int64(len(s.log.Video.Units))
	if video.Frames+video.FramesDropped != sent || video.Frames < 20 || !slices.ContainsFunc(video.Gaps, isLimit) {
		t.Errorf("%d frames of %d, %d left out, gaps %+v", video.Frames, sent, video.FramesDropped, video.Gaps)
	}
	if rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, reasonLimit) {
		t.Errorf("%s (%s)", rec.Status, rec.Reason)
	}
	if audio := rec.Tracks[1]; audio.Frames+audio.PacketsCorrected != int64(len(s.log.Audio.Units)) {
		t.Errorf("%d packets of sound were sent: %+v", len(s.log.Audio.Units), audio)
	}
}
