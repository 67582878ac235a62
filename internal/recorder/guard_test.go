package recorder

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/segmenter"
	"github.com/live777/recorder/internal/storage"
)

// TestPanicEndsOneRecording: a fault of the program while one stream is recorded ends
// that recording, which is sealed with what it had, and no other; the stream is
// recorded anew.
func TestPanicEndsOneRecording(t *testing.T) {
	for _, where := range []string{"v_seg_0003", "v_init"} { // in mid-recording, and with the first frame
		t.Run(where, func(t *testing.T) {
			g, f := faultyRig(t, nil)
			bad := g.publish("bad", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			good := g.publish("good", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			first := g.start("bad", "").RecordDir
			whole := g.start("good", "").RecordDir
			var panics atomic.Int64
			fault := func(key string) error {
				if strings.HasPrefix(key, first+"/"+where) && panics.Add(1) == 1 {
					panic("out of range")
				}
				return nil
			}
			f.set(&f.onCreate, fault)
			f.set(&f.onPut, fault)
			for range 30 {
				bad.send(time.Second)
				good.send(time.Second)
				g.caughtUp("bad")
				g.caughtUp("good")
			}
			second := g.stop("bad")
			g.stop("good")

			if panics.Load() == 0 {
				t.Fatal("there was no panic")
			}
			broken := g.info(first)
			if broken.Status != media.StatusFailed || !strings.Contains(broken.Reason, "fault of this program: out of range") || broken.End == nil {
				t.Errorf("the recording is %s (%s)", broken.Status, broken.Reason)
			}
			if where == "v_seg_0003" {
				if broken.Duration < 3.9 {
					t.Errorf("of two segments it has %g s", broken.Duration)
				}
				g.read(first)
			}
			if second.RecordDir == first || second.Status != media.StatusComplete || second.Duration < 10 {
				t.Errorf("afterwards: %+v", second)
			}
			g.read(second.RecordDir)
			if other := g.info(whole); other.Status != media.StatusComplete || other.Duration < 28 {
				t.Errorf("the other stream's recording is %s after %g s: %s", other.Status, other.Duration, other.Reason)
			}
		})
	}
}

// TestPanicInRotation: the recording before, from which the tracks have not gone yet,
// is sealed as well.
func TestPanicInRotation(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	first := g.start("camera", "").RecordDir
	var panics atomic.Int64
	f.set(&f.onPut, func(key string) error {
		if strings.HasSuffix(key, "v_init.m4s") && !strings.HasPrefix(key, first) && panics.Add(1) == 1 {
			panic("out of range")
		}
		return nil
	})
	for range 30 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	if panics.Load() == 0 {
		t.Fatal("there was no panic")
	}
	if active := g.recorder.Active(); len(active) > 0 {
		t.Errorf("never sealed: %+v", active)
	}
	if r := g.info(first); r.Status != media.StatusComplete {
		t.Errorf("the recording before is %s: %s", r.Status, r.Reason)
	}
}

// TestPanicInRecovery: a journal at which this program fails keeps the node neither
// from starting nor from trying again at the next start.
func TestPanicInRecovery(t *testing.T) {
	images, s := film(t, false, "h264_baseline.h264", segmenter.SyncOff)
	img := images[len(images)/2]
	g := after(t, img, time.Now().Add(time.Hour), time.Second)
	g.recorder.o.Store = panicking{g.store, g.store}
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.recorder.o.Store = g.store
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.mended(img, s.log, framesOfChunk)
}

// panicking is a store that ends in a panic where an open segment is looked for.
type panicking struct {
	Store
	storage.Repairer
}

func (panicking) Stat(context.Context, string) (storage.Object, error) { panic("out of range") }
