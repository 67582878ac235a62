package manager

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// The states of a node.
const (
	stateConnecting = "connecting"
	stateUp         = "up"
	stateDown       = "down"
)

// nodeName is what nodes answer as their name.
const nodeName = "live777"

var errNoNode = fault.New(fault.Unavailable, "what answers is no node: it does not say that it is "+nodeName).Coded("node_other")

// Where a node is known from.
const (
	configured = follow.Configured
	registered = follow.Registered
)

// node has what is known of one node. Its own goroutines keep that fresh (run).
// Requests read it and never wait for the node.
type node struct {
	alias  string
	source string
	local  bool // its recordings are on the node
	client *peer.Client
	fleet  *fleet
	log    *slog.Logger

	probeNow chan struct{} // capacity 1: something looks as if the node were gone
	feed     *follow.Feed

	// original says that it is of the original live777.
	original atomic.Bool
	// starting is how many recordings are being started there.
	starting atomic.Int32

	cancel context.CancelFunc // ends run
	done   chan struct{}      // closed when run has returned

	mu       sync.Mutex
	state    string
	since    time.Time
	failures int
	errs     map[string]error // by what is wrong: "probe", "streams", "recordings", "feed"
	seen     time.Time
	latency  time.Duration
	info     api.Info
	streams  map[string]api.NodeStream
	records  map[string]bool   // of an original: streams that it records
	stops    map[string]string // of an original: publishers whose recording was stopped here, by stream
	load     api.NodeLoad
	offset   *time.Duration  // of its clock, ahead of ours; nil: not known
	up       chan struct{}   // closed while the node is up
	period   context.Context // ends when the node goes down; nil before it was up
	end      context.CancelFunc
}

func newNode(f *fleet, alias, source, url, token string, local bool) *node {
	h := f.http
	if source == registered {
		h = f.guarded
	}
	n := &node{
		alias: alias, source: source, local: local, fleet: f,
		client: peer.New(h, url, token), log: f.log.With("node", alias),
		probeNow: make(chan struct{}, 1), done: make(chan struct{}),
		state: stateConnecting, since: f.now(), errs: map[string]error{}, up: make(chan struct{}),
	}
	n.feed = follow.New(&f.feeds, alias, n, n.client, n.log)
	return n
}

// run keeps n fresh until ctx ends.
func (n *node) run(ctx context.Context) {
	defer close(n.done)
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){n.probe, n.followStreams, n.followLoad, n.followOriginal, n.feed.Run} {
		loops.Go(func() { loop(ctx) })
	}
	loops.Wait()
}

// AwaitUp waits until the node is up.
func (n *node) AwaitUp(ctx context.Context) bool {
	n.mu.Lock()
	up := n.up
	n.mu.Unlock()
	select {
	case <-up:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// whileUp returns a context that also ends when the node goes down. What was known of
// the node is then dropped and asked for again.
func (n *node) whileUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	n.mu.Lock()
	period, up := n.period, n.state == stateUp
	n.mu.Unlock()
	switch {
	case !up:
		cancel()
	case period != nil:
		stop := context.AfterFunc(period, cancel)
		return ctx, func() { stop(); cancel() }
	}
	return ctx, cancel
}

// hurry is how soon a node that failed once is asked again.
const hurry = 500 * time.Millisecond

// probe asks how the node is, again and again.
func (n *node) probe(ctx context.Context) {
	for {
		start := time.Now()
		info, err := n.askInfo(ctx)
		if ctx.Err() != nil {
			return
		}
		next := n.fleet.o.Poll
		if n.probed(info, time.Since(start), err) {
			next = min(next, hurry)
		}
		if !peer.Pause(ctx, next, n.probeNow) {
			return
		}
	}
}

// probed notes the outcome of a probe. A single failure may be an accident (doubt). A
// refused connection is not: nobody is there.
func (n *node) probed(info nodeInfo, took time.Duration, err error) (doubt bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.fleet.now()
	if err == nil {
		was := n.original.Swap(info.kind() == kindOriginal)
		n.info, n.latency, n.seen, n.failures = info.Info, took, now, 0
		delete(n.errs, "probe")
		switch {
		case n.state != stateUp:
			n.log.Info("node is up", "version", info.Version, "kind", info.kind())
			n.state, n.since = stateUp, now
			delete(n.errs, "streams") // of before
			n.period, n.end = context.WithCancel(n.fleet.ctx)
			close(n.up)
		case was != n.IsOriginal(): // another program answers there, and is asked anew
			n.log.Info("node is another program now", "version", info.Version, "kind", info.kind())
			delete(n.errs, "recordings")
			n.end()
			n.setStreams(nil)
			n.period, n.end = context.WithCancel(n.fleet.ctx)
		}
		return false
	}
	n.failures++
	if n.failures < 2 && n.state == stateUp && !errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	n.errs["probe"] = err
	if n.state == stateDown {
		return false
	}
	n.log.Warn("node is down", "error", err)
	if n.state == stateUp {
		n.up = make(chan struct{})
		n.end()
	}
	n.state, n.since = stateDown, now
	n.load, n.offset = api.NodeLoad{}, nil
	n.setStreams(nil)
	return false
}

// suspect has the node probed at once.
func (n *node) suspect() {
	select {
	case n.probeNow <- struct{}{}:
	default:
	}
}

// Note remembers what is wrong with a part of the node; nil: nothing is. A problem is
// logged when it begins.
func (n *node) Note(part string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		delete(n.errs, part)
		return
	}
	defer n.fleet.touch() // who waits for the list is told that it does not come
	old := n.errs[part]
	// Compared without addresses, because each connection has another port.
	switch known := old != nil && fault.Text(old) == fault.Text(err); {
	case errors.Is(err, follow.ErrOurs):
		if n.fleet.complaints.isNew(err, n.fleet.now()) {
			n.fleet.log.Warn("recordings of nodes do not reach the catalogue, will try again", "error", err)
		}
	case !known && n.state == stateUp:
		n.log.Warn("cannot follow the node", "what", part, "error", err)
	}
	n.errs[part] = err
}

