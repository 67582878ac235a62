package recorder

import (
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// whole checks that a recording that was broken off can be played to its end, and that
// its ledger is what is there.
func (g *rig) whole(dir string) *verify.Recording {
	g.t.Helper()
	rec := g.readFiles(dir)
	for _, p := range verify.Audit(rec) {
		g.t.Errorf("%s: %s", dir, p)
	}
	all := verify.Forecasts(rec)
	if math.Abs(all[0].Picture-all[0].Sound) > 0.05 {
		g.t.Errorf("%s has %.3f s of picture and %.3f s of sound", dir, all[0].Picture, all[0].Sound)
	}
	for _, f := range all[1:] {
		if f.Less(all[0]) {
			g.t.Errorf("%s shows %.3f s and %.3f s of %s, which has %.3f s and %.3f s: %q", f.Player, f.Picture, f.Sound, dir, all[0].Picture, all[0].Sound, f.Notes)
		}
	}
	return rec
}

// Whenever storage fails, what it has is whole when it works again: nothing is left that
// the manifest does not name, and what ends first is filled up to the end.
func TestStorageFailsWhole(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf", "vp9.ivf"} {
		for _, after := range []int{1200, 2000, 4010, 5300, 8050} {
			t.Run(fmt.Sprintf("%s after %d ms", video, after), func(t *testing.T) {
				t.Parallel()
				g, f := faultyRig(t, func(o *Options) { withJournals(t, t.TempDir(), o) })
				s := g.publish("camera", source(t, video), source(t, "opus_stereo.ogg"))
				dir := g.start("camera", "").RecordDir
				s.send(time.Duration(after) * time.Millisecond)
				g.caughtUp("camera")
				f.fails(os.ErrDeadlineExceeded)
				s.send(6 * time.Second)
				g.caughtUp("camera")
				f.fails(nil)
				if err := g.recorder.sealRest(t.Context()); err != nil {
					t.Fatal(err)
				}
				if rec := g.whole(dir); rec.Info.Status != media.StatusFailed {
					t.Errorf("it ended as %s", rec.Info.Status)
				}
				for range 20 {
					s.send(time.Second)
					g.caughtUp("camera")
				}
				g.whole(g.stop("camera").RecordDir)
			})
		}
	}
}

// The same where the node dies before storage works again.
func TestStorageFailsThenCrash(t *testing.T) {
	images, senders := shot(t, false, func(*Options) {}, func(g *rig) []*sender {
		f := &faulty{Store: g.recorder.o.Store}
		g.recorder.o.Store = f
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
		g.start("camera", "")
		s.send(3500 * time.Millisecond)
		g.caughtUp("camera")
		f.fails(os.ErrDeadlineExceeded)
		s.send(6 * time.Second)
		g.caughtUp("camera")
		f.fails(nil)
		if err := g.recorder.sealRest(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.stop("camera")
		return []*sender{s}
	})
	for i := len(images) / 2; i < len(images); i++ {
		img := images[i]
		t.Run(img.at, func(t *testing.T) {
			g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.mended(img, only(senders[0].log, g.readFiles(g.dirs()[0])), math.MaxInt)
			for _, dir := range g.dirs() {
				if g.info(dir).Duration > 0 {
					g.whole(dir)
				}
			}
		})
	}
}

// Sound that waits for the sender's reports, for up to five seconds, is not lost with the
// node or its storage: it has the place that is known by then.
func TestWaitingSoundStays(t *testing.T) {
	begin := func(g *rig) *sender {
		s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_mono.ogg"))
		s.reports = false
		g.start("camera", "")
		s.sendSteps(4 * time.Second)
		g.caughtUp("camera")
		return s
	}
	check := func(t *testing.T, g *rig, dir string) {
		t.Helper()
		sound, ok := g.whole(dir).Track(media.Audio)
		if !ok {
			t.Fatal("there is no sound")
		}
		sent := 0
		for _, s := range sound.Samples {
			if len(s.Data) > 3 {
				sent++
			}
		}
		if sent < 100 { // of 200: time goes on by a second at once here
			t.Errorf("%d packets of sound are left of 4 s", sent)
		}
	}
	t.Run("crash", func(t *testing.T) {
		images, _ := shot(t, false, func(*Options) {}, func(g *rig) []*sender { return []*sender{begin(g)} })
		g := after(t, images[len(images)-1], time.Now().Add(time.Hour), time.Second)
		if err := g.recorder.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.listed()
		check(t, g, g.dirs()[0])
	})
	t.Run("storage fails", func(t *testing.T) {
		g, f := faultyRig(t, nil)
		s := begin(g)
		dir := g.dirs()[0]
		f.fails(os.ErrDeadlineExceeded)
		s.send(time.Second)
		g.caughtUp("camera")
		f.fails(nil)
		if err := g.recorder.sealRest(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, g, dir)
	})
}
