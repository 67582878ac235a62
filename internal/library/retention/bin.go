package retention

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// MaxWaiting is how many deletions a list of a Bin has at once.
	MaxWaiting = 10_000
	// lookEvery is how often a Bin looks at its list, where others may add something.
	lookEvery = 2 * time.Second
	// deleteFor bounds one deletion, and holdFor is how long nobody goes on with one whose
	// process has died.
	deleteFor = 50 * time.Second
	holdFor   = time.Minute
	// againAfter is when a deletion is tried again whose node or storage is away.
	againAfter = time.Minute
)

// Waiting is the list of the deletions that wait. It outlives the process, and several
// processes may use it. *catalogue.DB is one.
type Waiting interface {
	// AddDeletion notes a deletion, unless that is noted already, and returns what is noted.
	// ok is false where so many wait that it is not.
	AddDeletion(ctx context.Context, recordDir, stream string, grace time.Duration, most int) (d media.Deletion, ok bool, err error)
	// DropDeletion takes a deletion back that has not begun; ok is false where there is none.
	DropDeletion(ctx context.Context, recordDir string) (ok bool, err error)
	// Deletions returns what waits and has not begun, the next first.
	Deletions(ctx context.Context) ([]media.Deletion, error)
	// NextDeletion returns when TakeDeletion may have something; ok is false for never.
	NextDeletion(ctx context.Context) (in time.Duration, ok bool, err error)
	// TakeDeletion begins a deletion that is due. For a time nobody else begins it.
	TakeDeletion(ctx context.Context, hold time.Duration) (d media.Deletion, ok bool, err error)
	// EndDeletion forgets a deletion, or with again has it wait for that long once more.
	EndDeletion(ctx context.Context, recordDir string, again time.Duration) error
}

// BinOptions configure NewBin. List, Recording and Delete are needed.
type BinOptions struct {
	List Waiting
	// Recording returns a recording as of now, or a fault.NotFound.
	Recording func(ctx context.Context, recordDir string) (media.Recording, error)
	// Delete deletes a recording, as Keeper.Delete does.
	Delete func(ctx context.Context, recordDir string) (done bool, err error)

	Logger *slog.Logger // nil means slog.Default()
}

// Bin has the deletions that wait for a while, so that they can be taken back: nothing of
// such a recording is deleted or hidden. What waits when the process ends is deleted by
// another one that has the same list, or after the next start. Safe for concurrent use.
type Bin struct {
	o    BinOptions
	log  *slog.Logger
	wake chan struct{} // capacity 1: something is new
}

// NewBin returns a Bin; it deletes nothing before Run.
func NewBin(o BinOptions) (*Bin, error) {
	if o.List == nil || o.Recording == nil || o.Delete == nil {
		return nil, errors.New("retention: List, Recording and Delete are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Bin{o: o, log: o.Logger, wake: make(chan struct{}, 1)}, nil
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
	d, ok, err := b.o.List.AddDeletion(ctx, recordDir, rec.Stream, grace, MaxWaiting)
	if err != nil {
		return media.Deletion{}, err
	}
	if !ok {
		return media.Deletion{}, fault.Errorf(fault.TooMany, "%d deletions wait already: try again when they have begun", MaxWaiting).Coded("deletions_full", "most", MaxWaiting)
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return d, nil
}

// Undelete takes a deletion back and returns the recording. The error is a fault.Conflict
// if it has begun, or nobody has asked for it.
func (b *Bin) Undelete(ctx context.Context, recordDir string) (media.Recording, error) {
	ok, err := b.o.List.DropDeletion(ctx, recordDir)
	if err != nil {
		return media.Recording{}, err
	}
	rec, err := b.o.Recording(ctx, recordDir)
	if err == nil && !ok {
		err = fault.Errorf(fault.Conflict, "recording %q is not about to be deleted: nobody has asked for it, or it has begun", recordDir).Coded("deletion_begun", "recording", recordDir)
	}
	return rec, err
}

// Deletions returns what waits, the next first.
func (b *Bin) Deletions(ctx context.Context) ([]media.Deletion, error) {
	return b.o.List.Deletions(ctx)
}

// Run deletes what has waited for long enough until ctx ends.
func (b *Bin) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var news fault.News
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		pause, err := b.deleteDue(ctx)
		if ctx.Err() == nil && news.Has(err) {
			b.log.Warn("deletions wait: the list of them cannot be used, will try again", "error", err)
		}
		timer.Reset(pause)
	}
}

// deleteDue deletes what has waited for long enough, and returns how long to wait before
// the next look.
func (b *Bin) deleteDue(ctx context.Context) (pause time.Duration, err error) {
	for ctx.Err() == nil {
		in, ok, err := b.o.List.NextDeletion(ctx)
		if err != nil || !ok {
			return lookEvery, err
		}
		if in > 0 {
			return min(in, lookEvery), nil
		}
		d, ok, err := b.o.List.TakeDeletion(ctx, holdFor)
		if err != nil {
			return lookEvery, err
		}
		if !ok { // another process was faster
			return lookEvery / 10, nil
		}
		if err := b.delete(ctx, d); err != nil {
			return lookEvery, err
		}
	}
	return lookEvery, nil
}

// delete carries a deletion out. Nobody is there any more to hear of an error. If the process
// ends meanwhile, it goes on later.
func (b *Bin) delete(ctx context.Context, d media.Deletion) error {
	one, cancel := context.WithTimeout(ctx, deleteFor)
	_, err := b.o.Delete(one, d.RecordDir)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var again time.Duration
	switch kind := fault.KindOf(err); {
	case err == nil || kind == fault.NotFound: // another process had begun it
	case kind == fault.Unavailable || errors.Is(err, context.DeadlineExceeded):
		again = againAfter
		b.log.Warn("a recording is not deleted yet after its time to take that back, will try again", "record_dir", d.RecordDir, "in", again, "error", err)
	default:
		b.log.Error("a recording was not deleted after its time to take that back", "record_dir", d.RecordDir, "error", err)
	}
	return b.o.List.EndDeletion(ctx, d.RecordDir, again)
}
