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

// introduce has the manager know what the node calls itself, once for each name.
func (n *node) introduce(ctx context.Context) error {
	name, heard := n.Called()
	if !heard || n.introduced != nil && *n.introduced == name {
		return nil
	}
	if err := n.fleet.names.Introduce(ctx, n.alias, name); err != nil {
		return err
	}
	n.introduced = &name
	return nil
}

// succeed gives the node the recordings of a removed node with the same database: it is
// the same node under a new alias. What the old one kept itself is told by the new one.
func (n *node) succeed(ctx context.Context, feed string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	saved, err := n.fleet.o.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, s := range saved {
		if s.Alias == n.alias || s.Feed != feed || n.fleet.node(s.Alias) != nil || n.fleet.going.has(s.Alias) {
			continue
		}
		n.log.Info("the node was known by another alias", "was", s.Alias)
		if err := n.fleet.names.Inherit(ctx, s.Alias, n.alias); err != nil {
			return err
		}
		if err := n.fleet.depart(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
