package manager

import (
	"context"
	"maps"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// names knows which node a recording in shared storage belongs to, by the name in its
// recording.json. That name is the node's recorder.node_alias of the time. It may
// differ from the manager's alias, and changes when the node is renamed. A name is
// forgotten only with its node, because old recordings keep it. Safe for concurrent
// use.
type names struct {
	mu     sync.Mutex
	claims map[string]map[string]bool // by name and alias: whether it is sure
}

// load takes over what the catalogue has kept.
func (s *names) load(all []catalogue.NodeName) {
	for _, n := range all {
		s.put(n)
	}
}

// put adds a claim. A claim that was sure stays sure.
func (s *names) put(n catalogue.NodeName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims == nil {
		s.claims = map[string]map[string]bool{}
	}
	if s.claims[n.Name] == nil {
		s.claims[n.Name] = map[string]bool{}
	}
	s.claims[n.Name][n.Alias] = s.claims[n.Name][n.Alias] || n.Sure
}

// has reports whether a node claims a name, and whether that is sure.
func (s *names) has(name, alias string) (claimed, sure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sure, claimed = s.claims[name][alias]
	return claimed, sure
}

// of returns the claims to a name, by alias.
func (s *names) of(name string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.claims[name])
}

// all returns the claims of a node.
func (s *names) all(alias string) (list []catalogue.NodeName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, by := range s.claims {
		if sure, ok := by[alias]; ok {
			list = append(list, catalogue.NodeName{Name: name, Alias: alias, Sure: sure})
		}
	}
	return list
}

// forget drops the claims of a node.
func (s *names) forget(alias string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, by := range s.claims {
		if delete(by, alias); len(by) == 0 {
			delete(s.claims, name)
		}
	}
}

// aliasOf returns the alias of the node whose recordings in shared storage have a name.
// ok is false if no node is known, or several are.
//
// A name that a node gives itself counts more than the manager's alias, and that more
// than a name in the node's catalogue. A node that the manager has now counts more than
// one that it had.
func (f *fleet) aliasOf(name string) (alias string, ok bool) {
	const sure, called, told = 3, 2, 1 // how much a claim is worth
	best := 0
	consider := func(candidate string, worth int) {
		place := 0
		if n := f.node(candidate); n != nil && n.keeps() {
			place = 1
		} else if n != nil {
			place = 2
		}
		switch rank := 3*worth + place; {
		case rank > best:
			alias, ok, best = candidate, true, rank
		case rank == best:
			ok = false
		}
	}
	claims := f.names.of(name)
	for candidate, isSure := range claims {
		if isSure {
			consider(candidate, sure)
		} else {
			consider(candidate, told)
		}
	}
	if !claims[name] && f.node(name) != nil {
		consider(name, called)
	}
	return alias, ok
}

// ownerOf returns the alias of the node that a recording with this name belongs to, of
// which n tells. Most nodes tell only of their own recordings, so it is n if that is
// possible. A node whose catalogue was made from shared storage tells of all.
func (n *node) ownerOf(name string) string {
	if name == "" || n.named(name) {
		return n.alias
	}
	if alias, ok := n.fleet.aliasOf(name); ok {
		return alias
	}
	return n.alias
}

// named reports whether the node has, or had, this name.
func (n *node) named(name string) bool {
	n.mu.Lock()
	now := !n.seen.IsZero() && name == n.info.Node
	n.mu.Unlock()
	_, sure := n.fleet.names.has(name, n.alias)
	return now || sure
}

// isNamed reports whether a node, which the manager may not have any more, has a name
// or an alias.
func (f *fleet) isNamed(alias, name string) bool {
	claimed, _ := f.names.has(name, alias)
	n := f.node(alias)
	return claimed || alias == name || n != nil && n.named(name)
}

// introduce stores what the node calls itself, and gives it the recordings that came
// into the catalogue under that name before the node was known.
func (n *node) introduce(ctx context.Context) error {
	n.mu.Lock()
	name, heard := n.info.Node, !n.seen.IsZero()
	n.mu.Unlock()
	if !heard || n.introduced != nil && *n.introduced == name {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := n.fleet.claim(ctx, catalogue.NodeName{Name: name, Alias: n.alias, Sure: true}); err != nil {
		return err
	}
	if alias, ok := n.fleet.aliasOf(name); ok && alias == n.alias && alias != name && n.fleet.node(name) == nil {
		if err := n.fleet.reassign(ctx, name, alias); err != nil {
			return err
		}
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
		for _, c := range n.fleet.names.all(s.Alias) {
			if err := n.fleet.claim(ctx, catalogue.NodeName{Name: c.Name, Alias: n.alias, Sure: c.Sure}); err != nil {
				return err
			}
		}
		if err := n.fleet.reassign(ctx, s.Alias, n.alias); err != nil {
			return err
		}
		if err := n.fleet.depart(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// recognise stores that recordings of the node have a name that no node is known to
// have. The node had that name once.
func (n *node) recognise(ctx context.Context, name string) error {
	if name == "" || name == n.alias || len(n.fleet.names.of(name)) > 0 {
		return nil
	}
	return n.fleet.claim(ctx, catalogue.NodeName{Name: name, Alias: n.alias})
}

// claim stores a name of a node.
func (f *fleet) claim(ctx context.Context, c catalogue.NodeName) error {
	if claimed, sure := f.names.has(c.Name, c.Alias); claimed && (sure || !c.Sure) {
		return nil
	}
	err := f.o.Catalogue.PutNodeName(ctx, c)
	if fault.KindOf(err) == fault.Invalid {
		return nil // no recording can have that name
	}
	if err == nil {
		f.names.put(c)
	}
	return err
}

// reassign gives a node's recordings in shared storage to another.
func (f *fleet) reassign(ctx context.Context, from, to string) error {
	for {
		n, err := f.o.Catalogue.Reassign(ctx, from, to, mountMark, feedLimit)
		if err != nil || n == 0 {
			return err
		}
		f.found.clear() // who has moved is not said
		f.log.Info("recordings have been given to the node whose they are", "node", to, "recorded_by", from, "recordings", n)
	}
}

// inCatalogue returns a recording of shared storage as the catalogue is to have it. row
// is what the catalogue has; nil if nothing. If nobody knows whose the name is, the row
// is right, because a node has told of it. Without a row the name stays until its node
// is heard of.
func (f *fleet) inCatalogue(stored media.Recording, row *media.Recording) media.Recording {
	alias, ok := f.aliasOf(stored.Node)
	switch {
	case row != nil && (!ok || stored.Node == ""):
		stored.Node = row.Node
	case ok:
		stored.Node = alias
	}
	return stored
}
