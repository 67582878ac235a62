package oss_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
	"github.com/live777/recorder/internal/storage/storagetest"
)

const secret = "the-secret-of-the-key"

// environment has nothing in it, and keeps the tests from asking for the
// metadata of ECS.
func environment(name string) string {
	return map[string]string{"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}[name]
}

func startServer(t *testing.T, o osstest.Options) *osstest.Server {
	t.Helper()
	o.Bucket = cmp.Or(o.Bucket, "recordings")
	if o.Keys == nil {
		o.Keys = map[string]osstest.Key{"key": {Secret: secret}}
	}
	s, err := osstest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func options(s *osstest.Server) oss.Options {
	return oss.Options{
		Bucket: "recordings", Root: "/", Region: "oss-cn-hangzhou", Endpoint: s.URL,
		AccessKeyID: "key", AccessKeySecret: secret, Getenv: environment,
	}
}

func open(t *testing.T, o oss.Options) *oss.Store {
	t.Helper()
	store, err := oss.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// openDefault returns a server and a store in it.
func openDefault(t *testing.T) (*osstest.Server, *oss.Store) {
	t.Helper()
	s := startServer(t, osstest.Options{})
	return s, open(t, options(s))
}

// stream hides everything but Read.
func stream(content string) io.Reader { return io.MultiReader(strings.NewReader(content)) }

func put(t *testing.T, b storage.Backend, key, content string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	t.Run("Bucket", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			_, store := openDefault(t)
			return store
		})
	})
	t.Run("Presigner", func(t *testing.T) {
		_, store := openDefault(t)
		storagetest.RunPresigner(t, store, store)
	})
	// Below a root, beside objects of others, with temporary credentials and
	// listings of many pages.
	t.Run("Root", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			s := startServer(t, osstest.Options{PageSize: 2, Keys: map[string]osstest.Key{
				"STS.1": {Secret: secret, Token: "token"}, "other": {Secret: secret},
			}})
			other := options(s)
			other.AccessKeyID = "other"
			for _, key := range []string{"live", "live-2/x", "live0", "other/x"} {
				put(t, open(t, other), key, "of others")
			}
			o := options(s)
			o.Root, o.AccessKeyID, o.SecurityToken = "/live/", "STS.1", "token"
			return open(t, o)
		})
	})
}

// TestStyles asks for the bucket by host name, as with OSS itself.
func TestStyles(t *testing.T) {
	s := startServer(t, osstest.Options{})
	var hosts sync.Map
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			hosts.Store(address, true)
			return (&net.Dialer{}).DialContext(ctx, network, s.Address())
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	for _, test := range []struct{ endpoint, region, host string }{
		{"http://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou", "recordings.oss-cn-hangzhou.aliyuncs.com:80"},
		{"http://oss-cn-hangzhou.aliyuncs.com:8080/", "cn-hangzhou", "recordings.oss-cn-hangzhou.aliyuncs.com:8080"},
		{"http://recordings.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "recordings.oss-cn-hangzhou.aliyuncs.com:80"},
		{"http://localhost:1234", "cn-hangzhou", "localhost:1234"},
	} {
		hosts.Clear()
		o := options(s)
		o.Endpoint, o.Region, o.HTTPClient = test.endpoint, test.region, client
		store := open(t, o)
		if err := store.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", test.endpoint, err)
		}
		put(t, store, "a b/+", "x")
		if _, ok := s.Content("a b/+"); !ok {
			t.Errorf("%s: the object is not in the bucket: %q", test.endpoint, s.Keys())
		}
		if _, ok := hosts.Load(test.host); !ok {
			t.Errorf("%s: %s was not asked", test.endpoint, test.host)
		}
		client.CloseIdleConnections()
	}
}

