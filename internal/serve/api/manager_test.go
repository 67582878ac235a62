package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/ingest/live"
)

const registrationToken = "registration-token"

// fakeFleet has one node, and a stream "room" on it.
type fakeFleet struct{ *fakes }

func fleetNode() FleetNode {
	return FleetNode{
		Alias: "n1", URL: "http://n1.example:7777", Source: "configured", Storage: "shared", State: "up",
		Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), SeenAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), LatencyMS: 1.5, Version: "1",
	}
}

func fleetStream() FleetStream {
	s := NodeStream{
		ID: "room", CreatedAt: 1, Publish: StreamPresence{Sessions: []StreamSession{{ID: "p", State: "connected"}}},
		Subscribe: StreamPresence{LeaveAt: 1, Sessions: []StreamSession{}}, Tracks: []live.TrackInfo{{Kind: "video", Codec: "H264"}},
		Codecs: []live.CodecInfo{{Kind: "video", Codec: "H264", Fmtp: "packetization-mode=1"}},
	}
	return FleetStream{NodeStream: s, Nodes: []StreamOnNode{{Node: "n1", NodeStream: s}}}
}

func (fakeFleet) Nodes() []FleetNode { return []FleetNode{fleetNode()} }
func (f fakeFleet) Register(_ context.Context, n NodeRegistration, admin bool) (FleetNode, bool, error) {
	return fleetNode(), n.Alias == "new", f.call("register(%s,%v)", n.Alias, admin)
}
func (f fakeFleet) Remove(_ context.Context, alias string) error { return f.call("remove(%s)", alias) }
func (fakeFleet) Streams() []FleetStream                         { return []FleetStream{fleetStream()} }
func (fakeFleet) Stream(id string) (FleetStream, bool)           { return fleetStream(), id == "room" }
func (f fakeFleet) Snapshot() FleetSnapshot                      { return snapshotOf(f.Streams()) }

func snapshotOf(streams []FleetStream) FleetSnapshot {
	var all []EncodedStream
	for i := range streams {
		data, _ := json.Marshal(&streams[i])
		all = append(all, EncodedStream{ID: streams[i].ID, Version: 1, JSON: data})
	}
	return FleetSnapshot{Version: 1, Streams: all, All: func() []byte { return JoinStreams(all) }}
}
func (fakeFleet) Changed() <-chan struct{} { return nil }
func (f fakeFleet) Drain(_ context.Context, alias string, drain bool) error {
	return f.call("drain(%s,%v)", alias, drain)
}

func (f fakeFleet) Record(_ context.Context, r RecordRequest) (NodeAnswer, error) {
	body := map[string]string{
		http.MethodPost:   `{"id":"room","record_id":"1","record_dir":"room/1","mpd_path":"room/1/manifest.mpd"}`,
		http.MethodGet:    `{"recording":false}`,
		http.MethodDelete: `{"id":"room","recording":false,"stopped":false}`,
	}[r.Method]
	return NodeAnswer{Node: "n1", Status: http.StatusOK, Body: []byte(body)}, f.call("record(%s,%s,%s)", r.Method, r.Stream, r.BaseDir)
}

