package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// Record implements api.Fleet.
func (f *fleet) Record(ctx context.Context, r api.RecordRequest) (api.NodeAnswer, error) {
	n, err := f.choose(ctx, r)
	if err != nil {
		return api.NodeAnswer{}, err
	}
	if n == nil { // nobody has the stream: as a node says it
		return nothingRecorded(r)
	}
	if err := n.isUp(); err != nil {
		return api.NodeAnswer{}, err
	}
	start := n.record
	// A node that records the stream already is asked without a folder, and answers
	// that it does. What the manager knows may be a second old, so it asks the node.
	if r.Method == http.MethodPost && r.BaseDir == "" && f.shares(n, r.Stream) && len(f.recording(ctx, r.Stream, []*node{n})) == 0 {
		start = n.recordApart
	}
	answer, err := start(ctx, r)
	if err != nil || answer.Status != http.StatusOK {
		return answer, err
	}
	if r.Method == http.MethodPost || r.Method == http.MethodDelete {
		n.setRecording(r.Stream, r.Method == http.MethodPost)
	}
	answer.Body = n.mountAnswer(answer.Body)
	return answer, nil
}

// ownDirTries bounds the search for a second that is not taken.
const ownDirTries = 10

// recordApart starts a recording in a directory that no other node uses. By itself a
// node takes {stream}/{time}. If two nodes have the stream and begin, or are rotated,
// in the same second, both would take the same directory. Shared storage would refuse
// one of them, and its recording would stay on its node.
//
// If the node has a recording of that second already, such as one that was stopped a
// moment ago, it answers with a conflict, and the next second is tried. If all are
// taken, because a recording has the stream's folder by its base_dir, the node finds a
// folder by itself.
func (n *node) recordApart(ctx context.Context, r api.RecordRequest) (answer api.NodeAnswer, err error) {
	now := n.fleet.now().Unix()
	for i := range int64(ownDirTries) {
		r.BaseDir = fmt.Sprintf("%s/%s/%d", r.Stream, n.alias, now+i)
		if answer, err = n.record(ctx, r); err != nil || answer.Status != http.StatusConflict {
			return answer, err
		}
	}
	r.BaseDir = ""
	return n.record(ctx, r)
}

// mountAnswer returns a node's answer with the manifest's path as the manager has it,
// because several nodes may have a folder of the same name. An answer without a path
// stays as it is.
func (n *node) mountAnswer(body []byte) []byte {
	var fields map[string]json.RawMessage
	var mpd string
	if !n.Keeps() || json.Unmarshal(body, &fields) != nil || json.Unmarshal(fields["mpd_path"], &mpd) != nil || mpd == "" {
		return body
	}
	path, err := json.Marshal(n.Key(mpd))
	if err != nil {
		return body
	}
	fields["mpd_path"] = path
	mounted, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return append(mounted, '\n')
}

// shares reports whether another node has the stream that n is about to record to
// the same storage.
func (f *fleet) shares(n *node, stream string) bool {
	if n.Keeps() {
		return false
	}
	for _, other := range f.all() {
		if _, ok := other.stream(stream); ok && other != n && !other.Keeps() {
			return true
		}
	}
	return false
}

// choose returns the node that a request is for: the one that it names, or the only one
// that has the stream. If several have it, a request for the status or to stop goes to
// the one that records it. The result is nil if no node has the stream.
func (f *fleet) choose(ctx context.Context, r api.RecordRequest) (*node, error) {
	if r.Node != "" {
		n := f.node(r.Node)
		if n == nil {
			return nil, fault.Errorf(fault.NotFound, "there is no node %q; GET /api/nodes/ lists them", r.Node).Coded("node_unknown", "node", r.Node)
		}
		f.settle(ctx, n)
		return n, nil
	}
	silent := f.settle(ctx, f.all()...)
	having, live, recording := f.having(r.Stream)
	if r.Method == http.MethodPost {
		if len(live) == 0 {
			live = having // a node says what is missing
		}
		if len(live) == 0 {
			if err := f.untold(silent); err != nil {
				return nil, err
			}
		}
		return only(r.Stream, live, "have")
	}
	if len(having) > 1 {
		// What the manager knows may be a second old: another node may have begun
		// since.
		recording = f.recording(ctx, r.Stream, having)
	}
	if len(recording) == 0 {
		if err := f.recordedByAbsent(ctx, r.Stream, len(having) > 0); err != nil {
			if recording = f.recording(ctx, r.Stream, having); len(recording) == 0 {
				return nil, err
			}
		}
	}
	switch {
	case len(recording) > 0:
		return only(r.Stream, recording, "record")
	case len(having) > 0:
		return having[0], nil // it says that nothing is recorded
	}
	return nil, nil //nolint:nilnil // there is none
}

