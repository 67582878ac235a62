package recorder

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/spool"
)

// slowList is a store in which others come between what is listed and what is done then.
type slowList struct{ Store }

func (s slowList) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		for o, err := range s.Store.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
		}
		for range 1000 {
			runtime.Gosched()
		}
	}
}

// Of recordings that begin at once in folders within each other one begins: none sees a
// folder as free that is being taken.
func TestPlacesAtOnce(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Store = slowList{o.Store} })
	streams := []string{"a", "b", "c"}
	for _, stream := range streams {
		g.publish(stream, source(t, "opus_mono.ogg"))
	}
	for round := range 20 {
		dirs := []string{fmt.Sprintf("show-%d", round), fmt.Sprintf("show-%d/day", round), fmt.Sprintf("show-%d/day/cam", round)}
		errs := make([]error, len(streams))
		var all sync.WaitGroup
		for i, stream := range streams {
			all.Go(func() { _, errs[i] = g.recorder.Start(context.Background(), stream, dirs[i]) })
		}
		all.Wait()
		begun := 0
		for i, err := range errs {
			switch {
			case err == nil:
				begun++
				g.stop(streams[i])
			case fault.KindOf(err) != fault.Conflict:
				t.Errorf("%s: %v", dirs[i], err)
			}
		}
		if begun != 1 {
			t.Fatalf("round %d: %d recordings have begun in %q: %v", round, begun, dirs, errs)
		}
		if len(g.recorder.reserved) != 0 {
			t.Fatalf("folders stay reserved: %+v", g.recorder.reserved)
		}
	}
}

// hookedCreate is a store in which something happens right before a recording.json is made.
type hookedCreate struct {
	Store
	before func(key string)
}

func (s hookedCreate) Create(ctx context.Context, key string) (storage.File, error) {
	if path.Base(key) == infoName {
		s.before(key)
	}
	return s.Store.Create(ctx, key)
}

// Of two nodes that share storage, and claim folders within each other at the same time,
// one gives way, whichever that is and whichever is first.
func TestPlacesOfTwoNodes(t *testing.T) {
	for _, tc := range []struct{ late, early string }{{"show", "show/day"}, {"show/day", "show"}, {"show", "show/day/cam"}, {"show/day/cam", "show"}} {
		t.Run(tc.late+" after "+tc.early, func(t *testing.T) {
			root := t.TempDir()
			early := newRigIn(t, root, nil)
			early.publish("camera", source(t, "opus_mono.ogg"))
			var once sync.Once
			late := newRigIn(t, root, func(o *Options) { // which has looked, and found nothing
				o.Store = hookedCreate{o.Store, func(string) { once.Do(func() { early.start("camera", tc.early) }) }}
			})
			late.publish("camera", source(t, "opus_mono.ogg"))
			if _, err := late.recorder.Start(t.Context(), "camera", tc.late); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "choose another") {
				t.Errorf("%q begins beside %q: %v", tc.late, tc.early, err)
			}
			if _, err := late.store.Stat(t.Context(), tc.late+"/"+infoName); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("the claim of %q stays: %v", tc.late, err)
			}
			if !early.recorder.Recording("camera") || late.recorder.Recording("camera") {
				t.Error("the wrong one has given way")
			}
			early.stop("camera")
		})
	}
}

