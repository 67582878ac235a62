package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
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
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
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

// plain is a service that tells neither sums nor tags.
type plain struct {
	broken bool // it gives other bytes than it was given

	mu      sync.Mutex
	objects map[string][]byte
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, found := p.objects[r.URL.Path]
	switch {
	case r.URL.Query().Has("list-type"):
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
	case r.Method == http.MethodPut && r.Header.Get("If-None-Match") != "" && found:
		w.WriteHeader(http.StatusPreconditionFailed)
	case r.Method == http.MethodPut:
		data, _ := io.ReadAll(r.Body)
		p.objects[r.URL.Path] = data
	case r.Method == http.MethodDelete:
		delete(p.objects, r.URL.Path)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodHead:
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	case p.broken:
		_, _ = w.Write(bytes.Repeat([]byte("x"), len(data)))
	default:
		_, _ = w.Write(data)
	}
}

// A service that shows neither sums nor tags is used: what it was given is read back,
// and the log says so at the start.
func TestProofByReading(t *testing.T) {
	clearEnv(t)
	service := &plain{objects: map[string][]byte{}}
	server := httptest.NewServer(service)
	defer server.Close()
	var logged bytes.Buffer
	s := open(t, Options{
		Bucket: "b", Endpoint: server.URL, AccessKeyID: "x", SecretAccessKey: "y", Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if err := s.Check(t.Context()); err != nil || !strings.Contains(logged.String(), "read back") {
		t.Errorf("check: %v; logged %q", err, logged.String())
	}
	if err := s.Put(t.Context(), "key", strings.NewReader("content"), 7); err != nil {
		t.Error(err)
	}
	service.broken = true
	if err := s.Put(t.Context(), "key", strings.NewReader("content"), 7); !errors.Is(err, storage.ErrUnproved) {
		t.Errorf("put to a service that gives other bytes: %v", err)
	}
	if err := s.Check(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("check of a service that gives other bytes: %v", err)
	}
}

// Where the service has check sums, or tags, the answer to an upload is its proof,
// whole and in parts: nothing more is asked.
func TestProofInAnswer(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint = proxy.Endpoint
	for _, checked := range []bool{true, false} {
		s := open(t, o)
		if checked {
			if err := s.Check(t.Context()); err != nil || !s.checksums.Load() {
				t.Fatalf("check: %v, sums %t", err, s.checksums.Load())
			}
		}
		before := len(proxy.Requests())
		if err := s.Put(t.Context(), fmt.Sprintf("whole/%t", checked), strings.NewReader("content"), 7); err != nil {
			t.Error(err)
		}
		size := int64(partSize + 12345)
		key := fmt.Sprintf("parts/%t", checked)
		if err := s.Put(t.Context(), key, readerOnly{io.LimitReader(&pattern{}, size)}, size); err != nil {
			t.Error(err)
		}
		for _, r := range proxy.Requests()[before:] {
			if strings.HasPrefix(r, http.MethodHead) || strings.HasPrefix(r, http.MethodGet) {
				t.Errorf("with sums %t: %s was asked", checked, r)
			}
		}
		wantPattern(t, s, key, size)
	}
}

// What stands between the recorder and a server that works, and that says so.
func TestProofBehindProxies(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	client := server.Client()
	put := func(r *http.Request) bool {
		return r.Method == http.MethodPut && !strings.Contains(r.URL.Path, probeName)
	}
	for _, tc := range []struct {
		name  string
		fault miniotest.Fault
		why   string
	}{
		// A login page for everything.
		{"captive", miniotest.Fault{Instead: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("ETag", `"page"`)
			fmt.Fprint(w, "<html>please log in")
		}}, "login page"},
		// Half of the body arrives, and the answer is the server's own.
		{"truncating", miniotest.Fault{Match: put, Instead: func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			key := path.Join("recordings", path.Base(r.URL.Path))
			out, err := client.PutObject(r.Context(), &awss3.PutObjectInput{Bucket: &server.Bucket, Key: &key, Body: bytes.NewReader(data[:len(data)/2])})
			if err != nil {
				t.Error(err)
				return
			}
			w.Header().Set("ETag", aws.ToString(out.ETag))
		}}, "has 3 bytes instead of 7"},
		// A cache that keeps the upload to itself.
		{"caching", miniotest.Fault{Match: put, Instead: func(http.ResponseWriter, *http.Request) {}}, "does not have the object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proxy := miniotest.NewProxy(t, server.Endpoint)
			o := options(server)
			o.Endpoint = proxy.Endpoint
			s := open(t, o)
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			proxy.Inject(tc.fault)
			err := s.Put(t.Context(), tc.name, strings.NewReader("content"), 7)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fmt.Sprint(err), tc.why) {
				t.Errorf("put: %v, want %q", err, tc.why)
			}
			proxy.Clear()
			if err := s.Put(t.Context(), tc.name, strings.NewReader("content"), 7); err != nil {
				t.Errorf("without it: %v", err)
			}
		})
	}
}

// A bucket whose rule deletes what has just been stored is found out at the start.
func TestCheckFindsDeletingRule(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	proxy.Inject(miniotest.Fault{Match: miniotest.Is(http.MethodPut), Then: func(r *http.Request) {
		key := strings.TrimPrefix(r.URL.Path, "/"+server.Bucket+"/")
		if _, err := server.Client().DeleteObject(context.WithoutCancel(r.Context()), &awss3.DeleteObjectInput{Bucket: &server.Bucket, Key: &key}); err != nil {
			t.Error(err)
		}
	}})
	o := options(server)
	o.Endpoint = proxy.Endpoint
	err := open(t, o).Check(t.Context())
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fmt.Sprint(err), "rule of the bucket") {
		t.Errorf("check: %v", err)
	}
}
