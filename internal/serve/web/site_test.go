package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/live777/recorder/internal/ingest/live"
)

// TestSite asks for the documentation, with and without gzip, and below a prefix, which its
// links follow.
func TestSite(t *testing.T) {
	const page = `<script>a()</script><script type="module" src="/docs/assets/app.js"></script><a href="/docs/docs/api.html">`
	s := site{fstest.MapFS{
		"index.html.gz": {Data: pack([]byte(page))}, "docs/api.html.gz": {Data: pack([]byte("API"))}, "assets/app.js.gz": {Data: pack([]byte(`base="/docs/"`))},
	}}
	get := func(path, prefix string, header ...string) (*httptest.ResponseRecorder, string) {
		r := httptest.NewRequestWithContext(live.WithClient(t.Context(), live.Client{Prefix: prefix}), http.MethodGet, path, http.NoBody)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w, w.Body.String()
	}
	for _, test := range []struct{ path, prefix, want string }{
		{"/docs/", "", page}, {"/docs/index.html", "", page}, {"/docs/docs/api.html", "", "API"},
		{"/docs/", "/studio", strings.ReplaceAll(page, `"/docs/`, `"/studio/docs/`)},
		{"/docs/assets/app.js", "/studio", `base="/studio/docs/"`},
	} {
		if resp, got := get(test.path, test.prefix); resp.Code != http.StatusOK || got != test.want {
			t.Errorf("%s below %q: %d %s", test.path, test.prefix, resp.Code, got)
		}
	}
	resp, got := get("/docs/", "", "Accept-Encoding", "gzip")
	if plain, err := unpack([]byte(got)); err != nil || string(plain) != page || resp.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("by gzip it is %q, %v", plain, err)
	}
	// echo -n 'a()' | openssl dgst -sha256 -binary | base64
	if policy := resp.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4=';") {
		t.Errorf("its script may not run: %s", policy)
	}
	if again, _ := get("/docs/", "", "Accept-Encoding", "gzip", "If-None-Match", resp.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("the same again is answered %d", again.Code)
	}
	if resp, _ := get("/docs", "/studio"); resp.Header().Get("Location") != "/studio/docs/" {
		t.Errorf("/docs leads to %q", resp.Header().Get("Location"))
	}
	for _, path := range []string{"/docs/none", "/docs/../web.go", "/docs/docs/", "/docs/.gitkeep"} {
		if resp, body := get(path, ""); resp.Code != http.StatusNotFound || !strings.Contains(body, "begins at") {
			t.Errorf("%s: %d %s", path, resp.Code, body)
		}
	}
	s.files = fstest.MapFS{}
	if resp, body := get("/docs/", ""); resp.Code != http.StatusNotFound || !strings.Contains(body, "without") {
		t.Errorf("where it was not built: %d %s", resp.Code, body)
	}
}
