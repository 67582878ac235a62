package signalling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/serve/api"
)

// fakeFleet is nodes that answer as they are told.
type fakeFleet struct {
	mu    sync.Mutex
	nodes []Candidate
	// answers are by alias; who has none does not answer.
	answers map[string]Answer
	asked   []string
	last    Request
	told    map[string]bool // sessions that nodes tell of: whether a publisher's
}

func (f *fakeFleet) Candidates(context.Context, string) []Candidate { return slices.Clone(f.nodes) }

func (f *fakeFleet) Ask(_ context.Context, alias string, q Request) (Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.last = append(f.asked, q.Method+" "+alias+" "+q.Path), q
	a, ok := f.answers[alias]
	if !ok {
		return Answer{}, fault.New(fault.Unavailable, "it is gone")
	}
	return a, nil
}

func (f *fakeFleet) Session(alias, stream, session string) (publisher, ok bool) {
	publisher, ok = f.told[alias+" "+stream+" "+session]
	return publisher, ok
}

func created(id string) Answer {
	return Answer{Status: http.StatusCreated, Header: http.Header{
		"Location": {"/base/session/cam/" + id}, "Etag": {`"e"`}, "Content-Type": {"application/sdp"}, "Link": {"<stun:a>; rel=\"ice-server\"", "<turn:b>; rel=\"ice-server\""},
		"Server": {"x"},
	}, Body: []byte("v=0\r\n")}
}

func newServer(t *testing.T, f *fakeFleet, change func(*Options)) *Server {
	t.Helper()
	o := Options{Fleet: f, Mode: Relay, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&o)
	}
	s := New(o)
	t.Cleanup(s.Close)
	return s
}

// do makes a request of a client of the account alice.
func do(t *testing.T, handle func(http.ResponseWriter, *http.Request) error, method, path string, lease live.Lease) (*httptest.ResponseRecorder, error) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("offer"))
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	r.SetPathValue("stream", parts[1])
	if len(parts) > 2 {
		r.SetPathValue("session", parts[2])
	}
	r.Header.Set("Content-Type", "application/sdp")
	r.Header.Set("Authorization", "Bearer of-the-client")
	r.RemoteAddr = "192.0.2.7:5"
	r = r.WithContext(live.WithClient(r.Context(), live.Client{Owner: "account alice", Prefix: "/studio", Lease: lease}))
	return w, handle(w, r)
}

func TestRelay(t *testing.T) {
	f := &fakeFleet{
		nodes:   []Candidate{{Alias: "a", Up: true}, {Alias: "b", Up: true, Publishers: 1}},
		answers: map[string]Answer{"a": created("s1"), "b": {Status: http.StatusOK}},
	}
	s := newServer(t, f, nil)
	expires := time.Unix(2e9, 0)
	w, err := do(t, s.Publish, http.MethodPost, "/whip/cam?nodes=a&nodes=b", live.Lease{Expires: expires})
	if err != nil || w.Code != http.StatusCreated {
		t.Fatalf("%d %v", w.Code, err)
	}
	if got := w.Header().Get("Location"); got != "/studio/session/cam/a~s1" {
		t.Errorf("Location %q", got)
	}
	if len(w.Header().Values("Link")) != 2 || w.Header().Get("ETag") != `"e"` || w.Header().Get("Server") != "" || w.Body.String() != "v=0\r\n" {
		t.Errorf("the node's answer is %v %q", w.Header(), w.Body)
	}
	h := f.last.Header
	if h.Get("Content-Type") != "application/sdp" || h.Get("Authorization") != "" || string(f.last.Body) != "offer" {
		t.Errorf("the node got %v %q", h, f.last.Body)
	}
	if h.Get("Live777-Client-Address") != "192.0.2.7" || h.Get("Live777-Client-Expires") != "2000000000" || h.Get("Live777-Client-Owner") == "" || strings.Contains(fmt.Sprint(h), "alice") {
		t.Errorf("the node is told %v", h)
	}
	if publisher, ok := s.SessionRight("cam", "a~s1"); !ok || !publisher {
		t.Error("the session is not known as a publisher's")
	}
	f.answers["a"] = Answer{Status: http.StatusOK}
	for _, method := range []string{http.MethodPatch, http.MethodDelete} {
		handle := s.PatchSession
		if method == http.MethodDelete {
			handle = s.DeleteSession
		}
		if w, err := do(t, handle, method, "/session/cam/a~s1", live.Lease{}); err != nil || w.Code != http.StatusOK {
			t.Errorf("%s: %d %v", method, w.Code, err)
		}
	}
	if want := []string{"POST a /whip/cam", "PATCH a /session/cam/s1", "DELETE a /session/cam/s1"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
	if _, ok := s.SessionRight("cam", "a~s1"); ok {
		t.Error("a session that is over is still known")
	}
}

// Where one node does not answer or has no place, the next is asked. What is about the
// request is the answer.
func TestNextNode(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string]Answer
		want    []string
		status  int // of the error; 0: there is none
	}{
		{"no answer", map[string]Answer{"b": created("s")}, []string{"a", "b"}, 0},
		{"no place", map[string]Answer{"a": {Status: 503, Body: []byte("{}")}, "b": created("s")}, []string{"a", "b"}, 0},
		{"a conflict", map[string]Answer{"a": {Status: 409, Header: http.Header{"Retry-After": {"7"}}, Body: []byte(`{"error":"x"}`)}, "b": created("s")}, []string{"a"}, 409},
		{"nobody", map[string]Answer{}, []string{"a", "b", "c"}, 503},
		{"the manager's token is refused", map[string]Answer{"a": {Status: 401}, "b": created("s")}, []string{"a"}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true}, {Alias: "b", Up: true}, {Alias: "c", Up: true}, {Alias: "d", Up: true}}, answers: tt.answers}
			s := newServer(t, f, nil)
			_, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{})
			var got []string
			for _, one := range f.asked {
				got = append(got, strings.Fields(one)[1])
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("asked %v, want %v", got, tt.want)
			}
			var passed *api.NodeError
			switch {
			case tt.status == 0 && err != nil, tt.status == 503 && fault.KindOf(err) != fault.Unavailable:
				t.Errorf("error %v", err)
			case tt.status == 409 && (!errors.As(err, &passed) || passed.Status != 409 || passed.RetryAfter != "7"):
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestNobody(t *testing.T) {
	f := &fakeFleet{nodes: []Candidate{{Alias: "a"}, {Alias: "b", Up: true, Draining: true, Has: true}, {Alias: "c", Up: true}}}
	s := newServer(t, f, func(o *Options) { o.Rules = []Rule{{Streams: []string{"cam"}, Nodes: []string{"a", "b"}}} })
	w, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "1 are down, 1 are draining, 0 have all the sessions that they take, 1 are excluded") || w.Header().Get("Retry-After") == "" {
		t.Errorf("publisher: %v", err)
	}
	if w, err = do(t, s.Subscribe, http.MethodPost, "/whep/cam", live.Lease{}); fault.KindOf(err) != fault.Conflict || w.Header().Get("Retry-After") == "" {
		t.Errorf("viewer of a stream without a publisher: %v", err)
	}
	f.nodes[1].Has = false
	if _, err = do(t, s.Subscribe, http.MethodPost, "/whep/cam", live.Lease{}); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), `node "a" does not`) {
		t.Errorf("viewer of no stream: %v", err)
	}
}

