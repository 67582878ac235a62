package web

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func built() http.Handler { return builtFor(nil) }

func builtFor(media func(context.Context) string) http.Handler {
	return newHandler(fstest.MapFS{
		".gitkeep":              {},
		"index.html":            {Data: []byte("<!doctype html><title>page</title>")},
		"api/docs.html":         {Data: []byte("<title>API</title>")},
		"favicon.svg":           {Data: []byte("<svg/>")},
		"assets/index-abc12.js": {Data: []byte("let a = 1")},
		"assets/index-abc12.css": {
			Data: []byte("p{}"),
		},
		"assets/blob-abc12.unknownext": {Data: []byte{1, 2}},
	}, media)
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, h http.Handler, method, path string, header map[string]string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func TestBuilt(t *testing.T) {
	const immutable = "public, max-age=31536000, immutable"
	for _, tc := range []struct {
		path        string
		status      int
		contentType string
		cache       string
		body        string
	}{
		{"/", 200, "text/html; charset=utf-8", "no-cache", "<!doctype html><title>page</title>"},
		{"/index.html", 200, "text/html; charset=utf-8", "no-cache", "<!doctype html><title>page</title>"},
		{"/api/docs", 200, "text/html; charset=utf-8", "no-cache", "<title>API</title>"},
		{"/favicon.svg", 200, "image/svg+xml", "no-cache", "<svg/>"},
		{"/assets/index-abc12.js", 200, "text/javascript; charset=utf-8", immutable, "let a = 1"},
		{"/assets/index-abc12.css", 200, "text/css; charset=utf-8", immutable, "p{}"},
		{"/assets/blob-abc12.unknownext", 200, "application/octet-stream", immutable, "\x01\x02"},
		{"/.gitkeep", 404, "application/json", "", ""},
		{"/assets/", 404, "application/json", "", ""},
		{"/assets/../index.html", 404, "application/json", "", ""},
		{"/api/nothing", 404, "application/json", "", ""},
	} {
		t.Run(tc.path, func(t *testing.T) {
			res := do(t, built(), http.MethodGet, tc.path, nil)
			if res.status != tc.status {
				t.Fatalf("status %d, want %d", res.status, tc.status)
			}
			if ct := res.header.Get("Content-Type"); ct != tc.contentType {
				t.Errorf("Content-Type %q, want %q", ct, tc.contentType)
			}
			if cc := res.header.Get("Cache-Control"); cc != tc.cache {
				t.Errorf("Cache-Control %q, want %q", cc, tc.cache)
			}
			if res.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("X-Content-Type-Options is not nosniff")
			}
			if tc.status == http.StatusOK && res.body != tc.body {
				t.Errorf("body %q, want %q", res.body, tc.body)
			}
			if tc.status != http.StatusOK {
				wantError(t, res.body)
			}
		})
	}
}

func wantError(t *testing.T, got string) {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal([]byte(got), &e); err != nil || e.Error == "" {
		t.Errorf("body %q is not an error of the API: %v", got, err)
	}
}

func TestContentSecurityPolicy(t *testing.T) {
	res := do(t, built(), http.MethodGet, "/", nil)
	policy := res.header.Get("Content-Security-Policy")
	directives := map[string]string{}
	for d := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), " ")
		directives[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'none'",
		"script-src":  "'self'",
		"style-src":   "'self'",
		"connect-src": "'self'",
		"media-src":   "'self' blob: mediastream:",
		"worker-src":  "'self' blob:",
	} {
		if directives[name] != want {
			t.Errorf("%s is %q, want %q", name, directives[name], want)
		}
	}
}

// The page may fetch from where its player is sent to, and is fetched anew when that
// changes: with 304 a browser goes on with the policy that it has.
func TestPolicyOfRedirects(t *testing.T) {
	origin := ""
	h := builtFor(func(context.Context) string { return origin })
	tags := map[string]bool{}
	for _, origin = range []string{"", "https://bucket.example", "https://other.example:9000"} {
		res := do(t, h, http.MethodGet, "/", nil)
		want := "connect-src " + strings.TrimSpace("'self' "+origin) + ";"
		if policy := res.header.Get("Content-Security-Policy"); !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, without %q", policy, want)
		}
		tags[res.header.Get("ETag")] = true
		if script := do(t, h, http.MethodGet, "/assets/index-abc12.js", nil); strings.Contains(script.header.Get("Content-Security-Policy"), "example") {
			t.Error("more than the page may fetch from elsewhere")
		}
	}
	if len(tags) != 3 {
		t.Errorf("three policies have the entity tags %v", tags)
	}
}

