package auth

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
)

// TestTurnsAreFair: a source that asks for all turns gets its share.
func TestTurnsAreFair(t *testing.T) {
	q := newTurns(8)
	if w, err := q.enter("flood"); w != nil || err != nil {
		t.Fatalf("%v, %v", w, err)
	}
	enter := func(source string) *turn {
		t.Helper()
		w, err := q.enter(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		return w
	}
	var flood []*turn
	for range 8 {
		flood = append(flood, enter("flood"))
	}
	if _, err := q.enter("flood"); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of the same: %v", err)
	}
	others := []*turn{enter("anna"), enter("ben")}
	for _, w := range flood[6:] { // they have made room
		if err := <-w.ready; !errors.Is(err, ErrBusy) {
			t.Errorf("who lost a place gets %v", err)
		}
	}
	for i, w := range []*turn{flood[0], others[0], others[1], flood[1], flood[2]} {
		select {
		case <-w.ready:
			t.Fatalf("turn %d comes too early", i)
		default:
		}
		q.next()
		if err := <-w.ready; err != nil {
			t.Errorf("turn %d: %v", i, err)
		}
	}
	if !q.leave(flood[3]) || q.leave(flood[3]) || q.leave(flood[2]) {
		t.Error("who waits can leave, once")
	}
	for range 3 { // flood[4], flood[5], nobody
		q.next()
	}
	if q.busy || q.count != 0 || len(q.order) != 0 || len(q.waiting) != 0 {
		t.Errorf("at the end: %+v", q)
	}
}

// TestTurnsOfMany: where each has one place nobody is turned out.
func TestTurnsOfMany(t *testing.T) {
	q := newTurns(4)
	for i := range 5 { // one has its turn
		if _, err := q.enter(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.enter("x"); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
}

// TestTurnsAreNotLost has many come and go at the same time.
func TestTurnsAreNotLost(t *testing.T) {
	q := newTurns(16)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%3 == 0 {
				cancel()
			}
			defer cancel()
			if done, err := q.take(ctx, strconv.Itoa(i%5)); err == nil {
				done()
			}
		})
	}
	wg.Wait()
	if q.busy || q.count != 0 || len(q.order) != 0 {
		t.Errorf("at the end: %+v", q)
	}
}
