package manager

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/peer"
)

const (
	// agreeEvery is how often a manager looks at what others of its database have noted.
	agreeEvery = time.Second
	// forgetEvery is how often claims are forgotten that hold no more.
	forgetEvery = time.Minute
	// claimNodeFor bounds how long a manager that was killed holds up others that do
	// something about a node.
	claimNodeFor = time.Minute
	// agreeTimeout bounds each look.
	agreeTimeout = 5 * time.Second
)

// claims let one of the managers of a database do something while the others wait.
// *catalogue.Claims implements it.
type claims interface {
	Claim(ctx context.Context, name string, hold time.Duration) (held, done bool, err error)
	Release(ctx context.Context, name string) error
	Done(ctx context.Context, name string, remember time.Duration) error
	Forget(ctx context.Context) error
}

// errClaimed says that another manager does something about a node.
var errClaimed = fault.New(fault.Unavailable, "another manager registers or removes the node just now; it will be tried again")

// claimNode keeps other managers from changing what is known of a node until release.
func (f *fleet) claimNode(ctx context.Context, alias string) (release func(), err error) {
	if f.o.Claims == nil {
		return func() {}, nil
	}
	name := "node/" + alias
	held, _, err := f.o.Claims.Claim(ctx, name, claimNodeFor)
	if err == nil && !held {
		err = errClaimed
	}
	if err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), agreeTimeout)
		defer cancel()
		if err := f.o.Claims.Release(ctx, name); err != nil {
			f.log.Warn("other managers have to wait before they do something about a node", "node", alias, "error", err)
		}
	}, nil
}

// runAgreeing takes over what other managers do to the nodes, until ctx ends. A database that
// does not answer is not reported here: the health check does that.
func (f *fleet) runAgreeing(ctx context.Context) {
	if f.o.Claims == nil || !f.AwaitOpen(ctx) {
		return
	}
	forgot := f.now()
	for peer.Pause(ctx, agreeEvery, nil) {
		one, cancel := context.WithTimeout(ctx, agreeTimeout)
		if err := f.agree(one); err != nil {
			f.log.Debug("cannot look at what other managers have noted of nodes", "error", err)
		}
		if now := f.now(); now.Sub(forgot) >= forgetEvery {
			if err := f.o.Claims.Forget(one); err != nil {
				f.log.Debug("cannot forget old claims", "error", err)
			}
			forgot = now
		}
		cancel()
	}
}

// agree begins to follow the nodes that have registered with other managers, and stops
// following those that were removed there.
func (f *fleet) agree(ctx context.Context) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	known := map[string]catalogue.Node{}
	for _, s := range saved {
		known[s.Alias] = s
		if s.Registered {
			f.takeOver(s)
		}
	}
	for _, n := range f.all() {
		s, ok := known[n.alias]
		if n.source == configured || s.Registered {
			continue
		}
		f.log.Info("another manager has removed the node", "node", n.alias)
		f.stop(n.alias)
		if !ok || s.Cursor == catalogue.Gone {
			// It may have told this manager of recordings since the other took them out.
			f.names.Forget(n.alias)
			f.remove(n.alias)
			f.found.clear()
		}
	}
	for _, s := range saved {
		if s.Cursor == catalogue.Gone && f.node(s.Alias) == nil && !f.going.has(s.Alias) {
			f.names.Forget(s.Alias)
			f.remove(s.Alias) // when the other manager has died over it
			f.found.clear()
		}
	}
	return nil
}

// takeOver follows a node as another manager has registered it. What the configuration
// says of a node holds.
func (f *fleet) takeOver(s catalogue.Node) {
	n := f.node(s.Alias)
	local := s.Local || f.o.Storage == nil
	switch {
	case n == nil:
		f.going.take(s.Alias)
	case n.source == configured:
		return
	case n.client.Base == s.URL && n.local == local:
		if s.Token != "" && n.client.Token() != s.Token {
			n.client.SetToken(s.Token)
		}
		return
	}
	f.log.Info("another manager has registered the node", "node", s.Alias, "url", s.URL)
	f.add(newNode(f, s.Alias, registered, s.URL, s.Token, local))
}
