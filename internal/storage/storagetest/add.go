package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// testAdd: Add stores what is new, and nothing else.
func testAdd(ctx context.Context, t *testing.T, b storage.Store) {
	for key, content := range map[string]string{"dir/a b+摄像头": "content", "empty": ""} {
		if err := add(ctx, b, key, content); err != nil {
			t.Errorf("Add(%q): %v", key, err)
		}
		wantContent(ctx, t, b, key, content)
		for _, again := range []string{content, "other content"} {
			WantExists(t, add(ctx, b, key, again))
		}
		wantContent(ctx, t, b, key, content)
	}

	put(ctx, t, b, "put", "by Put")
	WantExists(t, add(ctx, b, "put", "by Add"))
	wantContent(ctx, t, b, "put", "by Put")
	if err := b.Delete(ctx, "put"); err != nil {
		t.Fatal(err)
	}
	if err := add(ctx, b, "put", "by Add"); err != nil {
		t.Errorf("Add after Delete: %v", err)
	}
	wantContent(ctx, t, b, "put", "by Add")

	testAddRefuses(ctx, t, b)
}

// testAddRefuses adds what cannot be added.
func testAddRefuses(ctx context.Context, t *testing.T, b storage.Store) {
	if err := b.Add(ctx, "short", io.MultiReader(strings.NewReader("12"), strings.NewReader("345")), 6); err == nil {
		t.Error("Add of 5 bytes as 6: no error")
	}
	if err := b.Add(ctx, "short", strings.NewReader("12345"), 4); err == nil {
		t.Error("Add of 5 bytes as 4: no error")
	}
	broken := errors.New("the body broke")
	if err := b.Add(ctx, "short", io.MultiReader(strings.NewReader("x"), &failingReader{broken}), 2); !errors.Is(err, broken) {
		t.Errorf("Add of a body that fails: error %v, want the body's", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := add(cancelled, b, "short", "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Add with a context that has ended: error %v", err)
	}
	wantMissing(ctx, t, b, "short")
	if err := b.Add(ctx, "short", strings.NewReader("x"), -1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Add of -1 bytes: error %v, want a fault.Invalid", err)
	}
	if err := add(ctx, b, "../x", "x"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Add of a bad key: error %v, want a fault.Invalid", err)
	}
}

// testAddConcurrency: of several that add one object, one makes it, and that is
// the content.
func testAddConcurrency(ctx context.Context, t *testing.T, b storage.Store) {
	for round := range 5 {
		key := fmt.Sprintf("one/object/%d", round)
		won := make(chan string, 8)
		var workers sync.WaitGroup
		for w := range cap(won) {
			workers.Go(func() {
				content := fmt.Sprintf("by %d", w)
				switch err := add(ctx, b, key, content); {
				case err == nil:
					won <- content
				case !errors.Is(err, fs.ErrExist) && fault.KindOf(err) != fault.Unavailable:
					// A server may ask one of them to try again.
					t.Errorf("Add: %v", err)
				}
			})
		}
		workers.Wait()
		if len(won) != 1 {
			t.Fatalf("%d callers added the same object, want 1", len(won))
		}
		wantContent(ctx, t, b, key, <-won)
	}
}

func add(ctx context.Context, b storage.Store, key, content string) error {
	return b.Add(ctx, key, strings.NewReader(content), int64(len(content)))
}

// WantExists fails the test unless err is what Add says of an object that exists.
func WantExists(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrExist) || fault.KindOf(err) != fault.Conflict {
		t.Errorf("Add of an object that exists: error %v, want fs.ErrExist and a fault.Conflict", err)
	}
}