// untold returns an error that names a node whose streams are not known: one of silent,
// or one that is up and does not tell. It is nil if there is none.
func (f *fleet) untold(silent []*node) error {
	for _, n := range f.all() {
		if n.isUp() == nil || slices.Contains(silent, n) {
			if err := n.notListed(); err != nil {
				return err
			}
		}
	}
	return nil
}

// having returns the nodes that have a stream, those of them that have a publisher
// of it, and those that record it.
func (f *fleet) having(stream string) (all, live, recording []*node) {
	for _, n := range f.all() {
		s, ok := n.stream(stream)
		if !ok {
			continue
		}
		all = append(all, n)
		if len(s.Publish.Sessions) > 0 {
			live = append(live, n)
		}
		if s.Recording {
			recording = append(recording, n)
		}
	}
	return all, live, recording
}

// settleTimeout bounds how long a request waits for nodes that have just come. A stream
// is not missing only because nobody has told of it yet.
const settleTimeout = 2 * time.Second

// settle waits until the streams of the nodes are known, and returns the nodes of which
// they are still not. It does not wait for nodes that are down, or were asked and did
// not tell.
func (f *fleet) settle(ctx context.Context, nodes ...*node) (silent []*node) {
	late := time.NewTimer(min(settleTimeout, f.o.Timeout))
	defer late.Stop()
	for {
		changed := f.Changed()
		silent = nil
		for _, n := range nodes {
			if n.isSilent() {
				silent = append(silent, n)
			}
		}
		if len(silent) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-late.C:
			return silent
		case <-ctx.Done():
			return silent
		}
	}
}

// recordedByAbsent returns an error that names a node that cannot be asked and that, as
// far as the catalogue knows, records the stream. Nobody can say then that nothing is
// recorded. If the catalogue cannot be asked either, a stream that another node has
// counts as not recorded elsewhere.
func (f *fleet) recordedByAbsent(ctx context.Context, stream string, elsewhere bool) error {
	var absent error
	for _, n := range f.all() {
		if err := n.notListed(); err != nil {
			absent = err
		}
	}
	if absent == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	running, _, err := f.o.Catalogue.List(ctx, media.RecordingQuery{Stream: stream, Status: media.StatusRecording})
	switch {
	case err != nil && elsewhere:
		return nil
	case err != nil:
		return fault.Errorf(fault.Unavailable, "%w, and whether it records the stream cannot be told: %w", absent, err)
	}
	for _, r := range running {
		if n := f.node(r.Node); n != nil {
			if err := n.notListed(); err != nil {
				return err
			}
		}
	}
	return nil
}

// only returns the only node of a list, nil for an empty one, and an error that names
// them if there are several.
func only(stream string, nodes []*node, verb string) (*node, error) {
	switch len(nodes) {
	case 0:
		return nil, nil //nolint:nilnil // there is none
	case 1:
		return nodes[0], nil
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.alias
	}
	return nil, fault.Errorf(fault.Conflict, "several nodes %s stream %q: %s; choose one with ?node=", verb, stream, strings.Join(names, ", ")).Coded("stream_on_several", "stream", stream, "nodes", strings.Join(names, ", "))
}

