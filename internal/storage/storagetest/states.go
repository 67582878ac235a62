package storagetest

import (
	"context"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// testClasses: what may be replaced is, whether Put or Create made it; what claims a
// folder is there once.
func testClasses(ctx context.Context, t *testing.T, b storage.Store) {
	for _, test := range []struct {
		key   string
		class storage.Class
	}{
		{"cam/1/v_seg_0001.m4s", storage.Media}, {"cam/1/manifest.mpd", storage.Manifest},
		{"cam/1/video.m3u8", storage.Manifest}, {"cam/1/recording.json", storage.Info},
	} {
		key, class := test.key, test.class
		put(ctx, t, b, "put/"+key, "first")
		f := create(ctx, t, b, key)
		if _, err := f.Write([]byte("first")); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if err := b.Claimed(ctx, key); err != nil {
			t.Errorf("Claimed(%q) of what was created here: %v", key, err)
		}
		testExclusive(ctx, t, b, key)
		if err := add(ctx, b, "add/"+key, "first"); err != nil {
			t.Errorf("Add(%q): %v", key, err)
		}
		WantExists(t, add(ctx, b, "add/"+key, "second"))
		wantContent(ctx, t, b, "add/"+key, "first")
		o, err := b.Stat(ctx, key)
		if err != nil || o.Class() != class {
			t.Errorf("%q is %v, %v; want %v", key, o.Class(), err, class)
		}
		if class == storage.Media {
			continue
		}
		for _, content := range []string{"second", "third, which is longer"} {
			put(ctx, t, b, key, content)
			wantContent(ctx, t, b, key, content)
			put(ctx, t, b, "put/"+key, content)
			wantContent(ctx, t, b, "put/"+key, content)
		}
	}
}

// testPending: only a store that uploads has anything pending.
func testPending(ctx context.Context, t *testing.T, b storage.Store) {
	f := create(ctx, t, b, "dir/seg")
	if uploads := b.Traits().Uploads; b.Pending("dir/seg") != uploads {
		t.Errorf("Pending of what is being written is %v in a store that uploads: %v", b.Pending("dir/seg"), uploads)
	}
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	for _, key := range []string{"dir/none", "dir", ""} {
		if b.Pending(key) {
			t.Errorf("Pending(%q), which is no object", key)
		}
	}
	for _, folder := range []string{"dir", "none", ""} {
		if lost := b.Lost(folder); lost != nil {
			t.Errorf("Lost(%q) = %q of what nobody has removed", folder, lost)
		}
	}
	if err := b.Claimed(ctx, "dir/seg"); err != nil {
		t.Errorf("Claimed: %v", err)
	}
	if err := b.Delete(ctx, "dir/seg"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if b.Pending("dir/seg") {
		t.Error("what was deleted is pending")
	}
}

// testHold: what is held can be used, and stays on this machine.
func testHold(ctx context.Context, t *testing.T, b storage.Store) {
	b.Hold("none")
	f := create(ctx, t, b, "held/open")
	b.Hold("held")
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	put(ctx, t, b, "held/later", "content")
	put(ctx, t, b, "other/object", "content") // which may be uploaded
	for _, key := range []string{"held/open", "held/later"} {
		if uploads := b.Traits().Uploads; b.Pending(key) != uploads {
			t.Errorf("Pending(%q) is %v in a store that uploads: %v", key, b.Pending(key), uploads)
		}
	}
	wantContent(ctx, t, b, "held/later", "content")
	if err := b.Delete(ctx, "held/later"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	wantMissing(ctx, t, b, "held/later")
}
