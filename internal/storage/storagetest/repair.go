package storagetest

import (
	"context"
	"errors"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// testRepair: Repair cuts an object off. A store that uploads does not change what it
// does not have any more.
func testRepair(ctx context.Context, t *testing.T, b storage.Store) {
	put(ctx, t, b, "dir/torn", "whole chunk;torn ch")
	if b.Traits().Uploads && !b.Pending("dir/torn") {
		if err := b.Repair(ctx, "dir/torn", 12); fault.KindOf(err) != fault.Conflict {
			t.Errorf("Repair of what has been uploaded: error %v, want a fault.Conflict", err)
		}
		if err := b.Repair(ctx, "dir/torn", 19); err != nil {
			t.Errorf("Repair of what has been uploaded with that size: %v", err)
		}
		wantContent(ctx, t, b, "dir/torn", "whole chunk;torn ch")
		return
	}
	put(ctx, t, b, "dir/other", "other")
	for range 2 { // the second time it has that size
		if err := b.Repair(ctx, "dir/torn", 12); err != nil {
			t.Errorf("Repair: %v", err)
		}
		wantContent(ctx, t, b, "dir/torn", "whole chunk;")
	}
	wantContent(ctx, t, b, "dir/other", "other")
	if o, err := b.Stat(ctx, "dir/torn"); err != nil || o.Size != 12 {
		t.Errorf("Stat after Repair = %+v, %v; want size 12", o, err)
	}
	if err := b.Repair(ctx, "dir/torn", 13); err == nil {
		t.Error("Repair to more than there is: no error")
	}
	wantContent(ctx, t, b, "dir/torn", "whole chunk;")
	for _, key := range []string{"dir/none", "none/none", "dir"} {
		if err := b.Repair(ctx, key, 0); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Repair(%q): error %v, want ErrNotFound", key, err)
		}
	}
	for _, test := range []struct {
		key  string
		size int64
	}{{"dir/torn", -1}, {"../dir", 0}, {"", 0}} {
		if err := b.Repair(ctx, test.key, test.size); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Repair(%q, %d): error %v, want a fault.Invalid", test.key, test.size, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Repair(cancelled, "dir/torn", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Repair with a context that has ended: error %v", err)
	}
	wantContent(ctx, t, b, "dir/torn", "whole chunk;")
}
