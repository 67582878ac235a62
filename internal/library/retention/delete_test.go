package retention

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

func TestDelete(t *testing.T) {
	g := newRig(t, nil)
	const dir = "camera/shared"
	g.record(dir, 0, nil)
	g.record(dir+"/1767322800", 1, nil) // in a folder below
	g.record("camera/shared2", 1, nil)  // with a name that begins alike
	foreign := []string{dir + "/notes.txt", dir + "/v_seg_1.m4s", dir + "/x/v_init.mp4", dir + "/v_seg_0001.m4s.bak"}
	for _, key := range foreign {
		g.put(key, "somebody's")
	}
	done, err := g.Delete(t.Context(), dir)
	if err != nil || !done {
		t.Fatalf("Delete: %v, %v", done, err)
	}
	if g.Deleting(dir) {
		t.Error("it is still being deleted")
	}
	for _, key := range g.store.deleted {
		if path.Dir(key) != dir || !media.IsObjectName(path.Base(key)) {
			t.Errorf("deleted %s", key)
		}
	}
	heads := g.store.deleted[:2]
	if n := len(g.store.deleted); n != len(mediaNames)+2 || path.Base(heads[0]) != media.ManifestName || path.Base(heads[1]) != media.InfoName {
		t.Errorf("%d objects were deleted, the first are %q", n, heads)
	}
	g.wantLeft(dir+"/1767322800", "camera/shared2")
	for _, key := range foreign {
		if !slices.Contains(g.keys(""), key) {
			t.Errorf("%s is gone", key)
		}
	}
	if _, err := g.Recording(t.Context(), dir); fault.KindOf(err) != fault.NotFound {
		t.Errorf("Recording afterwards: error %v", err)
	}
	line := strings.Join(g.logged("recording deleted"), "")
	for _, want := range []string{"stream=camera", "record_id=", "record_dir=" + dir, "bytes=", "objects=10", "why="} {
		if !strings.Contains(line, want) {
			t.Errorf("the log has no %s: %s", want, line)
		}
	}
	if _, err := g.Delete(t.Context(), dir); fault.KindOf(err) != fault.NotFound {
		t.Errorf("once more: error %v", err)
	}
}

func TestDeleteRefuses(t *testing.T) {
	g := newRig(t, nil)
	g.live.running[dirOf(0)] = g.record(dirOf(0), 0, func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil })
	g.live.running[dirOf(1)] = g.record(dirOf(1), 1, nil) // ended, and not sealed for good
	g.live.refused = fault.New(fault.Conflict, "the disk is full")
	g.record(dirOf(2), 2, func(r *media.Recording) { r.Status, r.End, r.Node = media.StatusRecording, nil, "node-2" })
	g.record(dirOf(3), 3, func(r *media.Recording) { r.Protected = true })
	// The storage knows of a protection that the catalogue has lost.
	rec := g.record(dirOf(4), 4, nil)
	rec.Protected = true
	g.putInfo(rec)
	for i, want := range []string{"stop it first", "the disk is full", `node "node-2"`, "take the protection away", "take the protection away"} {
		_, err := g.Delete(t.Context(), dirOf(i))
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: error %v, want a fault.Conflict with %q", i, err, want)
		}
	}
	g.record(dirOf(5), 5, func(r *media.Recording) { r.Status, r.End = media.StatusRecording, nil })
	if err := g.store.Backend.Delete(t.Context(), path.Join(dirOf(5), media.InfoName)); err != nil { // the storage says nothing
		t.Fatal(err)
	}
	if _, err := g.Delete(t.Context(), dirOf(5)); fault.KindOf(err) != fault.Conflict {
		t.Errorf("of another node, without recording.json: error %v", err)
	}
	for path, want := range map[string]fault.Kind{"nothing/here": fault.NotFound, "": fault.Invalid, "a/../b": fault.Invalid, "/camera": fault.Invalid} {
		if _, err := g.Delete(t.Context(), path); fault.KindOf(err) != want {
			t.Errorf("%q: error %v", path, err)
		}
	}
	if len(g.store.deleted) > 0 {
		t.Errorf("deleted %q", g.store.deleted)
	}
	g.wantLeft(dirOf(0), dirOf(1), dirOf(2), dirOf(3), dirOf(4), dirOf(5))
	if rec, err := g.db.Get(t.Context(), dirOf(4)); err != nil || !rec.Protected {
		t.Errorf("the catalogue still does not know of the protection: %+v, %v", rec, err)
	}
}

// TestDeleteBeforeTheSeal: who sees in a list that a recording has ended can delete
// it, though its seal is still being stored.
func TestDeleteBeforeTheSeal(t *testing.T) {
	g := newRig(t, nil)
	g.live.running[dirOf(0)] = g.record(dirOf(0), 0, nil)
	if done, err := g.Delete(t.Context(), dirOf(0)); err != nil || !done {
		t.Errorf("done %v, error %v", done, err)
	}
	g.wantLeft()
}

