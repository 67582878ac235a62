// Package retention deletes recordings, on request and by the policy of
// [recorder.retention], and protects them from deletion.
//
// A deletion begins in the catalogue, which from then on does not show the recording.
// Then its objects are deleted, in an order in which the rest is never taken for a
// recording. A deletion that storage refuses, or that a crash interrupts, is completed
// later.
package retention

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Catalogue is the list of recordings. *catalogue.DB is one.
type Catalogue interface {
	// Get returns a recording, or an error of fault.NotFound; also of one whose
	// deletion has begun.
	Get(ctx context.Context, recordDir string) (media.Recording, error)
	// Ended returns at most limit of the recordings that have ended, those that
	// ended first first, and by RecordDir where that is the same: those that
	// come after the given place. The zero time and "" is the beginning.
	Ended(ctx context.Context, after time.Time, afterDir string, limit int) ([]media.Recording, error)
	// Usage returns the sum of the Bytes of all recordings.
	Usage(ctx context.Context) (bytes int64, err error)
	// Put stores the newest state of a recording; of one whose deletion has
	// begun it changes nothing.
	Put(ctx context.Context, r media.Recording) error
	// BeginDelete hides a recording for good; a fault.NotFound if there is none.
	// Once more is no error.
	BeginDelete(ctx context.Context, recordDir string) error
	// Deleting returns what BeginDelete has hidden and Delete has not removed.
	Deleting(ctx context.Context) (recordDirs []string, err error)
	// Delete removes a recording; one that is not there is no error.
	Delete(ctx context.Context, recordDir string) error
}

// Live knows the recordings that run in this process.
type Live interface {
	// Running returns a recording that is not sealed for good yet, or of whose end
	// the catalogue has not been told.
	Running(recordDir string) (media.Recording, bool)
	// Protect sets or takes the protection of a recording that runs and returns
	// it; ok is false if it does not run here.
	Protect(recordDir string, protected bool) (rec media.Recording, ok bool, err error)
	// Seal waits until a recording that runs no more is sealed for good and the
	// catalogue has been told; an error says who does not take the rest.
	Seal(recordDir string) error
	// Forget lets go of a recording that has ended and is being deleted: nothing of
	// it is written any more.
	Forget(recordDir string)
}

// Claims let one of several processes do something while the others wait. A process that
// has died keeps its claims until their time is over. *catalogue.Claims is one.
type Claims interface {
	// Claim claims something for a time, or for longer if it is held already. held is false
	// if another process has it.
	Claim(ctx context.Context, name string, hold time.Duration) (held, done bool, err error)
	// Release gives back what is held.
	Release(ctx context.Context, name string) error
}

// Options configure New. Backend and Catalogue are needed.
type Options struct {
	Backend   storage.Backend
	Catalogue Catalogue
	Live      Live   // nil where nothing is recorded
	Claims    Claims // of all processes that use the catalogue; nil: this one is alone

	Policy // which SetPolicy replaces
	// Free returns the free bytes of the disk that recordings are on; needed for
	// Policy.MinFree only.
	Free func() (int64, error)

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means slog.Default()
}

const (
	defaultCheck = time.Minute

	// storeTimeout bounds one call of the storage or of the catalogue.
	storeTimeout = 30 * time.Second
	// grace is how long a request to delete waits for the objects to be gone.
	grace = 10 * time.Second
	// removalTimeout bounds one attempt to delete the objects of a recording, of
	// which a day has some 30,000. What is left is for the next attempt.
	removalTimeout = 15 * time.Minute
	// retryMin and retryMax bound the wait before a deletion is tried again; it
	// doubles with each attempt.
	retryMin = 10 * time.Second
	retryMax = 5 * time.Minute
	// claimFor is how long nobody goes on with a deletion whose process has died. It is
	// claimed anew every renewEvery, before the next object.
	claimFor   = 2 * time.Minute
	renewEvery = 20 * time.Second
)

// Keeper decides how long recordings are kept. Safe for concurrent use.
type Keeper struct {
	o   Options
	log *slog.Logger

	removing chan struct{} // capacity 1: held by who deletes objects
	wake     chan struct{} // capacity 1: a deletion is due
	changed  chan struct{} // capacity 1: there is another policy
	policy   atomic.Pointer[Policy]

	mu      sync.Mutex
	pending map[string]*deletion     // by record_dir: begun and not ended
	busy    map[string]chan struct{} // by record_dir: closed when it is free again
	unmet   string                   // what the policy asked for and did not get, when last logged
}

// New returns a Keeper; it does nothing by itself before Run.
func New(o Options) (*Keeper, error) {
	if o.Backend == nil || o.Catalogue == nil {
		return nil, errors.New("retention: Backend and Catalogue are needed")
	}
	if o.Live == nil {
		o.Live = nothingLive{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	k := &Keeper{
		o: o, log: o.Logger, removing: make(chan struct{}, 1), wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		pending: map[string]*deletion{}, busy: map[string]chan struct{}{},
	}
	err := k.SetPolicy(o.Policy)
	return k, err
}

type nothingLive struct{}

func (nothingLive) Running(string) (media.Recording, bool) { return media.Recording{}, false }
func (nothingLive) Seal(string) error                      { return nil }
func (nothingLive) Forget(string)                          {}
func (nothingLive) Protect(string, bool) (media.Recording, bool, error) {
	return media.Recording{}, false, nil
}

// Run applies the policy and ends deletions until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	check, retry := time.NewTicker(time.Hour), time.NewTicker(time.Hour)
	defer check.Stop()
	defer retry.Stop()
	k.setPace(check, retry)
	k.Resume(ctx)
	k.Apply(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
			k.endDue(ctx)
		case <-retry.C:
			k.endDue(ctx)
		case <-k.changed:
			k.setPace(check, retry)
			k.Apply(ctx)
		case <-check.C:
			k.Resume(ctx) // also what another process has left
			k.Apply(ctx)
		}
	}
}

// Recording returns a recording as of now, or a fault.NotFound.
func (k *Keeper) Recording(ctx context.Context, recordDir string) (media.Recording, error) {
	if err := media.CheckPath(recordDir); err != nil {
		return media.Recording{}, err
	}
	if rec, ok := k.o.Live.Running(recordDir); ok {
		return rec, nil
	}
	rec, err := k.o.Catalogue.Get(ctx, recordDir)
	if err != nil {
		return media.Recording{}, notFound(recordDir, err)
	}
	return rec, nil
}

// lock waits until nobody else works on the recording, and keeps others out until
// unlock.
func (k *Keeper) lock(ctx context.Context, recordDir string) (unlock func(), err error) {
	for {
		k.mu.Lock()
		busy, taken := k.busy[recordDir]
		if !taken {
			mine := make(chan struct{})
			k.busy[recordDir] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.busy, recordDir)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
