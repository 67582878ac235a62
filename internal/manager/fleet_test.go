//go:build !norecorder

package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// A stream that two nodes have is recorded where it is said to be; asking and
// stopping need no word where one records it.
func TestStreamOnTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", t.TempDir(), nil), startNode(t, "b", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"a": a, "b": b}, nil)
	a.publish("cam")
	b.publish("cam")
	until(t, "both nodes have the stream", func() bool {
		var s api.FleetStream
		return m.call(http.MethodGet, "/api/streams/cam", "", &s) == http.StatusOK && len(s.Nodes) == 2 && len(s.Publish.Sessions) == 2
	})
	var said recordAnswer
	if code := m.call(http.MethodPost, "/api/record/cam", "", &said); code != http.StatusConflict || !strings.Contains(said.Error, "a, b") || !strings.Contains(said.Error, "?node=") {
		t.Fatalf("POST: %d %+v", code, said)
	}
	if code := m.call(http.MethodPost, "/api/record/cam?node=c", "", &said); code != http.StatusNotFound {
		t.Errorf("POST to a node that is not there: %d %+v", code, said)
	}
	if code := m.call(http.MethodPost, "/api/record/cam?node=b", `{"base_dir":"cam/same"}`, nil); code != http.StatusOK {
		t.Fatalf("POST to b: %d", code)
	}
	if code := m.call(http.MethodGet, "/api/record/cam", "", &said); code != http.StatusOK || !said.Recording {
		t.Errorf("GET: %d %+v", code, said)
	}
	if code := m.call(http.MethodPost, "/api/record/cam?node=a", `{"base_dir":"cam/same"}`, nil); code != http.StatusOK {
		t.Fatalf("POST to a: %d", code)
	}
	if code := m.call(http.MethodDelete, "/api/record/cam", "", &said); code != http.StatusConflict || !strings.Contains(said.Error, "a, b") {
		t.Errorf("DELETE while both record: %d %+v", code, said)
	}
	a.awaitMedia("cam")
	b.awaitMedia("cam")
	for _, paused := range []string{"true", "false"} {
		var state struct {
			PausedSince string `json:"paused_since"`
		}
		if code := m.call(http.MethodPatch, "/api/record/cam?node=a", `{"paused":`+paused+`}`, &state); code != http.StatusOK || (state.PausedSince != "") != (paused == "true") {
			t.Errorf("PATCH paused %s: %d %+v", paused, code, state)
		}
	}
	for _, node := range []string{"?node=a", ""} {
		if code := m.call(http.MethodDelete, "/api/record/cam"+node, "", &said); code != http.StatusOK || !said.Stopped {
			t.Errorf("DELETE %s: %d %+v", node, code, said)
		}
	}
	if code := m.call(http.MethodDelete, "/api/record/cam", "", &said); code != http.StatusOK || said.Stopped {
		t.Errorf("DELETE of nothing: %d %+v", code, said)
	}
	if code := m.call(http.MethodPatch, "/api/record/cam", `{"paused":true}`, &said); code != http.StatusNotFound || !strings.Contains(said.Error, "start a recording") {
		t.Errorf("PATCH of nothing: %d %+v", code, said)
	}
	// Two folders of one name stay apart.
	until(t, "both recordings are listed", func() bool {
		list := m.recordings("cam")
		return len(list) == 2 && list[0].End != nil && list[1].End != nil && list[0].RecordDir == "cam/same" && list[1].RecordDir == "cam/same" && list[0].Node != list[1].Node
	})
	if code := m.call(http.MethodGet, "/api/record/object/cam/same/manifest.mpd", "", &said); code != http.StatusConflict || !strings.Contains(said.Error, "@a/cam/same, @b/cam/same") {
		t.Errorf("object of either: %d %+v", code, said)
	}
	for alias, n := range map[string]*server{"a": a, "b": b} {
		_, want := n.request(http.MethodGet, "/api/record/object/cam/same/recording.json", "")
		resp, got := m.request(http.MethodGet, "/api/record/object/@"+alias+"/cam/same/recording.json", "")
		if resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("object of %s: %d %s", alias, resp.StatusCode, got)
		}
	}
	resp, picture := m.request(http.MethodGet, "/api/archive/cam/at/now/key.mp4", "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(picture[:min(100, len(picture))], "ftyp") || resp.Header.Get(api.KeyTimeHeader) == "" {
		t.Errorf("key frame: %d, %d bytes", resp.StatusCode, len(picture))
	}
	var keys media.KeyFrameList
	if code := m.call(http.MethodGet, "/api/archive/cam/keys?from=-1h&to=now", "", &keys); code != http.StatusOK || len(keys.KeyFrames) == 0 {
		t.Fatalf("key frames: %d %+v", code, keys)
	}
	k := keys.KeyFrames[0]
	if resp, data := m.request(http.MethodGet, "/api/record/object/"+k.Object, "", "Range", fmt.Sprintf("bytes=%d-%d", k.Offset, k.Offset+k.Bytes-1)); resp.StatusCode != http.StatusPartialContent || int64(len(data)) != k.Bytes {
		t.Errorf("bytes of a key frame: %d, %d of %d", resp.StatusCode, len(data), k.Bytes)
	}
	if code := m.call(http.MethodDelete, "/api/recordings/@a/cam/same", "", nil); code != http.StatusNoContent {
		t.Errorf("delete one of them: %d", code)
	}
	if len(a.recordings("cam")) != 0 || len(b.recordings("cam")) != 1 {
		t.Error("the other one was deleted")
	}
}

