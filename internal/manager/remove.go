package manager

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
)

// going has the nodes that were removed and whose recordings are still being taken out
// of the catalogue. No list shows them. Safe for concurrent use.
type going struct {
	mu    sync.Mutex
	nodes map[string]*removal
}

// removal takes the recordings of a node out.
type removal struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// has reports whether a node's recordings are being taken out.
func (g *going) has(alias string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.nodes[alias] != nil
}

// aliases returns the nodes whose recordings are being taken out.
func (g *going) aliases() (list []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for alias := range g.nodes {
		list = append(list, alias)
	}
	return list
}

func (g *going) set(alias string, r *removal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes == nil {
		g.nodes = map[string]*removal{}
	}
	g.nodes[alias] = r
}

// take ends a removal, and waits for it.
func (g *going) take(alias string) (was bool) {
	g.mu.Lock()
	r := g.nodes[alias]
	g.mu.Unlock()
	if r == nil {
		return false
	}
	r.cancel()
	<-r.done
	g.drop(alias, r)
	return true
}

func (g *going) drop(alias string, r *removal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes[alias] == r {
		delete(g.nodes, alias)
	}
}

// Remove implements api.Fleet. The recordings that a node keeps itself leave the lists
// with it, for nobody can play them, and what it has told of shared storage that is not
// there; the rest stays. The catalogue is cleared of them afterwards.
func (f *fleet) Remove(ctx context.Context, alias string) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	n := f.node(alias)
	if n != nil && n.source == configured {
		return fault.Errorf(fault.Conflict, "node %q is in the manager's configuration: take it out there", alias).Coded("node_configured", "node", alias)
	}
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(saved, func(s catalogue.Node) bool { return s.Alias == alias })
	if n == nil && i < 0 || f.going.has(alias) {
		return fault.Errorf(fault.NotFound, "there is no node %q", alias).Coded("node_unknown", "node", alias)
	}
	known := catalogue.Node{Alias: alias}
	if i >= 0 {
		known = saved[i]
	} else if err := f.o.Catalogue.PutNode(ctx, n.registration()); err != nil {
		return err
	}
	f.stop(alias)
	if err := f.depart(ctx, known); err != nil {
		f.goOn(n)
		return err
	}
	return nil
}

// depart notes for good that a node is gone, and begins to take its recordings out.
func (f *fleet) depart(ctx context.Context, n catalogue.Node) error {
	// In this order: what fails in between is followed from the beginning.
	if err := f.o.Catalogue.SetCursor(ctx, n.Alias, "", catalogue.Gone); err != nil {
		return err
	}
	n.Token, n.Registered = "", false
	if err := f.o.Catalogue.PutNode(ctx, n); err != nil {
		return err
	}
	f.names.Forget(n.Alias)
	f.remove(n.Alias)
	f.found.clear()
	return nil
}

// resumeRemovals goes on with what the last run of the manager has not ended.
func (f *fleet) resumeRemovals(ctx context.Context) error {
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, s := range saved {
		if s.Cursor == catalogue.Gone && f.node(s.Alias) == nil && !f.going.has(s.Alias) {
			f.names.Forget(s.Alias)
			f.remove(s.Alias)
		}
	}
	return nil
}

// comeBack ends the removal of a node that is there again. What is left of its recordings
// is swept after the first walk through its feed.
func (f *fleet) comeBack(ctx context.Context, alias string) error {
	was := f.going.take(alias)
	if f.o.Claims != nil {
		if _, err := f.claimNode(ctx, alias); err != nil { // the removal has given it back
			return err
		}
		saved, err := f.o.Catalogue.Nodes(ctx)
		if err != nil {
			return err
		}
		was = slices.ContainsFunc(saved, func(s catalogue.Node) bool { return s.Alias == alias && s.Cursor == catalogue.Gone })
	}
	if !was {
		return nil
	}
	return f.o.Catalogue.SetCursor(ctx, alias, "", "")
}

// remove takes the recordings of a node out of the catalogue, until that is done.
func (f *fleet) remove(alias string) {
	ctx, cancel := context.WithCancel(f.ctx)
	r := &removal{cancel: cancel, done: make(chan struct{})}
	f.going.set(alias, r)
	f.runs.Go(func() {
		defer cancel()
		defer close(r.done)
		for {
			err := f.clear(ctx, alias)
			if err == nil {
				f.going.drop(alias, r)
				return
			}
			if ctx.Err() != nil {
				return
			}
			if !errors.Is(err, errClaimed) {
				f.log.Warn("the recordings of a removed node are still in the catalogue, will try again", "node", alias, "error", err)
			}
			if !peer.Pause(ctx, f.o.Poll, nil) {
				return
			}
		}
	})
}

// clear takes the recordings of a node out, and the node, unless it is there again.
func (f *fleet) clear(ctx context.Context, alias string) error {
	release, err := f.claimNode(ctx, alias)
	if err != nil {
		return err
	}
	defer release()
	if f.o.Claims != nil {
		saved, err := f.o.Catalogue.Nodes(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(saved, func(s catalogue.Node) bool { return s.Alias == alias && s.Cursor != catalogue.Gone }) {
			return nil // another manager has it again
		}
	}
	n, err := f.abandon(ctx, alias)
	if err == nil {
		err = f.o.Catalogue.DeleteNode(ctx, alias)
	}
	if err == nil {
		f.log.Info("node removed", "node", alias, "recordings", n)
	}
	return err
}

// abandon takes out what a node has kept itself, and what it has told of shared storage
// and is not there.
func (f *fleet) abandon(ctx context.Context, alias string) (n int, err error) {
	err = follow.EachBatch(ctx, f.o.Catalogue, alias, func(dirs []string) error {
		if _, err := f.claimNode(ctx, alias); err != nil { // for as long again
			return err
		}
		dirs, err := f.nowhere(ctx, alias, dirs)
		if err != nil {
			return err
		}
		gone, err := f.o.Catalogue.DeleteAll(ctx, alias, dirs)
		n += gone
		return err
	})
	f.found.clear()
	return n, err
}

// nowhere returns those of a node's recordings that are not there once it is gone.
func (f *fleet) nowhere(ctx context.Context, alias string, dirs []string) ([]string, error) {
	var out []string
	for _, dir := range dirs {
		if strings.HasPrefix(dir, folder.Mount(alias)) {
			out = append(out, dir)
			continue
		}
		if f.o.Storage == nil {
			continue
		}
		switch stored, err := f.shared.Has(ctx, dir); {
		case err != nil:
			return nil, err
		case !stored:
			out = append(out, dir)
		}
	}
	return out, nil
}

// isGone reports whether a recording was that of a node that is gone, and is itself.
func (f *fleet) isGone(r media.Recording) bool { return folder.Mounted(r) && f.going.has(r.Node) }
