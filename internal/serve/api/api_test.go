package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

const (
	secret = "a secret of more than 16 bytes"
	token  = "static-token"
)

// fakes stand for everything behind the API.
type fakes struct {
	mu      sync.Mutex
	calls   []string
	rec     media.Recording
	status  RecordStatus
	stopped bool
	err     error // of Start, Stop, Object
	query   media.RecordingQuery
	next    string
	object  func(w http.ResponseWriter, r *http.Request) error

	summaries []media.StreamSummary
	missing   error // of RecordingOf
	found     media.Recording
	until     time.Time // of Object
}

func (f *fakes) call(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

// serveObjects makes object the answer to requests of objects.
func (f *fakes) serveObjects(object func(w http.ResponseWriter, r *http.Request) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.object = object
}

func (f *fakes) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

type fakeWHIP struct{ *fakes }

func (f fakeWHIP) do(name string, w http.ResponseWriter, r *http.Request, status int) error {
	if err := f.call("%s(%s,%s)", name, r.PathValue("stream"), r.PathValue("session")); err != nil {
		return err
	}
	if status == http.StatusCreated {
		w.Header().Set("Content-Type", "application/sdp")
	}
	w.WriteHeader(status)
	return nil
}
func (f fakeWHIP) Publish(w http.ResponseWriter, r *http.Request) error {
	return f.do("publish", w, r, http.StatusCreated)
}
func (f fakeWHIP) Subscribe(w http.ResponseWriter, r *http.Request) error {
	return f.do("subscribe", w, r, http.StatusCreated)
}
func (f fakeWHIP) PatchSession(w http.ResponseWriter, r *http.Request) error {
	return f.do("patch", w, r, http.StatusNoContent)
}
func (f fakeWHIP) DeleteSession(w http.ResponseWriter, r *http.Request) error {
	return f.do("delete", w, r, http.StatusOK)
}
func (f fakeWHIP) Options(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Accept-Post", "application/sdp")
	return f.do("options", w, r, http.StatusNoContent)
}
func (fakeWHIP) SessionRight(_, session string) (publisher, ok bool) {
	return session == "pub", session == "pub" || session == "view"
}

type fakeRecorder struct{ *fakes }

func (f fakeRecorder) Start(_ context.Context, stream, baseDir string) (media.Recording, error) {
	return f.rec, f.call("start(%s,%s)", stream, baseDir)
}
func (f fakeRecorder) Stop(_ context.Context, stream string) (media.Recording, bool, error) {
	return f.rec, f.stopped, f.call("stop(%s)", stream)
}
func (f fakeRecorder) Pause(_ context.Context, stream string, pause bool) (media.Recording, error) {
	return f.rec, f.call("pause(%s,%v)", stream, pause)
}
func (f fakeRecorder) Status(string) RecordStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}
func (f fakeRecorder) Recording(stream string) bool { return f.Status(stream).Recording }
func (f fakeRecorder) Stopped(string) bool          { return false }

type fakePlayback struct{ *fakes }

