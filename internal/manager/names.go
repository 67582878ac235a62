package manager

import (
	"context"

	"github.com/live777/recorder/internal/manager/identity"
)

// newNames returns the names of the fleet's nodes.
func newNames(f *fleet) *identity.Names {
	node := func(alias string) identity.Node {
		if n := f.node(alias); n != nil {
			return n
		}
		return nil
	}
	return identity.New(identity.Options{Catalogue: f.o.Catalogue, Node: node, Moved: f.found.clear, Logger: f.log})
}

// Called implements identity.Node.
func (n *node) Called() (name string, heard bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info.Node, !n.seen.IsZero()
}

// Succeed implements follow.Fleet: it gives a node the recordings of a removed node with the same database: it is
// the same node under a new alias. What the old one kept itself is told by the new one.
func (f *fleet) Succeed(ctx context.Context, alias, feed string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	saved, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, s := range saved {
		if s.Registered || s.Alias == alias || s.Feed != feed || f.node(s.Alias) != nil || f.going.has(s.Alias) {
			continue
		}
		f.log.Info("a node was known by another alias", "node", alias, "was", s.Alias)
		if err := f.names.Inherit(ctx, s.Alias, alias); err != nil {
			return err
		}
		if err := f.depart(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
