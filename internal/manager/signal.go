package manager

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/manager/signalling"
	"github.com/live777/recorder/internal/serve/api"
)

// signallingOff is the mode in which publishers and viewers are refused.
const signallingOff = "off"

// newSignalling makes what publishers and viewers of the manager are passed on by; nil
// where that is off.
func (m *Manager) newSignalling() *signalling.Server {
	if m.cfg.Signalling.Mode == signallingOff {
		return nil
	}
	rules := make([]signalling.Rule, len(m.cfg.Placement))
	for i, p := range m.cfg.Placement {
		rules[i] = signalling.Rule{Streams: p.Streams, Labels: p.Labels, Nodes: p.Nodes}
	}
	var places signalling.Places
	if m.catalogue.Shared() {
		places = sharedPlaces{m.catalogue}
	}
	return signalling.New(signalling.Options{
		Places: places,
		Fleet:  signalFleet{m.fleet, publicURLs(m.cfg.Nodes)}, Mode: m.cfg.Signalling.Mode, Rules: rules, Now: m.fleet.o.Now, Logger: m.log,
	})
}

// sharedPlaces is where the managers of one database have sent publishers.
type sharedPlaces struct{ *catalogue.DB }

// Place implements signalling.Places.
func (p sharedPlaces) Place(ctx context.Context, stream, alias, instead string) (string, error) {
	return p.DB.Place(ctx, stream, alias, instead, signalling.PlacedFor)
}

// Placed implements signalling.Places.
func (p sharedPlaces) Placed(ctx context.Context, stream string) (string, error) {
	return p.DB.Placed(ctx, stream, signalling.PlacedFor)
}

// publicURLs returns where clients reach nodes, by alias, where that is said.
func publicURLs(nodes []config.Node) map[string]string {
	urls := map[string]string{}
	for _, n := range nodes {
		if n.PublicURL != "" {
			urls[n.Alias] = n.PublicURL
		}
	}
	return urls
}

// signalFleet is the fleet as signalling needs it.
type signalFleet struct {
	fleet *fleet
	urls  map[string]string // publicURLs
}

// Candidates implements signalling.Fleet.
func (s signalFleet) Candidates(ctx context.Context, stream string) []signalling.Candidate {
	s.fleet.settle(ctx, s.fleet.all()...)
	var list []signalling.Candidate
	for _, n := range s.fleet.all() {
		c := n.candidate(stream)
		if u := s.urls[n.alias]; u != "" {
			c.URL = u
		}
		list = append(list, c)
	}
	return list
}

// candidate returns what is known of the node for one who publishes or watches a stream.
func (n *node) candidate(stream string) signalling.Candidate {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := signalling.Candidate{
		Alias: n.alias, URL: n.client.Base, Up: n.state == stateUp,
		Draining: n.load.Draining, Labels: n.load.Labels, MaxSessions: n.load.MaxSessions,
		Publishers: n.load.Publishers, Viewers: n.load.Viewers,
		Troubled: slices.ContainsFunc(n.load.Problems, func(p health.Problem) bool { return p.Serious }),
	}
	if p := n.load.Process; p != nil {
		c.CPUs, c.Busy = p.CPUs, p.CPU
	}
	if s, ok := n.streams[stream]; ok {
		c.Has, c.Recording, c.Publishing = true, s.Recording, len(s.Publish.Sessions) > 0
	}
	return c
}

// Ask implements signalling.Fleet.
func (s signalFleet) Ask(ctx context.Context, alias string, q signalling.Request) (signalling.Answer, error) {
	n := s.fleet.node(alias)
	if n == nil {
		return signalling.Answer{}, fault.New(fault.NotFound, "the node of this session is not one of the manager's any more").Coded("session_unknown")
	}
	a, err := n.ask(ctx, peer.Call{Method: q.Method, Path: q.Path, Header: q.Header, Body: q.Body, Wait: s.fleet.o.Timeout}, peer.MaxShort)
	return signalling.Answer(a), err
}

// Session implements signalling.Fleet.
func (s signalFleet) Session(alias, stream, session string) (publisher, ok bool) {
	n := s.fleet.node(alias)
	if n == nil {
		return false, false
	}
	if st, found := n.stream(stream); found {
		if publisher, ok = sessionOf(st, session); ok {
			return publisher, true
		}
	}
	// Another manager may have made it just now, and this one has not been told of it yet.
	if n.isUp() != nil || n.IsOriginal() {
		return false, false
	}
	var now api.NodeStream
	if err := n.client.GetJSON(s.fleet.ctx, "/api/streams/"+url.PathEscape(stream), s.fleet.o.Timeout, &now); err != nil {
		return false, false // it is gone, or the request itself will tell what is wrong
	}
	return sessionOf(now, session)
}

// sessionOf reports whether a session of a stream is a publisher's.
func sessionOf(st api.NodeStream, session string) (publisher, ok bool) {
	for _, one := range st.Publish.Sessions {
		if one.ID == session {
			return true, true
		}
	}
	for _, one := range st.Subscribe.Sessions {
		if one.ID == session {
			return false, true
		}
	}
	return false, false
}

// Drain implements api.Fleet.
func (f *fleet) Drain(ctx context.Context, alias string, drain bool) error {
	n := f.node(alias)
	if n == nil {
		return fault.Errorf(fault.NotFound, "there is no node %q; GET /api/nodes/ lists them", alias).Coded("node_unknown", "node", alias)
	}
	method := http.MethodDelete
	if drain {
		method = http.MethodPost
	}
	answer, err := n.pass(ctx, peer.Call{Method: method, Path: "/api/drain", Wait: f.o.Timeout})
	if err != nil {
		return err
	}
	if answer.Status != http.StatusNoContent {
		return fault.Errorf(fault.Unavailable, "node %q: %w", alias, peer.StatusError(answer.Status, answer.Body))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.load.Draining = drain // its own word comes with its load
	return nil
}
