package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/storagetest"
)

// policy returns an IAM policy that allows some actions.
func policy(actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) +
		`"],"Resource":["arn:aws:s3:::*"]}]}`
}

func TestCheckFindsMistakes(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	reader := server.AssumeRole(policy("s3:ListBucket", "s3:GetObject"))
	writer := server.AssumeRole(policy("s3:PutObject"))
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>welcome"))
	}))
	defer website.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
		w.WriteHeader(http.StatusMovedPermanently)
	}))
	defer elsewhere.Close()
	closed := httptest.NewServer(nil)
	closed.Close()

	const invalid, unavailable = fault.Invalid, fault.Unavailable
	for _, test := range []struct {
		name string
		edit func(*Options)
		kind fault.Kind
		want string
	}{
		{"bucket", func(o *Options) { o.Bucket = "no-such-bucket" }, invalid, `recorder.storage.bucket: there is no such bucket`},
		{"key", func(o *Options) { o.AccessKeyID = "nobody" }, invalid, "recorder.storage.access_key_id: "},
		{"secret", func(o *Options) { o.SecretAccessKey += "x" }, invalid, "recorder.storage.secret_access_key: "},
		{"token", func(o *Options) {
			o.AccessKeyID, o.SecretAccessKey, o.SessionToken = reader.AccessKey, reader.SecretKey, "x"
		}, invalid, "recorder.storage.session_token: "},
		{"region", func(o *Options) { o.Region = "eu-west-1" }, invalid, `recorder.storage.region: it is "eu-west-1", and the bucket is in "us-east-1"`},
		{"region of the bucket", func(o *Options) { o.Endpoint = elsewhere.URL }, invalid, `recorder.storage.region: it is "us-east-1", and the bucket is in "eu-west-3"`},
		{"no write", func(o *Options) {
			o.AccessKeyID, o.SecretAccessKey, o.SessionToken = reader.AccessKey, reader.SecretKey, reader.SessionToken
		}, invalid, "recorder.storage.bucket: the credentials lack a permission"},
		{"no list", func(o *Options) {
			o.AccessKeyID, o.SecretAccessKey, o.SessionToken = writer.AccessKey, writer.SecretKey, writer.SessionToken
		}, invalid, "recorder.storage.bucket: the credentials lack a permission"},
		{"no credentials", func(o *Options) { o.AccessKeyID, o.SecretAccessKey = "", "" }, invalid, "recorder.storage.access_key_id: it is not set"},
		{"a website", func(o *Options) { o.Endpoint = website.URL }, invalid, "recorder.storage.endpoint: "},
		{"no TLS", func(o *Options) { o.Endpoint = strings.Replace(o.Endpoint, "http:", "https:", 1) }, invalid, "recorder.storage.endpoint: the server does not speak TLS"},
		{"nobody there", func(o *Options) { o.Endpoint = closed.URL }, unavailable, "recorder.storage.endpoint"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(server)
			test.edit(&o)
			err := open(t, o).Check(t.Context())
			if fault.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("error of kind %d: %v\nwant kind %d and %q", fault.KindOf(err), err, test.kind, test.want)
			}
			if err != nil && strings.Contains(err.Error(), server.SecretKey) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	client := server.Client()
	for _, status := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusSuspended, types.BucketVersioningStatusEnabled} {
		if status != "" {
			setVersioning(t, server, status)
		}
		s := open(t, options(server))
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if s.unconditional.Load() {
			t.Error("MinIO has conditional writes, and Check does not believe it")
		}
		out, err := client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &server.Bucket})
		if err != nil || len(out.Versions)+len(out.DeleteMarkers) > 0 {
			t.Errorf("versioning %s: %d versions and %d delete markers are left, %v", status, len(out.Versions), len(out.DeleteMarkers), err)
		}
	}
}

func setVersioning(t *testing.T, server *miniotest.Server, status types.BucketVersioningStatus) {
	t.Helper()
	_, err := server.Client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &server.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckWithoutDelete(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	c := server.AssumeRole(policy("s3:ListBucket", "s3:GetObject", "s3:PutObject"))
	var logged bytes.Buffer
	o := options(server)
	o.AccessKeyID, o.SecretAccessKey, o.SessionToken = c.AccessKey, c.SecretKey, c.SessionToken
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	if err := open(t, o).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(logged.String(), "not deleted") {
		t.Errorf("it is not said that nothing can be deleted: %q", logged.String())
	}
}

func TestCheckServerInTrouble(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint, o.stall = proxy.Endpoint, 200*time.Millisecond
	s := open(t, o)
	for name, f := range map[string]miniotest.Fault{
		"SlowDown":  {Status: http.StatusServiceUnavailable, Code: "SlowDown"},
		"no answer": {Stall: true},
		"writing":   {Match: miniotest.Is(http.MethodPut), Status: http.StatusInternalServerError, Code: "InternalError"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Clear()
			proxy.Inject(f)
			if err := s.Check(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("error %v, want a fault.Unavailable", err)
			}
		})
	}
	proxy.Clear()
	proxy.Inject(miniotest.Fault{Status: http.StatusInsufficientStorage, Code: "XMinioStorageFull"})
	if err := s.Check(t.Context()); !errors.Is(err, storage.ErrFull) || fault.KindOf(err) != fault.StorageFull {
		t.Errorf("no space: error %v, want storage.ErrFull", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: error %v", err)
	}
}

// oldServer is an S3 server of the time before conditional writes: it ignores
// If-None-Match, or refuses it. It keeps objects by path and checks nothing.
type oldServer struct {
	refuses bool

	mu      sync.Mutex
	objects map[string][]byte
}

func (s *oldServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, found := s.objects[r.URL.Path]
	switch {
	case r.Header.Get("If-None-Match") != "" && s.refuses:
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(w, "<Error><Code>NotImplemented</Code></Error>")
	case r.Method == http.MethodPut:
		var data bytes.Buffer
		_, _ = data.ReadFrom(r.Body)
		s.objects[r.URL.Path] = data.Bytes()
		w.Header().Set("ETag", `"x"`)
	case r.Method == http.MethodDelete:
		delete(s.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodHead && !found:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodHead:
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(object)))
		w.Header().Set("ETag", `"x"`)
	default:
		fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
	}
}

