package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// deletion is one that has begun: the catalogue has hidden the recording.
type deletion struct {
	rec      media.Recording // of one that another process began: RecordDir only
	why      string
	attempts int
	due      time.Time // of the next attempt
	bytes    int64     // deleted so far
	objects  int
	claimed  time.Time // when it was claimed last
	waited   bool      // for another process, which may have ended it
}

// freed returns the bytes of the objects that were deleted so far.
func (d *deletion) freed(k *Keeper) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return d.bytes
}

// Delete deletes a recording. When it returns without an error, lists and readers do
// not find the recording any more. done tells whether its objects are gone too;
// otherwise they follow. The error is a fault.NotFound, a fault.Conflict for a
// recording that runs or is protected, or what storage and catalogue say. Then nothing
// was deleted.
func (k *Keeper) Delete(ctx context.Context, recordDir string) (done bool, err error) {
	if err := media.CheckPath(recordDir); err != nil {
		return false, err
	}
	d, err := k.begin(ctx, recordDir, "it was asked for")
	if err != nil {
		return false, err
	}
	// Whoever asked may leave: the deletion has begun all the same.
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return k.end(ctx, d) == nil, nil
}

// Deleting reports whether a recording is being deleted, so that nothing new may
// be written to its folder.
func (k *Keeper) Deleting(recordDir string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pending[recordDir] != nil
}

// begin hides a recording that may be deleted.
func (k *Keeper) begin(ctx context.Context, recordDir, why string) (*deletion, error) {
	unlock, err := k.lock(ctx, recordDir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rec, err := k.deletable(ctx, recordDir)
	if err != nil {
		return nil, err
	}
	d := &deletion{rec: rec, why: why}
	k.mu.Lock()
	k.pending[recordDir] = d
	k.mu.Unlock()
	if err := k.o.Catalogue.BeginDelete(ctx, recordDir); err != nil {
		k.mu.Lock()
		delete(k.pending, recordDir)
		k.mu.Unlock()
		// Should it have begun in spite of the error, Resume finds it.
		return nil, fmt.Errorf("delete recording %q: %w", recordDir, err)
	}
	k.o.Live.Forget(recordDir)
	return d, nil
}

// deletable returns the recording if it may be deleted.
func (k *Keeper) deletable(ctx context.Context, recordDir string) (media.Recording, error) {
	if rec, ok := k.o.Live.Running(recordDir); ok {
		if rec.Status == media.StatusRecording {
			return rec, fault.Errorf(fault.Conflict,
				"recording %q runs: stop it first, with DELETE /api/record/%s", recordDir, rec.Stream).Coded("recording_runs", "recording", recordDir)
		}
		if err := k.o.Live.Seal(recordDir); err != nil { // what is stored later would stay for ever
			return rec, fmt.Errorf("delete recording %q: %w", recordDir, err)
		}
	}
	rec, err := k.o.Catalogue.Get(ctx, recordDir)
	if err != nil {
		return rec, notFound(recordDir, err)
	}
	if rec.Status == media.StatusRecording {
		return rec, notHere(rec)
	}
	// The storage has the last word: the catalogue may be an old copy, or another
	// node's protection may not have reached it.
	stored, err := k.info(ctx, recordDir)
	if err == nil && stored.Protected && !rec.Protected {
		if err := k.o.Catalogue.Put(ctx, stored); err != nil {
			return rec, fmt.Errorf("delete recording %q: %w", recordDir, err)
		}
	}
	switch {
	case err == nil && stored.Status == media.StatusRecording:
		return rec, notHere(stored)
	case err == nil && stored.Protected, rec.Protected:
		return rec, fault.Errorf(fault.Conflict,
			`recording %q is protected: take the protection away first, with PATCH /api/recordings/%s and {"protected": false}`, recordDir, recordDir).Coded("recording_protected", "recording", recordDir)
	case err != nil && !errors.Is(err, storage.ErrNotFound) && fault.KindOf(err) != fault.Invalid:
		return rec, fmt.Errorf("delete recording %q: %w", recordDir, err)
	}
	return rec, nil
}

// end deletes the objects of a recording whose deletion has begun, and then what the
// catalogue still has of it. If that fails, the next attempt is due later.
func (k *Keeper) end(ctx context.Context, d *deletion) error {
	select {
	case k.removing <- struct{}{}:
	case <-ctx.Done():
		k.postpone(d, 0)
		return ctx.Err()
	}
	defer func() { <-k.removing }()
	dir := d.rec.RecordDir
	if k.gone(d) {
		return nil // somebody else was faster
	}
	err := k.claim(ctx, d)
	if errors.Is(err, errElsewhere) {
		d.waited = true
		k.postpone(d, retryMin)
		return err
	}
	if err == nil {
		err = k.carryOut(ctx, d)
		k.unclaim(ctx, d)
	}
	if errors.Is(err, errEnded) {
		k.drop(dir)
		return nil
	}
	log := k.log.With("stream", d.rec.Stream, "record_id", d.rec.RecordID, "record_dir", dir, "why", d.why, "bytes", d.bytes, "objects", d.objects)
	if err != nil {
		wait := min(retryMin<<min(d.attempts, 10), retryMax)
		d.attempts++
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && d.attempts == 1 {
			wait = 0 // only the request's time is over
			log.Info("deleting a recording goes on in the background")
		} else {
			log.Error("a recording is not deleted yet, will try again", "error", err, "in", wait)
		}
		k.postpone(d, wait)
		return err
	}
	k.drop(dir)
	log.Info("recording deleted")
	return nil
}

// carryOut deletes what is left of a recording, or returns errEnded.
func (k *Keeper) carryOut(ctx context.Context, d *deletion) error {
	if d.waited {
		dirs, err := k.o.Catalogue.Deleting(ctx)
		if err != nil {
			return err
		}
		if !slices.Contains(dirs, d.rec.RecordDir) {
			return errEnded
		}
	}
	if err := k.remove(ctx, d); err != nil {
		return err
	}
	return k.o.Catalogue.Delete(ctx, d.rec.RecordDir)
}

// drop forgets a deletion that has ended.
func (k *Keeper) drop(dir string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pending, dir)
}

