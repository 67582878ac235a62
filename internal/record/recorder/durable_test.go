package recorder

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// lagging is a store that acknowledges what it was given when it is told to.
type lagging struct {
	Store
	behind *atomic.Bool
}

func (lagging) Traits() storage.Traits { return storage.Traits{Uploads: true, InPlace: true} }

func (l lagging) Pending(string) bool { return l.behind.Load() }

func (lagging) Lost(string) []string { return nil }

func laggingRig(t *testing.T) (*rig, *atomic.Bool) {
	t.Helper()
	var behind atomic.Bool
	return newRig(t, func(o *Options) { o.Store = lagging{o.Store, &behind} }), &behind
}

// What storage has, it has: a track that comes late changes nothing.
func TestDurableThroughGoesUp(t *testing.T) {
	g, _ := laggingRig(t)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	late := true
	s.drop = func(k media.Kind, _, _ int) bool { return late && k == media.Video }
	g.start("camera", "")
	last := 0.0
	for i := range 80 {
		late = i < 60
		s.send(250 * time.Millisecond)
		g.caughtUp("camera")
		now := g.recorder.Status("camera").Info.DurableThrough
		if now < last {
			t.Fatalf("after %d steps it goes back from %v to %v", i, last, now)
		}
		last = now
	}
	if last < 10 {
		t.Errorf("it ended at %v", last)
	}
}

// The catalogue hears of what storage acknowledges while the recorder is closed.
func TestDurableThroughAtTheEnd(t *testing.T) {
	g, behind := laggingRig(t)
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	dir := g.start("camera", "").RecordDir
	s.send(4 * time.Second)
	g.caughtUp("camera")
	behind.Store(true)
	if info := g.stop("camera"); info.DurableThrough >= info.Duration {
		t.Errorf("storage is behind, and %v of %v s are durable", info.DurableThrough, info.Duration)
	}
	behind.Store(false)
	if err := g.recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info := g.catalogue.get(dir); info.DurableThrough != info.Duration || info.Duration < 3 {
		t.Errorf("the catalogue has %v of %v s as durable", info.DurableThrough, info.Duration)
	}
}