func TestServerWithoutConditionalWrites(t *testing.T) {
	clearEnv(t)
	for name, refuses := range map[string]bool{"ignores them": false, "refuses them": true} {
		for _, checked := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, checked %t", name, checked), func(t *testing.T) {
				if !checked && !refuses {
					return // nothing tells
				}
				old := &oldServer{refuses: refuses, objects: map[string][]byte{}}
				server := httptest.NewServer(old)
				defer server.Close()
				var logged bytes.Buffer
				s := open(t, Options{
					Bucket: "b", Endpoint: server.URL, AccessKeyID: "x", SecretAccessKey: "y",
					Logger: slog.New(slog.NewTextHandler(&logged, nil)),
				})
				if checked {
					if err := s.Check(t.Context()); err != nil || len(old.objects) > 0 {
						t.Errorf("Check: %v; left is %v", err, old.objects)
					}
				}
				testAddWithoutConditions(t, s)
				if string(old.objects["/b/key"]) != "content" {
					t.Errorf("the object is %q", old.objects["/b/key"])
				}
				if n := strings.Count(logged.String(), "conditional writes"); n != 1 {
					t.Errorf("that is logged %d times, want once: %s", n, logged.String())
				}
			})
		}
	}
}

func testAddWithoutConditions(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Add(t.Context(), "key", strings.NewReader("content"), 7); err != nil {
		t.Errorf("Add: %v", err)
	}
	for range 2 {
		storagetest.WantExists(t, s.Add(t.Context(), "key", strings.NewReader("another"), 7))
	}
}

func TestOptions(t *testing.T) {
	clearEnv(t)
	good := Options{Bucket: "b", Region: "r", AccessKeyID: "k", SecretAccessKey: "s"}
	for _, test := range []struct {
		name string
		edit func(*Options)
		want string // "" for none
	}{
		{"good", func(*Options) {}, ""},
		{"no bucket", func(o *Options) { o.Bucket = "" }, "recorder.storage.bucket is missing"},
		{"root dot dot", func(o *Options) { o.Root = "/a/../b" }, "recorder.storage.root"},
		{"root empty element", func(o *Options) { o.Root = "a//b" }, "recorder.storage.root"},
		{"root too long", func(o *Options) { o.Root = strings.Repeat("x", 300) }, "recorder.storage.root"},
		{"endpoint no URL", func(o *Options) { o.Endpoint = "localhost:9000" }, "recorder.storage.endpoint"},
		{"endpoint with user", func(o *Options) { o.Endpoint = "http://user:hunter2@host" }, "recorder.storage.endpoint"},
		{"no secret", func(o *Options) { o.SecretAccessKey = "" }, "recorder.storage.secret_access_key"},
		{"no key", func(o *Options) { o.AccessKeyID = "" }, "recorder.storage.access_key_id"},
		{"token alone", func(o *Options) { o.AccessKeyID, o.SecretAccessKey, o.SessionToken = "", "", "t" }, "recorder.storage.access_key_id"},
		{"no region", func(o *Options) { o.Region = "" }, "recorder.storage.region"},
		{"no region, nothing loaded", func(o *Options) { o.Region, o.DisableConfigLoad = "", true }, "recorder.storage.region"},
		{"nothing loaded, no key", func(o *Options) { o.AccessKeyID, o.SecretAccessKey, o.DisableConfigLoad = "", "", true }, "recorder.storage.access_key_id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := good
			test.edit(&o)
			s, err := New(t.Context(), o)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want a fault.Invalid with %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error tells a secret: %v", err)
			}
			if err == nil && s.location() != `bucket "b" of Amazon S3` {
				t.Errorf("location is %s", s.location())
			}
		})
	}
	for root, want := range map[string]string{"": "k", "/": "k", "///": "k", "/a/b/": "a/b/k", "a": "a/k"} {
		o := good
		o.Root = root
		if got := aws.ToString(open(t, o).name("k")); got != want {
			t.Errorf("with root %q the object k is %q, want %q", root, got, want)
		}
	}
}
