package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTrailingSlash: people and programs put one behind URLs of WHIP and WHEP.
func TestTrailingSlash(t *testing.T) {
	n := newNode(t, nil)
	n.unchecked = true // the document has no such paths
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/whip/cam/", 201},
		{http.MethodPost, "/whep/a%20b/", 201},
		{http.MethodDelete, "/session/cam/pub/", 200},
		{http.MethodOptions, "/whip/cam/", 204},
		{http.MethodPost, "/whip/", 404},
		{http.MethodPost, "/whip/cam//", 400},
	} {
		if w := n.do(t, tt.method, tt.path, ""); w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
	if got := n.called(); got != "publish(cam,) subscribe(a b,) delete(cam,pub) options(cam,)" {
		t.Errorf("calls %s", got)
	}
}

// TestRefusalsAreLogged: whoever runs the node sees from where a wrong token came, once
// a second at most, and not the token.
func TestRefusalsAreLogged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := newNode(t, func(o *Options) {
		withAuth(o)
		o.Now = func() time.Time { return now }
	})
	lines := func() int { return strings.Count(n.logs.String(), "request refused") }
	for range 3 {
		expect(t, n.do(t, http.MethodPost, "/whip/cam", "", "Authorization", "Bearer wrong-token"), 401)
	}
	if lines() != 1 || !strings.Contains(n.logs.String(), "level=INFO") || !strings.Contains(n.logs.String(), "client=192.0.2.1:") {
		t.Errorf("log:\n%s", n.logs)
	}
	now = now.Add(time.Second)
	expect(t, n.do(t, http.MethodPost, "/whip/cam", ""), 401)
	if lines() != 2 || !strings.Contains(n.logs.String(), "unlogged=2") {
		t.Errorf("log:\n%s", n.logs)
	}
	now = now.Add(time.Second)
	expect(t, n.do(t, http.MethodGet, "/api/me", ""), 401) // the page looks whether it needs a login
	if lines() != 2 || strings.Contains(n.logs.String(), "wrong-token") {
		t.Errorf("log:\n%s", n.logs)
	}
}
