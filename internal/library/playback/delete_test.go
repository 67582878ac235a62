package playback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// losingBackend fails each Get with err, after Stat has found the object.
type losingBackend struct {
	storage.Backend
	err error
}

func (b losingBackend) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, fmt.Errorf("get object: %w", b.err)
}

// TestLostBetweenStatAndGet: nothing of an answer was sent before the object was
// there, so that the error is one.
func TestLostBetweenStatAndGet(t *testing.T) {
	for _, test := range []struct {
		lost   error
		status int
	}{
		{storage.ErrNotFound, http.StatusNotFound},
		{fault.New(fault.Unavailable, "the bucket is away"), http.StatusServiceUnavailable},
		{storage.ErrDenied, http.StatusServiceUnavailable},
		{io.ErrUnexpectedEOF, http.StatusServiceUnavailable},
		{errBroken, http.StatusInternalServerError},
	} {
		f := setup(t, func(b storage.Backend) storage.Backend { return losingBackend{b, test.lost} })
		for _, header := range [][]string{nil, {"Range", "bytes=1-3"}} {
			got := f.get(t, http.MethodGet, dir+"/v_seg_0001.m4s", header...)
			if got.status != test.status || got.body != "" || got.header.Get("Accept-Ranges") != "" {
				t.Errorf("%v %q: %d %q %v, want %d", test.lost, header, got.status, got.body, got.header, test.status)
			}
			if err := <-f.handled; err == nil || !errors.Is(err, test.lost) && fault.KindOf(err) != fault.NotFound {
				t.Errorf("%v: Object's error is %v", test.lost, err)
			}
		}
		if got := f.get(t, http.MethodHead, dir+"/v_seg_0001.m4s"); got.status != http.StatusOK || got.length == 0 {
			t.Errorf("HEAD: %d, %d bytes", got.status, got.length)
		}
		if log := f.log.String(); log != "" {
			t.Errorf("what is answered is logged by who answers: %s", log)
		}
	}
}

// TestErrorsAreReturned: package http's own answers, which are no JSON, never
// reach the client.
func TestErrorsAreReturned(t *testing.T) {
	f := setup(t, nil)
	for _, test := range []struct {
		header, value string
		kind          fault.Kind
	}{
		{"Range", "bytes=1000-", fault.RangeNotSatisfiable},
		{"Range", "bytes=x", fault.RangeNotSatisfiable},
		{"If-Match", `"other"`, fault.PreconditionFailed},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set(test.header, test.value)
		err := f.Object(w, r, dir+"/v_seg_0001.m4s")
		if fault.KindOf(err) != test.kind || w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" {
			t.Errorf("%s: %s: error %v, %q %v", test.header, test.value, err, w.Body, w.Header())
		}
		if want := fmt.Sprintf("bytes */%d", len("content of v_seg_0001.m4s")); test.value == "bytes=1000-" && w.Header().Get("Content-Range") != want {
			t.Errorf("Content-Range %q, want %q", w.Header().Get("Content-Range"), want)
		}
	}
}

func TestEmptyObject(t *testing.T) {
	f := setup(t, nil)
	f.put(t, dir+"/v_seg_0009.m4s", "")
	if got := f.get(t, http.MethodGet, dir+"/v_seg_0009.m4s"); got.status != http.StatusOK || got.length != 0 || got.header.Get("ETag") == "" {
		t.Errorf("%d, %d bytes, %v", got.status, got.length, got.header)
	}
}

// TestDeletedWhileRead: readers of objects that come and go get all of it or
// "not found".
func TestDeletedWhileRead(t *testing.T) {
	f := setup(t, nil)
	f.handled = make(chan error, 1<<16)
	content := strings.Repeat("0123456789abcdef", 64<<10) // more than fits the buffers on its way
	const key = dir + "/v_seg_0009.m4s"
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var found, missing atomic.Int64 // answers
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				switch status, err := fetch(t.Context(), f.url+key, content); {
				case err != nil:
					t.Error(err)
					return
				case status == http.StatusOK:
					found.Add(1)
				case status == http.StatusNotFound:
					missing.Add(1)
				default:
					t.Errorf("the answer has status %d", status)
					return
				}
			}
		})
	}
	seen := func() bool { return found.Load() > 0 && missing.Load() > 0 }
	for deadline, round := time.Now().Add(time.Minute), 0; round < 300 || !seen() && time.Now().Before(deadline); round++ {
		f.put(t, key, content)
		if err := f.store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	if !seen() {
		t.Errorf("%d answers had the object, %d did not; some of both were wanted", found.Load(), missing.Load())
	}
	if log := f.log.String(); log != "" {
		t.Errorf("log: %.500s", log)
	}
}

// fetch gets a URL; a body that is not the content is an error.
func fetch(ctx context.Context, url, content string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, fmt.Errorf("status %d, %d bytes: %w", res.StatusCode, len(data), err)
	}
	if res.StatusCode == http.StatusOK && string(data) != content {
		return res.StatusCode, fmt.Errorf("200 with %d bytes that are not the object's %d", len(data), len(content))
	}
	return res.StatusCode, nil
}
