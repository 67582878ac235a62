package playback

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/spool"
)

// stores returns empty stores of each kind. What the spool gets waits in it.
func stores(t *testing.T) map[string]storage.Store {
	t.Helper()
	minio := miniotest.Start(t)
	s3Store, err := s3.New(t.Context(), s3.Options{
		Bucket: minio.Bucket, Root: "/live777", Region: miniotest.Region, Endpoint: minio.Endpoint,
		AccessKeyID: minio.AccessKey, SecretAccessKey: minio.SecretKey, DisableConfigLoad: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	aliyun, err := osstest.Start(osstest.Options{Bucket: "recordings", Keys: map[string]osstest.Key{"id": {Secret: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(aliyun.Close)
	ossStore, err := oss.New(t.Context(), oss.Options{
		Bucket: "recordings", Root: "/live777", Region: "cn-hangzhou", Endpoint: aliyun.URL, AccessKeyID: "id", AccessKeySecret: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := spool.New(t.Context(), spool.Options{Dir: t.TempDir(), Remote: s3Store, NoSync: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waiting.Close(context.Background()) })
	return map[string]storage.Store{"S3": s3Store, "OSS": ossStore, "spool": waiting}
}

// The file of a recording is the same out of each store: whole, in ranges, and when its
// download is cut and goes on.
func TestFileFromEveryStore(t *testing.T) {
	f, _ := setupFile(t, "audio/mp4")
	const key, asWebM = fileDir + "/file.mp4", fileDir + "/file.webm"
	whole, webm := f.get(t, http.MethodGet, key), f.get(t, http.MethodGet, asWebM)
	if got := webm.header.Get("Content-Type"); got != "video/webm" || !strings.Contains(webm.body, "packet 99 of segment 1") {
		t.Fatalf("as WebM: %d, %q, %d bytes", webm.status, got, len(webm.body))
	}
	var frames strings.Builder
	for i := range 200 {
		fmt.Fprintf(&frames, "packet %d of segment %d", i%100, i/100)
	}
	if !strings.Contains(whole.body, frames.String()) {
		t.Fatal("the frames are not those of the segments, one after the other")
	}
	all := stores(t)
	// The spool comes first: what is in its remote storage already it need not keep.
	for _, name := range []string{"spool", "S3", "OSS"} {
		for o, err := range f.store.List(t.Context(), fileDir) {
			if err != nil {
				t.Fatal(err)
			}
			data, err := storage.ReadAll(t.Context(), f.store, o.Key, 1<<20)
			if err == nil {
				err = all[name].Put(t.Context(), o.Key, strings.NewReader(string(data)), int64(len(data)))
			}
			if err != nil {
				t.Fatal(name, err)
			}
		}
		s, err := New(Options{Backend: all[name], Catalogue: f.db, Live: f.live})
		if err != nil {
			t.Fatal(err)
		}
		of := &fixture{Server: s, handled: make(chan error, 100)}
		of.url = of.listen(t)
		t.Run(name, func(t *testing.T) {
			of.sameFile(t, key, whole)
			of.sameFile(t, asWebM, webm)
		})
	}
	t.Run("fs", func(t *testing.T) {
		f.sameFile(t, key, whole)
		f.sameFile(t, asWebM, webm)
	})
}

// sameFile holds a file against another answer.
func (f *fixture) sameFile(t *testing.T, key string, want answer) {
	t.Helper()
	etag, body := want.header.Get("ETag"), want.body
	if got := f.get(t, http.MethodGet, key); got.body != body || got.header.Get("ETag") != etag || got.length != want.length {
		t.Fatalf("%d bytes, ETag %s; want %d, %s", len(got.body), got.header.Get("ETag"), len(body), etag)
	}
	for range 10 {
		from := rand.IntN(len(body))
		to := from + rand.IntN(len(body)-from)
		got := f.get(t, http.MethodGet, key, "Range", fmt.Sprintf("bytes=%d-%d", from, to))
		if got.status != http.StatusPartialContent || got.body != body[from:to+1] {
			t.Errorf("bytes %d to %d: %d, %d bytes", from, to, got.status, len(got.body))
		}
	}
	f.severalRanges(t, key, body)
	const cuts = 20
	ends := []int{len(body)}
	for range cuts {
		ends = append(ends, rand.IntN(len(body)))
	}
	slices.Sort(ends)
	var got strings.Builder
	for _, end := range ends {
		got.WriteString(f.begin(t, key, got.Len(), end, etag))
	}
	if got.String() != body {
		t.Errorf("a download that was cut %d times has %d bytes, which are others than those %d", cuts, got.Len(), len(body))
	}
	if other := f.get(t, http.MethodGet, key, "Range", "bytes=100-", "If-Range", `"other"`); other.status != http.StatusOK || other.body != body {
		t.Errorf("going on with another file: %d, %d bytes", other.status, len(other.body))
	}
}

// severalRanges asks for several ranges at once.
func (f *fixture) severalRanges(t *testing.T, key, body string) {
	t.Helper()
	got := f.get(t, http.MethodGet, key, "Range", "bytes=0-9,100-1999,-7")
	_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || got.status != http.StatusPartialContent {
		t.Fatalf("several ranges: %d %v", got.status, err)
	}
	parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
	for _, want := range []string{body[:10], body[100:2000], body[len(body)-7:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(part); err != nil || string(data) != want {
			t.Errorf("%s: %d bytes, %v", part.Header.Get("Content-Range"), len(data), err)
		}
	}
}

// begin asks for the rest of a file from one byte on, and hangs up at another.
func (f *fixture) begin(t *testing.T, key string, from, to int, etag string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+key, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	r.Header.Set("If-Range", etag)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	part := make([]byte, to-from)
	if _, err := io.ReadFull(res.Body, part); err != nil || res.StatusCode != http.StatusPartialContent {
		t.Fatalf("from %d on: %d %v", from, res.StatusCode, err)
	}
	return string(part)
}
