package spool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// asker asks the remote for objects.
type asker struct {
	remote Remote
	tune   *tuning

	mu      sync.Mutex
	silence silence
}

// silence remembers that the remote does not answer questions. While it lasts nobody
// waits for the remote: recordings begin, recoveries go on, and players are refused at
// once.
type silence struct {
	failures int // in a row
	until    time.Time
	last     error
}

// stat asks the remote for an object, and waits no longer than timeout. An error is a
// fault.Unavailable, unless it is storage.ErrNotFound or the caller's own.
func (a *asker) stat(ctx context.Context, key string, timeout time.Duration) (storage.Object, error) {
	a.mu.Lock()
	q := a.silence
	a.mu.Unlock()
	if q.failures >= a.tune.unanswered && time.Now().Before(q.until) {
		return storage.Object{}, fault.Errorf(fault.Unavailable, "stat object %q: remote storage does not answer: %w", key, q.last)
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o, err := a.remote.Stat(asking, key)
	switch {
	case err != nil && ctx.Err() != nil:
		return o, err
	case err == nil, errors.Is(err, storage.ErrNotFound), fault.KindOf(err) == fault.Invalid:
		a.mu.Lock()
		a.silence = silence{}
		a.mu.Unlock()
		return o, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silence = silence{failures: a.silence.failures + 1, until: time.Now().Add(a.tune.silence), last: err}
	if fault.KindOf(err) != fault.Unavailable {
		err = fault.Wrap(fault.Unavailable, err)
	}
	return o, err
}
