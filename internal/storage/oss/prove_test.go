package oss_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/fault"
	"github.com/live777/recorder/internal/storage/oss"
)

// A proxy that answers 200 to every PUT has stored nothing, and nothing counts as
// stored, whatever it says of the object then.
func TestProof(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"nothing is there": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"a page is there":  func(w http.ResponseWriter) { w.Header().Set("Content-Length", "4711") },
		"of the right size, without a tag": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "7")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					answer(w)
				}
			}))
			defer server.Close()
			store := open(t, oss.Options{Bucket: "recordings", Region: "cn-hangzhou", Endpoint: server.URL, AccessKeyID: "key", AccessKeySecret: secret})
			if err := store.Put(t.Context(), "key", strings.NewReader("content"), 7); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("put: %v", err)
			}
		})
	}
}
