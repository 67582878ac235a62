package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	o := newOrigins([]string{"https://a.example", "http://b.example:8080", "http://localhost:*", "http://[::1]:*"})
	for origin, want := range map[string]bool{
		"https://a.example": true, "https://A.example": true, "http://b.example:8080": true,
		"http://localhost": true, "http://localhost:1": true, "http://[::1]:3000": true,
		"http://a.example": false, "https://a.example:444": false, "http://b.example": false, "https://localhost:1": false,
		"http://localhost.evil": false, "http://localhost:1.evil": false, "null": false, "": false, "https://xa.example": false, "%": false,
	} {
		if got := o.allow(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
	if all := newOrigins([]string{"*"}); !all.allow("null") {
		t.Error("* does not allow all")
	}
}

func preflight(t *testing.T, n *node, path, origin string) http.Header {
	t.Helper()
	w := n.do(t, http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
	if w.Code != http.StatusNoContent {
		t.Fatalf("preflight of %s: %d %s", path, w.Code, w.Body)
	}
	return w.Header()
}

func TestCORS(t *testing.T) {
	n := newNode(t, func(o *Options) {
		withAuth(o) // a preflight has no credentials
		o.CORSOrigins = []string{"*"}
	})
	for _, path := range []string{"/api/record/room", "/whip/room", "/session/room/x", "/api/record/object/a/b"} {
		h := preflight(t, n, path, "https://a.example")
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, h)
		}
		for _, want := range []string{"Authorization", "Content-Type", "If-Match"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Headers"), want) {
				t.Errorf("%s: %s is not allowed", path, want)
			}
		}
		for _, want := range []string{"POST", "PATCH", "DELETE"} {
			if !strings.Contains(h.Get("Access-Control-Allow-Methods"), want) {
				t.Errorf("%s: %s is not allowed", path, want)
			}
		}
	}
	if h := preflight(t, n, "/whip/room", "https://a.example"); h.Get("Accept-Post") != "application/sdp" {
		t.Errorf("no Accept-Post: %v", h)
	}
	// A page must be able to read why it was refused.
	w := n.do(t, http.MethodPost, "/whip/room", "", "Origin", "https://a.example")
	expect(t, w, http.StatusUnauthorized)
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error("an error without CORS headers")
	}
	for _, want := range []string{"Location", "ETag", "Link", "Accept-Post", "Retry-After"} {
		if !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), want) {
			t.Errorf("%s is not exposed", want)
		}
	}
	if w := n.do(t, http.MethodOptions, "/whip/room", ""); w.Code != http.StatusNoContent || w.Header().Get("Accept-Post") == "" {
		t.Errorf("OPTIONS that is no preflight: %d %v", w.Code, w.Header())
	}
}

func TestForeignPages(t *testing.T) {
	n := newNode(t, func(o *Options) { o.CORSOrigins = []string{"http://localhost:*"} })
	const evil = "https://evil.example"
	// As a form would send it: browsers do not ask before.
	expect(t, n.do(t, http.MethodPost, "http://node.example/api/record/room", "", "Origin", evil), http.StatusForbidden)
	expect(t, n.do(t, http.MethodPost, "http://node.example/api/record/room", "", "Origin", "null"), http.StatusForbidden)
	expect(t, n.do(t, http.MethodOptions, "http://node.example/whip/room", "", "Origin", evil, "Access-Control-Request-Method", "POST"), http.StatusForbidden)
	if n.called() != "" {
		t.Errorf("called %s", n.called())
	}
	w := n.do(t, http.MethodGet, "http://node.example/api/streams/", "", "Origin", evil)
	if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Vary") != "Origin" {
		t.Errorf("a foreign page may read: %v", w.Header())
	}
	for _, headers := range [][]string{
		{"Origin", "http://localhost:3000"}, {"Origin", "http://node.example"}, {"Origin", "https://behind.proxy", "Sec-Fetch-Site", "same-origin"}, {},
	} {
		expect(t, n.do(t, http.MethodPost, "http://node.example/api/record/room", "", headers...), http.StatusOK)
	}
	if h := preflight(t, n, "/api/record/room", "http://localhost:3000"); h.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("%v", h)
	}
}
