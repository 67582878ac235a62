package storagetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

var badKeys = []struct{ name, key string }{
	{"empty", ""},
	{"dot dot", ".."},
	{"dot", "."},
	{"dot dot inside", "a/../b"},
	{"dot dot first", "../a"},
	{"dot dot last", "a/.."},
	{"absolute", "/a"},
	{"empty element", "a//b"},
	{"trailing slash", "a/"},
	{"backslash", `a\b`},
	{"backslash dot dot", `..\a`},
	{"NUL", "a\x00b"},
	{"newline", "a\nb"},
	{"DEL", "a\x7f"},
	{"C1 control", "a\u0085b"},
	{"hidden", ".hidden"},
	{"hidden inside", "a/.hidden/b"},
	{"invalid UTF-8", "a\xffb"},
	{"long element", strings.Repeat("x", 201)},
	{"long path", strings.Repeat("x/", 400) + "x"},
}

func testBadKeys(ctx context.Context, t *testing.T, b storage.Store) {
	for _, test := range badKeys {
		t.Run(test.name, func(t *testing.T) {
			calls := map[string]func() error{
				"Put":    func() error { return b.Put(ctx, test.key, strings.NewReader("x"), 1) },
				"Get":    func() error { _, err := read(ctx, b, test.key, 0, -1); return err },
				"Stat":   func() error { _, err := b.Stat(ctx, test.key); return err },
				"Delete": func() error { return b.Delete(ctx, test.key) },
				"Create": func() error { _, err := b.Create(ctx, test.key); return err },
			}
			if test.key != "" { // all there is
				calls["List"] = func() error {
					for _, err := range b.List(ctx, test.key) {
						return err
					}
					return nil
				}
			}
			for name, call := range calls {
				if err := call(); fault.KindOf(err) != fault.Invalid {
					t.Errorf("%s(%.40q): error %v, want a fault.Invalid", name, test.key, err)
				}
			}
		})
	}
	if got := list(ctx, t, b, ""); got != nil {
		t.Errorf("bad keys made objects: %q", got)
	}
}

func testBadArguments(ctx context.Context, t *testing.T, b storage.Store) {
	put(ctx, t, b, "key", "content")
	if _, err := read(ctx, b, "key", -1, 1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Get at offset -1: error %v, want a fault.Invalid", err)
	}
	if err := b.Put(ctx, "key", strings.NewReader("x"), -1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Put of -1 bytes: error %v, want a fault.Invalid", err)
	}
	wantContent(ctx, t, b, "key", "content")
}

func testLongKeys(ctx context.Context, t *testing.T, b storage.Store) {
	for _, key := range []string{
		strings.Repeat("x", 200),
		strings.Repeat("x/", 399) + "x",
		strings.Repeat(strings.Repeat("é", 99)+"/", 4) + "seg",
	} {
		put(ctx, t, b, key, "long")
		wantContent(ctx, t, b, key, "long")
		if got := list(ctx, t, b, ""); !slices.Equal(got, []string{key}) {
			t.Errorf("List yields %.60q, want %.60q", got, key)
		}
		if err := b.Delete(ctx, key); err != nil {
			t.Error(err)
		}
	}
}

func testSizeMismatch(ctx context.Context, t *testing.T, b storage.Store) {
	put(ctx, t, b, "old", "old content")
	for _, key := range []string{"old", "new/key"} {
		for _, size := range []int64{0, 4, 6, 1 << 20} {
			// Not a strings.Reader: nothing but the bytes tells the length.
			body := io.MultiReader(strings.NewReader("12"), strings.NewReader("345"))
			if err := b.Put(ctx, key, body, size); err == nil {
				t.Errorf("Put(%q) of 5 bytes as %d: no error", key, size)
			}
		}
	}
	wantContent(ctx, t, b, "old", "old content")
	wantMissing(ctx, t, b, "new/key")
	if got := list(ctx, t, b, ""); !slices.Equal(got, []string{"old"}) {
		t.Errorf("refused Puts left objects: %q", got)
	}
}

func testBodyFails(ctx context.Context, t *testing.T, b storage.Store) {
	broken := errors.New("the body broke")
	put(ctx, t, b, "old", "old content")
	for _, key := range []string{"old", "new/key"} {
		body := io.MultiReader(strings.NewReader("some"), &failingReader{broken})
		if err := b.Put(ctx, key, body, 10); !errors.Is(err, broken) {
			t.Errorf("Put(%q) of a body that fails: error %v, want the body's", key, err)
		}
	}
	wantContent(ctx, t, b, "old", "old content")
	wantMissing(ctx, t, b, "new/key")
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func testCancelled(ctx context.Context, t *testing.T, b storage.Store) {
	put(ctx, t, b, "old", "old content")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	calls := map[string]func() error{
		"Put":    func() error { return b.Put(cancelled, "old", strings.NewReader("x"), 1) },
		"Get":    func() error { _, err := read(cancelled, b, "old", 0, -1); return err },
		"Stat":   func() error { _, err := b.Stat(cancelled, "old"); return err },
		"Delete": func() error { return b.Delete(cancelled, "old") },
		"List": func() error {
			for _, err := range b.List(cancelled, "") {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: error %v, want context.Canceled", name, err)
		}
	}
	testCancelledUnderWay(ctx, t, b)
	wantContent(ctx, t, b, "old", "old content")
}

// testCancelledUnderWay ends the context when a call has begun.
func testCancelledUnderWay(ctx context.Context, t *testing.T, b storage.Store) {
	putCtx, cancelPut := context.WithCancel(ctx)
	body := io.MultiReader(strings.NewReader("x"), readFunc(func(p []byte) (int, error) {
		cancelPut()
		return copy(p, "x"), nil // for ever
	}))
	if err := b.Put(putCtx, "old", body, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("Put that is cancelled: error %v, want context.Canceled", err)
	}

	big := strings.Repeat("x", 4<<20)
	put(ctx, t, b, "big", big)
	getCtx, cancelGet := context.WithCancel(ctx)
	defer cancelGet()
	r, err := b.Get(getCtx, "big", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancelGet()
	if n, err := io.Copy(io.Discard, r); err == nil {
		t.Errorf("reading after the context ended went on for %d bytes to the end", n)
	}
	_ = r.Close() // may repeat the error
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
