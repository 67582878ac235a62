package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// testCreate: an object that is created has what its File was given, and is nobody
// else's.
func testCreate(ctx context.Context, t *testing.T, b storage.Store) {
	f := create(ctx, t, b, "dir/new/seg")
	want := testGrows(ctx, t, b, "dir/new/seg", f)
	if b.Traits().InPlace {
		testExclusive(ctx, t, b, "dir/new/seg")
	}
	if err := f.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wantContent(ctx, t, b, "dir/new/seg", want)
	testExclusive(ctx, t, b, "dir/new/seg")
	wantContent(ctx, t, b, "dir/new/seg", want)

	put(ctx, t, b, "put", "by Put")
	testExclusive(ctx, t, b, "put")
	wantContent(ctx, t, b, "put", "by Put")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := b.Create(cancelled, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("Create with a context that has ended: error %v", err)
	}
	wantMissing(ctx, t, b, "late")
}

// testGrows writes some chunks. Where objects grow in place, each can be read at once.
func testGrows(ctx context.Context, t *testing.T, b storage.Store, key string, f storage.File) (want string) {
	t.Helper()
	etags := map[string]bool{}
	for i := range 4 {
		chunk := strings.Repeat(fmt.Sprintf("chunk %d;", i), min(i, 1)) // nothing at first
		if n, err := f.Write([]byte(chunk)); err != nil || n != len(chunk) {
			t.Fatalf("Write = %d, %v", n, err)
		}
		want += chunk
		if err := f.Sync(); err != nil {
			t.Errorf("Sync: %v", err)
		}
		if !b.Traits().InPlace {
			wantMissing(ctx, t, b, key)
			continue
		}
		wantContent(ctx, t, b, key, want)
		if got := list(ctx, t, b, path.Dir(key)); len(got) != 1 || got[0] != key {
			t.Errorf("List yields %q while the object grows", got)
		}
		o, err := b.Stat(ctx, key)
		if err != nil || o.Size != int64(len(want)) || etags[o.ETag] {
			t.Errorf("Stat while growing = %+v, %v; want size %d and a new ETag", o, err, len(want))
		}
		etags[o.ETag] = true
	}
	return want
}

func create(ctx context.Context, t *testing.T, b storage.Store, key string) storage.File {
	t.Helper()
	f, err := b.Create(ctx, key)
	if err != nil {
		t.Fatalf("Create(%q): %v", key, err)
	}
	return f
}

func testExclusive(ctx context.Context, t *testing.T, b storage.Store, key string) {
	t.Helper()
	if _, err := b.Create(ctx, key); !errors.Is(err, fs.ErrExist) || fault.KindOf(err) != fault.Conflict {
		t.Errorf("Create(%q) again: error %v, want fs.ErrExist and a fault.Conflict", key, err)
	}
}

// testCreateConcurrency creates and deletes in shared folders: a folder that one
// empties is not missing for the other. Of several creators of one object, one
// makes it.
func testCreateConcurrency(ctx context.Context, t *testing.T, b storage.Store) {
	rounds := 4 // over a network
	if b.Traits().InPlace {
		rounds = 40
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for range rounds {
				key := fmt.Sprintf("shared/folder/%d", w)
				f, err := b.Create(ctx, key)
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
			f, err := b.Create(ctx, "one/object")
			if err == nil {
				err = f.Close()
			}
			switch {
			case err == nil:
				made <- struct{}{}
			case !errors.Is(err, fs.ErrExist) && fault.KindOf(err) != fault.Unavailable:
				t.Errorf("Create: %v", err) // a server may ask one of them to try again
			}
		})
	}
	workers.Wait()
	if len(made) != 1 {
		t.Errorf("%d callers created the same object, want 1", len(made))
	}
}
