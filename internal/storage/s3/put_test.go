package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
)

// readerOnly hides that a reader can seek.
type readerOnly struct{ io.Reader }

// pattern yields bytes that differ from part to part, without end.
type pattern struct{ at int64 }

// patternBytes are repeated; their number divides no part's.
var patternBytes = func() []byte {
	b := make([]byte, 1<<20-1)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// Read implements io.Reader.
func (p *pattern) Read(b []byte) (int, error) {
	for n := 0; n < len(b); {
		copied := copy(b[n:], patternBytes[p.at%int64(len(patternBytes)):])
		n += copied
		p.at += int64(copied)
	}
	return len(b), nil
}

func wantPattern(t *testing.T, s *Store, key string, size int64) {
	t.Helper()
	r, err := s.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	var want pattern
	got, expected := make([]byte, 1<<20), make([]byte, 1<<20)
	for total := int64(0); ; {
		n, err := io.ReadFull(r, got)
		_, _ = want.Read(expected[:n])
		if !bytes.Equal(got[:n], expected[:n]) {
			t.Errorf("%s differs within the MiB at %d", key, total)
			return
		}
		total += int64(n)
		if err != nil {
			if total != size {
				t.Errorf("%s has %d bytes, want %d (%v)", key, total, size, err)
			}
			return
		}
	}
}

// wantNoUploads fails the test when parts of an upload are left.
func wantNoUploads(t *testing.T, server *miniotest.Server) {
	t.Helper()
	out, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &server.Bucket})
	if err != nil || len(out.Uploads) > 0 {
		t.Errorf("%d unfinished uploads are left, %v", len(out.Uploads), err)
	}
}

// TestParts: which objects are sent in parts, and that they are whole.
func TestParts(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint, o.Root = proxy.Endpoint, ""
	s := open(t, o)
	for _, test := range []struct {
		name     string
		size     int64
		seekable bool
		parts    int // 0: one request
	}{
		{"small stream", partSize, false, 0},
		{"stream", partSize + 1, false, 2},
		{"whole parts", 2 * partSize, false, 2},
		{"file", 2*partSize + 1, true, 0},
		{"large file", maxSingle + 1, true, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(proxy.Requests())
			key := strings.ReplaceAll(test.name, " ", "-") + ".m4s"
			if err := s.Add(t.Context(), key, source(test.size, test.seekable), test.size); err != nil {
				t.Fatal(err)
			}
			parts := 0
			for _, r := range proxy.Requests()[before:] {
				if strings.Contains(r, "partNumber=") {
					parts++
				}
			}
			if parts != test.parts {
				t.Errorf("it was sent in %d parts, want %d", parts, test.parts)
			}
			wantPattern(t, s, key, test.size)
			out, err := server.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &server.Bucket, Key: &key})
			if err != nil || *out.ContentType != "video/mp4" {
				t.Errorf("its type is %v, %v", out, err)
			}
			if err := s.Add(t.Context(), key, source(test.size, test.seekable), test.size); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Add again: error %v, want fs.ErrExist", err)
			}
			wantNoUploads(t, server)
		})
	}
}

func source(size int64, seekable bool) io.Reader {
	r := io.LimitReader(&pattern{}, size)
	if seekable {
		return io.NewSectionReader(patternAt{}, 0, size)
	}
	return r
}

// TestRefusedLargeBody: that an object exists is told, also where the server closes
// the connection in the middle of a body that it does not want.
func TestRefusedLargeBody(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	s := open(t, options(server))
	big := strings.Repeat("x", 8<<20)
	if err := s.Put(t.Context(), "key", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := s.Add(t.Context(), "key", strings.NewReader(big), int64(len(big))); !errors.Is(err, fs.ErrExist) {
			t.Errorf("error %v, want fs.ErrExist", err)
		}
	}
}

// patternAt is pattern as an io.ReaderAt.
type patternAt struct{}

// ReadAt implements io.ReaderAt.
func (patternAt) ReadAt(b []byte, at int64) (int, error) { return (&pattern{at}).Read(b) }

// TestPartsFail: an upload in parts that does not come to its end stores nothing
// and leaves nothing.
func TestPartsFail(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	proxy := miniotest.NewProxy(t, server.Endpoint)
	o := options(server)
	o.Endpoint, o.Root = proxy.Endpoint, ""
	s := open(t, o)
	broken := errors.New("the body broke")
	const size = 2*partSize + 5
	part := func(n int) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == fmt.Sprint(n) }
	}
	complete := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	for _, test := range []struct {
		name  string
		body  io.Reader
		fault miniotest.Fault
		check func(error) bool
	}{
		{"body breaks", io.MultiReader(source(2*partSize, false), brokenReader{broken}), miniotest.Fault{}, func(err error) bool { return errors.Is(err, broken) }},
		{"body too short", source(size-1, false), miniotest.Fault{}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"body too long", source(size+1, false), miniotest.Fault{}, func(err error) bool { return strings.Contains(err.Error(), "longer") }},
		{"part refused", source(size, false), miniotest.Fault{Match: part(2), Status: http.StatusServiceUnavailable, Code: "SlowDown"}, unavailable},
		{"end refused", source(size, false), miniotest.Fault{Match: complete, Status: http.StatusInternalServerError, Code: "InternalError"}, unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			proxy.Clear()
			if test.fault.Status != 0 {
				proxy.Inject(test.fault)
			}
			if err := s.Put(t.Context(), "key", test.body, size); err == nil || !test.check(err) {
				t.Errorf("error %v", err)
			}
			if _, err := s.Stat(t.Context(), "key"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("Stat: error %v, want that there is nothing", err)
			}
			wantNoUploads(t, server)
		})
	}
	// One part that fails once is sent again.
	proxy.Clear()
	proxy.Inject(miniotest.Fault{Match: part(2), CutRequest: 1000, Times: 1})
	if err := s.Put(t.Context(), "key", source(size, false), size); err != nil {
		t.Error(err)
	}
	wantPattern(t, s, "key", size)
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func unavailable(err error) bool { return fault.KindOf(err) == fault.Unavailable }

// TestPutMemory: what a large object takes in memory does not depend on its size.
func TestPutMemory(t *testing.T) {
	clearEnv(t)
	server := miniotest.Start(t)
	s := open(t, options(server))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	body := readFunc(func(p []byte) (int, error) {
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapInuse)
		return len(p), nil
	})
	const size = 10 * partSize
	if err := s.Put(t.Context(), "key", io.LimitReader(body, size), size); err != nil {
		t.Fatal(err)
	}
	if grown := int64(peak) - int64(before.HeapInuse); grown > 3*partSize {
		t.Errorf("an object of %d MiB took %d MiB", size>>20, grown>>20)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
