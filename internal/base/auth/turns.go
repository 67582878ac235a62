package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// maxQueued bounds those who wait for a password to be hashed. One hash is made at a
// time: each takes its memory and a processor.
const maxQueued = 64

// turns gives everybody a turn, one at a time, and to each source as often as to any
// other: one that asks for many takes none away from the others. Safe for concurrent use.
type turns struct {
	most int

	mu      sync.Mutex
	busy    bool
	waiting map[string][]*turn // by source, the first one first
	order   []string           // the sources that wait, whose turn is next first
	count   int                // of all who wait
}

// turn is somebody who waits.
type turn struct {
	source string
	ready  chan error // gets nil when it is its turn, an error when it lost its place
}

func newTurns(most int) *turns { return &turns{most: most, waiting: make(map[string][]*turn)} }

// take waits for a turn, which ends with done. The error is ErrBusy where too many wait.
func (q *turns) take(ctx context.Context, source string) (done func(), err error) {
	w, err := q.enter(source)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return q.next, nil
	}
	select {
	case err := <-w.ready:
		if err != nil {
			return nil, err
		}
		return q.next, nil
	case <-ctx.Done():
	}
	if !q.leave(w) && <-w.ready == nil {
		q.next() // it was given a turn meanwhile
	}
	return nil, fmt.Errorf("wait to check a password: %w", ctx.Err())
}

// enter returns nil if it is the source's turn at once, or a place in the queue. If the
// queue is full, the source with the most places loses its last one, if it has more
// than the other would then have.
func (q *turns) enter(source string) (*turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.busy {
		q.busy = true
		return nil, nil //nolint:nilnil // see above
	}
	if q.count >= q.most {
		greedy := slices.MaxFunc(q.order, func(a, b string) int { return len(q.waiting[a]) - len(q.waiting[b]) })
		places := q.waiting[greedy]
		if len(places) <= len(q.waiting[source])+1 {
			return nil, ErrBusy
		}
		last := places[len(places)-1]
		q.remove(last)
		last.ready <- ErrBusy
	}
	w := &turn{source: source, ready: make(chan error, 1)}
	if len(q.waiting[source]) == 0 {
		q.order = append(q.order, source)
	}
	q.waiting[source] = append(q.waiting[source], w)
	q.count++
	return w, nil
}

// next ends a turn and gives the next one out.
func (q *turns) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		q.busy = false
		return
	}
	w := q.waiting[q.order[0]][0]
	q.order = append(q.order[1:], w.source)
	q.remove(w)
	w.ready <- nil
}

// leave gives up a place; false where it has come to its end already.
func (q *turns) leave(w *turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remove(w)
}

// remove takes w out of the queue.
func (q *turns) remove(w *turn) bool {
	places := q.waiting[w.source]
	i := slices.Index(places, w)
	if i < 0 {
		return false
	}
	q.count--
	if places = slices.Delete(places, i, i+1); len(places) > 0 {
		q.waiting[w.source] = places
		return true
	}
	delete(q.waiting, w.source)
	q.order = slices.DeleteFunc(q.order, func(s string) bool { return s == w.source })
	return true
}