// gone reports whether a deletion has ended.
func (k *Keeper) gone(d *deletion) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pending[d.rec.RecordDir] != d
}

// postpone makes the next attempt due after wait.
func (k *Keeper) postpone(d *deletion, wait time.Duration) {
	k.mu.Lock()
	d.due = k.o.Now().Add(wait)
	k.mu.Unlock()
	if wait == 0 {
		select {
		case k.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Resume goes on with deletions that the catalogue knows and no Keeper here does: of a
// process that died, or of another one that has stopped. Run does that too. Call Resume
// before anything is recorded, so that Deleting knows of them.
func (k *Keeper) Resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	dirs, err := k.o.Catalogue.Deleting(ctx)
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			k.log.Error("cannot look for unfinished deletions, will try again", "error", err)
		}
		return
	}
	for _, dir := range dirs {
		if k.resume(dir) {
			k.o.Live.Forget(dir)
		}
	}
}

// resume takes up the deletion of a recording, unless that goes on here already.
func (k *Keeper) resume(dir string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending[dir] != nil {
		return false
	}
	k.pending[dir] = &deletion{rec: media.Recording{RecordDir: dir}, why: "its deletion was interrupted"}
	return true
}

// endDue ends the deletions whose time has come.
func (k *Keeper) endDue(ctx context.Context) {
	now := k.o.Now()
	k.mu.Lock()
	var due []*deletion
	for _, d := range k.pending {
		if !d.due.After(now) {
			due = append(due, d)
		}
	}
	k.mu.Unlock()
	for _, d := range due {
		if ctx.Err() != nil {
			return
		}
		attempt, cancel := context.WithTimeout(ctx, removalTimeout)
		_ = k.end(attempt, d) // it has said so
		cancel()
	}
}