// nothingRecorded is the answer about a stream that no node has.
func nothingRecorded(r api.RecordRequest) (api.NodeAnswer, error) {
	switch r.Method {
	case http.MethodGet:
		return api.NodeAnswer{Status: http.StatusOK, Body: []byte(`{"recording":false}` + "\n")}, nil
	case http.MethodPatch:
		return api.NodeAnswer{}, fault.Errorf(fault.NotFound, "no node that is up records stream %q, so there is nothing to pause: start a recording first, with POST /api/record/%s", r.Stream, r.Stream).Coded("not_recording", "stream", r.Stream)
	case http.MethodDelete:
		body, err := json.Marshal(map[string]any{"id": r.Stream, "recording": false, "stopped": false})
		return api.NodeAnswer{Status: http.StatusOK, Body: append(body, '\n')}, err
	}
	return api.NodeAnswer{}, fault.Errorf(fault.NotFound, "no node that is up has a stream %q", r.Stream).Coded("stream_unknown", "stream", r.Stream)
}

// recording asks nodes, all at the same time, which of them record a stream. For a node
// that does not answer, what is known of it counts.
func (f *fleet) recording(ctx context.Context, stream string, nodes []*node) []*node {
	records := make([]bool, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() {
			var status struct {
				Recording bool `json:"recording"`
			}
			err := n.client.GetJSON(ctx, recordPath(stream), f.o.Timeout, &status)
			if err != nil {
				known, _ := n.stream(stream)
				status.Recording = known.Recording
			}
			records[i] = status.Recording
		})
	}
	asked.Wait()
	var list []*node
	for i, n := range nodes {
		if records[i] {
			list = append(list, n)
		}
	}
	return list
}

func recordPath(stream string) string { return "/api/record/" + url.PathEscape(stream) }

// record passes a request on to the node.
func (n *node) record(ctx context.Context, r api.RecordRequest) (api.NodeAnswer, error) {
	if n.IsOriginal() {
		return n.recordOriginal(ctx, r)
	}
	q := peer.Call{Method: r.Method, Path: recordPath(r.Stream), Wait: n.fleet.o.Control}
	if r.Method == http.MethodGet {
		q.Wait = n.fleet.o.Timeout
	}
	body := map[string]any{}
	if r.BaseDir != "" {
		body["base_dir"] = r.BaseDir
	}
	if r.Method == http.MethodPatch {
		body["paused"] = r.Pause
	}
	if len(body) > 0 {
		var err error
		if q.Body, err = json.Marshal(body); err != nil {
			return api.NodeAnswer{}, fmt.Errorf("encode request: %w", err)
		}
	}
	return n.pass(ctx, q)
}

// ask sends a request to the node and returns its answer, whatever the status, with up to
// most bytes of its body. The answer has to be whole within the request's Wait.
func (n *node) ask(ctx context.Context, q peer.Call, most int64) (peer.Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, q.Wait, fmt.Errorf("no answer within %v", q.Wait))
	defer cancel()
	resp, err := n.client.Do(ctx, q)
	if err != nil {
		n.suspect()
		return peer.Answer{}, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		n.suspect()
		return peer.Answer{}, fault.Errorf(fault.Unavailable, "node %q: read its answer: %w", n.alias, peer.Explain(ctx, err))
	}
	return peer.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// pass sends a request to the node and returns its whole answer, also if that is an
// error. If the node refuses the manager's token, or begins to answer and does not end,
// pass returns an error.
func (n *node) pass(ctx context.Context, q peer.Call) (api.NodeAnswer, error) {
	a, err := n.ask(ctx, q, peer.MaxAnswer)
	if err != nil {
		return api.NodeAnswer{}, err
	}
	if a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden || !json.Valid(a.Body) && len(a.Body) > 0 {
		return api.NodeAnswer{}, fault.Errorf(fault.Unavailable, "node %q: %w", n.alias, peer.StatusError(a.Status, a.Body))
	}
	return api.NodeAnswer{Node: n.alias, Status: a.Status, Body: a.Body, RetryAfter: a.Header.Get("Retry-After")}, nil
}