// replaceStreams takes the list over, unless the node is down by now.
func (n *node) replaceStreams(list []api.NodeStream) {
	streams := make(map[string]api.NodeStream, len(list))
	for _, s := range list {
		streams[s.ID] = filledIn(s)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != stateUp {
		return
	}
	if n.IsOriginal() {
		n.forgetGone(streams)
		for id, s := range streams {
			streams[id] = n.completed(s)
		}
	}
	n.setStreams(streams)
}

// setStreams is called with n.mu locked.
func (n *node) setStreams(streams map[string]api.NodeStream) {
	changed := changedIDs(n.streams, streams)
	first := n.streams == nil
	n.streams = streams
	n.load.Streams, n.load.Publishers, n.load.Viewers, n.load.Recordings = len(streams), 0, 0, 0
	for _, s := range streams {
		n.load.Publishers += len(s.Publish.Sessions)
		n.load.Viewers += len(s.Subscribe.Sessions)
		if s.Recording {
			n.load.Recordings++
		}
	}
	if first || streams == nil || len(changed) > 0 {
		n.fleet.touch(changed...)
	}
}

// forgetStreams is for a node that is not followed any more.
func (n *node) forgetStreams() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.end != nil {
		n.end()
	}
	n.setStreams(nil)
}

// setRecording notes what the node has just answered. Its events tell it later.
func (n *node) setRecording(stream string, recording bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.streams[stream]
	if !ok || s.Recording == recording {
		return
	}
	s.Recording, s.Stopped = recording, !recording
	if n.IsOriginal() {
		n.noteStopped(s, s.Stopped)
	}
	n.streams[stream] = s
	n.fleet.touch(stream)
}

// stateSince returns when the node came into its state.
func (n *node) stateSince() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.since
}

// isSilent reports whether the node may be up and has not told of its streams yet. It
// is false if the node was asked and did not tell.
func (n *node) isSilent() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state == stateConnecting || n.state == stateUp && n.streams == nil && n.errs["streams"] == nil
}

// notListed returns nil if it is known which streams the node has, else a
// fault.Unavailable that says why not.
func (n *node) notListed() error {
	if err := n.isUp(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.streams != nil:
		return nil
	case n.errs["streams"] != nil:
		return fault.Errorf(fault.Unavailable, "node %q does not tell of its streams: %w", n.alias, n.errs["streams"]).Coded("node_silent", "node", n.alias)
	}
	return fault.Errorf(fault.Unavailable, "node %q has not told of its streams yet", n.alias).Coded("node_silent", "node", n.alias)
}

// Source implements follow.Node.
func (n *node) Source() string { return n.source }

// Mount returns a recording of the node as the manager's catalogue keeps it.
func (n *node) Mount(r media.Recording) media.Recording {
	r.Node = n.alias
	if n.Keeps() {
		r.RecordDir, r.MPDPath = n.Key(r.RecordDir), n.Key(r.MPDPath)
	}
	return r
}

// Key returns the catalogue's name for a path of the node.
func (n *node) Key(path string) string {
	if n.Keeps() {
		return folder.Mount(n.alias) + path
	}
	return path
}

// stream returns one of the node's streams; ok is false where the node is down.
func (n *node) stream(id string) (s api.NodeStream, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok = n.streams[id]
	return s, ok
}

// isUp returns nil if the node is up, else a fault.Unavailable that says why not.
func (n *node) isUp() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.state == stateUp:
		return nil
	case n.errs["probe"] != nil:
		return fault.Errorf(fault.Unavailable, "node %q is down: %w", n.alias, n.errs["probe"]).Coded("node_down", "node", n.alias)
	}
	return fault.Errorf(fault.Unavailable, "node %q has not answered yet", n.alias).Coded("node_down", "node", n.alias)
}

// describe returns n as the API shows it.
func (n *node) describe() api.FleetNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := api.FleetNode{
		Alias: n.alias, URL: n.client.Base, Source: n.source, Storage: "shared",
		State: n.state, Since: n.since, SeenAt: n.seen, LatencyMS: float64(n.latency.Microseconds()) / 1000,
		Version: n.info.Version, Node: n.info.Node, Features: n.info.Features, Codecs: n.info.Codecs,
		Load: n.load, Feed: n.feed.Level(),
	}
	if n.Keeps() {
		d.Storage = "local"
	}
	if !n.seen.IsZero() {
		d.Kind = kindRecorder
		if n.IsOriginal() {
			d.Kind = kindOriginal
		}
	}
	if n.offset != nil {
		ms := float64(n.offset.Milliseconds())
		d.ClockOffsetMS = &ms
	}
	for _, part := range []string{"probe", "streams", "recordings"} {
		if err := n.errs[part]; err != nil {
			d.Error = fault.Text(err)
			break
		}
	}
	if err := n.errs["feed"]; err != nil {
		d.Feed.Error = fault.Text(err)
	}
	return d
}
