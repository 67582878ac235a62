package oss_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage/oss"
)

// A proxy that answers 200 to every PUT has stored nothing, and nothing counts as
// stored, whatever it says of the object then.
func TestProof(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"nothing is there": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"a page is there":  func(w http.ResponseWriter) { w.Header().Set("Content-Length", "4711") },
		"of the right size, with other bytes": func(w http.ResponseWriter) {
			w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
			w.Header().Set("Content-Length", "7")
		},
		"of the right size, with a tag": func(w http.ResponseWriter) {
			w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
			w.Header().Set("Content-Length", "7")
			w.Header().Set("ETag", `"x"`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			content := "unknown"
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case http.MethodHead:
					answer(w)
				case http.MethodGet:
					_, _ = w.Write([]byte(content))
				}
			}))
			defer server.Close()
			store := open(t, oss.Options{Bucket: "recordings", Region: "cn-hangzhou", Endpoint: server.URL, AccessKeyID: "key", AccessKeySecret: secret})
			if err := store.Put(t.Context(), "key", strings.NewReader("content"), 7); (err == nil) != strings.HasSuffix(name, "with a tag") || err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("put: %v", err)
			}
			// Of a service that knows no tags the bytes are looked at.
			content = "content"
			if err := store.Put(t.Context(), "key", struct{ io.Reader }{strings.NewReader("content")}, 7); (err == nil) != strings.HasPrefix(name, "of the right size") {
				t.Errorf("put to what gives the same bytes: %v", err)
			}
		})
	}
}
