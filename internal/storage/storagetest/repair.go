package storagetest

import (
	"context"
	"errors"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// testRepairer holds a backend that is a storage.Repairer against that contract.
func testRepairer(ctx context.Context, t *testing.T, b storage.Backend) {
	r, ok := b.(storage.Repairer)
	if !ok {
		return
	}
	put(ctx, t, b, "dir/torn", "whole chunk;torn ch")
	put(ctx, t, b, "dir/other", "other")
	for range 2 { // the second time it has that size
		if err := r.Repair(ctx, "dir/torn", 12); err != nil {
			t.Errorf("Repair: %v", err)
		}
		wantContent(ctx, t, b, "dir/torn", "whole chunk;")
	}
	wantContent(ctx, t, b, "dir/other", "other")
	if o, err := b.Stat(ctx, "dir/torn"); err != nil || o.Size != 12 {
		t.Errorf("Stat after Repair = %+v, %v; want size 12", o, err)
	}
	if err := r.Repair(ctx, "dir/torn", 13); err == nil {
		t.Error("Repair to more than there is: no error")
	}
	wantContent(ctx, t, b, "dir/torn", "whole chunk;")
	for _, key := range []string{"dir/none", "none/none", "dir"} {
		if err := r.Repair(ctx, key, 0); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("Repair(%q): error %v, want ErrNotFound", key, err)
		}
	}
	for _, test := range []struct {
		key  string
		size int64
	}{{"dir/torn", -1}, {"../dir", 0}, {"", 0}} {
		if err := r.Repair(ctx, test.key, test.size); fault.KindOf(err) != fault.Invalid {
			t.Errorf("Repair(%q, %d): error %v, want a fault.Invalid", test.key, test.size, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.Repair(cancelled, "dir/torn", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Repair with a context that has ended: error %v", err)
	}
	wantContent(ctx, t, b, "dir/torn", "whole chunk;")
}
