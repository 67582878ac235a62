package recorder

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
	"github.com/live777/recorder/internal/testkit/await"
)

// What storage has taken and does not have when the recording ends makes that fail, in
// words, however well it was recorded: at once where storage is a folder, and when it
// has been uploaded where it is not.
func TestLost(t *testing.T) {
	for name, buffered := range map[string]bool{"folder": false, "uploaded": true} {
		t.Run(name, func(t *testing.T) {
			var behind atomic.Bool
			g := newRig(t, func(o *Options) {
				if buffered {
					o.Store = lagging{o.Store, &behind}
				}
			})
			s := g.publish("camera", source(t, "h264_baseline.h264"))
			dir := g.start("camera", "").RecordDir
			s.send(6 * time.Second)
			g.caughtUp("camera")
			if err := os.Remove(filepath.Join(g.root, dir, "v_seg_0001.m4s")); err != nil {
				t.Fatal(err)
			}
			behind.Store(true)
			info := g.stop("camera")
			if buffered {
				if info.Status != media.StatusComplete {
					t.Errorf("before it is uploaded: %s (%s)", info.Status, info.Reason)
				}
				behind.Store(false)
				if err := g.recorder.sealRest(t.Context()); err != nil {
					t.Error(err)
				}
			}
			g.listed()
			for at, info := range map[string]media.Recording{"the catalogue": g.catalogue.get(dir), "recording.json": g.info(dir)} {
				if info.Status != media.StatusFailed || !strings.Contains(info.Reason, "v_seg_0001.m4s first") || info.DurableThrough != 0 {
					t.Errorf("%s: %s (%s), durable through %v", at, info.Status, info.Reason, info.DurableThrough)
				}
			}
		})
	}
}

// vanishing is a lagging store that knows what it has lost before it was stored.
type vanishing struct {
	lagging
	watched []string // which it may be
}

func (v *vanishing) Lost(folder string) (keys []string) {
	for _, name := range v.watched {
		key := path.Join(folder, name)
		if _, err := v.Stat(context.Background(), key); err != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// What is gone from this machine before storage has it makes its recording fail at once,
// however long storage is away, and is not waited for when that is back. The manifest and
// recording.json are made anew.
func TestLostBeforeUpload(t *testing.T) {
	var behind atomic.Bool
	g := newRig(t, func(o *Options) {
		o.Store = &vanishing{lagging{o.Store, &behind}, []string{"v_seg_0002.m4s", manifestName, infoName}}
	})
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	dir := g.start("camera", "").RecordDir
	s.send(6 * time.Second)
	g.caughtUp("camera")
	behind.Store(true)
	if info := g.stop("camera"); info.Status != media.StatusComplete {
		t.Fatalf("before: %s (%s)", info.Status, info.Reason)
	}
	for _, name := range []string{"v_seg_0002.m4s", manifestName, infoName} {
		if err := os.Remove(filepath.Join(g.root, dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, away := range []bool{true, true, false} {
		behind.Store(away)
		if err := g.recorder.sealRest(t.Context()); err != nil {
			t.Error(err)
		}
		g.listed()
		for at, info := range map[string]media.Recording{"the catalogue": g.catalogue.get(dir), "recording.json": g.info(dir)} {
			if info.Status != media.StatusFailed || !strings.Contains(info.Reason, "1 of 5 objects were gone from the spool") || info.DurableThrough != 0 {
				t.Errorf("%s: %s (%s), durable through %v", at, info.Status, info.Reason, info.DurableThrough)
			}
		}
		if _, err := os.Stat(filepath.Join(g.root, dir, manifestName)); err != nil {
			t.Error(err)
		}
	}
	if n := g.recorder.Failed(); n != 1 {
		t.Errorf("%d recordings have failed, want 1", n)
	}
}

// uploadingRig returns a rig with a recording that has ended and waits for its upload, until
// behind is false.
func uploadingRig(t *testing.T) (g *rig, rec *recording.Recording, behind *atomic.Bool) {
	t.Helper()
	behind = &atomic.Bool{}
	g = newRig(t, func(o *Options) { o.Store = lagging{o.Store, behind} })
	s := g.publish("camera", source(t, "h264_baseline.h264"))
	dir := g.start("camera", "").RecordDir
	s.send(4 * time.Second)
	g.caughtUp("camera")
	behind.Store(true)
	g.stop("camera")
	g.recorder.mu.Lock()
	defer g.recorder.mu.Unlock()
	return g, g.recorder.uploading[dir].Recording, behind
}

// A recording that is deleted while it waits for its upload is not stored once more.
func TestLostWhenDeleted(t *testing.T) {
	g, rec, behind := uploadingRig(t)
	g.recorder.Forget(rec.Dir())
	if err := os.RemoveAll(filepath.Join(g.root, rec.Dir())); err != nil {
		t.Fatal(err)
	}
	behind.Store(false)
	rec.Exclusive(func() {
		if err := g.recorder.settle(rec); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(filepath.Join(g.root, rec.Dir())); err == nil {
		t.Error("it is back")
	}
}

// A recording is deleted while the reporter tells the catalogue of it and settles it: neither
// waits for the other.
func TestDeletedWhileReported(t *testing.T) {
	g, rec, _ := uploadingRig(t)
	g.recorder.reporter.putting.Lock() // as it is while the catalogue is told
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.recorder.Forget(rec.Dir())
	}()
	await.Until(t, "it is forgotten", func() bool { return !g.recorder.isUploading(rec) })
	settled := make(chan struct{})
	go rec.Exclusive(func() { close(settled) })
	await.Until(t, "it can be settled", func() bool {
		select {
		case <-settled:
			return true
		default:
			return false
		}
	})
	g.recorder.reporter.putting.Unlock()
	<-done
}
