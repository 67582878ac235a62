package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// testAtomicReplace: a reader sees one whole object, however often it is replaced.
func testAtomicReplace(ctx context.Context, t *testing.T, b storage.Store) {
	version := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, 10_000+i*100) }
	put(ctx, t, b, "dir/manifest", string(version(0)))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				got, err := read(ctx, b, "dir/manifest", 0, -1)
				if err != nil || len(got) < 10_000 {
					t.Errorf("read %d bytes, %v", len(got), err)
					return
				}
				if want := version((len(got) - 10_000) / 100); got != string(want) {
					t.Errorf("an object of %d bytes is a mixture of versions", len(got))
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 50 {
		put(ctx, t, b, "dir/manifest", string(version(i)))
	}
	close(done)
	readers.Wait()
}

// testConcurrency: objects that come and go in shared folders do not disturb
// each other.
func testConcurrency(ctx context.Context, t *testing.T, b storage.Store) {
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("shared/folder/%d", w)
				content := fmt.Sprintf("%d of %d", i, w)
				if err := b.Put(ctx, key, strings.NewReader(content), int64(len(content))); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
				if got, err := read(ctx, b, key, 0, -1); err != nil || got != content {
					t.Errorf("Get = %q, %v; want %q", got, err, content)
					return
				}
				for _, err := range b.List(ctx, "") {
					if err != nil {
						t.Errorf("List: %v", err)
						return
					}
				}
				if err := b.Delete(ctx, key); err != nil {
					t.Errorf("Delete: %v", err)
					return
				}
			}
		})
	}
	workers.Wait()
	if got := list(ctx, t, b, ""); got != nil {
		t.Errorf("left over: %q", got)
	}
}
