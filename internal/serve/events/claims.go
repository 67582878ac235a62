package events

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Claims let one of several programs tell an event that all of them know, while the others
// wait. A program that has died keeps its claims until their time is over. *catalogue.Claims
// is one.
type Claims interface {
	// Claim claims something for a time, or for longer if it is held already. held is false
	// if another holder has it, or it is done.
	Claim(ctx context.Context, name string, hold time.Duration) (held, done bool, err error)
	// Release gives back what is held.
	Release(ctx context.Context, name string) error
	// Done notes that something is done. Nobody does it again while that is remembered.
	Done(ctx context.Context, name string, remember time.Duration) error
}

const (
	// claimFor is how long an event waits whose program has died while it told it. It is
	// claimed anew every renewEvery while an attempt lasts.
	claimFor   = 3 * time.Second
	renewEvery = time.Second
	// lookAgain is how soon it is looked again at an event that another program tells.
	lookAgain = 250 * time.Millisecond
	// claimTimeout bounds each use of the claims. Without them an event is told all the
	// same: perhaps twice, with the same id.
	claimTimeout = 2 * time.Second
)

// claimOf returns the name of the claim of an event. Receivers of one kind, name and address
// are the same one to all programs.
func (t *target) claimOf(id string) string { return "event/" + IDOf(t.kind, t.name, t.to) + "/" + id }

// claim claims an event. done says that another program has told it.
func (t *target) claim(ctx context.Context, id string) (held, done bool) {
	if t.s.o.Claims == nil {
		return true, false
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	held, done, err := t.s.o.Claims.Claim(ctx, t.claimOf(id), claimFor)
	if err != nil {
		t.s.log.Debug("an event is told without asking whether another program tells it", "target", t.name, "id", id, "error", err)
		return true, false
	}
	return held, done
}

// attempt sends an event that is claimed.
func (t *target) attempt(ctx context.Context, m message) answer {
	one, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if t.s.o.Claims == nil {
		return t.sender.send(one, m)
	}
	sent := make(chan struct{})
	var renewing sync.WaitGroup
	renewing.Go(func() { t.renew(one, m.id, sent) })
	a := t.sender.send(one, m)
	close(sent)
	renewing.Wait()
	t.unclaim(ctx, m.id, a.err == nil)
	return a
}

// renew holds a claim until the event is sent.
func (t *target) renew(ctx context.Context, id string, sent <-chan struct{}) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.claim(ctx, id)
		case <-sent:
			return
		case <-ctx.Done():
			return
		}
	}
}

// unclaim ends a claim: the event is told, or somebody else may try.
func (t *target) unclaim(ctx context.Context, id string, told bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	var err error
	if told {
		err = t.s.o.Claims.Done(ctx, t.claimOf(id), t.s.o.Keep)
	} else {
		err = t.s.o.Claims.Release(ctx, t.claimOf(id))
	}
	if err != nil {
		t.s.log.Debug("another program may tell an event once more", "target", t.name, "id", id, "error", err)
	}
}

// Place returns the place in a numbered list up to which its events were queued by Take; ok
// is false where there is none.
func (s *Service) Place(ctx context.Context, list string) (n int64, ok bool, err error) {
	q := s.queue.Load()
	if q == nil {
		return 0, false, nil
	}
	value, err := q.state(ctx, statePlace, list)
	if err != nil {
		return 0, false, fmt.Errorf("read events.file: %w", err)
	}
	n, err = strconv.ParseInt(value, 10, 64)
	return n, err == nil, nil
}

// Take queues events of a numbered list, and notes the place in it, both or none.
func (s *Service) Take(ctx context.Context, list string, n int64, events []Event) error {
	if s.closed.Load() || len(s.receivers()) == 0 {
		return nil
	}
	return s.commit(ctx, change{events: events, apply: func(tx *sql.Tx) error {
		return setState(s.life, tx, statePlace, list, strconv.FormatInt(n, 10))
	}})
}