// What nodes told a moment ago does not decide which recording is stopped: another
// may have begun since.
func TestStopAsksWhoRecords(t *testing.T) {
	t.Parallel()
	node := func(told bool) *fakeNode {
		return newFakeNode(t, &fakeNode{
			list: func() []api.NodeStream { return []api.NodeStream{published("cam", told)} },
			record: func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					t.Errorf("%s %s, though two nodes record", r.Method, r.URL)
				}
				_ = json.NewEncoder(w).Encode(map[string]bool{"recording": true})
			},
		})
	}
	f := followed(t, time.Minute, 30*time.Second, map[string]*fakeNode{"a": node(false), "b": node(true)})
	until(t, "both nodes have told", func() bool {
		all, _, _ := f.having("cam")
		return len(all) == 2
	})
	_, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodDelete, Stream: "cam"})
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "a, b") {
		t.Errorf("DELETE: %v", err)
	}
}

// A node that hangs or is gone is shown as down, and no request that does not
// need it waits for it.
func TestDownNodes(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select { // takes every request and answers none
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	gone := "http://" + portlock.Address(t)
	edge := startNode(t, "edge", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": edge, "hanging": {url: hanging.URL}, "gone": {url: gone}}, nil)
	edge.publish("cam")
	states := func() map[string]api.FleetNode {
		var list []api.FleetNode
		m.call(http.MethodGet, "/api/nodes/", "", &list)
		by := map[string]api.FleetNode{}
		for _, n := range list {
			by[n.Alias] = n
		}
		return by
	}
	until(t, "what is down is shown as down", func() bool {
		s := states()
		return s["edge"].State == "up" && s["edge"].Load.Publishers == 1 && s["hanging"].State == "down" && s["gone"].State == "down"
	})
	if s := states(); !strings.Contains(s["gone"].Error, "refused") || !strings.Contains(s["hanging"].Error, "no answer within 2s") || s["edge"].Version != "test" {
		t.Errorf("%+v", s)
	}
	for _, path := range []string{"/api/nodes/", "/api/streams/", "/api/streams/cam", "/api/playback", "/api/playback/cam", "/api/record/cam", "/api/record/nobody", "/api/info"} {
		promptly(t, path, func() {
			if resp, body := m.request(http.MethodGet, path, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d: %s", path, resp.StatusCode, body)
			}
		})
	}
	promptly(t, "control of a node that hangs", func() {
		var said recordAnswer
		if code := m.call(http.MethodPost, "/api/record/cam?node=hanging", "", &said); code != http.StatusServiceUnavailable || !strings.Contains(said.Error, `node "hanging" is down`) {
			t.Errorf("control of a node that hangs: %d %+v", code, said)
		}
	})
	edge.stop()
	until(t, "a node that was stopped is down, and its streams are gone", func() bool {
		var list []api.FleetStream
		m.call(http.MethodGet, "/api/streams/", "", &list)
		return states()["edge"].State == "down" && len(list) == 0
	})
}

// A node registers itself, comes back after a restart of the manager, and can be
// removed.
func TestRegistration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log logtest.Buffer
	withToken := func(c *config.Liveman) {
		c.Registration.Token = "let-me-in"
		c.Auth.Tokens = []config.Secret{"admin"}
	}
	m := startManager(t, dir, nil, withToken, &log)
	m.token = "admin"
	register := func(c *config.Config) {
		c.Manager = config.Manager{URL: m.url, Token: "let-me-in", NodeURL: "http://" + c.HTTP.Listen, NodeToken: nodeToken, Register: 1}
	}
	edge := startNode(t, "edge", t.TempDir(), register)
	up := func(m *server) func() bool {
		return func() bool {
			var n api.FleetNode
			return m.call(http.MethodGet, "/api/nodes/edge", "", &n) == http.StatusOK && n.State == "up" && n.Source == "registered" && n.URL == edge.url && n.Storage == "local"
		}
	}
	until(t, "the node has registered", up(m))
	edge.publish("cam")
	until(t, "its stream is there", func() bool { return m.call(http.MethodPost, "/api/record/cam", "", nil) == http.StatusOK })
	until(t, "its recording is there", func() bool { return len(m.recordings("cam")) == 1 })

	for token, want := range map[string]int{"": 401, "wrong": 401, "let-me-in": 400} {
		header := []string{"Authorization", "Bearer " + token}
		if resp, body := m.request(http.MethodPost, "/api/nodes", `{"alias":"../x","url":"http://h"}`, header...); resp.StatusCode != want {
			t.Errorf("register with %q: %d %s", token, resp.StatusCode, body)
		}
	}
	if resp, _ := m.request(http.MethodGet, "/api/nodes", "", "Authorization", "Bearer let-me-in"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the registration token lists nodes: %d", resp.StatusCode)
	}
	_, list := m.request(http.MethodGet, "/api/nodes", "")
	if strings.Contains(list, nodeToken) || strings.Contains(log.String(), nodeToken) || strings.Contains(log.String(), "let-me-in") {
		t.Error("a token shows")
	}

	m.stop()
	m2 := startManager(t, dir, nil, withToken)
	m2.token = "admin"
	until(t, "a manager that was restarted knows the node", up(m2))
	edge.stop()
	if code := m2.call(http.MethodDelete, "/api/nodes/edge", "", nil); code != http.StatusNoContent {
		t.Errorf("remove: %d", code)
	}
	if code := m2.call(http.MethodGet, "/api/nodes/edge", "", nil); code != http.StatusNotFound || len(m2.recordings("cam")) != 0 {
		t.Errorf("a node that was removed: %d, %d recordings", code, len(m2.recordings("cam")))
	}
}

// A node that has no static token signs one for its manager.
func TestRegistrationWithSignedToken(t *testing.T) {
	t.Parallel()
	m := startManager(t, t.TempDir(), nil, func(c *config.Liveman) { c.Registration.Token = "let-me-in" })
	startNode(t, "edge", t.TempDir(), func(c *config.Config) {
		c.Auth = config.Auth{Secret: "a secret of more than 16 bytes"}
		c.Manager = config.Manager{URL: m.url + "/", Token: "let-me-in", NodeURL: "http://" + c.HTTP.Listen, Register: 1}
	})
	until(t, "the manager may list the node's streams and follow its recordings", func() bool {
		var n api.FleetNode
		return m.call(http.MethodGet, "/api/nodes/edge", "", &n) == http.StatusOK && n.State == "up" && n.Error == "" && n.Feed.Error == "" && !n.Feed.UpdatedAt.IsZero()
	})
}

// With storage that is shared, recordings play while their node is down, and can
// be deleted when it is gone for good.
func TestSharedStorage(t *testing.T) {
	t.Parallel()
	shared, dir := t.TempDir(), t.TempDir()
	edge := startNode(t, "edge", t.TempDir(), func(c *config.Config) { c.Recorder.Storage.Root = shared })
	withStorage := func(c *config.Liveman) {
		c.Storage = config.Storage{Type: config.StorageFS, Root: shared}
	}
	m := startManager(t, dir, map[string]*server{"edge": edge}, withStorage)
	edge.publish("cam")
	var started recordAnswer
	until(t, "the stream is there", func() bool { return m.call(http.MethodPost, "/api/record/cam", "", &started) == http.StatusOK })
	until(t, "the manifest of what runs comes from the node", func() bool {
		resp, mpd := m.request(http.MethodGet, "/api/record/object/"+started.MPDPath, "")
		return resp.StatusCode == http.StatusOK && strings.Contains(mpd, "<S ") && resp.Header.Get("X-Live777-Node") == "edge"
	})
	m.call(http.MethodDelete, "/api/record/cam", "", nil)
	until(t, "the recording is listed", func() bool {
		list := m.recordings("cam")
		return len(list) == 1 && list[0].Status == media.StatusComplete
	})
	sameObjects(t, edge, m, started.RecordDir)
	_, want := edge.request(http.MethodGet, "/api/record/object/"+started.MPDPath, "")
	edge.stop()
	resp, got := m.request(http.MethodGet, "/api/record/object/"+started.MPDPath, "")
	if resp.StatusCode != http.StatusOK || got != want {
		t.Errorf("with the node down: %d %s", resp.StatusCode, got)
	}
	until(t, "the node is down", func() bool {
		var n api.FleetNode
		m.call(http.MethodGet, "/api/nodes/edge", "", &n)
		return n.State == "down"
	})
	if code := m.call(http.MethodDelete, "/api/recordings/"+started.RecordDir, "", nil); code != http.StatusServiceUnavailable {
		t.Errorf("delete while the node is down: %d", code)
	}
	m.stop()
	m2 := startManager(t, dir, nil, withStorage)
	if code := m2.call(http.MethodDelete, "/api/recordings/"+started.RecordDir, "", nil); code != http.StatusNoContent {
		t.Errorf("delete after the node was taken out: %d", code)
	}
	if resp, _ := m2.request(http.MethodGet, "/api/record/object/"+started.MPDPath, ""); resp.StatusCode != http.StatusNotFound || len(m2.recordings("cam")) != 0 {
		t.Errorf("it is still there: %d", resp.StatusCode)
	}
}

// Whatever happens to either database, the manager's catalogue becomes that of
// the node again.
func TestFeedConverges(t *testing.T) {
	t.Parallel()
	nodeDir, dir := t.TempDir(), t.TempDir()
	edge := startNode(t, "edge", nodeDir, func(c *config.Config) { c.HTTP.Listen = portlock.Address(t) })
	m := startManager(t, dir, map[string]*server{"edge": edge}, nil)
	stop := edge.publish("cam")
	record := func() string {
		var started recordAnswer
		until(t, "it records", func() bool { return edge.call(http.MethodPost, "/api/record/cam", "", &started) == http.StatusOK })
		edge.awaitMedia("cam")
		edge.call(http.MethodDelete, "/api/record/cam", "", nil)
		return started.RecordDir
	}
	same := func(m *server) func() bool {
		return func() bool {
			ours, _ := json.Marshal(m.recordings("cam"))
			list := edge.recordings("cam")
			for i := range list {
				list[i].MPDPath = "@edge/" + list[i].MPDPath
			}
			theirs, _ := json.Marshal(list)
			return bytes.Equal(ours, theirs) && len(theirs) > 4
		}
	}
	first := record()
	until(t, "the first recording is there", same(m))
	m.stop() // while it is off things come and go
	second := record()
	third := record()
	edge.call(http.MethodDelete, "/api/recordings/"+first, "", nil)
	edge.call(http.MethodPatch, "/api/recordings/"+second, `{"protected":true}`, nil)
	m = startManager(t, dir, map[string]*server{"edge": edge}, nil)
	until(t, "what was missed is there", same(m))
	if list := m.recordings("cam"); len(list) != 2 || list[0].RecordDir != third || !list[1].Protected {
		t.Errorf("%+v", list)
	}
	// A manager with an empty database.
	m.stop()
	m = startManager(t, t.TempDir(), map[string]*server{"edge": edge}, nil)
	until(t, "a new manager knows all", same(m))
	// A node with an empty database, on other storage of its own: what it does not know
	// is gone.
	stop()
	edge.stop()
	edge2 := startNode(t, "edge", nodeDir, func(c *config.Config) {
		c.HTTP.Listen = strings.TrimPrefix(edge.url, "http://")
		c.Database.URL = config.DatabaseURL("sqlite://" + t.TempDir() + "/new.db")
		c.Recorder.Storage.Root = t.TempDir()
	})
	edge2.publish("other")
	until(t, "it records", func() bool { return edge2.call(http.MethodPost, "/api/record/other", "", nil) == http.StatusOK })
	until(t, "what the node has lost is gone", func() bool { return len(m.recordings("cam")) == 0 && len(m.recordings("other")) == 1 })
}

// The manager records what matches, once, on each node that has it; what somebody
// stops stays stopped until its publisher comes back.
func TestAutoRecord(t *testing.T) {
	t.Parallel()
	a, b := startNode(t, "a", t.TempDir(), nil), startNode(t, "b", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"a": a, "b": b}, func(c *config.Liveman) {
		c.AutoRecord = config.AutoRecord{Streams: []string{"cam*"}, Copies: "all", Retry: 1}
	})
	stop := a.publish("cam1")
	b.publish("cam1")
	b.publish("other")
	records := func(n *server, stream string) bool {
		var s recordAnswer
		n.call(http.MethodGet, "/api/record/"+stream, "", &s)
		return s.Recording
	}
	until(t, "both copies are recorded", func() bool { return records(a, "cam1") && records(b, "cam1") })
	var stopped recordAnswer
	if m.call(http.MethodDelete, "/api/record/cam1?node=a", "", &stopped); !stopped.Stopped {
		t.Fatalf("%+v", stopped)
	}
	time.Sleep(3 * time.Second) // longer than it takes to try again
	if records(a, "cam1") || !records(b, "cam1") || records(b, "other") {
		t.Error("what was stopped was started again, or what goes on was stopped, or what does not match is recorded")
	}
	stop()
	a.publish("cam1")
	until(t, "the publisher that came back is recorded", func() bool { return records(a, "cam1") })
	if list := m.recordings("cam1"); len(list) > 3 {
		t.Errorf("%d recordings", len(list))
	}
}