// newManager is newNode for a manager.
func newManager(t *testing.T, change func(*ManagerOptions)) *node {
	t.Helper()
	n := &node{fakes: &fakes{}, logs: &logtest.Buffer{}}
	o := ManagerOptions{
		Fleet: fakeFleet{n.fakes}, Playback: fakePlayback{n.fakes}, Archive: fakeArchive{n.fakes}, Recordings: &fakeRecordings{fakes: n.fakes}, WHIP: fakeWHIP{n.fakes},
		Auth: auth.New(auth.Options{Anonymous: true}), RegistrationToken: registrationToken,
		Page: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "page")
		}),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "metrics")
		}),
		Info:   Info{Name: "liveman", Version: "1", Features: []string{"manager"}, Codecs: []string{}},
		Logger: slog.New(slog.NewTextHandler(n.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	var err error
	if n.API, err = NewManager(o); err != nil {
		t.Fatal(err)
	}
	return n
}

func managerWithAuth(o *ManagerOptions) {
	o.Auth = auth.New(auth.Options{Tokens: []string{token}, Secret: secret})
}

// The registration token registers, and does nothing else.
func TestRegistrationToken(t *testing.T) {
	n := newManager(t, managerWithAuth)
	n.remote = thisMachine
	as := []string{"Authorization", "Bearer " + registrationToken}
	body := `{"alias":"new","url":"http://n1.example:7777","token":"secret of the node"}`
	for _, path := range []string{"/api/nodes", "/api/nodes/"} {
		w := n.do(t, http.MethodPost, path, body, as...)
		expect(t, w, http.StatusCreated)
		if s := w.Body.String(); strings.Contains(s, "secret of the node") || strings.Contains(s, "n1.example") {
			t.Errorf("the answer tells too much: %s", s)
		}
	}
	expect(t, n.do(t, http.MethodPost, "/api/nodes", body, "Authorization", "Bearer "+token), http.StatusCreated)
	if calls := n.called(); calls != "register(new,false) register(new,false) register(new,true)" {
		t.Errorf("the registration token is taken for an administrator's, or the other way round: %s", calls)
	}
	for _, rt := range n.managerRoutes() {
		if rt.access == registerNode || rt.access == public {
			continue
		}
		want := http.StatusUnauthorized
		if rt.access == signedObject {
			want = http.StatusForbidden
		}
		expect(t, n.do(t, rt.method, target(rt, "room", "x"), "", as...), want)
	}
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer x", "Basic " + registrationToken, registrationToken} {
		expect(t, n.do(t, http.MethodPost, "/api/nodes", body, "Authorization", wrong), http.StatusUnauthorized)
	}
	without := newManager(t, func(o *ManagerOptions) {
		managerWithAuth(o)
		o.RegistrationToken = ""
	})
	for _, wrong := range []string{"", "Bearer", "Bearer "} {
		expect(t, without.do(t, http.MethodPost, "/api/nodes", body, "Authorization", wrong), http.StatusUnauthorized)
	}
	if log := n.logs.String(); strings.Contains(log, registrationToken) || strings.Contains(log, "secret of the node") {
		t.Errorf("the log:\n%s", log)
	}
}

// Where nodes are is for administrators.
func TestURLsOfNodes(t *testing.T) {
	n := newManager(t, managerWithAuth)
	for right, shown := range map[auth.Right]bool{auth.Admin: true, auth.View: false} {
		as := []string{"Authorization", "Bearer " + jwtFor(t, []string{"*"}, right)}
		for _, path := range []string{"/api/nodes", "/api/nodes/", "/api/nodes/n1"} {
			w := n.do(t, http.MethodGet, path, "", as...)
			if !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "n1.example") != shown {
				t.Errorf("%s with %s: %d %s", path, right, w.Code, w.Body)
			}
		}
	}
}

// What a manager adds to the answers of a node: which it was, and its own errors.
func TestForwardedAnswers(t *testing.T) {
	n := newManager(t, nil)
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		w := n.do(t, method, "/api/record/room", "")
		if w.Code != http.StatusOK || w.Header().Get(nodeHeader) != "n1" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
	n.err = fault.New(fault.Conflict, "the stream is on the nodes n1 and n2; choose one with ?node=")
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		expect(t, n.do(t, method, "/api/record/room", ""), http.StatusConflict)
	}
	for path, status := range map[string]int{"/api/streams/gone": 404, "/api/nodes/gone": 404, "/api/streams/room": 200} {
		expect(t, n.do(t, http.MethodGet, path, ""), status)
	}
	off := newManager(t, func(o *ManagerOptions) { o.WHIP = nil })
	expect(t, off.do(t, http.MethodPost, "/whip/room", ""), http.StatusNotImplemented)
}

// Drain is the node's own on a node, and passed on by a manager.
func TestDrain(t *testing.T) {
	n := newManager(t, nil)
	expect(t, n.do(t, http.MethodPost, "/api/nodes/n1/drain", ""), http.StatusNoContent)
	expect(t, n.do(t, http.MethodDelete, "/api/nodes/n1/drain", ""), http.StatusNoContent)
	if calls := n.called(); calls != "drain(n1,true) drain(n1,false)" {
		t.Errorf("calls: %s", calls)
	}
	var drained []bool
	n = newNode(t, func(o *Options) { o.Drainer = drainer(func(d bool) { drained = append(drained, d) }) })
	expect(t, n.do(t, http.MethodPost, "/api/drain", ""), http.StatusNoContent)
	expect(t, n.do(t, http.MethodDelete, "/api/drain", ""), http.StatusNoContent)
	if !slices.Equal(drained, []bool{true, false}) {
		t.Errorf("the node was told %v", drained)
	}
}

type drainer func(bool)

func (d drainer) SetDraining(draining bool) { d(draining) }

