package recorder

import (
	"context"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// losing is a store that may lose what it had taken, or not answer.
type losing struct {
	Store
	lost  *atomic.Bool // every segment
	away  *atomic.Bool
	asked *atomic.Int64
}

func (l losing) Stat(ctx context.Context, key string) (storage.Object, error) {
	l.asked.Add(1)
	if l.away.Load() {
		return storage.Object{}, fault.New(fault.Unavailable, "it does not answer")
	}
	if l.lost.Load() && path.Ext(key) == ".m4s" {
		return storage.Object{}, storage.ErrNotFound
	}
	return l.Store.Stat(ctx, key)
}

// That storage deletes what it has taken is found while the recording runs, by a few
// questions a minute, and told until it is there again. Of storage that does not answer
// nothing is known.
func TestGoneWhileRecording(t *testing.T) {
	var lost, away atomic.Bool
	var asked atomic.Int64
	g := newRig(t, func(o *Options) { o.Store = losing{o.Store, &lost, &away, &asked} })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	dir := g.start("camera", "").RecordDir
	look := func(want string) {
		t.Helper()
		for range 10 { // health does so every two seconds
			asked.Store(0)
			err := g.recorder.LookStored(t.Context())
			reason := g.recorder.Status("camera").Info.Reason
			if want == "" && (err != nil || reason != "") ||
				want != "" && (fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), want) || !strings.Contains(reason, "which it had taken")) {
				t.Fatalf("%v, and the status says %q; want %q", err, reason, want)
			}
		}
		if n := asked.Load(); n > 0 {
			t.Errorf("storage is asked %d times once more within a minute", n)
		}
		s.send(61 * time.Second)
		g.caughtUp("camera")
	}
	look("") // nothing is stored yet
	look("")
	lost.Store(true)
	look("gone, of 1 recordings that run, " + dir + "/")
	away.Store(true)
	look("are gone")
	away.Store(false)
	lost.Store(false)
	look("")
	away.Store(true)
	look("")
	away.Store(false)
	if info := g.stop("camera"); info.Status != media.StatusComplete || info.Reason != "" {
		t.Errorf("%s (%s)", info.Status, info.Reason)
	}
	if err := g.recorder.LookStored(t.Context()); err != nil {
		t.Errorf("when nothing runs: %v", err)
	}
}
