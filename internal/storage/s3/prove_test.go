package s3

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/fault"
)

// What a server answers to everything: it stores nothing.
type liar struct {
	tag     string // ETag of each answer
	length  int    // of what it says to have, < 0: it has nothing
	uploads int
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead && l.length < 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if l.tag != "" {
		w.Header().Set("ETag", l.tag)
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", fmt.Sprint(l.length))
		return
	}
	l.uploads++
	switch {
	case r.URL.Query().Has("uploads"):
		fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
	case r.URL.Query().Has("uploadId") && r.Method == http.MethodPost:
		fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
	}
}

// A proxy that answers 200 to every PUT has stored nothing, and nothing counts as
// stored: whole, in parts, and with any ETag of its own.
func TestProof(t *testing.T) {
	clearEnv(t)
	large := bytes.Repeat([]byte("x"), partSize+1)
	for _, tc := range []struct {
		name string
		liar liar
		ok   bool
	}{
		{"nothing is there", liar{length: -1}, false},
		{"a page is there", liar{length: 4711}, false},
		{"a page with a tag is there", liar{tag: `"page"`, length: 4711}, false},
		{"of the right size, without a tag", liar{length: 7}, false},
		{"encrypted: the tag is another", liar{tag: `"0123"`, length: 7}, true},
		{"the sum is right", liar{tag: `"9a0364b9e99bb480dd25e1f0284c8555"`, length: -1}, true}, // of "content"
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(&tc.liar)
			defer server.Close()
			s := open(t, Options{Bucket: "b", Endpoint: server.URL, AccessKeyID: "x", SecretAccessKey: "y"})
			err := s.Put(t.Context(), "key", strings.NewReader("content"), 7)
			if tc.ok != (err == nil) || err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Errorf("put: %v", err)
			}
			// In parts, as what cannot be read again is.
			err = s.Put(t.Context(), "key", struct{ *bytes.Buffer }{bytes.NewBuffer(large)}, int64(len(large)))
			if err == nil || fault.KindOf(err) != fault.Unavailable || tc.liar.uploads < 4 {
				t.Errorf("put in parts: %v after %d uploads", err, tc.liar.uploads)
			}
		})
	}
}
