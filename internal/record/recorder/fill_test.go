//go:build !race

package recorder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// Every way to fill a recording is tried here, in all codecs and for minutes. The race
// detector has the shorter tests of package recorder.

// Sound that comes later than the picture, or never: there is silence until then,
// and the recording can be played while it runs.
func TestLateSound(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 3 * time.Second, 6 * time.Second, 12 * time.Second, 20 * time.Second, time.Hour} {
		t.Run(late.String(), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			s.tracks[1].off = true
			g.start("camera", "")
			const all = 30 * time.Second
			s.steps(min(late, all))
			if late > 9*time.Second && g.recorder.Status("camera").Info.Duration < (min(late, all)-8*time.Second).Seconds() {
				t.Errorf("%v s are listed after %v", g.recorder.Status("camera").Info.Duration, min(late, all))
			}
			if late > 9*time.Second { // players settle on the kinds that they see first
				mpd, _, _ := g.recorder.Manifest(g.recorder.Status("camera").Info.MPDPath)
				if n := strings.Count(string(mpd), "<AdaptationSet "); n != 2 || !strings.Contains(string(mpd), `mimeType="audio/mp4"`) {
					t.Errorf("without sound the manifest has\n%s", mpd)
				}
			}
			if late < all {
				s.tracks[1].off = false
				s.steps(all - late)
			}
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			lasts(t, got, all)
			if rec.Periods != 1 {
				t.Errorf("%d periods, want one", rec.Periods)
			}
			if late > all {
				if rec.Status != media.StatusDegraded {
					t.Errorf("sound that never came: %s", rec.Status)
				}
				return
			}
			report := g.compare(s.log, got, compare.Options{})
			for _, tr := range report.Tracks {
				if tr.Matched != tr.Sent {
					t.Errorf("%s: %d of %d units", tr.Kind, tr.Matched, tr.Sent)
				}
			}
			absent := holes(rec.Tracks[1])[arrange.CauseAbsent]
			if want := late.Seconds(); absent < want-0.1 || absent > want+0.1 {
				t.Errorf("absent for %v s, want %v", absent, want)
			}
		})
	}
}

// A picture that comes later than the sound: a neutral one stands there until then.
func TestLatePicture(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp9.ivf", "av1.ivf", "h265.h265", "vp8.ivf"} {
		for _, late := range []time.Duration{3 * time.Second, 12 * time.Second} {
			t.Run(video+" "+late.String(), func(t *testing.T) {
				g := newRig(t, nil)
				s := g.publish("camera", source(t, video), source(t, "opus_stereo.ogg"))
				s.tracks[0].off = true
				g.start("camera", "")
				s.steps(late)
				s.tracks[0].off = false
				s.skipToKey(0)
				s.steps(10 * time.Second)
				rec := g.stop("camera")
				got := g.read(rec.RecordDir)
				whole(t, rec, got)
				report := g.compare(s.log, got, compare.Options{MaxAV: -1})
				for _, tr := range report.Tracks {
					if tr.Matched != tr.Sent {
						t.Errorf("%s: %d of %d units", tr.Kind, tr.Matched, tr.Sent)
					}
				}
				if absent := holes(rec.Tracks[0])[arrange.CauseAbsent]; rec.Periods != 2 || absent < late.Seconds()-0.1 {
					t.Errorf("%d periods, absent for %v s", rec.Periods, absent)
				}
			})
		}
	}
}

// A camera or a microphone that is turned off for a while: the last picture stands,
// or silence, and everything that was sent is there.
func TestTrackGoesSilent(t *testing.T) {
	type silence struct {
		video string
		off   int // the track
		span  time.Duration
	}
	all := []silence{
		{videos[0], 0, 8 * time.Second}, {videos[0], 0, time.Minute},
		{videos[0], 1, 8 * time.Second}, {videos[0], 1, 14 * time.Second}, {videos[0], 1, time.Minute},
	}
	for _, video := range videos {
		all = append(all, silence{video, 0, 14 * time.Second})
	}
	for _, c := range all {
		t.Run(fmt.Sprintf("%s, track %d, %v", c.video, c.off, c.span), func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", source(t, c.video), source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.steps(10 * time.Second)
			s.tracks[c.off].off = true
			s.steps(c.span)
			if info := g.recorder.Status("camera").Info; info.Periods != 1 || info.Duration < (c.span+2*time.Second).Seconds() {
				t.Errorf("%d periods, %v s", info.Periods, info.Duration)
			}
			s.tracks[c.off].off = false
			if c.off == 0 {
				s.skipToKey(0)
			}
			s.steps(10 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			g.compareAll(s.log, got)
			want := map[bool]media.Status{true: media.StatusDegraded, false: media.StatusComplete}[c.span > 10*time.Second]
			if d := holes(rec.Tracks[c.off])[arrange.CausePause]; rec.Periods != 1 || d < c.span.Seconds()-0.1 || d > c.span.Seconds()+0.1 || rec.Status != want {
				t.Errorf("%d periods, pause of %v s, %s (%s)", rec.Periods, d, rec.Status, rec.Reason)
			}
		})
	}
}

// sparse is video of one key frame and then a picture every so often; or of key frames
// alone, as of a sender that makes one when it is asked.
func sparse(t *testing.T, name string, every time.Duration, keys bool) *load.Source {
	t.Helper()
	src := source(t, name).Every(every)
	src.Units = slices.DeleteFunc(src.Units, func(u load.AccessUnit) bool { return keys && !u.Key })
	return src
}

// A screen of which a picture comes every few seconds, from a sender that answers no
// request, and from one that does: each picture is there, lasts until the next, and what
// is closed can be played and is safe while it runs.
func TestFewPictures(t *testing.T) {
	type screen struct {
		video string
		every time.Duration
		sound bool
		keys  bool
	}
	all := []screen{{videos[0], 6 * time.Second, false, false}, {videos[0], 12 * time.Second, false, false}}
	for _, keys := range []bool{false, true} {
		all = append(all, screen{videos[0], 12 * time.Second, true, keys})
		for _, video := range videos {
			all = append(all, screen{video, 6 * time.Second, true, keys})
		}
	}
	for _, c := range all {
		t.Run(fmt.Sprintf("%s %v sound %v keys %v", c.video, c.every, c.sound, c.keys), func(t *testing.T) {
			g := newRig(t, nil)
			sources := []*load.Source{sparse(t, c.video, c.every, c.keys)}
			if c.sound {
				sources = append(sources, source(t, "opus_stereo.ogg"))
			}
			s := g.publish("camera", sources...)
			g.start("camera", "")
			s.steps(58 * time.Second)
			if info := g.recorder.Status("camera").Info; info.Duration < 45 || info.DurableThrough < 45 {
				t.Errorf("after 58 s %v s are listed, %v s are safe", info.Duration, info.DurableThrough)
			}
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			whole(t, rec, got)
			g.compareAll(s.log, got)
			if rec.Periods != 1 {
				t.Errorf("%d periods, want one", rec.Periods)
			}
		})
	}
}
