package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Administrators may have profiles; of the CPU one at a time, and not for ever.
func TestProfiles(t *testing.T) {
	n := newNode(t, withAuth)
	get := func(path string) *httptest.ResponseRecorder {
		return n.do(t, http.MethodGet, "/debug/pprof/"+path, "", "Authorization", "Bearer "+token)
	}
	for _, tt := range []struct {
		path   string
		status int
	}{
		{"goroutine", 200}, {"heap", 200}, {"cmdline", 404}, {"", 404}, {"profile?seconds=0", 400}, {"profile?seconds=61", 400}, {"trace?seconds=x", 400},
	} {
		w := get(tt.path)
		if w.Code != tt.status || tt.status == 200 && !strings.HasPrefix(w.Body.String(), "\x1f\x8b") { // gzip
			t.Errorf("%s: %d %.40q", tt.path, w.Code, w.Body)
		}
	}
	if w := n.do(t, http.MethodGet, "/debug/pprof/heap", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without credentials: %d", w.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // who has left waits for nothing
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/pprof/trace?seconds=60", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "go 1.") {
		t.Errorf("a trace: %d %.40q", w.Code, w.Body)
	}
}