func TestAdd(t *testing.T) {
	s, store := openDefault(t)
	store.SetMultipart(1<<20, 256<<10)
	for _, size := range []int{0, 5, 3 << 20} {
		key := fmt.Sprintf("dir/%d", size)
		content := strings.Repeat("x", size)
		if err := store.Add(t.Context(), key, stream(content), int64(size)); err != nil {
			t.Fatal(err)
		}
		again := strings.Repeat("y", size)
		err := store.Add(t.Context(), key, strings.NewReader(again), int64(size))
		if !errors.Is(err, fs.ErrExist) || fault.KindOf(err) != fault.Conflict {
			t.Errorf("Add of %d bytes again: error %v, want fs.ErrExist and a fault.Conflict", size, err)
		}
		if got, _ := s.Content(key); string(got) != content {
			t.Errorf("Add replaced an object of %d bytes", size)
		}
	}
	if n := s.Uploads(); n != 0 {
		t.Errorf("%d multipart uploads are left open", n)
	}
	if err := store.Add(t.Context(), "../x", stream(""), 0); fault.KindOf(err) != fault.Invalid {
		t.Errorf("Add of a bad key: error %v, want a fault.Invalid", err)
	}
	if err := store.Add(t.Context(), "short", stream("123"), 4); err == nil {
		t.Error("Add of another size: no error")
	}
	if _, ok := s.Content("short"); ok {
		t.Error("Add of another size stored something")
	}

	var workers sync.WaitGroup
	added := make(chan int, 8)
	for i := range cap(added) {
		workers.Go(func() {
			if err := store.Add(t.Context(), "one", stream(fmt.Sprint(i)), 1); err == nil {
				added <- i
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("Add: %v", err)
			}
		})
	}
	workers.Wait()
	if len(added) != 1 {
		t.Fatalf("%d of 8 added the same object, want 1", len(added))
	}
	if got, _ := s.Content("one"); string(got) != fmt.Sprint(<-added) {
		t.Errorf("the object is %q, of another than the one that was told so", got)
	}
}

// countingReader says how much it was read ahead, and whether it is read when
// its time is over.
type countingReader struct {
	r    io.Reader
	mu   sync.Mutex
	over bool
	late bool
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.late = c.late || c.over
	c.mu.Unlock()
	return c.r.Read(p)
}

