package retention

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// MaxWaiting is how many deletions a Bin has at once.
const MaxWaiting = 10_000

// BinOptions configure NewBin. Recording and Delete are needed.
type BinOptions struct {
	// Recording returns a recording as of now, or a fault.NotFound.
	Recording func(ctx context.Context, recordDir string) (media.Recording, error)
	// Delete deletes a recording, as Keeper.Delete does.
	Delete func(ctx context.Context, recordDir string) (done bool, err error)

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means slog.Default()
}

// Bin has the deletions that wait for a while, so that they can be taken back: nothing of
// such a recording is deleted or hidden. What waits when the process ends is not deleted.
// Safe for concurrent use.
type Bin struct {
	o    BinOptions
	log  *slog.Logger
	wake chan struct{} // capacity 1: something is new

	mu      sync.Mutex
	waiting map[string]media.Deletion // by record_dir
}

// NewBin returns an empty Bin; it deletes nothing before Run.
func NewBin(o BinOptions) (*Bin, error) {
	if o.Recording == nil || o.Delete == nil {
		return nil, errors.New("retention: Recording and Delete are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Bin{o: o, log: o.Logger, wake: make(chan struct{}, 1), waiting: map[string]media.Deletion{}}, nil
}

// DeleteLater deletes a recording after a while, and returns when that is. The error is a
// fault.NotFound, or a fault.Conflict for a recording that runs or is protected. Asking
// again changes nothing.
func (b *Bin) DeleteLater(ctx context.Context, recordDir string, grace time.Duration) (media.Deletion, error) {
	rec, err := b.o.Recording(ctx, recordDir)
	switch {
	case err != nil:
		return media.Deletion{}, err
	case rec.Status == media.StatusRecording:
		return media.Deletion{}, fault.Errorf(fault.Conflict, "recording %q runs: stop it first, with DELETE /api/record/%s", recordDir, rec.Stream).Coded("recording_runs", "recording", recordDir)
	case rec.Protected:
		return media.Deletion{}, fault.Errorf(fault.Conflict,
			`recording %q is protected: take the protection away first, with PATCH /api/recordings/%s and {"protected": false}`, recordDir, recordDir).Coded("recording_protected", "recording", recordDir)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if w, ok := b.waiting[recordDir]; ok {
		return w, nil
	}
	if len(b.waiting) >= MaxWaiting {
		return media.Deletion{}, fault.Errorf(fault.TooMany, "%d deletions wait already: try again when they have begun", MaxWaiting).Coded("deletions_full", "most", MaxWaiting)
	}
	w := media.Deletion{RecordDir: recordDir, Stream: rec.Stream, At: b.o.Now().Add(grace).UTC()}
	b.waiting[recordDir] = w
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return w, nil
}

// Undelete takes a deletion back and returns the recording. The error is a fault.Conflict
// if it has begun, or nobody has asked for it.
func (b *Bin) Undelete(ctx context.Context, recordDir string) (media.Recording, error) {
	b.mu.Lock()
	_, ok := b.waiting[recordDir]
	delete(b.waiting, recordDir)
	b.mu.Unlock()
	rec, err := b.o.Recording(ctx, recordDir)
	if err == nil && !ok {
		err = fault.Errorf(fault.Conflict, "recording %q is not about to be deleted: nobody has asked for it, or it has begun", recordDir).Coded("deletion_begun", "recording", recordDir)
	}
	return rec, err
}

// Deletions returns what waits, the next first.
func (b *Bin) Deletions() []media.Deletion {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]media.Deletion, 0, len(b.waiting))
	for _, w := range b.waiting {
		list = append(list, w)
	}
	slices.SortFunc(list, func(x, y media.Deletion) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.RecordDir, y.RecordDir))
	})
	return list
}

// Run deletes what has waited for long enough until ctx ends.
func (b *Bin) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next, ok := b.next(); ok {
			timer.Reset(max(0, next.At.Sub(b.o.Now())))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			if n := len(b.Deletions()); n > 0 {
				b.log.Warn("recordings that were about to be deleted stay: the process ends", "recordings", n)
			}
			return
		case <-b.wake:
		case <-timer.C:
			b.deleteDue(ctx)
		}
	}
}

// next returns what is deleted next.
func (b *Bin) next() (w media.Deletion, ok bool) {
	if list := b.Deletions(); len(list) > 0 {
		return list[0], true
	}
	return w, false
}

// deleteDue deletes what has waited for long enough. Nobody is there any more to hear of
// an error.
func (b *Bin) deleteDue(ctx context.Context) {
	for _, w := range b.Deletions() {
		if w.At.After(b.o.Now()) || ctx.Err() != nil {
			return
		}
		b.mu.Lock()
		_, ok := b.waiting[w.RecordDir]
		delete(b.waiting, w.RecordDir)
		b.mu.Unlock()
		if !ok {
			continue // taken back meanwhile
		}
		if _, err := b.o.Delete(ctx, w.RecordDir); err != nil && fault.KindOf(err) != fault.NotFound {
			b.log.Error("a recording was not deleted after its time to take that back", "record_dir", w.RecordDir, "error", err)
		}
	}
}