// Of two nodes that claim folders within each other, and both have looked before either
// claim is stored, at most one begins.
func TestPlacesOfTwoNodesAtOnce(t *testing.T) {
	root := t.TempDir()
	for round := range 10 {
		var both sync.WaitGroup
		both.Add(2)
		var nodes [2]*rig
		var errs [2]error
		for i := range nodes {
			nodes[i] = newRigIn(t, root, func(o *Options) {
				o.Store = hookedCreate{o.Store, func(string) { both.Done(); both.Wait() }}
			})
			nodes[i].publish("camera", source(t, "opus_mono.ogg"))
		}
		var all sync.WaitGroup
		for i, dir := range []string{fmt.Sprintf("show-%d", round), fmt.Sprintf("show-%d/day", round)} {
			all.Go(func() { _, errs[i] = nodes[i].recorder.Start(context.Background(), "camera", dir) })
		}
		all.Wait()
		if errs[0] == nil && errs[1] == nil {
			t.Fatalf("round %d: both have begun", round)
		}
		for i, err := range errs {
			if err == nil {
				nodes[i].stop("camera")
			} else if fault.KindOf(err) != fault.Conflict {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
}

// A recording of a base_dir may have the folder that a stream's recordings would be in.
// Those are beside it then, and not within it, whoever begins them; when it is deleted they
// are where they belong.
func TestFolderOfStreamTaken(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *Options){
		"fs": func(*testing.T, *Options) {},
		"spool": func(t *testing.T, o *Options) {
			sp, err := spool.New(t.Context(), spool.Options{Dir: t.TempDir(), Remote: ossStore(t), NoSync: true, Logger: o.Logger})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = sp.Close(context.Background()) })
			sp.Start()
			o.Store = sp
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(o *Options) { change(t, o) })
			record := func(stream, baseDir string) string {
				t.Helper()
				dir := g.start(stream, baseDir).RecordDir
				g.stop(stream)
				return dir
			}
			g.publish("camera", source(t, "opus_mono.ogg"))
			g.publish("camera-2", source(t, "opus_mono.ogg"))
			if dir := record("camera", "camera"); dir != "camera" {
				t.Errorf("the base_dir is camera, the record_dir %q", dir)
			}
			if dir := record("camera-2", "camera-2"); dir != "camera-2" {
				t.Errorf("the base_dir is camera-2, the record_dir %q", dir)
			}
			if dir := record("camera", ""); path.Dir(dir) != "camera-3" {
				t.Errorf("beside camera and camera-2 it is recorded to %q", dir)
			}
			if dir := record("camera-2", ""); path.Dir(dir) != "camera-2-2" {
				t.Errorf("beside camera-2 it is recorded to %q", dir)
			}
			for _, object := range []string{infoName, manifestName} {
				if err := g.recorder.o.Store.Delete(t.Context(), "camera/"+object); err != nil && !errors.Is(err, storage.ErrNotFound) {
					t.Fatal(err)
				}
			}
			g.recorder.Forget("camera")
			if dir := record("camera", ""); path.Dir(dir) != "camera" {
				t.Errorf("when the other is deleted it is recorded to %q", dir)
			}
		})
	}
}

// A stream whose folder is claimed as a base_dir by another node, in the very moment in
// which its recording begins, is recorded beside that.
func TestFolderOfStreamTakenMeanwhile(t *testing.T) {
	root := t.TempDir()
	other := newRigIn(t, root, nil)
	other.publish("show", source(t, "opus_mono.ogg"))
	var once sync.Once
	g := newRigIn(t, root, func(o *Options) { // which has looked, and found nothing
		o.Store = hookedCreate{o.Store, func(string) { once.Do(func() { other.start("show", "camera") }) }}
	})
	g.publish("camera", source(t, "opus_mono.ogg"))
	if dir := g.start("camera", "").RecordDir; path.Dir(dir) != "camera-2" {
		t.Errorf("it is recorded to %q", dir)
	}
	g.stop("camera")
	other.stop("show")
	if left, err := filepath.Glob(filepath.Join(root, "camera", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("within the other are %q, %v", left, err)
	}
}

// Where all folders that are tried are taken, it is said, and what can be done.
func TestFoldersOfStreamTaken(t *testing.T) {
	g := newRig(t, nil)
	long := strings.Repeat("é", media.MaxElementLen/2)
	g.publish(long, source(t, "opus_mono.ogg"))
	for n := range folderTries {
		dir := folderOf(long, n+1)
		if err := media.CheckNewStreamID(dir); err != nil {
			t.Fatalf("%q: %v", dir, err)
		}
		g.start(long, dir)
		g.stop(long)
		g.clock.advance(g.clock.Now().Add(recordingEvery))
	}
	if _, err := g.recorder.Start(t.Context(), long, ""); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "delete one") {
		t.Errorf("the error is %v", err)
	}
}
