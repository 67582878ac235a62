//go:build !norecorder

package manager

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/serve/api"
)

// testClaims are the claims of one of several fleets in a test; those in held are of all.
type testClaims struct {
	me   string
	mu   *sync.Mutex
	held map[string]string
}

func (c testClaims) Claim(_ context.Context, name string, _ time.Duration) (held, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by, ok := c.held[name]; ok && by != c.me {
		return false, by == "done", nil
	}
	c.held[name] = c.me
	return true, false, nil
}

func (c testClaims) Release(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[name] == c.me {
		delete(c.held, name)
	}
	return nil
}

func (c testClaims) Done(_ context.Context, name string, _ time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[name] = "done"
	return nil
}

func (c testClaims) Forget(context.Context) error { return nil }

// twoFleets are those of two managers with one catalogue. Nobody looks at what the other
// has noted but the test.
func twoFleets(t *testing.T) (a, b *fleet, db *catalogue.DB) {
	a, db, store := newTestFleet(t)
	b = newFleet(fleetOptions{
		Catalogue: db, Storage: store, Poll: 200 * time.Millisecond, Timeout: time.Second, Control: time.Second,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(b.close)
	close(b.opened)
	mu, held := new(sync.Mutex), map[string]string{}
	a.o.Claims, b.o.Claims = testClaims{"a", mu, held}, testClaims{"b", mu, held}
	return a, b, db
}

// TestManagersAgreeOnNodes: what one manager is told of nodes, the others know.
func TestManagersAgreeOnNodes(t *testing.T) {
	t.Parallel()
	a, b, db := twoFleets(t)
	ctx := t.Context()
	register := func(f *fleet, url, token string) error {
		_, _, err := f.Register(ctx, api.NodeRegistration{Alias: "edge", URL: url, Token: token, LocalStorage: true}, true)
		return err
	}
	agree := func() {
		t.Helper()
		if err := errors.Join(a.agree(ctx), b.agree(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		at         *fleet
		url, token string
	}{{a, "http://192.0.2.1", "one"}, {a, "http://192.0.2.1", "two"}, {b, "http://192.0.2.2", "two"}} {
		if err := register(step.at, step.url, step.token); err != nil {
			t.Fatal(err)
		}
		agree()
		for _, f := range []*fleet{a, b} {
			if n := f.node("edge"); n == nil || n.client.Base != step.url || n.client.Token() != step.token || !n.local || n.source != registered {
				t.Errorf("registered as %+v: %+v", step, n)
			}
		}
	}
	same := b.node("edge")
	agree()
	if b.node("edge") != same {
		t.Error("a node that has not changed is followed anew")
	}

	manyRecordings(t, db, "edge", 3)
	if err := b.Remove(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	until(t, "the one manager has removed it", func() bool { return !b.going.has("edge") })
	manyRecordings(t, db, "edge", 3) // the other has not heard of it, and goes on
	agree()
	until(t, "nothing is left", func() bool {
		dirs, err := db.DirsOfNode(ctx, "edge", "", 10)
		nodes, err2 := db.Nodes(ctx)
		return errors.Join(err, err2) == nil && len(dirs)+len(nodes) == 0 && a.node("edge") == nil && !a.going.has("edge")
	})
}

// TestRemovalIsOneManagers: while one takes a node out, it does not come back at another,
// which goes on when the one has died.
func TestRemovalIsOneManagers(t *testing.T) {
	t.Parallel()
	a, b, db := twoFleets(t)
	ctx := t.Context()
	held := heldUp{db, make(chan struct{}), make(chan struct{})}
	a.o.Catalogue, b.o.Catalogue = held, db
	manyRecordings(t, db, "edge", 3)
	if err := db.PutNode(ctx, catalogue.Node{Alias: "edge", Registered: true}); err != nil {
		t.Fatal(err)
	}
	if err := a.depart(ctx, catalogue.Node{Alias: "edge"}); err != nil {
		t.Fatal(err)
	}
	<-held.begun
	if err := b.agree(ctx); err != nil || !b.going.has("edge") {
		t.Errorf("the other does not know that it goes: %v", err)
	}
	r := api.NodeRegistration{Alias: "edge", URL: "http://192.0.2.1", LocalStorage: true}
	if _, _, err := b.Register(ctx, r, false); !errors.Is(err, errClaimed) {
		t.Errorf("it comes back at the other: %v", err)
	}
	a.going.take("edge") // as the end of the process does, and that of its claim
	until(t, "the other takes it out", func() bool {
		dirs, err := db.DirsOfNode(ctx, "edge", "", 10)
		return err == nil && len(dirs) == 0 && !b.going.has("edge")
	})
	if _, _, err := b.Register(ctx, r, false); err != nil {
		t.Errorf("it comes back: %v", err)
	}
}
