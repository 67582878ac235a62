package retention

import (
	"context"
	"sync"
	"testing"
	"time"
)

// turns is what several processes have claimed.
type turns struct {
	mu     sync.Mutex
	holder map[string]string
}

// turn is the claims of one of them.
type turn struct {
	*turns
	me string
}

func (c turn) Claim(_ context.Context, name string, _ time.Duration) (held, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other, ok := c.holder[name]; ok && other != c.me {
		return false, false, nil
	}
	c.holder[name] = c.me
	return true, false, nil
}

func (c turn) Release(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holder[name] == c.me {
		delete(c.holder, name)
	}
	return nil
}

// TestKeepersTakeTurns: what another process deletes is left to it, and taken up when that
// has died, unless it has ended it.
func TestKeepersTakeTurns(t *testing.T) {
	all := &turns{holder: map[string]string{}}
	other := turn{all, "other"}
	g := newRig(t, func(o *Options) { o.Claims = turn{all, "this"} })
	round := func() {
		g.Resume(t.Context())
		g.endDue(t.Context())
		g.now = g.now.Add(retryMin)
	}
	begin := func() {
		t.Helper()
		g.record(dirOf(0), 0, nil)
		if err := g.db.BeginDelete(t.Context(), dirOf(0)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := other.Claim(t.Context(), "deletion/"+dirOf(0), time.Minute); err != nil {
			t.Fatal(err)
		}
		round()
		if n := len(g.store.deleted); n > 0 || !g.Deleting(dirOf(0)) {
			t.Errorf("%d objects are deleted by two", n)
		}
	}
	begin()
	if done, err := g.Delete(t.Context(), dirOf(0)); done || err == nil {
		t.Errorf("asked for once more: done %v, %v", done, err)
	}
	_ = other.Release(t.Context(), "deletion/"+dirOf(0)) // it has died
	round()
	if len(all.holder) > 0 || g.Deleting(dirOf(0)) {
		t.Errorf("it is not ended; claimed are %v", all.holder)
	}
	g.wantLeft()

	g.store.deleted = nil
	begin()
	if err := g.db.Delete(t.Context(), dirOf(0)); err != nil { // it has ended it
		t.Fatal(err)
	}
	_ = other.Release(t.Context(), "deletion/"+dirOf(0))
	g.record(dirOf(0), 1, nil) // and somebody has taken the folder again
	round()
	if g.Deleting(dirOf(0)) {
		t.Error("what has ended goes on")
	}
	g.wantLeft(dirOf(0))
}
