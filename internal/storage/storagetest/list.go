package storagetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

func testListOrder(ctx context.Context, t *testing.T, b storage.Store) {
	keys := []string{ // in lexical order of the whole key; '-' and '.' sort before '/'
		"a-b/x", "a-c", "a.b", "a.d/x", "a/1", "a/10", "a/2", "a/b-c", "a/b/c/d", "a/b/d", "a/b0", "a0", "ab/x", "b", "Ä/x",
	}
	for _, i := range []int{7, 3, 14, 0, 11, 5, 9, 1, 13, 2, 12, 4, 10, 6, 8} {
		put(ctx, t, b, keys[i], "x")
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", keys},
		{"a", keys[4:11]}, // not "ab/x", "a-b/x", "a0"
		{"a/b", keys[8:10]},
		{"a/b/c", keys[8:9]},
		{"ab", keys[12:13]},
		{"b", nil}, // an object, and nothing below it
		{"a/1", nil},
		{"Ä", keys[14:]},
	} {
		if got := list(ctx, t, b, test.prefix); !slices.Equal(got, test.want) {
			t.Errorf("List(%q)\n  got  %q\n  want %q", test.prefix, got, test.want)
		}
	}
}

func testListStops(ctx context.Context, t *testing.T, b storage.Store) {
	for i := range 5 {
		put(ctx, t, b, fmt.Sprintf("dir/%d", i), "x")
	}
	n := 0
	for range b.List(ctx, "") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("the listing yielded %d objects, want 2", n)
	}
	// Deleting what is listed, while listing, is how folders are emptied.
	for o, err := range b.List(ctx, "dir") {
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Delete(ctx, o.Key); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(ctx, t, b, ""); got != nil {
		t.Errorf("after deleting all: %q", got)
	}
}
