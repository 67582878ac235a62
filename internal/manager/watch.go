package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/serve/api"
)

// eventsAgain is how many polls pass before events are tried again of a node whose
// events did not come: something between may collect them.
const eventsAgain = 6

// followStreams keeps the list of streams, by events as long as they come, by
// polling where they do not.
func (n *node) followStreams(ctx context.Context) {
	for n.AwaitUp(ctx) {
		up, cancel := n.whileUp(ctx)
		came, err := n.watchStreams(up)
		polls := 1
		if !came && up.Err() == nil {
			polls = eventsAgain
		}
		if up.Err() == nil && !errors.Is(err, peer.ErrNoRoute) && !errors.Is(err, errNoEvents) {
			n.suspect()
		}
		for range polls {
			if up.Err() != nil {
				break
			}
			n.pollStreams(up)
			peer.Pause(up, n.fleet.o.Poll, nil)
		}
		cancel()
	}
}

// pollStreams asks for the list of streams.
func (n *node) pollStreams(ctx context.Context) {
	var list peer.StreamList
	err := n.client.GetList(ctx, "/api/streams/", nil, n.fleet.o.Timeout, peer.MaxEvent, &list)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = n.takeStreams(list)
	}
	n.Note("streams", err)
}

// takeStreams takes a list over that the node has told, if it is not too long.
func (n *node) takeStreams(list []api.NodeStream) error {
	if most := n.fleet.maxStreams; len(list) > most {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.setStreams(nil)
		return fault.Errorf(fault.Unavailable, "it tells of more than %d streams", most)
	}
	n.replaceStreams(list)
	return nil
}

// eventPause is the least time between two events of a node, as between those that it
// sends: who sends more waits until they are read.
const eventPause = 50 * time.Millisecond

// errNoEvents says that an event stream began, and the first event did not come.
var errNoEvents = errors.New("no event came")

// watchStreams follows the events of the node's streams until they end. The first
// comes at once, or something is wrong with them: came is false then.
func (n *node) watchStreams(ctx context.Context) (came bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	first := time.AfterFunc(n.fleet.o.Timeout, func() { cancel(errNoEvents) })
	defer first.Stop()
	err = n.Events(ctx, "/api/sse/streams", func(data []byte) error {
		var list peer.StreamList
		if err := peer.Decode(data, &list); err != nil {
			return fmt.Errorf("decode event: %w", peer.Short(err))
		}
		first.Stop()
		came = true
		err := n.takeStreams(list)
		n.Note("streams", err)
		peer.Pause(ctx, eventPause, nil)
		return err
	})
	if cause := context.Cause(ctx); errors.Is(cause, errNoEvents) {
		err = cause
	}
	return came, err
}

// events reads an event stream of the node until it ends.
func (n *node) Events(ctx context.Context, path string, handle func([]byte) error) error {
	resp, err := n.client.Do(ctx, peer.Call{Method: http.MethodGet, Path: path, Wait: n.fleet.o.Timeout})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return peer.StatusError(resp.StatusCode, nil)
	}
	return peer.ReadEvents(resp.Body, handle)
}

// clockTolerance is how far a node's clock may be off without a word in the log.
const clockTolerance = 2 * time.Second

// followLoad asks for the load of the node, again and again. Its streams tell of
// themselves; what they do not tell is not worth an event.
func (n *node) followLoad(ctx context.Context) {
	for n.AwaitUp(ctx) {
		up, cancel := n.whileUp(ctx)
		if !n.IsOriginal() { // which has no such thing
			n.askLoad(up)
		}
		peer.Pause(up, n.fleet.o.Poll, nil)
		cancel()
	}
}

func (n *node) askLoad(up context.Context) {
	var load api.NodeLoad
	start := n.fleet.now()
	err := n.client.GetJSON(up, "/api/load", n.fleet.o.Timeout, &load)
	if up.Err() == nil {
		n.setLoad(load, start, err)
	}
}

// setLoad notes the load that the node has answered to a request of the time start,
// unless it is down by now. What its streams tell is newer.
func (n *node) setLoad(load api.NodeLoad, start time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != stateUp {
		return
	}
	if err != nil { // it is older, or what else is asked says why
		load = api.NodeLoad{}
	}
	load.Problems, load.Labels = bounded(load.Problems), peer.BoundedNames(load.Labels)
	load.Streams, load.Publishers, load.Viewers, load.Recordings = n.load.Streams, n.load.Publishers, n.load.Viewers, n.load.Recordings
	n.load = load
	if load.Time.IsZero() {
		n.offset = nil
		return
	}
	now := n.fleet.now()
	offset := load.Time.Sub(start.Add(now.Sub(start) / 2)) // the answer was on its way for half of the time
	if off := offset.Abs() > clockTolerance; off && (n.offset == nil || n.offset.Abs() <= clockTolerance) {
		n.log.Warn("the node's clock is not the manager's: its recordings have other times", "ahead", offset)
	}
	n.offset = &offset
}

// maxProblems bounds the problems of a node that are shown.
const maxProblems = 10

// bounded returns what is kept of the problems that a node has told.
func bounded(told []health.Problem) []health.Problem {
	if len(told) > maxProblems {
		told = slices.Clone(told[:maxProblems])
	}
	for i := range told {
		p := &told[i]
		p.Place, p.Text, p.Code = peer.Cut(p.Place), peer.Cut(p.Text), peer.Cut(p.Code)
		if params, err := json.Marshal(p.Params); err != nil || len(params) > peer.MaxText {
			p.Params = nil
		}
	}
	return told
}
