// Package storagetest is the contract of storage.Store as tests: all stores pass all of
// them. Where the contract lets stores differ, the tests look at Traits.
package storagetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// timeout bounds each test of the suite.
const timeout = time.Minute

// Run holds stores against the contract. open returns a new, empty store for the test
// that it is given; it cleans up by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	tests := []struct {
		name string
		run  func(context.Context, *testing.T, storage.Store)
	}{
		{"PutGet", testPutGet},
		{"Replace", testReplace},
		{"Ranges", testRanges},
		{"Stat", testStat},
		{"Missing", testMissing},
		{"ListOrder", testListOrder},
		{"ListStops", testListStops},
		{"Delete", testDelete},
		{"BadKeys", testBadKeys},
		{"BadArguments", testBadArguments},
		{"LongKeys", testLongKeys},
		{"SizeMismatch", testSizeMismatch},
		{"BodyFails", testBodyFails},
		{"Cancelled", testCancelled},
		{"AtomicReplace", testAtomicReplace},
		{"Concurrency", testConcurrency},
		{"Reader", testReader},
		{"Create", testCreate},
		{"CreateConcurrency", testCreateConcurrency},
		{"Repair", testRepair},
		{"Add", testAdd},
		{"AddConcurrency", testAddConcurrency},
		{"Classes", testClasses},
		{"Pending", testPending},
		{"Hold", testHold},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			test.run(ctx, t, open(t))
		})
	}
}

func put(ctx context.Context, t *testing.T, b storage.Store, key, content string) {
	t.Helper()
	if err := b.Put(ctx, key, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

// read returns the bytes of a Get, or the first error.
func read(ctx context.Context, b storage.Store, key string, offset, length int64) (string, error) {
	r, err := b.Get(ctx, key, offset, length)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

func wantContent(ctx context.Context, t *testing.T, b storage.Store, key, want string) {
	t.Helper()
	if got, err := read(ctx, b, key, 0, -1); err != nil || got != want {
		t.Errorf("Get(%q) = %.60q, %v; want %.60q", key, got, err, want)
	}
}

func wantMissing(ctx context.Context, t *testing.T, b storage.Store, key string) {
	t.Helper()
	if _, err := b.Stat(ctx, key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Stat(%q): error %v, want ErrNotFound", key, err)
	}
	if _, err := read(ctx, b, key, 0, -1); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get(%q): error %v, want ErrNotFound", key, err)
	}
}

func list(ctx context.Context, t *testing.T, b storage.Store, prefix string) []string {
	t.Helper()
	var keys []string
	for o, err := range b.List(ctx, prefix) {
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func testPutGet(ctx context.Context, t *testing.T, b storage.Store) {
	for _, key := range []string{
		"plain", "camera/1762842203/manifest.mpd", "a b/ü+%25&=?#~/摄像头.m4s", "x/-", "x/_", "x/a:b*c\"<>|",
	} {
		put(ctx, t, b, key, "content of "+key)
		wantContent(ctx, t, b, key, "content of "+key)
		o, err := b.Stat(ctx, key)
		if err != nil || o.Key != key {
			t.Errorf("Stat(%q) = %+v, %v", key, o, err)
		}
		if got := list(ctx, t, b, ""); !slices.Contains(got, key) {
			t.Errorf("List does not have %q: %q", key, got)
		}
	}
	put(ctx, t, b, "empty", "")
	wantContent(ctx, t, b, "empty", "")

	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	put(ctx, t, b, "big", big)
	if got, err := read(ctx, b, "big", 0, -1); err != nil || got != big {
		t.Errorf("4 MiB object: %d bytes, %v", len(got), err)
	}
}

func testReplace(ctx context.Context, t *testing.T, b storage.Store) {
	etags := map[string]string{}
	for _, content := range []string{"first", "2nd", "third, which is longer", "other, which is long'", ""} {
		put(ctx, t, b, "dir/key", content)
		wantContent(ctx, t, b, "dir/key", content)
		o, err := b.Stat(ctx, "dir/key")
		if err != nil || o.Size != int64(len(content)) {
			t.Errorf("Stat after replacing = %+v, %v; want size %d", o, err, len(content))
		}
		if old, ok := etags[o.ETag]; ok {
			t.Errorf("%q and %q have the same ETag %q", old, content, o.ETag)
		}
		etags[o.ETag] = content
	}
}

func testRanges(ctx context.Context, t *testing.T, b storage.Store) {
	const content = "0123456789"
	put(ctx, t, b, "dir/key", content)
	for _, test := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, content}, {0, 10, content}, {0, 11, content}, {0, 1, "0"}, {0, 0, ""},
		{3, 4, "3456"}, {3, -1, "3456789"}, {9, 1, "9"}, {9, -1, "9"}, {9, 100, "9"}, {5, 0, ""},
		{10, -1, ""}, {10, 5, ""}, {10, 0, ""}, {1000, -1, ""}, {1000, 5, ""},
	} {
		got, err := read(ctx, b, "dir/key", test.offset, test.length)
		if err != nil || got != test.want {
			t.Errorf("Get(offset %d, length %d) = %q, %v; want %q", test.offset, test.length, got, err, test.want)
		}
	}
	// A range of an empty object is empty, too.
	put(ctx, t, b, "dir/empty", "")
	if got, err := read(ctx, b, "dir/empty", 0, 5); err != nil || got != "" {
		t.Errorf("Get of 5 bytes of an empty object = %q, %v", got, err)
	}
}

func testStat(ctx context.Context, t *testing.T, b storage.Store) {
	before := time.Now().Add(-time.Minute)
	put(ctx, t, b, "dir/key", "content")
	o, err := b.Stat(ctx, "dir/key")
	if err != nil {
		t.Fatal(err)
	}
	if o.Key != "dir/key" || o.Size != 7 {
		t.Errorf("Stat = %+v, want key dir/key, size 7", o)
	}
	if o.ETag == "" || strings.Contains(o.ETag, `"`) {
		t.Errorf("ETag %q is empty or has quotes", o.ETag)
	}
	if o.Modified.Before(before) || o.Modified.After(time.Now().Add(time.Minute)) {
		t.Errorf("Modified is %v", o.Modified)
	}
	again, err := b.Stat(ctx, "dir/key")
	if err != nil || again.ETag != o.ETag || !again.Modified.Equal(o.Modified) {
		t.Errorf("Stat of an unchanged object = %+v, %v; before it was %+v", again, err, o)
	}
	for listed, err := range b.List(ctx, "dir") {
		if err != nil || listed.Key != o.Key || listed.Size != o.Size || listed.ETag != o.ETag {
			t.Errorf("List yields %+v, %v; Stat %+v", listed, err, o)
		}
	}
}

func testMissing(ctx context.Context, t *testing.T, b storage.Store) {
	wantMissing(ctx, t, b, "none")
	wantMissing(ctx, t, b, "no/such/object")
	put(ctx, t, b, "dir/sub/key", "x")
	wantMissing(ctx, t, b, "dir") // a folder is no object
	wantMissing(ctx, t, b, "dir/sub")
	wantMissing(ctx, t, b, "dir/sub/ke")
	wantMissing(ctx, t, b, "dir/sub/key/below")
	if got := list(ctx, t, b, "no/such/folder"); got != nil {
		t.Errorf("List of a missing folder yields %q", got)
	}
	for _, err := range []error{
		func() error { _, err := b.Stat(ctx, "none"); return err }(),
		func() error { _, err := read(ctx, b, "none", 0, -1); return err }(),
	} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("kind of %v is not NotFound", err)
		}
	}
}

