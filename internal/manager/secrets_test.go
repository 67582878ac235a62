//go:build !norecorder

package manager

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	managerSecret = "the manager's own secret key"
	storageSecret = "secret-of-the-storage"
)

// faultyNode tells of a stream and a recording, and fails with all that it is
// asked to do, in the way that mode says.
type faultyNode struct {
	*httptest.Server
	mode  atomic.Value // string
	alias string
	dir   string
}

func newFaultyNode(t *testing.T, alias, dir string) *faultyNode {
	n := &faultyNode{alias: alias, dir: dir}
	n.mode.Store("")
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

func (n *faultyNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/info":
		_, _ = fmt.Fprintf(w, `{"name":"live777","version":"1","node":%q,"features":[],"codecs":[]}`, n.alias)
	case "/api/streams/":
		_, _ = io.WriteString(w, `[{"id":"cam","publish":{"sessions":[{"id":"p"}]},"subscribe":{"sessions":[]}}]`)
	case "/api/sse/streams", "/api/sse/recordings":
		http.NotFound(w, r)
	case "/api/recordings":
		page := follow.Page{Feed: "feed", Next: 1, Changes: []media.Change{}}
		if r.URL.Query().Get("since") == "0" {
			rec := completeRecording(n.alias, n.dir)
			page.Changes = []media.Change{{Seq: 1, RecordDir: rec.RecordDir, Recording: &rec}}
		}
		_ = json.NewEncoder(w).Encode(page)
	default:
		n.fail(w)
	}
}