// TestIntroduced wants who a client is to be believed of administrators alone.
func TestIntroduced(t *testing.T) {
	header, soon := http.Header{}, time.Now().Add(time.Minute).Truncate(time.Second) // before the token of the request
	client := live.WithClient(t.Context(), live.Client{Owner: "account alice", Lease: live.Lease{Expires: soon}})
	r := httptest.NewRequestWithContext(client, http.MethodPost, "/whip/room", nil)
	r.RemoteAddr = "192.0.2.7:5"
	Introduce(header, r)

	grants := map[auth.Right]*auth.Grant{}
	a := auth.New(auth.Options{Secret: secret})
	for _, right := range []auth.Right{auth.Admin, auth.Publish} {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/whip/room", nil)
		q.Header.Set("Authorization", "Bearer "+jwtFor(t, []string{"*"}, right))
		grant, err := a.Authenticate(q)
		if err != nil {
			t.Fatal(err)
		}
		grants[right] = grant
	}
	at := func(right auth.Right, header http.Header) (address string, c live.Client) {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/whip/room", nil)
		q.RemoteAddr, q.Header = "198.51.100.1:9", header
		q = withGrant(q, grants[right])
		return q.RemoteAddr, live.ClientOf(q.Context())
	}
	address, c := at(auth.Admin, header)
	if address != "192.0.2.7:0" || !strings.HasPrefix(c.Owner, "client ") || !c.Lease.Expires.Equal(soon) {
		t.Errorf("of an administrator: %s %+v", address, c)
	}
	if address, c := at(auth.Publish, header); address != "198.51.100.1:9" || strings.HasPrefix(c.Owner, "client ") || c.Lease.Expires.Equal(soon) {
		t.Errorf("of a publisher: %s %+v", address, c)
	}
	if address, c := at(auth.Admin, http.Header{}); address != "198.51.100.1:9" || strings.HasPrefix(c.Owner, "client ") {
		t.Errorf("of nobody else: %s %+v", address, c)
	}
}

// What cannot be used now is told to who asks whether all can, and is no error of
// that request. Requests are counted by their routes.
func TestHealth(t *testing.T) {
	var away error
	var counted []string
	n := newManager(t, func(o *ManagerOptions) {
		managerWithAuth(o)
		o.Ready = func() error { return away }
		o.Observe = func(route, method string, status int, _ time.Duration) {
			counted = append(counted, fmt.Sprintf("%s %s %d", method, route, status))
		}
	})
	w := n.do(t, http.MethodGet, "/api/health", "")
	if w.Code != http.StatusOK || w.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	away = fault.New(fault.Unavailable, "the database is away")
	expect(t, n.do(t, http.MethodGet, "/api/health", ""), http.StatusServiceUnavailable)
	if strings.Contains(n.logs.String(), "request failed") {
		t.Errorf("it is logged:\n%s", n.logs)
	}
	expect(t, n.do(t, http.MethodGet, "/api/nodes/n1", ""), http.StatusUnauthorized)
	expect(t, n.do(t, http.MethodGet, "/api/secret-of-somebody", ""), http.StatusNotFound)
	expect(t, n.do(t, http.MethodGet, "/any/page", ""), http.StatusOK)
	want := "GET GET /api/health 200, GET GET /api/health 503, GET GET /api/nodes/{alias} 401, GET  404, GET / 200"
	if got := strings.Join(counted, ", "); got != want {
		t.Errorf("counted %s", got)
	}
}

// What only a manager answers about objects is as its document says: n.do looks.
func TestManagerObjects(t *testing.T) {
	n := newManager(t, nil)
	grant, err := n.o.Auth.Authenticate(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil))
	if err != nil {
		t.Fatal(err)
	}
	signed := playPrefix + n.o.Auth.SignLink(grant, "room/1", "room", time.Now().Add(time.Hour)) + "/room/1/v_seg_0001.m4s"
	n.object = func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Location", "https://storage.example/v_seg_0001.m4s")
		w.WriteHeader(http.StatusFound)
		return nil
	}
	for _, path := range []string{"/api/record/object/room/1/v_seg_0001.m4s", signed} {
		expect(t, n.do(t, http.MethodGet, path, ""), http.StatusFound)
	}
	n.missing = fault.New(fault.Conflict, "several nodes have a folder of that name")
	n.err = n.missing
	for _, path := range []string{"/api/record/object/room/1/v_seg_0001.m4s", signed, "/api/recordings/room/1"} {
		expect(t, n.do(t, http.MethodGet, path, ""), http.StatusConflict)
	}
	expect(t, n.do(t, http.MethodPost, "/api/sign/room/1", ""), http.StatusConflict)
}
