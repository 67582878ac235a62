package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// pageSize is how many recordings are asked of the catalogue at a time.
	pageSize = 200
	// maxFailures ends a round in which storage fails so often in a row: what
	// else would be deleted may be nobody's fault but storage's.
	maxFailures = 3
)

// Policy says how long recordings are kept; 0 means that there is no bound.
type Policy struct {
	MaxAge   time.Duration // how long after their end recordings are kept
	MaxBytes int64         // that all recordings may have together
	MinFree  int64         // bytes of the disk that stay free
	// Check is how often the policy is applied; 0 means a minute.
	Check time.Duration
}

// SetPolicy replaces the policy. A Keeper that runs applies it at once.
func (k *Keeper) SetPolicy(p Policy) error {
	if p.MinFree > 0 && k.o.Free == nil {
		return errors.New("retention: MinFree needs Free")
	}
	if p.Check <= 0 {
		p.Check = defaultCheck
	}
	k.policy.Store(&p)
	select {
	case k.changed <- struct{}{}:
	default: // it has not seen the one before yet
	}
	return nil
}

// setPace sets how often the policy is applied, and deletions are tried again.
func (k *Keeper) setPace(check, retry *time.Ticker) {
	every := k.policy.Load().Check
	check.Reset(every)
	retry.Reset(min(every, retryMin))
}

// excess is by how much the policy is not met.
type excess struct {
	before time.Time // what ended before is too old; zero: nothing is
	over   int64     // bytes of recordings that are too many
	short  int64     // bytes of the disk that are to become free
}

// reason says why a recording goes, or "" where it stays, and all that ended
// later do.
func (e *excess) reason(rec media.Recording, o *Policy) string {
	switch {
	case rec.End.Before(e.before):
		return fmt.Sprintf("it ended more than %v ago (recorder.retention.max_age_hours)", o.MaxAge)
	case e.over > 0:
		return fmt.Sprintf("recordings have more than %d bytes (recorder.retention.max_bytes)", o.MaxBytes)
	case e.short > 0:
		return fmt.Sprintf("less than %d bytes of the disk are free (recorder.retention.min_free_bytes)", o.MinFree)
	}
	return ""
}

// Apply applies the policy once: it deletes recordings, those that ended first first,
// until the policy is met. Recordings that run or are protected stay. Errors are
// logged.
func (k *Keeper) Apply(ctx context.Context) {
	k.endDue(ctx)
	p := k.policy.Load()
	if p.MaxAge <= 0 && p.MaxBytes <= 0 && p.MinFree <= 0 {
		return
	}
	e, err := k.measure(ctx, p)
	if err == nil {
		err = k.delete(ctx, &e, p)
	}
	if err != nil {
		if ctx.Err() == nil {
			k.log.Error("retention was not applied to all recordings, will try again", "error", err)
		}
		return
	}
	k.report(&e)
}

// measure finds out by how much the policy is not met.
func (k *Keeper) measure(ctx context.Context, p *Policy) (excess, error) {
	var e excess
	if p.MaxAge > 0 {
		e.before = k.o.Now().Add(-p.MaxAge)
	}
	if p.MaxBytes > 0 {
		used, err := k.o.Catalogue.Usage(ctx)
		if err != nil {
			return e, err
		}
		e.over = used - p.MaxBytes
	}
	if p.MinFree > 0 {
		free, err := k.o.Free()
		if err != nil {
			return e, fmt.Errorf("look how much of the disk is free: %w", err)
		}
		// What is being deleted becomes free without another recording going.
		e.short = p.MinFree - free - k.unfinished()
	}
	return e, nil
}

// unfinished returns the bytes that deletions have begun to free.
func (k *Keeper) unfinished() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var bytes int64
	for _, d := range k.pending {
		bytes += max(d.rec.Bytes-d.bytes, 0)
	}
	return bytes
}

// delete deletes recordings until e is met or there are no more.
func (k *Keeper) delete(ctx context.Context, e *excess, p *Policy) error {
	var after time.Time
	afterDir, failures := "", 0
	for {
		page, err := k.o.Catalogue.Ended(ctx, after, afterDir, pageSize)
		if err != nil {
			return err
		}
		for _, rec := range page {
			if rec.End == nil {
				continue
			}
			after, afterDir = *rec.End, rec.RecordDir
			why := e.reason(rec, p)
			if why == "" {
				return nil
			}
			d, err := k.deleteFor(ctx, rec, why)
			if d != nil { // begun: it counts as gone, also where the rest of it takes until later
				e.over -= rec.Bytes
				e.short -= max(rec.Bytes, d.freed(k))
			}
			if err == nil {
				failures = 0
				continue
			}
			if failures++; failures == maxFailures || ctx.Err() != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// deleteFor deletes a recording. The deletion is nil where it has not begun,
// without an error where it must not.
func (k *Keeper) deleteFor(ctx context.Context, rec media.Recording, why string) (*deletion, error) {
	if rec.Protected {
		return nil, nil //nolint:nilnil // see above
	}
	d, err := k.begin(ctx, rec.RecordDir, why)
	switch fault.KindOf(err) {
	case fault.Conflict, fault.NotFound:
		return nil, nil //nolint:nilnil // it runs, has been protected just now, or somebody else deletes it
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	return d, k.end(ctx, d)
}

// report logs that the policy cannot be met, once for as long as that is so.
func (k *Keeper) report(e *excess) {
	unmet := ""
	switch {
	case e.over > 0:
		unmet = "recorder.retention.max_bytes"
	case e.short > 0:
		unmet = "recorder.retention.min_free_bytes"
	}
	k.mu.Lock()
	before := k.unmet
	k.unmet = unmet
	k.mu.Unlock()
	switch unmet {
	case before:
	case "":
		k.log.Info("retention is met again", "option", before)
	default:
		k.log.Warn("retention cannot be met: every recording that is left is being recorded or protected",
			"option", unmet, "bytes_over", max(e.over, 0), "bytes_short", max(e.short, 0))
	}
}
