//go:build !norecorder

package manager

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/serve/api"
)

// TestNodesSayLittle: what a node says of itself, and what libraries quote of its
// answers, is kept and shown, and so it is short.
func TestNodesSayLittle(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	if i := peer.BoundedInfo(api.Info{}); i.Features != nil { // which tells an original
		t.Errorf("features that were not told: %v", i.Features)
	}
	told := bounded([]health.Problem{{Text: long, Code: long, Params: map[string]any{"n": long}}})[0]
	if n := len(told.Text) + len(told.Code) + len(fmt.Sprint(told.Params)); n > 3*peer.MaxText {
		t.Errorf("%d bytes of a problem", n)
	}
	for _, answer := range []string{`{"name":"live777","version":` + strings.Repeat("9", 100_000) + "}", `{"time":"` + long + `"}`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, answer) }))
		c := peer.New(peer.NewHTTP(), s.URL, "")
		for _, out := range []any{new(nodeInfo), new(api.NodeLoad)} {
			if err := c.GetJSON(t.Context(), "/", 10*time.Second, out); err != nil && len(err.Error()) > 2*peer.MaxText {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
		s.Close()
	}
}

// TestEventsAreLookedAtInTurn: a node that sends events without end has each of them
// wait, and not the manager's processors.
func TestEventsAreLookedAtInTurn(t *testing.T) {
	t.Parallel()
	const events = 8
	node := newFakeNode(t, &fakeNode{events: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			_, _ = fmt.Fprintf(w, "data: [{\"id\":\"%d\"}]\n\n", i)
		}
	}})
	f, _, _ := newTestFleet(t)
	n := newNode(f, "edge", configured, node.URL, "", true)
	begin := time.Now()
	if came, err := n.watchStreams(t.Context()); !came {
		t.Error(err)
	}
	if took := time.Since(begin); took < events*eventPause*8/10 { // a pause is a tenth shorter or longer
		t.Errorf("%d events took %v", events, took)
	}
}
