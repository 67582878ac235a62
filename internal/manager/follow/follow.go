// Package follow takes the recordings of a node into the manager's catalogue, as the node's
// feed of changes tells of them.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/identity"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// Where a node is known from.
const (
	Configured = "configured"
	Registered = "registered"
)

// Node is the node that is followed.
type Node interface {
	Source() string    // Configured or Registered
	Keeps() bool       // its recordings are on the node
	IsOriginal() bool  // it is of the original live777
	HasRecorder() bool // it was built with its recorder
	// Called returns what the node calls itself. heard is false if it has not been asked.
	Called() (name string, heard bool)
	// Key returns the catalogue's name for a path of the node, and Mount a recording of
	// the node as the catalogue keeps it.
	Key(path string) string
	Mount(r media.Recording) media.Recording
	// AwaitUp waits until the node is up. It returns false when ctx has ended.
	AwaitUp(ctx context.Context) bool
	// IsRecording asks an original whether it records a stream.
	IsRecording(ctx context.Context, stream string) (bool, error)
	// Events reads an event stream of the node until it ends.
	Events(ctx context.Context, path string, handle func([]byte) error) error
	// Note remembers what is wrong with a part of the node; nil: nothing is.
	Note(part string, err error)
}

// Fleet is what has to be known of the other nodes, and of the manager.
type Fleet interface {
	// AwaitOpen waits until the catalogue can be used. It returns false when ctx has ended.
	AwaitOpen(ctx context.Context) bool
	// Source returns where a node is known from; "": the manager has no such node.
	Source(alias string) string
	// Succeed gives a node the recordings of a removed node that had the same feed.
	Succeed(ctx context.Context, alias, feed string) error
	// Forget drops what is remembered of the recording in a folder.
	Forget(recordDir string)
}

// Catalogue keeps the recordings of all nodes, and the manager's place in each node's
// feed. *catalogue.DB is one.
type Catalogue interface {
	PutAll(ctx context.Context, recordings []media.Recording) error
	Delete(ctx context.Context, recordDir string) error
	DeleteAll(ctx context.Context, node string, recordDirs []string) (n int, err error)
	Get(ctx context.Context, recordDir string) (media.Recording, error)
	FindAll(ctx context.Context, recordDirs []string) ([]media.Recording, error)
	DirsOfNode(ctx context.Context, node, after string, limit int) ([]string, error)
	List(ctx context.Context, q media.RecordingQuery) (page []media.Recording, total int, err error)
	Nodes(ctx context.Context) ([]catalogue.Node, error)
	SetCursor(ctx context.Context, alias, feed, cursor string) error
	Removed(ctx context.Context, recordDirs []string) ([]string, error)
}

// Options are what the feeds of all nodes have in common.
type Options struct {
	Fleet     Fleet
	Catalogue Catalogue
	Names     *identity.Names
	Shared    folder.Shared
	Poll      time.Duration // see config.Fleet
	Timeout   time.Duration
	MaxRows   int // of one node
	Now       func() time.Time
}

// Feed is the feed of one node.
type Feed struct {
	o      *Options
	node   Node
	alias  string
	client *peer.Client
	log    *slog.Logger

	now    chan struct{} // capacity 1: the node's catalogue has changed
	events atomic.Bool   // the node tells when its catalogue changes
	// introduced is the name that introduce has noted; follow alone uses it.
	introduced *string

	mu    sync.Mutex
	level api.NodeFeed
}

// New returns the feed of a node, which Run follows.
func New(o *Options, alias string, node Node, client *peer.Client, log *slog.Logger) *Feed {
	return &Feed{o: o, node: node, alias: alias, client: client, log: log, now: make(chan struct{}, 1)}
}

// Run follows the feed until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { f.follow(ctx) })
	loops.Go(func() { f.watch(ctx) })
	loops.Wait()
}

// Wake has the feed looked at soon: the node's catalogue has changed.
func (f *Feed) Wake() {
	select {
	case f.now <- struct{}{}:
	default:
	}
}

// Waiting reports whether the feed is to be looked at soon.
func (f *Feed) Waiting() bool { return len(f.now) > 0 }

// Level returns up to where the catalogue has what the node has told of.
func (f *Feed) Level() api.NodeFeed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.level
}

// setLevel notes that the catalogue has everything that the node has told of, up to seq.
func (f *Feed) setLevel(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.level.Seq, f.level.UpdatedAt = seq, f.o.Now()
}

// Walk applies the whole feed, from its beginning.
func (f *Feed) Walk(ctx context.Context) error { return f.catchUp(ctx, new(Place)) }

// Introduce has the manager know what the node calls itself, once for each name.
func (f *Feed) Introduce(ctx context.Context) error {
	name, heard := f.node.Called()
	if !heard || f.introduced != nil && *f.introduced == name {
		return nil
	}
	if err := f.o.Names.Introduce(ctx, f.alias, name); err != nil {
		return err
	}
	f.introduced = &name
	return nil
}

// ErrOurs marks errors of the manager's database and storage, which are the same for all
// nodes.
var ErrOurs = errors.New("the manager cannot keep the recordings")

func ours(err error) error { return fmt.Errorf("%w: %w", ErrOurs, err) }

// Batch is how many recordings are taken out of the catalogue at once: so few that other
// writers wait only for a moment.
const Batch = 500

// EachBatch calls do with the catalogue's folders of a node, some at a time.
func EachBatch(ctx context.Context, c Catalogue, alias string, do func(dirs []string) error) error {
	for after := ""; ; {
		dirs, err := c.DirsOfNode(ctx, alias, after, Batch)
		if err != nil || len(dirs) == 0 {
			return err
		}
		after = dirs[len(dirs)-1]
		if err := do(dirs); err != nil {
			return err
		}
	}
}
