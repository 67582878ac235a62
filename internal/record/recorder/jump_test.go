package recorder

import (
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
)

// Timestamps that jump, in the middle of a GOP and on one track after the
// other, cost nothing: no frame, no Period, no verdict.
func TestTimestampsJump(t *testing.T) {
	for _, by := range []time.Duration{time.Minute, -time.Minute, -2 * time.Second, 5 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			s.tracks[1].delay = 120 * time.Millisecond
			g.start("camera", "")
			s.send(4500 * time.Millisecond)
			marks := map[media.Kind]int{}
			for _, tr := range s.tracks {
				tr.ts += int64(media.TicksOf(by, tr.ClockRate))
				marks[tr.Kind] = len(tr.log.Units)
			}
			s.send(6 * time.Second)
			rec := g.stop("camera")
			// The log as if nothing had jumped.
			for _, tr := range s.log.Tracks() {
				units := tr.Units[marks[tr.Kind]:]
				for i := range units {
					units[i].Timestamp -= int64(media.TicksOf(by, tr.ClockRate))
				}
			}
			report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
			for _, tr := range report.Tracks {
				if tr.Matched != tr.Sent {
					t.Errorf("%s: %d of %d units", tr.Kind, tr.Matched, tr.Sent)
				}
			}
			// The last sound that was sent had not arrived.
			if rec.Status != media.StatusComplete || rec.Periods != 1 || len(rec.Tracks[0].Gaps) != 0 || holes(rec.Tracks[1])[arrange.CausePause] > 0.15 {
				t.Errorf("ended as %+v", rec)
			}
		})
	}
}

// Timestamps that go back by little, with a key frame or just before it: what
// follows it can be decoded.
func TestTimestampsGoBack(t *testing.T) {
	for _, before := range []time.Duration{0, 100 * time.Millisecond} {
		g := newRig(t, nil)
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		g.start("camera", "")
		s.send(4*time.Second - 10*time.Millisecond - before) // up to a key frame
		s.tracks[0].ts -= 45000
		s.send(6 * time.Second)
		rec := g.stop("camera")
		got := g.read(rec.RecordDir)
		if n := len(got.Tracks[0].Samples); int64(n) != rec.Tracks[0].Frames || n < len(s.log.Video.Units)-4 || rec.Periods != 1 {
			t.Errorf("%d of %d frames in %d periods: %+v", n, len(s.log.Video.Units), rec.Periods, rec.Tracks[0])
		}
	}
}

// The packets of a track are numbered anew, while its time goes on: nothing is missing, and the
// other track goes on as if nothing had happened.
func TestNewStreamOfTheOtherTrack(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(4500 * time.Millisecond)
	s.tracks[1].seq += 20_000
	s.send(6 * time.Second)
	rec := g.stop("camera")
	report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
	for _, tr := range report.Tracks {
		if tr.Matched != tr.Sent {
			t.Errorf("%s: %d of %d units", tr.Kind, tr.Matched, tr.Sent)
		}
	}
	if rec.Periods != 1 || rec.Status != media.StatusComplete || rec.Tracks[1].PacketsLost != 0 {
		t.Errorf("ended as %+v", rec)
	}
	for _, tr := range rec.Tracks {
		for _, gap := range tr.Gaps {
			if gap.Cause == arrange.CauseReconnect {
				t.Errorf("%s: the publisher was there all the time: %+v", tr.Kind, gap)
			}
		}
	}
}

// Reports that are false at first: when they tell the truth a Period puts it
// right, or two where they are believed in steps, and no video is lost.
func TestReportsCorrectThemselves(t *testing.T) {
	for _, lie := range []time.Duration{2 * time.Second, -2 * time.Second} {
		g := newRig(t, nil)
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		s.tracks[1].lie = lie
		g.start("camera", "")
		s.send(4500 * time.Millisecond)
		s.tracks[1].lie = 0
		s.send(10 * time.Second)
		rec := g.stop("camera")
		report := compare.Recording(s.log, g.read(rec.RecordDir), compare.Options{AllowFillers: true})
		if rec.Status != media.StatusComplete || rec.Periods < 2 || rec.Periods > 3 || report.AV.Last.Abs() > 20*time.Millisecond {
			t.Errorf("lie of %v: %s with %d periods, A/V error %v at the end", lie, rec.Status, rec.Periods, report.AV.Last)
		}
		// The last correction may cost a packet.
		if tr := report.Tracks[1]; tr.Matched < tr.Sent-tr.First-1 || report.Tracks[0].Matched != report.Tracks[0].Sent {
			t.Errorf("lie of %v: %d of %d audio packets from #%d", lie, tr.Matched, tr.Sent, tr.First)
		}
	}
}

// Both tracks tell of a pause that ends a Period.
func TestLongPauseOfBoth(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.send(3*time.Second - 10*time.Millisecond)
	s.pause(12 * time.Second)
	s.send(4 * time.Second)
	rec := g.stop("camera")
	g.compare(s.log, g.read(rec.RecordDir), compare.Options{})
	for _, tr := range rec.Tracks {
		if len(tr.Gaps) != 1 || tr.Gaps[0].Cause != arrange.CausePause || tr.Gaps[0].Duration < 11.9 {
			t.Errorf("%s: gaps %+v, want one pause of 12 s", tr.Kind, tr.Gaps)
		}
	}
}