// TestDeleteWhileStorageIsDown: nothing begins that cannot be looked at; what has
// begun is hidden, and ended when the storage is back.
func TestDeleteWhileStorageIsDown(t *testing.T) {
	g := newRig(t, nil)
	g.record(dirOf(0), 0, nil)
	down := fault.New(fault.Unavailable, "the bucket is away")
	g.store.failWith(func(string, string) error { return down })
	if _, err := g.Delete(t.Context(), dirOf(0)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v", err)
	}
	g.wantLeft(dirOf(0))

	// It goes in the middle of the deletion.
	g.store.failWith(func(op, key string) error {
		if op == "delete" && strings.Contains(key, "_seg_") {
			return down
		}
		return nil
	})
	done, err := g.Delete(t.Context(), dirOf(0))
	if err != nil || done || !g.Deleting(dirOf(0)) {
		t.Fatalf("Delete: done %v, error %v", done, err)
	}
	if _, err := g.db.Get(t.Context(), dirOf(0)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it is still in the catalogue: %v", err)
	}
	if keys := g.keys(dirOf(0)); slices.ContainsFunc(keys, func(k string) bool {
		return strings.HasSuffix(k, media.InfoName) || strings.HasSuffix(k, media.ManifestName)
	}) || len(keys) == 0 {
		t.Errorf("left are %q", keys)
	}
	if _, err := g.Delete(t.Context(), dirOf(0)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("once more: error %v", err)
	}

	attempts := 0
	for range 200 { // of 10 seconds each
		before := len(g.logged("will try again"))
		g.endDue(t.Context())
		attempts += len(g.logged("will try again")) - before
		g.now = g.now.Add(10 * time.Second)
	}
	if attempts < 5 || attempts > 15 {
		t.Errorf("%d attempts in %v", attempts, 200*10*time.Second)
	}
	g.store.failWith(nil)
	g.now = g.now.Add(retryMax)
	g.endDue(t.Context())
	if g.Deleting(dirOf(0)) || len(g.logged("recording deleted")) != 1 {
		t.Errorf("it was not ended:\n%s", g.log)
	}
	g.wantLeft()
}

// TestDeleteAfterACrash: another process takes up what one has left, wherever it
// was.
func TestDeleteAfterACrash(t *testing.T) {
	crash := errors.New("crash")
	for stop := range len(mediaNames) + 3 {
		g := newRig(t, nil)
		g.record(dirOf(0), 0, nil)
		g.record(dirOf(1), 1, nil)
		n := 0
		g.store.failWith(func(op, _ string) error {
			if op != "delete" {
				return nil
			}
			if n++; n > stop {
				return crash
			}
			return nil
		})
		if _, err := g.Delete(t.Context(), dirOf(0)); err != nil {
			t.Fatal(err)
		}
		g.store.failWith(nil)
		g.restart(nil)
		if g.Deleting(dirOf(0)) {
			t.Fatal("a new Keeper knows of it before it has looked")
		}
		g.Resume(t.Context())
		if !g.Deleting(dirOf(0)) && stop < len(mediaNames)+2 {
			t.Errorf("after %d objects: it is not known to be deleted", stop)
		}
		g.endDue(t.Context())
		g.wantLeft(dirOf(1))
		if left, err := g.db.Deleting(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("after %d objects: %q are still being deleted, %v", stop, left, err)
		}
	}
}

// TestDeletePlaylists: all manifests go, and before any media.
func TestDeletePlaylists(t *testing.T) {
	g := newRig(t, nil)
	dir := dirOf(0)
	g.record(dir, 0, nil)
	names := []string{"audio.m3u8", media.IndexName, media.ManifestName, media.InfoName, "video-2.m3u8"}
	for _, name := range names {
		if strings.HasSuffix(name, ".m3u8") {
			g.put(path.Join(dir, name), "#EXTM3U")
		}
	}
	if _, err := g.Delete(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var first []string
	for _, key := range g.store.deleted[:len(names)] {
		first = append(first, path.Base(key))
	}
	if slices.Sort(first); !slices.Equal(first, names) {
		t.Errorf("deleted first are %q, want %q", first, names)
	}
	g.wantLeft()
}

// TestRunEndsDeletions: Run takes up what a request had no time for.
func TestRunEndsDeletions(t *testing.T) {
	g := newRig(t, nil)
	g.record(dirOf(0), 0, nil)
	ctx, cancel := context.WithCancel(t.Context())
	g.store.failWith(func(op, _ string) error {
		if op == "delete" {
			cancel() // the client leaves
			g.store.fail = nil
			return context.Canceled
		}
		return nil
	})
	if done, err := g.Delete(ctx, dirOf(0)); done || err != nil {
		t.Fatalf("Delete: done %v, error %v", done, err)
	}
	running, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(running)
	}()
	deadline := time.After(time.Minute)
	for g.Deleting(dirOf(0)) {
		select {
		case <-deadline:
			t.Fatalf("it is not deleted:\n%s", g.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop()
	<-ended
	g.wantLeft()
}

// TestFolderUsedAgain: a recording that was begun in the folder of one that is
// being deleted is not touched.
func TestFolderUsedAgain(t *testing.T) {
	g := newRig(t, nil)
	g.record(dirOf(0), 0, nil)
	g.store.failWith(func(op, key string) error {
		if op == "delete" && strings.Contains(key, "_seg_") {
			return storage.ErrDenied
		}
		return nil
	})
	if done, err := g.Delete(t.Context(), dirOf(0)); done || err != nil {
		t.Fatalf("Delete: done %v, error %v", done, err)
	}
	g.store.failWith(nil)
	g.live.running[dirOf(0)] = media.Recording{RecordDir: dirOf(0), Status: media.StatusRecording}
	g.put(path.Join(dirOf(0), media.InfoName), "new")
	before := g.keys(dirOf(0))
	g.now = g.now.Add(time.Hour)
	g.endDue(t.Context())
	if got := g.keys(dirOf(0)); !slices.Equal(got, before) {
		t.Errorf("left are %q, want %q", got, before)
	}
}

func TestNewNeeds(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New without a backend: no error")
	}
	g := newRig(t, nil)
	if _, err := New(Options{Backend: g.store, Catalogue: g.db, Policy: Policy{MinFree: 1}}); err == nil {
		t.Error("New with MinFree and without Free: no error")
	}
}
