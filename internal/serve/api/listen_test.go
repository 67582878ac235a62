package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestSocket serves by a Unix socket, beside one that another process has left, and
// believes what a proxy says that came by it.
func TestSocket(t *testing.T) {
	n := newNode(t, nil)
	var remote string
	path := filepath.Join(t.TempDir(), "http.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close() // as a process that is killed leaves it
	l, err := Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	if _, err := Listen(t.Context(), "unix:"+path); err == nil {
		t.Error("a socket is taken away from who listens on it")
	}
	if url := LocalURL("http", l.Addr()); url != "unix:"+path {
		t.Errorf("its URL is %s", url)
	}
	server := NewServer(n.API)
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remote = n.proxies.arrive(r).RemoteAddr
		n.API.ServeHTTP(w, r)
	})
	done := make(chan error, 1)
	go func() { done <- server.Serve(n.Limit(l, Connections{Max: 20, PerAddress: 1})) }()
	defer func() { _ = server.Close(); <-done }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || remote != "192.0.2.7:0" {
		t.Errorf("%d, of %s", resp.StatusCode, remote)
	}
}

// TestRedirect: who comes by plain HTTP is sent to the port of HTTPS, by the name that
// was asked for.
func TestRedirect(t *testing.T) {
	for _, tt := range []struct{ host, port, want string }{
		{"live.example.com", "443", "https://live.example.com/a%20b?c=d"},
		{"live.example.com:80", "7777", "https://live.example.com:7777/a%20b?c=d"},
		{"[2001:db8::1]:80", "443", "https://[2001:db8::1]/a%20b?c=d"},
		{"[2001:db8::1]", "8443", "https://[2001:db8::1]:8443/a%20b?c=d"},
		{"a/b", "443", ""},
		{"", "443", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/a%20b?c=d", nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		secure, err := net.ResolveTCPAddr("tcp", "127.0.0.1:"+tt.port)
		if err != nil {
			t.Fatal(err)
		}
		redirect(secure)(w, r)
		status := http.StatusPermanentRedirect
		if tt.want == "" {
			status = http.StatusBadRequest
		}
		if got := w.Header().Get("Location"); got != tt.want || w.Code != status {
			t.Errorf("%s: %d %s", tt.host, w.Code, got)
		}
	}
}
