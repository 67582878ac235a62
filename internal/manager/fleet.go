package manager

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/config"
	libarchive "github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/identity"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage"
)

// Catalogue keeps the recordings of all nodes, and the manager's place in each
// node's feed. *catalogue.DB is one.
type Catalogue interface {
	follow.Catalogue
	identity.Catalogue
	libarchive.Catalogue
	ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error)
	StreamsPage(ctx context.Context, q media.StreamQuery) (page []media.StreamSummary, total int, err error)
	PutNode(ctx context.Context, n catalogue.Node) error
	DeleteNode(ctx context.Context, alias string) error
	NodeNames(ctx context.Context) ([]catalogue.NodeName, error)
}

// applyTimeout bounds each use of the catalogue.
const applyTimeout = 30 * time.Second

// fleetOptions configure newFleet.
type fleetOptions struct {
	Catalogue Catalogue
	Storage   storage.Backend // nil where no node shares one
	Poll      time.Duration   // see config.Fleet
	Timeout   time.Duration
	Control   time.Duration
	Claims    claims         // of all managers of the catalogue; nil: this one is alone
	Meter     meter          // nil: nobody counts
	Allow     []netip.Prefix // where nodes that register may be; none: anywhere
	Now       func() time.Time
	Logger    *slog.Logger
}

// meter counts what is relayed. *metrics.Manager is one.
type meter interface {
	Relayed(node string, bytes int64, failed bool)
}

// fleet has the nodes. It implements api.Fleet.
type fleet struct {
	o    fleetOptions
	log  *slog.Logger
	http *http.Client
	// guarded is the client for nodes that have registered. It connects only to where
	// they may be.
	guarded *http.Client
	found   *foundCache
	names   *identity.Names
	shared  folder.Shared // without a backend where no node shares one
	going   going
	// proving has an element for each node that is asked who registers (prove).
	proving chan struct{}
	feeds   follow.Options
	// maxStreams is how many streams a node may have: peer.MaxStreams, or fewer in tests.
	maxStreams int

	ctx    context.Context // of the nodes' goroutines
	cancel context.CancelFunc
	runs   sync.WaitGroup

	changing sync.Mutex // held while nodes are added or removed

	// opened is closed when the catalogue has been used for the first time. Before that
	// its database may be away, and feeds are not followed.
	opened chan struct{}

	complaints complaints

	mu    sync.RWMutex
	nodes map[string]*node

	// changedMu is taken with a node's mu held, and takes nothing itself.
	changedMu sync.Mutex
	changed   chan struct{}
	version   uint64
	dirty     map[string]struct{} // streams that have changed since merged was made

	mergeMu sync.Mutex
	merged  *merged
}

func newFleet(o fleetOptions) *fleet {
	f := &fleet{
		o: o, log: o.Logger, http: peer.NewHTTP(), found: newFoundCache(o.Now),
		nodes: map[string]*node{}, changed: make(chan struct{}), version: 1, opened: make(chan struct{}),
		dirty: map[string]struct{}{}, merged: &merged{list: []api.FleetStream{}, byID: map[string]int{}},
		guarded: peer.NewGuarded(o.Allow), maxStreams: peer.MaxStreams, proving: make(chan struct{}, maxProving),
	}
	f.names, f.shared = newNames(f), folder.Shared{Backend: o.Storage}
	f.feeds = follow.Options{
		Fleet: f, Catalogue: o.Catalogue, Names: f.names, Shared: f.shared,
		Poll: o.Poll, Timeout: o.Timeout, MaxRows: follow.MaxRows, Now: o.Now,
	}
	f.merged.All = func() []byte { return []byte("[]") }
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *fleet) now() time.Time { return f.o.Now() }

// load starts to follow the nodes of the configuration.
func (f *fleet) load(nodes []config.Node) {
	f.changing.Lock()
	defer f.changing.Unlock()
	for _, n := range f.configured(nodes) {
		f.add(n)
	}
}

// open starts to use the catalogue, once. From then on the nodes that have registered
// are followed too, and the recordings of all nodes.
func (f *fleet) open(ctx context.Context, nodes []config.Node) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	list, err := f.known(ctx, nodes)
	if err != nil {
		return err
	}
	for _, n := range list {
		if f.node(n.alias) == nil {
			f.add(n)
		}
	}
	if err := f.resumeRemovals(ctx); err != nil {
		return err
	}
	close(f.opened)
	return nil
}

// AwaitOpen waits until the catalogue can be used.
func (f *fleet) AwaitOpen(ctx context.Context) bool {
	select {
	case <-f.opened:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// add begins to follow n, in place of a node with the same alias.
func (f *fleet) add(n *node) {
	f.stop(n.alias)
	ctx, cancel := context.WithCancel(f.ctx)
	n.cancel = cancel
	f.mu.Lock()
	f.nodes[n.alias] = n
	f.mu.Unlock()
	f.runs.Go(func() { n.run(ctx) })
	f.touch()
}

// stop ends following a node.
func (f *fleet) stop(alias string) {
	f.mu.Lock()
	n := f.nodes[alias]
	delete(f.nodes, alias)
	f.mu.Unlock()
	if n != nil {
		n.cancel()
		<-n.done
		n.forgetStreams()
	}
}

// close ends all and waits for it.
func (f *fleet) close() {
	f.cancel()
	f.runs.Wait()
	f.http.CloseIdleConnections()
	f.guarded.CloseIdleConnections()
}

func (f *fleet) node(alias string) *node {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.nodes[alias]
}

// records reports whether a node has a recorder: builds without it have none.
func (f *fleet) records(alias string) bool {
	n := f.node(alias)
	return n != nil && n.HasRecorder()
}

// all returns the nodes by their aliases.
func (f *fleet) all() []*node {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.SortedFunc(maps.Values(f.nodes), func(a, b *node) int { return strings.Compare(a.alias, b.alias) })
}

// Nodes implements api.Fleet.
func (f *fleet) Nodes() []api.FleetNode {
	nodes := f.all()
	list := make([]api.FleetNode, len(nodes))
	for i, n := range nodes {
		list[i] = n.describe()
	}
	return list
}

// goOn follows a node again after replacing or removing it has failed. n may be nil.
func (f *fleet) goOn(n *node) {
	if n != nil {
		f.add(newNode(f, n.alias, n.source, n.client.Base, n.client.Token(), n.local))
	}
}

// touch notes that streams of a node, or other things known of it, have changed.
func (f *fleet) touch(ids ...string) {
	f.changedMu.Lock()
	defer f.changedMu.Unlock()
	for _, id := range ids {
		f.dirty[id] = struct{}{}
	}
	f.version++
	close(f.changed)
	f.changed = make(chan struct{})
}

// Changed implements api.Fleet.
func (f *fleet) Changed() <-chan struct{} {
	f.changedMu.Lock()
	defer f.changedMu.Unlock()
	return f.changed
}

// Forget implements follow.Fleet.
func (f *fleet) Forget(recordDir string) { f.found.forget(recordDir) }

// Source implements follow.Fleet.
func (f *fleet) Source(alias string) string {
	if n := f.node(alias); n != nil {
		return n.source
	}
	return ""
}
