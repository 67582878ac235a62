//go:build !norecorder

package manager

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/serve/api"
)

// many returns a list of so many.
func many(n int, of string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(of+",", n), ",") + "]"
}

// TestListsAreBounded: lists of a node that would be far more in memory than they are on
// their way are refused, and the longest that may be are not.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		data, why string
		into      any
	}{
		{many(maxStreams, "{}"), "", new(streamList)},
		{`[{"id":"a","tracks":` + many(maxTracks+1, "null") + "}]", "more than 64 tracks", new(streamList)},
		{`[{"id":"a","codecs":` + many(maxTracks+1, "null") + "}]", "more than 64 tracks", new(streamList)},
		{`[{"id":"a","publish":{"sessions":` + many(maxSessions, "{}") + `}},{"subscribe":{"sessions":[{}]}}]`, "more than 100000 sessions", new(streamList)},
		{`[{"id":"a","tracks":` + many(maxParts, "null") + "}]", "more than 600000 parts", new(streamList)},
		{`{"id":"a"}`, "no list", new(streamList)},
		{`{"changes":` + many(feedLimit, "{}") + "}", "", new(feedPage)},
		{`{"changes":` + many(feedLimit+1, "null") + "}", "more than 200 changes", new(feedPage)},
		{`{"changes":[{"recording":{"tracks":` + many(maxTracks+1, "{}") + "}}]}", "more than 64 tracks", new(feedPage)},
		{`{"changes":[{"recording":{"tracks":[{"gaps":` + many(maxParts, "null") + "}]}}]}", "more than 600000 parts", new(feedPage)},
		{`{"changes":` + many(maxAnswerParts+1, "null") + "}", "more than 4000000 parts", new(feedPage)},
		{many(maxIndex+1, "null"), "more than 10000 recordings", new(sessionList)},
		{"null", "", new(streamList)},
	} {
		err := decode([]byte(test.data), test.into)
		if (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
			t.Errorf("%.60s: %v, want %q", test.data, err, test.why)
		}
	}
	var list streamList
	if err := decode([]byte(many(5*maxStreams, "null")), &list); err != nil || len(list) != maxStreams+1 {
		t.Errorf("%d streams of too many are decoded, %v; one too many tells it", len(list), err)
	}
}

// TestNodesSayLittle: what a node says of itself, and what libraries quote of its
// answers, is kept and shown, and so it is short.
func TestNodesSayLittle(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	i := boundedInfo(api.Info{Version: long, Node: long, Features: strings.Split(strings.Repeat(long+",", 200), ","), Codecs: []string{long}})
	if len(i.Version) > maxText || len(i.Node) > maxText || len(i.Features) > maxNames || len(i.Features[0]) > maxText || len(i.Codecs[0]) > maxText {
		t.Errorf("%d bytes of a version, %d of a name, %d features", len(i.Version), len(i.Node), len(i.Features))
	}
	if i := boundedInfo(api.Info{}); i.Features != nil { // which tells an original
		t.Errorf("features that were not told: %v", i.Features)
	}
	if told := bounded([]health.Problem{{Text: long}}); len(told[0].Text) > maxText {
		t.Errorf("%d bytes of a problem", len(told[0].Text))
	}
	for _, answer := range []string{`{"name":"live777","version":` + strings.Repeat("9", 100_000) + "}", `{"time":"` + long + `"}`} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, answer) }))
		c := newClient(newTransport(), s.URL, "")
		for _, out := range []any{new(nodeInfo), new(api.NodeLoad)} {
			if err := c.getJSON(t.Context(), "/", 10*time.Second, out); err != nil && len(err.Error()) > 2*maxText {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
		s.Close()
	}
	if err := short(errors.New("a little")); err.Error() != "a little" {
		t.Errorf("%v", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 10 {
			w.Header().Set("X-Long-"+strconv.Itoa(i), long)
		}
	}))
	defer s.Close()
	c := newClient(newTransport(), s.URL, "")
	resp, err := c.do(t.Context(), call{method: http.MethodGet, path: "/", wait: 10 * time.Second})
	if fault.KindOf(err) != fault.Unavailable {
		_ = resp.Body.Close()
		t.Errorf("a header of a megabyte: %v", err)
	}
}

// TestManyFolders: which have been seen on a walk is known without their names.
func TestManyFolders(t *testing.T) {
	t.Parallel()
	var none *dirSet
	s := newDirSet()
	for i := range 1000 {
		s.add("cam/" + strconv.Itoa(i%500))
	}
	if none.len() != 0 || s.len() != 500 || !s.has("cam/7") || s.has("cam/500") {
		t.Errorf("%d folders", s.len())
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
