package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/tlscert"
)

// subscribe opens an event stream and returns its lines.
func subscribe(t *testing.T, addr, path string, headers ...string) *bufio.Reader {
	t.Helper()
	c := dial(t, addr)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: localhost\r\n%s\r\n", path, strings.Join(headers, "")); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil) //nolint:bodyclose // ends with the connection
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return bufio.NewReader(resp.Body)
}

// next returns the next event's streams as "id:recording ...", or ":" for a comment.
func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read event: %v", err)
	}
	if blank, err := r.ReadString('\n'); err != nil || blank != "\n" {
		t.Fatalf("an event does not end: %q %v", blank, err)
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok {
		return strings.TrimSpace(line)
	}
	var list []struct {
		ID        string
		Recording bool
	}
	if err := json.Unmarshal([]byte(data), &list); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	var ids []string
	for _, s := range list {
		ids = append(ids, fmt.Sprintf("%s:%v", s.ID, s.Recording))
	}
	return strings.Join(ids, " ")
}

func TestEvents(t *testing.T) {
	n := newNode(t, nil)
	n.timing = timing{io: 5 * time.Second, pause: time.Millisecond, poll: time.Hour, heartbeat: time.Hour}
	addr, server := n.listen(t)
	r := subscribe(t, addr, "/api/sse/streams")
	filtered := subscribe(t, addr, "/api/sse/streams?streams=c&streams=b")
	if got := next(t, r); got != "" {
		t.Errorf("first event %q", got)
	}
	if got := next(t, filtered); got != "" {
		t.Errorf("first event %q", got)
	}
	for _, step := range []struct{ id, want string }{{"a", "a:false"}, {"b", "a:false b:false"}} {
		if _, err := n.streams.Create(step.id); err != nil {
			t.Fatal(err)
		}
		if got := next(t, r); got != step.want {
			t.Errorf("event %q, want %q", got, step.want)
		}
	}
	if got := next(t, filtered); got != "b:false" { // nothing was sent for a
		t.Errorf("filtered event %q", got)
	}
	if err := n.streams.Delete("b"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, filtered); got != "" {
		t.Errorf("filtered event %q", got)
	}
	if got := next(t, r); got != "a:false" {
		t.Errorf("event %q", got)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown with event streams open: %v", err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("after shutdown: %q %v", rest, err)
	}
}

