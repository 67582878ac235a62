package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/events"
)

const (
	// tellClaim is the claim of the manager by whose view it is told of nodes, and
	// tellClaimFor how long nobody does after that manager has died.
	tellClaim    = "tell-nodes"
	tellClaimFor = 3 * time.Second
	// tellEvery is how often a manager looks at what there is to tell.
	tellEvery = time.Second
	// nodeEventsPage is how many events are queued together.
	nodeEventsPage = 100
	// nodePlace names the list of the events of nodes in the queue.
	nodePlace = "nodes"
)

// nodeEvents keeps what the managers of a database tell of nodes. *catalogue.DB is one.
type nodeEvents interface {
	AddNodeEvent(ctx context.Context, node, kind string, data []byte) error
	NodeEvents(ctx context.Context, n int64, limit int) ([]catalogue.NodeEvent, error)
	LastNodeEvents(ctx context.Context) ([]catalogue.NodeEvent, error)
	ForgetNodeEvents(ctx context.Context, keep time.Duration, known []string) error
}

// nodeTeller tells of nodes where several managers share a database. Each has its own view
// of them. By that of one the list in the database is written, and all queue what is in it,
// under the same ids: whoever is left tells what another one has not told.
type nodeTeller struct {
	list   nodeEvents
	claims claims
	queue  *events.Service
	nodes  func() []api.FleetNode
	keep   time.Duration
	log    *slog.Logger

	ready  bool  // place is that of the queue
	place  int64 // in the list
	looked time.Time
	forgot time.Time
	news   fault.News
}

func newNodeTeller(list nodeEvents, c claims, queue *events.Service, nodes func() []api.FleetNode, keep time.Duration, log *slog.Logger) *nodeTeller {
	return &nodeTeller{list: list, claims: c, queue: queue, nodes: nodes, keep: keep, log: log, forgot: time.Now()}
}

// run tells until ctx ends.
func (t *nodeTeller) run(ctx context.Context) {
	for ok := true; ok; ok = peer.Pause(ctx, tellEvery, nil) {
		one, cancel := context.WithTimeout(ctx, agreeTimeout)
		err := t.step(one)
		cancel()
		if ctx.Err() == nil && t.news.Has(err) {
			t.log.Warn("events of nodes wait: the managers' list of them cannot be used, will try again", "error", err)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), agreeTimeout)
	defer cancel()
	if err := t.claims.Release(last, tellClaim); err != nil {
		t.log.Debug("another manager has to wait before it tells of nodes", "error", err)
	}
}

// step writes what this manager sees, if it is the one that does, and queues what is new in
// the list.
func (t *nodeTeller) step(ctx context.Context) error {
	if !t.queue.Active() {
		t.ready = false
		return nil // and the claim ends
	}
	if !t.ready {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	held, _, err := t.claims.Claim(ctx, tellClaim, tellClaimFor)
	if err != nil {
		return err
	}
	now := time.Now()
	if !held {
		t.looked = time.Time{}
	} else if now.Sub(t.looked) >= nodesEvery {
		t.looked = now
		if err := t.write(ctx); err != nil {
			return err
		}
	}
	if held && now.Sub(t.forgot) >= forgetEvery {
		t.forgot = now
		if err := t.forget(ctx); err != nil {
			return err
		}
	}
	return t.read(ctx)
}

// begin finds where in the list this manager is. Who has never told of nodes tells what
// happens from now on.
func (t *nodeTeller) begin(ctx context.Context) error {
	place, ok, err := t.queue.Place(ctx, nodePlace)
	if err != nil {
		return err
	}
	last, err := t.list.LastNodeEvents(ctx)
	if err != nil {
		return err
	}
	var end int64
	for _, e := range last {
		end = max(end, e.N)
	}
	if !ok || place > end { // of another database
		place = end
		if err := t.queue.Take(ctx, nodePlace, place, nil); err != nil {
			return err
		}
	}
	t.place, t.ready = place, true
	return nil
}

// write adds to the list what has become of nodes since. A node of which nothing was told is
// up.
func (t *nodeTeller) write(ctx context.Context) error {
	last, err := t.list.LastNodeEvents(ctx)
	if err != nil {
		return err
	}
	was := map[string]string{}
	for _, e := range last {
		was[e.Node] = e.Kind
	}
	for _, n := range t.nodes() {
		kind := kindOfState(n.State)
		if kind == "" || kind == was[n.Alias] || kind == config.EventNodeUp && was[n.Alias] == "" {
			continue
		}
		data, err := json.Marshal(nodeData(n))
		if err != nil {
			return fmt.Errorf("encode what is told of node %q: %w", n.Alias, err)
		}
		if err := t.list.AddNodeEvent(ctx, n.Alias, kind, data); err != nil {
			return err
		}
	}
	return nil
}

// read queues what is new in the list.
func (t *nodeTeller) read(ctx context.Context) error {
	for {
		list, err := t.list.NodeEvents(ctx, t.place, nodeEventsPage)
		if err != nil || len(list) == 0 {
			return err
		}
		var all []events.Event
		for _, e := range list {
			all = append(all, events.Event{
				Type: e.Kind, Subject: e.Node, Time: e.At, Data: json.RawMessage(e.Data),
				ID: events.IDOf(eventSource, e.Kind, e.Node, strconv.FormatInt(e.N, 10), strconv.FormatInt(e.At.UnixMicro(), 10)),
			})
		}
		place := list[len(list)-1].N
		if err := t.queue.Take(ctx, nodePlace, place, all); err != nil {
			return err
		}
		t.place = place
	}
}

// forget takes out of the list what all managers have queued for long.
func (t *nodeTeller) forget(ctx context.Context) error {
	known := []string{}
	for _, n := range t.nodes() {
		known = append(known, n.Alias)
	}
	return t.list.ForgetNodeEvents(ctx, t.keep, known)
}
