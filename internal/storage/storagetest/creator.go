package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// testCreator holds a backend that is a storage.Creator against that contract;
// there is nothing to hold others against.
func testCreator(ctx context.Context, t *testing.T, b storage.Backend) {
	c, ok := b.(storage.Creator)
	if !ok {
		return
	}
	f := create(ctx, t, c, "dir/new/seg")
	wantContent(ctx, t, b, "dir/new/seg", "")
	if got := list(ctx, t, b, "dir"); len(got) != 1 || got[0] != "dir/new/seg" {
		t.Errorf("List yields %q while the object grows", got)
	}
	etags := map[string]bool{}
	want := ""
	for i := range 3 {
		chunk := fmt.Sprintf("chunk %d;", i)
		if n, err := f.Write([]byte(chunk)); err != nil || n != len(chunk) {
			t.Fatalf("Write = %d, %v", n, err)
		}
		want += chunk
		wantContent(ctx, t, b, "dir/new/seg", want)
		o, err := b.Stat(ctx, "dir/new/seg")
		if err != nil || o.Size != int64(len(want)) || etags[o.ETag] {
			t.Errorf("Stat while growing = %+v, %v; want size %d and a new ETag", o, err, len(want))
		}
		etags[o.ETag] = true
		if err := f.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
	}
	testExclusive(ctx, t, c, "dir/new/seg")
	if err := f.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wantContent(ctx, t, b, "dir/new/seg", want)
	testExclusive(ctx, t, c, "dir/new/seg")
	wantContent(ctx, t, b, "dir/new/seg", want)

	put(ctx, t, b, "put", "by Put")
	testExclusive(ctx, t, c, "put")
	wantContent(ctx, t, b, "put", "by Put")
	if _, err := c.Create(ctx, "dir"); err == nil {
		t.Error("Create with the name of a folder: no error")
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Create(cancelled, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("Create with a context that has ended: error %v", err)
	}
	wantMissing(ctx, t, b, "late")
}

func create(ctx context.Context, t *testing.T, c storage.Creator, key string) storage.File {
	t.Helper()
	f, err := c.Create(ctx, key)
	if err != nil {
		t.Fatalf("Create(%q): %v", key, err)
	}
	return f
}

func testExclusive(ctx context.Context, t *testing.T, c storage.Creator, key string) {
	t.Helper()
	if _, err := c.Create(ctx, key); !errors.Is(err, fs.ErrExist) || fault.KindOf(err) != fault.Conflict {
		t.Errorf("Create(%q) again: error %v, want fs.ErrExist and a fault.Conflict", key, err)
	}
}

// testCreatorConcurrency creates and deletes in shared folders: a folder that one
// empties is not missing for the other. Of several creators of one object, one
// makes it.
func testCreatorConcurrency(ctx context.Context, t *testing.T, b storage.Backend) {
	c, ok := b.(storage.Creator)
	if !ok {
		return
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for range 40 {
				key := fmt.Sprintf("shared/folder/%d", w)
				f, err := c.Create(ctx, key)
				if err != nil {
					t.Errorf("Create: %v", err)
					return
				}
				if err := errors.Join(f.Sync(), f.Close(), b.Delete(ctx, key)); err != nil {
					t.Errorf("Sync, Close, Delete: %v", err)
					return
				}
			}
		})
	}
	workers.Wait()

	made := make(chan struct{}, 8)
	for range cap(made) {
		workers.Go(func() {
			if f, err := c.Create(ctx, "one/object"); err == nil {
				made <- struct{}{}
				_ = f.Close()
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create: %v", err)
			}
		})
	}
	workers.Wait()
	if len(made) != 1 {
		t.Errorf("%d callers created the same object, want 1", len(made))
	}
}