func TestRedirect(t *testing.T) {
	f := &fakeFleet{
		nodes:   []Candidate{{Alias: "a", Up: true, URL: "https://a.example:7777/x/"}, {Alias: "b", Up: true, URL: "https://b.example", Publishers: 1}},
		answers: map[string]Answer{"a": {Status: http.StatusNoContent}, "b": {Status: http.StatusMethodNotAllowed}},
	}
	s := newServer(t, f, func(o *Options) { o.Mode = Redirect })
	sentTo := func(want string, asked ...string) {
		t.Helper()
		f.asked = nil
		w, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{})
		if err != nil || w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != want || !slices.Equal(f.asked, asked) {
			t.Errorf("%d %v %v, asked %q", w.Code, w.Header(), err, f.asked)
		}
	}
	sentTo("https://a.example:7777/x/whip/cam", "OPTIONS a /whip/cam")
	delete(f.answers, "a") // it has died, and nobody has noticed yet
	sentTo("https://b.example/whip/cam", "OPTIONS a /whip/cam", "OPTIONS b /whip/cam")
	delete(f.answers, "b")
	if w, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no node answers: %d, %v", w.Code, err)
	}
}

// The manager's page is not sent to another origin, which it cannot ask; other pages are.
func TestPageIsNotRedirected(t *testing.T) {
	f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true, URL: "https://a.example"}}, answers: map[string]Answer{"a": created("s")}}
	s := newServer(t, f, func(o *Options) { o.Mode = Redirect })
	for _, tt := range []struct {
		name, value string
		want        int
	}{
		{"Sec-Fetch-Site", "same-origin", http.StatusCreated}, {"Origin", "http://example.com", http.StatusCreated},
		{"Sec-Fetch-Site", "cross-site", http.StatusTemporaryRedirect}, {"Origin", "https://other.example", http.StatusTemporaryRedirect}, {"Origin", "null", http.StatusTemporaryRedirect},
	} {
		w, err := do(t, func(w http.ResponseWriter, r *http.Request) error {
			r.Header.Set(tt.name, tt.value) // to example.com
			return s.Publish(w, r)
		}, http.MethodPost, "/whip/cam", live.Lease{})
		if err != nil || w.Code != tt.want {
			t.Errorf("%s: %s: %d %v", tt.name, tt.value, w.Code, err)
		}
	}
}