// Many changes at once are few events, and the last one has them all.
func TestEventsAreCoalesced(t *testing.T) {
	n := newNode(t, nil)
	n.timing = timing{io: 5 * time.Second, pause: 200 * time.Millisecond, poll: time.Hour, heartbeat: time.Hour}
	addr, _ := n.listen(t)
	r := subscribe(t, addr, "/api/sse/streams")
	next(t, r)
	const streams = 50
	for i := range streams {
		if _, err := n.streams.Create(fmt.Sprintf("s%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	events := 0
	for got := 0; got < streams; events++ {
		got = len(strings.Fields(next(t, r)))
	}
	if events > 5 {
		t.Errorf("%d events for %d changes at once", events, streams)
	}
}

func TestEventsTellOfRecordingsAndHeartbeats(t *testing.T) {
	n := newNode(t, nil)
	n.timing = timing{io: 5 * time.Second, pause: time.Millisecond, poll: 5 * time.Millisecond, heartbeat: time.Hour}
	addr, _ := n.listen(t)
	if _, err := n.streams.Create("a"); err != nil {
		t.Fatal(err)
	}
	r := subscribe(t, addr, "/api/sse/streams")
	if got := next(t, r); got != "a:false" {
		t.Errorf("event %q", got)
	}
	n.mu.Lock()
	n.status.Recording = true
	n.mu.Unlock()
	if got := next(t, r); got != "a:true" {
		t.Errorf("event %q", got)
	}

	n = newNode(t, nil)
	n.timing = timing{io: 5 * time.Second, pause: time.Millisecond, poll: time.Hour, heartbeat: 5 * time.Millisecond}
	addr, _ = n.listen(t)
	r = subscribe(t, addr, "/api/sse/streams")
	next(t, r)
	if got := next(t, r); got != ":" {
		t.Errorf("heartbeat %q", got)
	}
}

func TestEventsEndWithTheToken(t *testing.T) {
	now := time.Now()
	clock := make(chan time.Time, 1)
	clock <- now
	n := newNode(t, func(o *Options) {
		o.Auth = auth.New(auth.Options{Secret: secret, Now: func() time.Time {
			t := <-clock
			clock <- t
			return t
		}})
	})
	n.timing = timing{io: 5 * time.Second, pause: time.Millisecond, poll: time.Hour, heartbeat: 5 * time.Millisecond}
	addr, _ := n.listen(t)
	jwt, err := auth.Sign(secret, now.Add(time.Minute), []string{"*"}, auth.Admin)
	if err != nil {
		t.Fatal(err)
	}
	r := subscribe(t, addr, "/api/sse/streams", "Authorization: Bearer "+jwt+"\r\n")
	next(t, r)
	next(t, r)
	<-clock
	clock <- now.Add(time.Hour)
	if _, err := io.Copy(io.Discard, r); err != nil { // ends, or the connection's deadline does
		t.Errorf("the events went on: %v", err)
	}
}

// A client that stops reading holds its handler for no longer than a write may take.
func TestStalledReader(t *testing.T) {
	n := newNode(t, nil)
	n.timing.io = 50 * time.Millisecond
	ended := make(chan error, 1)
	n.serveObjects(func(w http.ResponseWriter, _ *http.Request) error {
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				ended <- err
				return err
			}
		}
	})
	addr, _ := n.listen(t)
	c := dial(t, addr)
	if _, err := fmt.Fprint(c, "GET /api/record/object/a/b HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the handler still writes")
	}
}

// A client that does not send the body it announced gets an answer all the same.
func TestStalledWriter(t *testing.T) {
	n := newNode(t, nil)
	n.timing.io = 50 * time.Millisecond
	addr, _ := n.listen(t)
	c := dial(t, addr)
	if _, err := fmt.Fprint(c, "POST /api/record/room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// The deadline for the body must not end what comes after it: a recording that
// is sealed takes its time.
func TestSlowHandlerAfterBody(t *testing.T) {
	n := newNode(t, nil)
	n.timing.io = 50 * time.Millisecond
	slow := &slowRecorder{fakeRecorder{n.fakes}, 4 * n.timing.io}
	n.o.Recorder = slow
	addr, _ := n.listen(t)
	c := dial(t, addr)
	br := bufio.NewReader(c)
	for range 2 { // the second has a connection whose deadlines have passed
		if _, err := fmt.Fprint(c, "POST /api/record/room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	}
}

func TestServerBounds(t *testing.T) {
	n := newNode(t, nil)
	addr, server := n.listen(t)
	if server.ReadHeaderTimeout <= 0 || server.IdleTimeout <= 0 {
		t.Error("a connection that says nothing is kept for ever")
	}
	c := dial(t, addr)
	go func() {
		_, _ = fmt.Fprintf(c, "GET /api/info HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers: status %d", resp.StatusCode)
	}
}

// Over TLS the API answers by HTTP/2, and connections are counted and forgotten as
// without it.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := tlscert.Own(cert, key, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, nil)
	s := NewServer(n.API)
	var err error
	if s.TLSConfig, err = tlscert.Config(cert, key, slog.Default()); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- Serve(s, n.Limit(l, Connections{})) }()
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, LocalURL("https", l.Addr())+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s, %v", resp.Proto, resp.Status, err)
	}
	transport.CloseIdleConnections()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	n.conns.mu.Lock()
	defer n.conns.mu.Unlock()
	if len(n.conns.open)+len(n.conns.counts) > 0 {
		t.Errorf("%d connections are counted that have ended", len(n.conns.open))
	}
}