// The event stream of the manager tells when a stream comes, on any node.
func TestStreamEvents(t *testing.T) {
	t.Parallel()
	edge := startNode(t, "edge", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": edge}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/api/sse/streams", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	edge.publish("cam")
	done := context.Canceled // any error ends reading
	err = peer.ReadEvents(resp.Body, func(data []byte) error {
		var list []api.FleetStream
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		if len(list) == 1 && list[0].ID == "cam" && list[0].Nodes[0].Node == "edge" && len(list[0].Publish.Sessions) == 1 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("no event of the stream: %v", err)
	}
}

// A recording that somebody has stopped is not started again, whatever becomes of
// the manager and its database, before its publisher comes back.
func TestStoppedStaysStopped(t *testing.T) {
	t.Parallel()
	edge := startNode(t, "edge", t.TempDir(), nil)
	record := func(c *config.Liveman) {
		c.AutoRecord = config.AutoRecord{Streams: []string{"*"}, Copies: "all", Retry: 1}
	}
	m := startManager(t, t.TempDir(), map[string]*server{"edge": edge}, record)
	leave := edge.publish("cam")
	recorded := func() int { return len(edge.recordings("cam")) }
	until(t, "it is recorded", func() bool { return recorded() == 1 })
	var said recordAnswer
	if m.call(http.MethodDelete, "/api/record/cam", "", &said); !said.Stopped {
		t.Fatalf("%+v", said)
	}
	m.stop()
	m = startManager(t, t.TempDir(), map[string]*server{"edge": edge}, record)
	until(t, "the stream is known to be stopped", func() bool {
		var s api.FleetStream
		return m.call(http.MethodGet, "/api/streams/cam", "", &s) == http.StatusOK && s.Stopped && s.Nodes[0].Stopped && !s.Recording
	})
	edge.publish("other") // what is started behind it is seen to be
	until(t, "another stream is recorded", func() bool { return len(edge.recordings("other")) == 1 })
	time.Sleep(2 * time.Second) // it would be tried again each second
	if recorded() != 1 {
		t.Fatal("it was started again")
	}
	leave()
	edge.publish("cam")
	until(t, "the publisher that came back is recorded", func() bool { return recorded() == 2 })
}

// The load of a real node is in what the manager tells of it.
func TestLoad(t *testing.T) {
	t.Parallel()
	edge := startNode(t, "edge", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": edge}, nil)
	edge.publish("cam")
	until(t, "it records", func() bool { return m.call(http.MethodPost, "/api/record/cam", "", nil) == http.StatusOK })
	var n api.FleetNode
	until(t, "the load is known", func() bool {
		m.call(http.MethodGet, "/api/nodes/edge", "", &n)
		l := n.Load
		return l.Recordings == 1 && l.Traffic != nil && l.Traffic.ReceivedBPS > 100_000 && l.Process != nil && l.Process.CPU > 0
	})
	l := n.Load
	if l.Streams != 1 || l.Publishers != 1 || l.Viewers != 0 || l.Process.CPUs < 1 || l.Process.MemoryBytes < 10<<20 ||
		l.Storage == nil || l.Storage.Type != "fs" || l.Storage.FreeBytes == nil || *l.Storage.FreeBytes <= 0 || l.Storage.Failing || l.Spool != nil ||
		n.ClockOffsetMS == nil || *n.ClockOffsetMS < -1000 || *n.ClockOffsetMS > 1000 {
		t.Errorf("%+v %+v %+v", l, l.Process, l.Storage)
	}
	text := scrapeManager(t, m)
	for _, want := range []string{
		`liveman_nodes{state="up"} 1`, `liveman_node_up{node="edge"} 1`, "liveman_streams 1", `liveman_node_recordings{node="edge"} 1`,
		`liveman_requests_total{code="200",method="POST",route="/api/record/{stream}"} `, "liveman_database_up 1", "liveman_database_errors_total 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	until(t, "the relayed recording and the rest are counted", func() bool {
		m.request(http.MethodGet, "/api/record/object/"+edge.recordings("cam")[0].MPDPath, "")
		text := scrapeManager(t, m)
		return strings.Contains(text, `liveman_relay_bytes_total{node="edge"} `) && strings.Contains(text, "liveman_catalogue_recordings 1") &&
			strings.Contains(text, `liveman_node_feed_lag_seconds{node="edge"} `) && !strings.Contains(text, "liveman_database_seconds_count 0")
	})
}

func scrapeManager(t *testing.T, m *server) string {
	t.Helper()
	resp, text := m.request(http.MethodGet, "/metrics", "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %d %s", resp.StatusCode, text)
	}
	return text
}