func TestEntityTags(t *testing.T) {
	h := built()
	page := do(t, h, http.MethodGet, "/", nil)
	tag := page.header.Get("ETag")
	if len(tag) < 3 || tag[0] != '"' {
		t.Fatalf("ETag %q is not a strong entity tag", tag)
	}
	script := do(t, h, http.MethodGet, "/assets/index-abc12.js", nil)
	if script.header.Get("ETag") == tag {
		t.Error("two different files have the same ETag")
	}
	again := do(t, h, http.MethodGet, "/", map[string]string{"If-None-Match": tag})
	if again.status != http.StatusNotModified || again.body != "" {
		t.Errorf("status %d with body %q, want 304 without", again.status, again.body)
	}
	other := do(t, h, http.MethodGet, "/", map[string]string{"If-None-Match": `"other"`})
	if other.status != http.StatusOK || other.body == "" {
		t.Errorf("status %d with body %q, want 200 with the page", other.status, other.body)
	}
}

func TestGzip(t *testing.T) {
	text := strings.Repeat("let a = 1;", 100)
	h := newHandler(fstest.MapFS{"index.html": {Data: []byte("page")}, "assets/long-1.js": {Data: []byte(text)}}, nil)
	plain := do(t, h, http.MethodGet, "/assets/long-1.js", nil)
	for _, accept := range []string{"gzip, deflate, br", "br;q=1.0, GZIP;q=0.5"} {
		packed := do(t, h, http.MethodGet, "/assets/long-1.js", map[string]string{"Accept-Encoding": accept})
		r, err := gzip.NewReader(strings.NewReader(packed.body))
		if err != nil {
			t.Fatalf("%s: %v", accept, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != text || len(packed.body) >= len(text) {
			t.Errorf("%s: %d bytes become %d: %v", accept, len(packed.body), len(got), err)
		}
		if packed.header.Get("Content-Encoding") != "gzip" || packed.header.Get("Vary") != "Accept-Encoding" ||
			packed.header.Get("ETag") == plain.header.Get("ETag") {
			t.Errorf("%s: headers are %v", accept, packed.header)
		}
	}
	for _, accept := range []string{"", "br", "gzip;q=0", "gzip; q=0.00"} {
		got := do(t, h, http.MethodGet, "/assets/long-1.js", map[string]string{"Accept-Encoding": accept})
		if got.body != text || got.header.Get("Content-Encoding") != "" {
			t.Errorf("%q: it is packed for who cannot unpack it", accept)
		}
	}
	if short := do(t, h, http.MethodGet, "/", map[string]string{"Accept-Encoding": "gzip"}); short.body != "page" {
		t.Errorf("what is longer by gzip is packed: %q", short.body)
	}
}

func TestMethods(t *testing.T) {
	for _, h := range []http.Handler{built(), newHandler(fstest.MapFS{}, nil)} {
		head := do(t, h, http.MethodHead, "/", nil)
		if head.body != "" {
			t.Errorf("HEAD has the body %q", head.body)
		}
		post := do(t, h, http.MethodPost, "/", nil)
		wantError(t, post.body)
		if post.status != http.StatusMethodNotAllowed || post.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST: status %d, Allow %q", post.status, post.header.Get("Allow"))
		}
	}
}

func TestUnbuilt(t *testing.T) {
	h := newHandler(fstest.MapFS{".gitkeep": {}}, nil)
	res := do(t, h, http.MethodGet, "/", nil)
	if res.status != http.StatusNotImplemented {
		t.Errorf("status %d, want 501", res.status)
	}
	if ct := res.header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
	for _, want := range []string{"make web", "npm --prefix web ci", "npm --prefix web run build"} {
		if !strings.Contains(res.body, want) {
			t.Errorf("the page does not mention %q:\n%s", want, res.body)
		}
	}
}

// TestHandler holds for both states of the working tree: built and not.
func TestHandler(t *testing.T) {
	res := do(t, Handler(nil), http.MethodGet, "/", nil)
	if res.status != http.StatusOK && res.status != http.StatusNotImplemented {
		t.Fatalf("status %d", res.status)
	}
	if !strings.Contains(res.body, "<title>Live777</title>") {
		t.Errorf("this is not the page:\n%s", res.body)
	}
}
