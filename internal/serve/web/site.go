package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
)

// The documentation, each file by gzip; `scripts/site.sh embed` makes it.
//
//go:embed all:site
var embeddedSite embed.FS

// docsPath is where the site is, by its own links.
const docsPath = "/docs/"

// site serves the documentation as a site, whose files are packed.
type site struct{ files fs.FS }

func newSite() http.Handler {
	files, err := fs.Sub(embeddedSite, "site")
	if err != nil {
		panic("web: " + err.Error()) // site is a valid path: the compiler saw it
	}
	return site{files}
}

// ServeHTTP implements http.Handler.
func (s site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix := live.ClientOf(r.Context()).Prefix
	name, ok := strings.CutPrefix(r.URL.Path, docsPath)
	if !ok { // it is without the slash, from which relative links would lead elsewhere
		http.Redirect(w, r, prefix+docsPath, http.StatusMovedPermanently)
		return
	}
	if name == "" || strings.HasSuffix(name, "/") {
		name += index
	}
	packed, err := fs.ReadFile(s.files, name+".gz")
	if err != nil {
		message := "the documentation has no such page; it begins at " + docsPath
		if _, err := fs.Stat(s.files, index+".gz"); err != nil {
			message = "this binary was built without its documentation: scripts/site.sh embed"
		}
		writeError(w, http.StatusNotFound, message)
		return
	}
	serveSite(w, r, name, prefix, packed)
}

// serveSite serves a file. Its links are changed where the server is below a prefix.
func serveSite(w http.ResponseWriter, r *http.Request, name, prefix string, packed []byte) {
	header := w.Header()
	plain, err := unpack(packed)
	if err != nil {
		panic("web: " + name + ": " + err.Error()) // memory cannot fail to be read, and gzip wrote it
	}
	kind := contentType(name)
	text := strings.HasPrefix(kind, "text/")
	if text && prefix != "" {
		plain = bytes.ReplaceAll(plain, []byte(docsPath), []byte(prefix+docsPath))
	}
	sum := sha256.Sum256(append([]byte(prefix), packed...))
	tag := hex.EncodeToString(sum[:16])
	content := plain
	if text {
		header.Set("Vary", "Accept-Encoding")
		if prefix == "" && takesGzip(r) {
			content, tag = packed, tag+"-gzip"
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("Content-Type", kind)
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") && prefix == "" {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	header.Set("Content-Security-Policy", sitePolicy(path.Ext(name), plain))
	header.Set("ETag", `"`+tag+`"`)
	header.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

var inlineScript = regexp.MustCompile(`(?s)<script(?: [^>]*)?>(.+?)</script>`)

// sitePolicy lets a page of the site run its own scripts and no other; the colours of code
// are in attributes.
func sitePolicy(ext string, content []byte) string {
	scripts := ""
	if ext == ".html" {
		for _, m := range inlineScript.FindAllSubmatch(content, -1) {
			sum := sha256.Sum256(m[1])
			scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
	}
	return "default-src 'none'; script-src 'self'" + scripts + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
