// Package web serves the embedded dashboard.
package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// The prefix all: takes the placeholder along, a dot file: without any file
// the directive would not compile before the first build of the page.
//
//go:embed all:dist
var embedded embed.FS

// index is the name of the page itself; its absence means that the page was
// not built.
const index = "index.html"

// reference is the name of the reference of the API, which is at /api/docs.
const reference = "api/docs.html"

// contentSecurityPolicy lets the page load from this server alone, and its player
// from connect too, which is empty or " " and an origin. The player feeds its video
// element from a blob: URL (Media Source Extensions) and may start a worker from
// one; mediastream: is what Firefox calls a live source.
func contentSecurityPolicy(connect string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; " +
		"img-src 'self' data: blob:; media-src 'self' blob: mediastream:; worker-src 'self' blob:; " +
		"connect-src 'self'" + connect + "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// mediaTimeout bounds how long the page waits for where its player may be sent.
const mediaTimeout = 2 * time.Second

// Handler serves the page at / and its files below, and the reference of the API at
// /api/docs. It answers GET and HEAD
// with content types, entity tags and caching rules, 404 for other paths, and
// 501 with instructions where this binary was built without the page. It is
// safe for concurrent use.
//
// media returns the origin (RFC 6454) that the page's player may be sent to for
// segments, "" for none but this server; it may be nil.
func Handler(media func(context.Context) string) http.Handler {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic("web: " + err.Error()) // dist is a valid path: the compiler saw it
	}
	return newHandler(dist, media)
}

// asset is one file of the page, ready to be served.
type asset struct {
	content     []byte
	packed      func() []byte // content by gzip; nil where that saves nothing
	contentType string
	cache       string
	etag        string // strong entity tag, quoted
}

type handler struct {
	assets map[string]*asset // by name within dist
	media  func(context.Context) string
	site   http.Handler // the documentation, at /docs/
}

// newHandler reads dist once: what is embedded does not change.
func newHandler(dist fs.FS, media func(context.Context) string) http.Handler {
	h := handler{map[string]*asset{}, media, newSite()}
	err := fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		content, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		h.assets[name] = newAsset(name, content)
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("web: read embedded page: %v", err)) // memory cannot fail to be read
	}
	return h
}

func newAsset(name string, content []byte) *asset {
	sum := sha256.Sum256(content)
	a := &asset{
		content:     content,
		contentType: contentType(name),
		cache:       "no-cache", // keep, but ask each time: the entity tag makes that cheap
		etag:        `"` + hex.EncodeToString(sum[:16]) + `"`,
	}
	// Packed when it is first asked for: the reference of the API takes a tenth of a second.
	a.packed = sync.OnceValue(func() []byte {
		if packed := pack(content); len(packed) < len(content) {
			return packed
		}
		return nil
	})
	if strings.HasPrefix(name, "assets/") {
		// The build puts a hash of the content into these names.
		a.cache = "public, max-age=31536000, immutable"
	}
	return a
}

// pack returns content by gzip.
func pack(content []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("web: " + err.Error()) // the level is one of the package's own
	}
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// takesGzip reports whether the sender of r understands gzip: every browser does.
func takesGzip(r *http.Request) bool {
	for _, offer := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(offer), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !zeroWeight.MatchString(weight)
		}
	}
	return false
}

var zeroWeight = regexp.MustCompile(`^\s*q=0(\.0*)?\s*$`)

// contentType does not leave the common types to the tables of the system that
// the server happens to run on: a wrong type for a script breaks the page.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "the page answers GET and HEAD only")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "docs" || strings.HasPrefix(name, docsPath[1:]) {
		h.site.ServeHTTP(w, r)
		return
	}
	connect := ""
	switch {
	case name == "" || name == index:
		name, connect = index, h.connect(r.Context())
	case name == strings.TrimSuffix(reference, ".html"):
		name = reference
	}
	header.Set("Content-Security-Policy", contentSecurityPolicy(connect))
	a, ok := h.assets[name]
	switch {
	case ok:
		serve(w, r, a, connect)
	case name == index || name == reference:
		serveUnbuilt(w, r)
	default:
		writeError(w, http.StatusNotFound, "nothing is at this path; the page is at /")
	}
}

// connect returns what contentSecurityPolicy adds for the player.
func (h handler) connect(ctx context.Context) string {
	if h.media == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, mediaTimeout)
	defer cancel()
	return strings.TrimRight(" "+h.media(ctx), " ")
}

func serve(w http.ResponseWriter, r *http.Request, a *asset, connect string) {
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("Cache-Control", a.cache)
	tag := a.etag
	if connect != "" {
		// A browser that is answered 304 goes on with the policy that it has.
		sum := sha256.Sum256([]byte(a.etag + connect))
		tag = `"` + hex.EncodeToString(sum[:16]) + `"`
	}
	content := a.content
	if packed := a.packed(); packed != nil {
		header.Set("Vary", "Accept-Encoding")
		if takesGzip(r) {
			content, tag = packed, strings.TrimSuffix(tag, `"`)+`-gzip"`
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("ETag", tag)
	header.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

const unbuiltPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live777</title>
<h1>Live777 runs, but this binary was built without its page</h1>
<p>Everything else works. To have the page, build it and then the binary again:</p>
<pre>make web</pre>
<p>or, without make:</p>
<pre>npm --prefix web ci &amp;&amp; npm --prefix web run build
go build ./cmd/live777</pre>
</html>
`

func serveUnbuilt(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotImplemented)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(unbuiltPage)) // a client that left needs no page
	}
}

// writeError answers in the form of the whole API; message has nothing that
// JSON would escape.
func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"error\":%q}\n", message) // a client that left needs no error
}
