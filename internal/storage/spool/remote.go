package spool

import (
	"context"
	"errors"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// silence remembers that the remote does not answer questions. While it lasts nobody
// waits for the remote: recordings begin, recoveries go on, and players are refused at
// once. Guarded by Spool.mu.
type silence struct {
	failures int // in a row
	until    time.Time
	last     error
}

// statRemote asks the remote for an object, and waits no longer than timeout. An error
// is a fault.Unavailable, unless it is storage.ErrNotFound or the caller's own.
func (s *Spool) statRemote(ctx context.Context, key string, timeout time.Duration) (storage.Object, error) {
	s.mu.Lock()
	q := s.silence
	s.mu.Unlock()
	if q.failures >= s.tune.unanswered && time.Now().Before(q.until) {
		return storage.Object{}, fault.Errorf(fault.Unavailable, "stat object %q: remote storage does not answer: %w", key, q.last)
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	o, err := s.o.Remote.Stat(asking, key)
	switch {
	case err != nil && ctx.Err() != nil:
		return o, err
	case err == nil, errors.Is(err, storage.ErrNotFound), fault.KindOf(err) == fault.Invalid:
		s.mu.Lock()
		s.silence = silence{}
		s.mu.Unlock()
		return o, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silence = silence{failures: s.silence.failures + 1, until: time.Now().Add(s.tune.silence), last: err}
	if fault.KindOf(err) != fault.Unavailable {
		err = fault.Wrap(fault.Unavailable, err)
	}
	return o, err
}
