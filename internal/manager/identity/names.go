package identity

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
)

const (
	// applyTimeout bounds each use of the catalogue.
	applyTimeout = 30 * time.Second
	// batch is how many recordings are given to another node at once.
	batch = 200
)

// Node is what has to be known of a node to tell whose a name is.
type Node interface {
	// Keeps reports whether the node's recordings are on the node.
	Keeps() bool
	// Called returns what the node calls itself. heard is false if it has not been asked.
	Called() (name string, heard bool)
}

// Catalogue keeps the names of nodes. *catalogue.DB is one.
type Catalogue interface {
	PutNodeName(ctx context.Context, n catalogue.NodeName) error
	Reassign(ctx context.Context, from, to, except string, limit int) (int, error)
}

// Options configure New.
type Options struct {
	Catalogue Catalogue
	Node      func(alias string) Node // nil: the manager has no such node
	Moved     func()                  // is called when recordings have been given to another node
	Logger    *slog.Logger
}

// Names knows which node a recording in shared storage belongs to, by the name in its
// recording.json. That name is the node's recorder.node_alias of the time. It may
// differ from the manager's alias, and changes when the node is renamed. A name is
// forgotten only with its node, because old recordings keep it. Safe for concurrent
// use.
type Names struct {
	o      Options
	mu     sync.Mutex
	claims map[string]map[string]bool // by name and alias: whether it is sure
}

// New returns names that nobody has claimed yet.
func New(o Options) *Names {
	return &Names{o: o, claims: map[string]map[string]bool{}}
}

// Load takes over what the catalogue has kept.
func (s *Names) Load(all []catalogue.NodeName) {
	for _, n := range all {
		s.put(n)
	}
}

// put adds a claim. A claim that was sure stays sure.
func (s *Names) put(n catalogue.NodeName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[n.Name] == nil {
		s.claims[n.Name] = map[string]bool{}
	}
	s.claims[n.Name][n.Alias] = s.claims[n.Name][n.Alias] || n.Sure
}

// has reports whether a node claims a name, and whether that is sure.
func (s *Names) has(name, alias string) (claimed, sure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sure, claimed = s.claims[name][alias]
	return claimed, sure
}

// of returns the claims to a name, by alias.
func (s *Names) of(name string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.claims[name])
}

// Claims returns the claims of a node.
func (s *Names) Claims(alias string) (list []catalogue.NodeName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, by := range s.claims {
		if sure, ok := by[alias]; ok {
			list = append(list, catalogue.NodeName{Name: name, Alias: alias, Sure: sure})
		}
	}
	return list
}

// Forget drops the claims of a node.
func (s *Names) Forget(alias string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, by := range s.claims {
		if delete(by, alias); len(by) == 0 {
			delete(s.claims, name)
		}
	}
}

// AliasOf returns the alias of the node whose recordings in shared storage have a name.
// ok is false if no node is known, or several are.
//
// A name that a node gives itself counts more than the manager's alias, and that more
// than a name in the node's catalogue. A node that the manager has now counts more than
// one that it had.
func (s *Names) AliasOf(name string) (alias string, ok bool) {
	const sure, called, told = 3, 2, 1 // how much a claim is worth
	best := 0
	consider := func(candidate string, worth int) {
		place := 0
		if n := s.o.Node(candidate); n != nil && n.Keeps() {
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
	claims := s.of(name)
	for candidate, isSure := range claims {
		if isSure {
			consider(candidate, sure)
		} else {
			consider(candidate, told)
		}
	}
	if !claims[name] && s.o.Node(name) != nil {
		consider(name, called)
	}
	return alias, ok
}

// OwnerOf returns the alias of the node that a recording with this name belongs to, of
// which the node alias tells. Most nodes tell only of their own recordings, so it is that
// node if that is possible. A node whose catalogue was made from shared storage tells of
// all.
func (s *Names) OwnerOf(alias, name string) string {
	if name == "" || s.Has(alias, name) {
		return alias
	}
	if owner, ok := s.AliasOf(name); ok {
		return owner
	}
	return alias
}

// Has reports whether a node has, or had, a name.
func (s *Names) Has(alias, name string) bool {
	if n := s.o.Node(alias); n != nil {
		if now, heard := n.Called(); heard && now == name {
			return true
		}
	}
	_, sure := s.has(name, alias)
	return sure
}

// IsCalled reports whether a node, which the manager may not have any more, has a name or
// an alias, as far as anybody has told.
func (s *Names) IsCalled(alias, name string) bool {
	claimed, _ := s.has(name, alias)
	return claimed || alias == name || s.o.Node(alias) != nil && s.Has(alias, name)
}

// Introduce stores what a node calls itself, and gives it the recordings that came into
// the catalogue under that name before the node was known.
func (s *Names) Introduce(ctx context.Context, alias, name string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := s.Claim(ctx, catalogue.NodeName{Name: name, Alias: alias, Sure: true}); err != nil {
		return err
	}
	if owner, ok := s.AliasOf(name); ok && owner == alias && alias != name && s.o.Node(name) == nil {
		return s.Reassign(ctx, name, alias)
	}
	return nil
}

// Inherit gives the names and the recordings of a node to another: it is the same node
// under a new alias.
func (s *Names) Inherit(ctx context.Context, from, to string) error {
	for _, c := range s.Claims(from) {
		if err := s.Claim(ctx, catalogue.NodeName{Name: c.Name, Alias: to, Sure: c.Sure}); err != nil {
			return err
		}
	}
	return s.Reassign(ctx, from, to)
}

// Recognise stores that recordings of a node have a name that no node is known to have.
// The node had that name once.
func (s *Names) Recognise(ctx context.Context, alias, name string) error {
	if name == "" || name == alias || len(s.of(name)) > 0 {
		return nil
	}
	return s.Claim(ctx, catalogue.NodeName{Name: name, Alias: alias})
}

// Claim stores a name of a node.
func (s *Names) Claim(ctx context.Context, c catalogue.NodeName) error {
	if claimed, sure := s.has(c.Name, c.Alias); claimed && (sure || !c.Sure) {
		return nil
	}
	err := s.o.Catalogue.PutNodeName(ctx, c)
	if fault.KindOf(err) == fault.Invalid {
		return nil // no recording can have that name
	}
	if err == nil {
		s.put(c)
	}
	return err
}

// Reassign gives a node's recordings in shared storage to another.
func (s *Names) Reassign(ctx context.Context, from, to string) error {
	for {
		n, err := s.o.Catalogue.Reassign(ctx, from, to, folder.Mark, batch)
		if err != nil || n == 0 {
			return err
		}
		s.o.Moved() // which ones is not known
		s.o.Logger.Info("recordings have been given to the node whose they are", "node", to, "recorded_by", from, "recordings", n)
	}
}

// InCatalogue returns a recording of shared storage as the catalogue is to have it. row
// is what the catalogue has; nil if nothing. If nobody knows whose the name is, the row
// is right, because a node has told of it. Without a row the name stays until its node
// is heard of.
func (s *Names) InCatalogue(stored media.Recording, row *media.Recording) media.Recording {
	alias, ok := s.AliasOf(stored.Node)
	switch {
	case row != nil && (!ok || stored.Node == ""):
		stored.Node = row.Node
	case ok:
		stored.Node = alias
	}
	return stored
}
