package retention

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

var (
	errElsewhere = fault.New(fault.Unavailable, "another process deletes the recording just now")
	// errEnded says that another process has ended a deletion.
	errEnded = fault.New(fault.NotFound, "another process has deleted the recording")
)

// claim keeps other processes from a deletion while this one carries it out: of two that do,
// one would fail on what the other has deleted.
func (k *Keeper) claim(ctx context.Context, d *deletion) error {
	if k.o.Claims == nil {
		return nil
	}
	held, _, err := k.o.Claims.Claim(ctx, claimOf(d), claimFor)
	if err == nil && !held {
		err = errElsewhere
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	d.claimed = time.Now()
	k.mu.Unlock()
	return nil
}

// renew claims a deletion anew where that is due.
func (k *Keeper) renew(ctx context.Context, d *deletion) error {
	k.mu.Lock()
	due := k.o.Claims != nil && time.Since(d.claimed) >= renewEvery
	if due {
		d.claimed = time.Now() // the other workers need not do it
	}
	k.mu.Unlock()
	if !due {
		return nil
	}
	return k.claim(ctx, d)
}

// unclaim lets others go on with a deletion that is not ended.
func (k *Keeper) unclaim(ctx context.Context, d *deletion) {
	if k.o.Claims == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := k.o.Claims.Release(ctx, claimOf(d)); err != nil {
		k.log.Debug("other processes have to wait before they go on with a deletion", "record_dir", d.rec.RecordDir, "error", err)
	}
}

func claimOf(d *deletion) string { return "deletion/" + d.rec.RecordDir }
