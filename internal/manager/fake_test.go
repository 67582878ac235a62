//go:build !norecorder

package manager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// recordingInfo is what a node with a recorder says of itself.
var recordingInfo = api.Info{Name: nodeName, Version: "fake", Features: []string{"recorder"}}

// fakeNode is a node that is made up, of which a test says what it does. The zero
// values of its functions are those of a node in order that has no streams.
type fakeNode struct {
	*httptest.Server
	info   http.HandlerFunc
	events http.HandlerFunc // of streams
	list   func() []api.NodeStream
	// streams is asked for the list, in place of list.
	streams http.HandlerFunc
	record  http.HandlerFunc
	feed    http.HandlerFunc // of recordings
	gone    chan struct{}    // closed at the end of the test

	mu   sync.Mutex
	seen []string // methods and paths of requests
}

func newFakeNode(t *testing.T, f *fakeNode) *fakeNode {
	t.Helper()
	f.gone = make(chan struct{})
	mux := http.NewServeMux()
	handle := func(pattern string, h, otherwise http.HandlerFunc) {
		if h == nil {
			h = otherwise
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.seen = append(f.seen, r.Method+" "+r.URL.Path)
			f.mu.Unlock()
			h(w, r)
		})
	}
	if f.list == nil {
		f.list = func() []api.NodeStream { return []api.NodeStream{} }
	}
	answer := func(v func() any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v()) }
	}
	handle("GET /api/info", f.info, answer(func() any { return recordingInfo }))
	handle("GET /api/load", nil, answer(func() any { return api.NodeLoad{} }))
	handle("GET /api/streams/", f.streams, answer(func() any { return f.list() }))
	handle("GET /api/sse/streams", f.events, http.NotFound)
	handle("GET /api/recordings", f.feed, answer(func() any { return follow.Page{Feed: "f", Changes: []media.Change{}, Next: 1, Base: 1} }))
	handle("/api/record/{stream}", f.record, answer(func() any { return map[string]any{"id": "x", "record_dir": "x/1"} }))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		close(f.gone)
		f.CloseClientConnections()
		f.Server.Close()
	})
	return f
}

// hang takes a request and answers it with no more than the header, if at all.
func (f *fakeNode) hang(header bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if header {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-f.gone:
		}
	}
}

// times returns how often something was asked for.
func (f *fakeNode) times(request string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.seen {
		if strings.HasPrefix(s, request) {
			n++
		}
	}
	return n
}

// published is a stream that has a publisher.
func published(id string, recording bool) api.NodeStream {
	return api.NodeStream{ID: id, Recording: recording, Publish: api.StreamPresence{Sessions: []api.StreamSession{{ID: "session-of-" + id}}}}
}

// followed returns a fleet that follows nodes, which are local.
func followed(t *testing.T, poll, timeout time.Duration, nodes map[string]*fakeNode) *fleet {
	t.Helper()
	f, _, _ := newTestFleet(t)
	f.o.Poll, f.o.Timeout = poll, timeout
	for alias, n := range nodes {
		f.add(newNode(f, alias, configured, n.URL, "", true))
	}
	t.Cleanup(f.close)
	return f
}

// trickle answers a byte at a time, without end.
func trickle(w http.ResponseWriter, r *http.Request) {
	for _, err := fmt.Fprint(w, "{"); err == nil; _, err = fmt.Fprint(w, " ") {
		_ = http.NewResponseController(w).Flush()
		if !peer.Pause(r.Context(), 50*time.Millisecond, nil) {
			return
		}
	}
}