// Publishers of different streams that come at the same moment are spread, however they meet.
func TestSpreadAtOnce(t *testing.T) {
	const nodes, each = 4, 5
	f := &fakeFleet{answers: map[string]Answer{}}
	for i := range nodes {
		alias := string(rune('a' + i))
		f.nodes = append(f.nodes, Candidate{Alias: alias, Up: true})
		f.answers[alias] = created("s")
	}
	s := newServer(t, f, nil)
	var wg sync.WaitGroup
	for i := range nodes * each {
		wg.Go(func() {
			if _, err := do(t, s.Publish, http.MethodPost, fmt.Sprint("/whip/cam", i), live.Lease{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, got := s.memory.recent("")
	for i := range nodes {
		if n := got[string(rune('a'+i))]; n != each {
			t.Errorf("they are spread as %v", got)
		}
	}
}

// Of sessions that another manager has made, the nodes tell.
func TestSessionOfAnotherManager(t *testing.T) {
	f := &fakeFleet{told: map[string]bool{"a cam p": true, "a cam v": false}, answers: map[string]Answer{"a": {Status: http.StatusOK}}}
	s := newServer(t, f, nil)
	for session, want := range map[string][2]bool{"a~p": {true, true}, "a~v": {false, true}, "a~x": {false, false}, "p": {false, false}} {
		if publisher, ok := s.SessionRight("cam", session); publisher != want[0] || ok != want[1] {
			t.Errorf("%s: %v %v", session, publisher, ok)
		}
	}
	if _, err := do(t, s.DeleteSession, http.MethodDelete, "/session/cam/a~p", live.Lease{}); err != nil {
		t.Error(err)
	}
	if _, err := do(t, s.DeleteSession, http.MethodDelete, "/session/cam/p", live.Lease{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a name without a node: %v", err)
	}
}

// Two publishers of one stream that come at the same time go to one node, and many of
// different streams are spread before any node tells of them.
func TestAtTheSameTime(t *testing.T) {
	f := &fakeFleet{
		nodes:   []Candidate{{Alias: "a", Up: true}, {Alias: "b", Up: true}},
		answers: map[string]Answer{"a": created("s"), "b": created("s")},
	}
	s := newServer(t, f, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, one := range f.asked {
		if one != f.asked[0] {
			t.Errorf("one stream went to several nodes: %v", f.asked)
			break
		}
	}
	f.asked = nil
	for i := range 10 {
		if _, err := do(t, s.Publish, http.MethodPost, fmt.Sprintf("/whip/other%d", i), live.Lease{}); err != nil {
			t.Fatal(err)
		}
	}
	onA := 0
	for _, one := range f.asked {
		if strings.HasPrefix(one, "POST a ") {
			onA++
		}
	}
	if onA < 4 || onA > 6 {
		t.Errorf("%d of 10 streams went to one of two nodes", onA)
	}
	if len(s.memory.streams) > 0 {
		t.Errorf("%d turns are left", len(s.memory.streams))
	}
}

// A session ends with its credentials.
func TestCredentialsTakenBack(t *testing.T) {
	f := &fakeFleet{nodes: []Candidate{{Alias: "a", Up: true}}, answers: map[string]Answer{"a": created("s")}}
	s := newServer(t, f, nil)
	ended := make(chan struct{})
	if _, err := do(t, s.Publish, http.MethodPost, "/whip/cam", live.Lease{Ended: ended}); err != nil {
		t.Fatal(err)
	}
	close(ended)
	s.watch.Wait()
	if want := []string{"POST a /whip/cam", "DELETE a /session/cam/s"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v", f.asked)
	}
}

// What is remembered is bounded in number and time.
func TestMemory(t *testing.T) {
	now := time.Unix(1000, 0)
	m := newMemory(func() time.Time { return now })
	forgotten := 0
	for i := range maxSessions + 10 {
		m.keep(sessionKey{"s", fmt.Sprint(i)}, &kept{publisher: true, forget: func() { forgotten++ }})
	}
	if len(m.sessions) != maxSessions || forgotten != 10 {
		t.Errorf("%d sessions, %d forgotten", len(m.sessions), forgotten)
	}
	for i := range 3 * maxSessions {
		key := sessionKey{"t", fmt.Sprint(i)}
		m.keep(key, &kept{})
		m.forget(key)
	}
	if len(m.order) > 2*maxSessions+1 {
		t.Errorf("%d names are kept in order", len(m.order))
	}
	for i := range maxPlaced + 10 {
		m.place(fmt.Sprint(i), "a")
	}
	if len(m.placed) != maxPlaced {
		t.Errorf("%d places", len(m.placed))
	}
	if alias, counts := m.recent("5"); alias != "a" || counts["a"] != maxPlaced {
		t.Errorf("%q %v", alias, counts)
	}
	now = now.Add(PlacedFor)
	if alias, counts := m.recent("5"); alias != "" || len(counts) > 0 {
		t.Errorf("later: %q %v", alias, counts)
	}
}