func testDelete(ctx context.Context, t *testing.T, b storage.Store) {
	put(ctx, t, b, "dir/sub/one", "1")
	put(ctx, t, b, "dir/sub/two", "2")
	for range 2 { // the second time there is nothing to delete
		if err := b.Delete(ctx, "dir/sub/one"); err != nil {
			t.Fatal(err)
		}
	}
	wantMissing(ctx, t, b, "dir/sub/one")
	wantContent(ctx, t, b, "dir/sub/two", "2")
	for _, key := range []string{"dir", "dir/sub", "no/such/object", "dir/sub/two/below"} { // no objects
		if err := b.Delete(ctx, key); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
	wantContent(ctx, t, b, "dir/sub/two", "2")
	if err := b.Delete(ctx, "dir/sub/two"); err != nil {
		t.Fatal(err)
	}
	// The folder is as if it had never been there: an object can have its name.
	put(ctx, t, b, "dir", "now an object")
	wantContent(ctx, t, b, "dir", "now an object")
}

func testReader(ctx context.Context, t *testing.T, b storage.Store) {
	const content = "0123456789"
	put(ctx, t, b, "dir/key", content)
	o, err := b.Stat(ctx, "dir/key")
	if err != nil {
		t.Fatal(err)
	}
	r := storage.NewReader(ctx, b, o)
	if got, err := io.ReadAll(r); err != nil || string(got) != content {
		t.Errorf("reading all = %q, %v", got, err)
	}
	for _, test := range []struct {
		offset int64
		whence int
		pos    int64
	}{{3, io.SeekStart, 3}, {-2, io.SeekEnd, 8}, {-4, io.SeekCurrent, 4}, {0, io.SeekEnd, 10}, {20, io.SeekStart, 20}} {
		if pos, err := r.Seek(test.offset, test.whence); err != nil || pos != test.pos {
			t.Errorf("Seek(%d, %d) = %d, %v; want %d", test.offset, test.whence, pos, err, test.pos)
		}
		got, err := io.ReadAll(r)
		if want := content[min(test.pos, 10):]; err != nil || string(got) != want {
			t.Errorf("after Seek to %d: %q, %v; want %q", test.pos, got, err, want)
		}
		if _, err := r.Seek(test.pos, io.SeekStart); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