func (n *faultyNode) fail(w http.ResponseWriter) {
	switch n.mode.Load() {
	case "refuses":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"the token is not valid"}`)
		return
	case "is something else":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "<html>")
		return
	case "redirects":
		w.Header().Set("Location", n.URL+"/api/info?X-Amz-Signature=abc")
		w.WriteHeader(http.StatusFound)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err) // HTTP/1.1 can
	}
	if n.mode.Load() == "breaks off" {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		time.Sleep(20 * time.Millisecond) // the header arrives before the reset does
	}
	_ = conn.(*net.TCPConn).SetLinger(0) // a reset
	_ = conn.Close()
}

// attempt is request; ok is false where the connection was broken off, which is how
// a client is told that the object that it has begun to read is not all.
func (s *server) attempt(method, path, body string) (resp answer, text string, ok bool) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	got, err := noRedirects.Do(req)
	if err != nil {
		return resp, "", false
	}
	defer func() { _ = got.Body.Close() }()
	data, err := io.ReadAll(got.Body)
	return answer{got.StatusCode, got.Header}, string(data), err == nil
}

// TestAnswersTellNoSecrets: whatever fails, who may not see where nodes, storage
// and database are learns it from no answer, and nobody a secret, from no log either.
func TestAnswersTellNoSecrets(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	database := pg.Database()
	edge, core := newFaultyNode(t, "edge", "cam/1"), newFaultyNode(t, "core", "cam/9")
	var log logtest.Buffer
	m := startManager(t, t.TempDir(), nil, func(c *config.Liveman) {
		c.Auth.Secret = managerSecret
		c.Registration.Token = "let-me-in"
		c.Database.URL = config.DatabaseURL(database)
		c.Storage = config.Storage{
			Type: config.StorageS3, Bucket: "b", Region: "r", Endpoint: "http://127.0.0.1:1", AccessKeyID: "AKIDTEST", SecretAccessKey: storageSecret, DisableConfigLoad: true,
		}
		c.Nodes = []config.Node{{Alias: "edge", URL: edge.URL, Token: nodeToken, LocalStorage: true}, {Alias: "core", URL: core.URL, Token: nodeToken}}
		c.Playback = config.Playback{SignedRedirect: true, SignedRedirectTTL: 60}
	}, &log)
	token, err := auth.Sign(managerSecret, time.Now().Add(time.Hour), []string{"*"}, auth.View, auth.Record, auth.Delete)
	if err != nil {
		t.Fatal(err)
	}
	m.token = token
	until(t, "the recordings are there", func() bool {
		return len(m.recordings("cam")) == 2 && m.call(http.MethodGet, "/api/streams/cam", "", nil) == 200
	})

	secrets := []string{nodeToken, storageSecret, managerSecret, "let-me-in", pgtest.Password, url.QueryEscape(pgtest.Password), token}
	private := append([]string{"127.0.0.1", "localhost", "postgres", "AKIDTEST", "X-Amz", "http://"}, secrets...)
	statuses := map[int]int{}
	try := func(what string) {
		for _, call := range []struct{ method, path, body string }{
			{"GET", "/api/nodes/", ""}, {"GET", "/api/nodes/edge", ""}, {"GET", "/api/nodes/core", ""}, {"GET", "/api/streams/", ""}, {"GET", "/api/info", ""}, {"GET", "/api/health", ""}, {"GET", "/metrics", ""},
			{"POST", "/api/record/cam?node=edge", ""}, {"GET", "/api/record/cam?node=edge", ""}, {"DELETE", "/api/record/cam?node=edge", ""}, {"GET", "/api/record/cam", ""},
			{"GET", "/api/record/object/@edge/cam/1/manifest.mpd", ""}, {"GET", "/api/record/object/cam/9/manifest.mpd", ""},
			{"GET", "/api/playback", ""}, {"GET", "/api/playback/cam", ""},
			{"GET", "/api/recordings?since=0", ""}, {"GET", "/api/recordings/cam/9", ""}, {"GET", "/api/sse/recordings?since=bad", ""},
			{"PATCH", "/api/recordings/@edge/cam/1", `{"protected":true}`}, {"DELETE", "/api/recordings/@edge/cam/1", ""}, {"DELETE", "/api/recordings/cam/9", ""},
			{"POST", "/api/sign/cam/9", ""}, {"POST", "/api/nodes", `{"alias":"new","url":"http://h"}`}, {"DELETE", "/api/nodes/edge", ""},
		} {
			resp, body, ok := m.attempt(call.method, call.path, call.body)
			if !ok {
				statuses[0]++
				continue
			}
			statuses[resp.StatusCode]++
			for _, hidden := range private {
				if strings.Contains(body, hidden) || strings.Contains(fmt.Sprint(resp.Header), hidden) {
					t.Errorf("while %s: %s %s tells %q: %d %s %v", what, call.method, call.path, hidden, resp.StatusCode, body, resp.Header)
				}
			}
		}
	}
	for _, mode := range []string{"breaks off", "closes", "refuses", "is something else", "redirects"} {
		edge.mode.Store(mode)
		core.mode.Store(mode)
		try("a node " + mode)
	}
	edge.Close()
	until(t, "the node is down", func() bool {
		var n api.FleetNode
		return m.call(http.MethodGet, "/api/nodes/edge", "", &n) == http.StatusOK && n.State == stateDown && strings.Contains(n.Error, "refused")
	})
	try("a node is gone")
	pg.Kill()
	try("the database is gone")
	if statuses[0] != 1 || statuses[http.StatusServiceUnavailable] < 30 || statuses[http.StatusInternalServerError] > 0 {
		t.Errorf("not what was to be tried: %v", statuses)
	}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
	if !strings.Contains(log.String(), strings.TrimPrefix(edge.URL, "http://")) {
		t.Error("the log does not tell the administrator where the node is that failed")
	}
}

// What goes on failing is logged once, though each connection has another port.
func TestFailuresAreLoggedOnce(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	var log logtest.Buffer
	n := newNode(f, "edge", configured, "http://127.0.0.1:1", "", true)
	n.log = logger(t, &log)
	n.probed(nodeInfo{Info: api.Info{}}, 0, nil) // up
	for port := range 3 {
		n.Note("feed", fmt.Errorf("read: %w", &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 40000 + port}, Err: syscall.ECONNRESET}))
	}
	n.Note("feed", io.EOF)
	if got := strings.Count(log.String(), "cannot follow the node"); got != 2 {
		t.Errorf("logged %d times:\n%s", got, log.String())
	}
}