func (f fakePlayback) Object(w http.ResponseWriter, r *http.Request, key string, until time.Time) error {
	f.mu.Lock()
	f.until = until
	f.mu.Unlock()
	if err := f.call("object(%s)", key); err != nil {
		return err
	}
	f.mu.Lock()
	object := f.object
	f.mu.Unlock()
	if object != nil {
		return object(w, r)
	}
	_, err := io.WriteString(w, "bytes of "+key)
	return err
}
func (f fakePlayback) Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
	from, to := spanTexts(s)
	return f.Object(w, r, stream+" "+from+" "+to+" "+name, until)
}
func (f fakePlayback) RecordingOf(_ context.Context, key string) (media.Recording, error) {
	if f.missing != nil {
		return media.Recording{}, f.missing
	}
	own, _ := strings.CutPrefix(key, "@n1/")
	stream, _, ok := strings.Cut(own, "/")
	if !ok {
		return media.Recording{}, fault.New(fault.NotFound, "no recording has this object")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rec := f.found
	if rec.Stream == "" {
		rec.Stream = stream
	}
	if rec.RecordDir = path.Dir(key); strings.HasPrefix(own, "local/") {
		rec.RecordDir = "@n1/" + path.Dir(own)
	}
	return rec, nil
}
func (f fakePlayback) Streams(_ context.Context, q media.StreamQuery) (page []media.StreamSummary, err error) {
	for _, s := range f.summaries {
		if s.Stream > q.After && strings.HasPrefix(s.Stream, q.Prefix) && len(page) < q.Limit {
			page = append(page, s)
		}
	}
	return page, f.call("streams(%s,%s,%d)", q.After, q.Prefix, q.Limit)
}
func (f fakePlayback) Recordings(_ context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	f.query = q
	return media.RecordingPage{Total: 7, Next: f.next}, f.call("recordings(%s)", q.Stream)
}

func (f fakePlayback) KeyFrame(_ context.Context, q media.KeyFrameQuery) (media.Picture, error) {
	return media.Picture{Time: q.At, ETag: `"e"`, Type: "video/mp4", Node: "n1", Data: []byte("picture")}, f.call("key(%s,%s,%v,%d)", q.Stream, q.At.Format(time.RFC3339Nano), q.Now, q.Height)
}
func (f fakePlayback) KeyFrames(_ context.Context, q media.KeyFramesQuery) (media.KeyFrameList, error) {
	return media.KeyFrameList{Stream: q.Stream, From: q.Span.From, To: q.Span.To, KeyFrames: []media.KeyFrame{{Time: q.Span.From}}},
		f.call("keys(%s,%v,%d,%d)", q.Stream, q.Span.To.Sub(q.Span.From), q.Count, q.Height)
}

// node is an API with fakes behind it.
type node struct {
	*API
	*fakes
	streams *live.Streams
	logs    *logtest.Buffer
	// unchecked answers need not be as the OpenAPI document has them: for errors
	// that no handler makes.
	unchecked bool
	remote    string // who sends requests; "": httptest says
}

// newNode returns a node that change may change before it is made.
func newNode(t *testing.T, change func(*Options)) *node {
	t.Helper()
	n := &node{fakes: &fakes{}, logs: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(n.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n.streams = live.New(live.Options{Logger: logger})
	t.Cleanup(n.streams.Close)
	o := Options{
		Streams: n.streams, WHIP: fakeWHIP{n.fakes}, Recorder: fakeRecorder{n.fakes}, Playback: fakePlayback{n.fakes}, Archive: fakeArchive{n.fakes}, Recordings: &fakeRecordings{fakes: n.fakes},
		Auth: auth.New(auth.Options{Anonymous: true}),
		Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "page "+r.URL.Path)
		}),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "metrics")
		}),
		Info: Info{Name: "live777", Version: "1", Features: []string{"recorder"}, Codecs: []string{"H264"}},
		Now:  func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC) }, Logger: logger,
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.API = a
	return n
}

func withAuth(o *Options) {
	o.Auth = auth.New(auth.Options{Tokens: []string{token}, Secret: secret})
}

// do sends a request, and holds the answer against the OpenAPI document; headers
// are pairs.
func (n *node) do(t *testing.T, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, target, reader)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if n.remote != "" {
		r.RemoteAddr = n.remote
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	if !n.unchecked {
		checkAnswer(t, n.API, r, w)
	}
	return w
}

// expect checks a status and that an error is JSON with a message.
func expect(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if status >= 400 {
		var e struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("an error that is no JSON: %q", w.Body)
		}
	}
}

// listen serves n on a real connection.
func (n *node) listen(t *testing.T) (addr string, server *http.Server) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = NewServer(n.API)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String(), server
}

// dial opens a connection that gives up by itself.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}