func TestMultipart(t *testing.T) {
	const size = 2<<20 + 5
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	for i := range content {
		content[i] += byte(i >> 18)
	}
	s, store := openDefault(t)
	store.SetMultipart(1<<20, 512<<10)
	if err := store.Put(t.Context(), "big", stream(string(content)), size); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Content("big"); !bytes.Equal(got, content) {
		t.Error("the object differs from what was put")
	}
	if n := s.Requests(); n != 7 { // the answer to the last has the sum of all
		t.Errorf("%d requests for five parts, want 7", n)
	}
	broken := errors.New("the body broke")
	for _, test := range []struct {
		name  string
		body  io.Reader
		fault func(osstest.Request) osstest.Fault
		want  error
	}{
		{"short", stream(string(content[:size-1])), nil, io.ErrUnexpectedEOF},
		{"long", io.MultiReader(bytes.NewReader(content), strings.NewReader("x")), nil, nil},
		{"body fails", io.MultiReader(bytes.NewReader(content[:size/2]), errorReader{broken}), nil, broken},
		{"part fails", bytes.NewReader(content), failing("UploadPart", osstest.Fault{AfterBytes: 1 << 18, Status: 500, Code: "InternalError"}), nil},
		{"part cut", bytes.NewReader(content), failing("UploadPart", osstest.Fault{AfterBytes: 1 << 18, Cut: true}), nil},
		{"end fails", bytes.NewReader(content), failing("CompleteMultipartUpload", osstest.Fault{Status: 503, Code: "SlowDown"}), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.SetFault(test.fault)
			defer s.SetFault(nil)
			err := store.Put(t.Context(), "new", test.body, size)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if _, ok := s.Content("new"); ok || s.Uploads() != 0 {
				t.Errorf("object stored: %t; uploads left open: %d", ok, s.Uploads())
			}
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// failing lets one operation go wrong.
func failing(operation string, f osstest.Fault) func(osstest.Request) osstest.Fault {
	return func(r osstest.Request) osstest.Fault {
		if r.Operation == operation {
			return f
		}
		return osstest.Fault{}
	}
}

// TestFaults: every failure has its kind, is told after one request, and
// nothing is stored.
func TestFaults(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, test := range []struct {
		name  string
		fault osstest.Fault
		is    error
		kind  fault.Kind
	}{
		{"slow down", osstest.Fault{Status: 503, Code: "SlowDown"}, nil, fault.Unavailable},
		{"too many", osstest.Fault{Status: 429, Code: "TooManyRequests"}, nil, fault.Unavailable},
		{"internal, in the middle", osstest.Fault{Status: 500, Code: "InternalError", AfterBytes: 1 << 18}, nil, fault.Unavailable},
		{"cut", osstest.Fault{Cut: true}, nil, fault.Unavailable},
		{"cut in the middle", osstest.Fault{Cut: true, AfterBytes: 1 << 18}, nil, fault.Unavailable},
		{"denied", osstest.Fault{Status: 403, Code: "AccessDenied"}, storage.ErrDenied, fault.Unavailable},
		{"overdue", osstest.Fault{Status: 403, Code: "UserDisable"}, storage.ErrDenied, fault.Unavailable},
		{"full", osstest.Fault{Status: 507, Code: "InsufficientStorage"}, storage.ErrFull, fault.StorageFull},
		{"bucket deleted", osstest.Fault{Status: 404, Code: "NoSuchBucket"}, nil, fault.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, store := openDefault(t)
			s.SetFault(func(osstest.Request) osstest.Fault { return test.fault })
			for name, body := range map[string]io.Reader{"seekable": strings.NewReader(content), "stream": stream(content)} {
				before := s.Requests()
				err := store.Put(t.Context(), name, body, int64(len(content)))
				if err == nil || fault.KindOf(err) != test.kind || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("Put of a %s body: error %v of kind %d, want kind %d, %v", name, err, fault.KindOf(err), test.kind, test.is)
				}
				if errors.Is(err, storage.ErrNotFound) || errors.Is(err, fs.ErrExist) {
					t.Errorf("Put of a %s body: error %v means something else", name, err)
				}
				if n := s.Requests() - before; n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
			}
			if _, err := store.Stat(t.Context(), "x"); err == nil || fault.KindOf(err) != test.kind || errors.Is(err, storage.ErrNotFound) {
				t.Errorf("Stat: error %v", err)
			}
			if keys := s.Keys(); len(keys) != 0 {
				t.Errorf("stored: %q", keys)
			}
		})
	}
}

// TestCorrupt: what arrives damaged is not kept, and the next attempt is free.
func TestCorrupt(t *testing.T) {
	s, store := openDefault(t)
	for name, body := range map[string]io.Reader{"seekable": strings.NewReader("content"), "stream": stream("content")} {
		s.SetFault(failing("PutObject", osstest.Fault{Corrupt: true}))
		if err := store.Add(t.Context(), name, body, 7); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: error %v, want a fault.Unavailable", name, err)
		}
		s.SetFault(nil)
		if got, ok := s.Content(name); ok {
			t.Errorf("%s: %q is stored", name, got)
		}
		if err := store.Add(t.Context(), name, stream("content"), 7); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlow: a server that is slow but moves is waited for.
func TestSlow(t *testing.T) {
	const size = 64 << 10
	content := strings.Repeat("0123456789abcdef", size/16)
	s, store := openDefault(t)
	s.SetFault(func(osstest.Request) osstest.Fault { return osstest.Fault{Rate: 1 << 20} })
	begin := time.Now()
	put(t, store, "key", content)
	r, err := store.Get(t.Context(), "key", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != content {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if took := time.Since(begin); took < 100*time.Millisecond { // 125 ms for both directions
		t.Errorf("it took %v: the server is not slow", took)
	}
}

// TestLostAnswer: the object is stored and nobody knows; Add finds it.
func TestLostAnswer(t *testing.T) {
	s, store := openDefault(t)
	s.SetFault(func(osstest.Request) osstest.Fault { return osstest.Fault{Lost: true} })
	if err := store.Add(t.Context(), "key", stream("content"), 7); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("error %v, want a fault.Unavailable", err)
	}
	s.SetFault(nil)
	if err := store.Add(t.Context(), "key", stream("content"), 7); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Add again: error %v, want fs.ErrExist", err)
	}
}

// TestServerGone: calls fail while there is no server, and work when it is back.
func TestServerGone(t *testing.T) {
	s, store := openDefault(t)
	put(t, store, "key", "content")
	s.Stop()
	if err := store.Put(t.Context(), "key", stream("new"), 3); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Put: error %v, want a fault.Unavailable", err)
	}
	if _, err := store.Stat(t.Context(), "key"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Stat: error %v, want a fault.Unavailable", err)
	}
	if err := store.Check(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "recorder.storage.endpoint") {
		t.Errorf("Check: error %v, want a fault.Unavailable that names the endpoint", err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	put(t, store, "key", "new content")
	if got, _ := s.Content("key"); string(got) != "new content" {
		t.Errorf("the object is %q", got)
	}
}

func TestGetCut(t *testing.T) {
	s, store := openDefault(t)
	put(t, store, "key", strings.Repeat("x", 1<<20))
	s.SetFault(func(osstest.Request) osstest.Fault { return osstest.Fault{Cut: true, AfterBytes: 1000} })
	r, err := store.Get(t.Context(), "key", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != 1000 || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read %d bytes, error %v; want 1000 and a fault.Unavailable", n, err)
	}
}

// TestDeadline: a server that does not answer is left when the context ends.
func TestDeadline(t *testing.T) {
	s, store := openDefault(t)
	s.SetFault(func(osstest.Request) osstest.Fault { return osstest.Fault{Delay: time.Hour} })
	for name, call := range map[string]func(context.Context) error{
		"Put":   func(ctx context.Context) error { return store.Put(ctx, "k", stream("x"), 1) },
		"Get":   func(ctx context.Context) error { _, err := store.Get(ctx, "k", 0, -1); return err },
		"Check": store.Check,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v, want context.DeadlineExceeded", name, err)
		}
		cancel()
	}
}

// TestBodyIsLeftAlone: when Put has returned, its caller may close the body.
func TestBodyIsLeftAlone(t *testing.T) {
	s, store := openDefault(t)
	s.SetFault(func(osstest.Request) osstest.Fault { return osstest.Fault{Status: 503, Code: "SlowDown"} })
	for range 5 {
		body := &countingReader{r: strings.NewReader(strings.Repeat("x", 4<<20))}
		if err := store.Put(t.Context(), "key", body, 4<<20); err == nil {
			t.Fatal("no error")
		}
		body.mu.Lock()
		body.over = true
		body.mu.Unlock()
		s.Stop() // what was still being sent fails now, at the latest
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		body.mu.Lock()
		if body.late {
			t.Error("the body was read after Put had returned")
		}
		body.mu.Unlock()
	}
}

func TestPresign(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	s := startServer(t, osstest.Options{
		Keys: map[string]osstest.Key{"key": {Secret: secret}, "STS.1": {Secret: secret, Token: "to+ken/=="}},
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		},
	})
	o := options(s)
	o.Root = "root"
	put(t, open(t, o), "a b/ü+%&.m4s", "0123456789")
	sts := o
	sts.AccessKeyID, sts.SecurityToken = "STS.1", "to+ken/=="
	for name, o := range map[string]oss.Options{"key": o, "STS": sts} {
		url, err := open(t, o).PresignGet(t.Context(), "a b/ü+%&.m4s", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(url, secret) {
			t.Error("the URL has the secret in it")
		}
		if status, body := fetch(t, url, "bytes=2-4"); status != http.StatusPartialContent || body != "234" {
			t.Errorf("%s: GET of a range = %d %q", name, status, body)
		}
		if status, body := fetch(t, strings.Replace(url, "m4s", "mpd", 1), ""); status != http.StatusForbidden || !strings.Contains(body, "SignatureDoesNotMatch") {
			t.Errorf("%s: GET of another object = %d %s", name, status, body)
		}
		mu.Lock()
		now = now.Add(61 * time.Minute)
		mu.Unlock()
		if status, body := fetch(t, url, ""); status != http.StatusForbidden || !strings.Contains(body, "Request has expired") {
			t.Errorf("%s: GET after the end = %d %s", name, status, body)
		}
		mu.Lock()
		now = now.Add(-61 * time.Minute)
		mu.Unlock()
	}
	for _, ttl := range []time.Duration{0, -time.Second, 7*24*time.Hour + 1} {
		if _, err := open(t, o).PresignGet(t.Context(), "key", ttl); fault.KindOf(err) != fault.Invalid {
			t.Errorf("for %v: error %v, want a fault.Invalid", ttl, err)
		}
	}
	if _, err := open(t, o).PresignGet(t.Context(), "../key", time.Hour); fault.KindOf(err) != fault.Invalid {
		t.Errorf("of a bad key: error %v, want a fault.Invalid", err)
	}
}

func fetch(t *testing.T, url, byteRange string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		r.Header.Set("Range", byteRange)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// zeros is a body that takes no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestMemory: what a Put allocates does not grow with the object.
func TestMemory(t *testing.T) {
	size := int64(0) // of the object
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Etag", `"x"`)
		switch r.Method {
		case http.MethodHead:
			w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		case http.MethodPost:
			_, _ = w.Write([]byte("<Result><UploadId>1</UploadId></Result>"))
		default:
			w.WriteHeader(http.StatusOK)
		}
	}))
	t.Cleanup(server.Close)
	store := open(t, oss.Options{
		Bucket: "recordings", Region: "cn-hangzhou", Endpoint: server.URL, AccessKeyID: "key", AccessKeySecret: secret,
	})
	for _, test := range []struct{ size, most int64 }{
		{64 << 20, 2 << 20},  // streamed
		{96 << 20, 20 << 20}, // a part at a time
	} {
		size = test.size
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := store.Put(t.Context(), "key", io.LimitReader(zeros{}, test.size), test.size); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := int64(after.TotalAlloc - before.TotalAlloc); got > test.most {
			t.Errorf("Put of %d MiB allocates %d KiB, at most %d are allowed", test.size>>20, got>>10, test.most>>10)
		} else {
			t.Logf("Put of %d MiB allocates %d KiB", test.size>>20, got>>10)
		}
	}
}
