package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

func TestObjectHeaders(t *testing.T) {
	f := setup(t, nil)
	for _, test := range []struct{ key, contentType, cache string }{
		{dir + "/v_init.m4s", "video/mp4", cacheForever},
		{dir + "/a_init.m4s", "audio/mp4", cacheForever},
		{dir + "/v_seg_0001.m4s", "video/mp4", cacheForever},
		{dir + "/a_seg_0001.m4s", "audio/mp4", cacheForever},
		{dir + "/v_seg_0001.webm", "video/webm", cacheForever},
		{dir + "/a_seg_0001.webm", "audio/webm", cacheForever},
		{dir + "/v_init_0002.m4s", "video/mp4", cacheForever},
		{dir + "/v3_init.m4s", "video/mp4", cacheForever},
		{dir + "/v2_seg_10000.m4s", "video/mp4", cacheForever},
		{dir + "/manifest.mpd", "application/dash+xml", cacheValidate},
		{dir + "/index.m3u8", "application/vnd.apple.mpegurl", cacheValidate},
		{dir + "/video-2.m3u8", "application/vnd.apple.mpegurl", cacheValidate},
		{dir + "/audio.m3u8", "application/vnd.apple.mpegurl", cacheValidate},
		{dir + "/recording.json", "application/json", cacheValidate},
		{chosen + "/v_init.m4s", "video/mp4", cacheValidate},
		{chosen + "/v_seg_0001.m4s", "video/mp4", cacheValidate},
		{running + "/v_seg_0001.m4s", "video/mp4", cacheForever},
		{running + "/v_seg_0002.m4s", "video/mp4", cacheNoStore},
		{running + "/recording.json", "application/json", cacheValidate},
		{orphan + "/v_seg_0001.m4s", "video/mp4", cacheValidate},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := f.get(t, method, test.key)
			content := "content of " + path.Base(test.key)
			want := content
			if method == http.MethodHead {
				want = ""
			}
			if got.status != http.StatusOK || got.body != want || got.length != int64(len(content)) {
				t.Errorf("%s %s: %d, %d bytes, %q", method, test.key, got.status, got.length, got.body)
			}
			for name, want := range map[string]string{
				"Content-Type": test.contentType, "Cache-Control": test.cache,
				"X-Content-Type-Options": "nosniff", "Accept-Ranges": "bytes",
			} {
				if got := got.header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, test.key, name, got, want)
				}
			}
			if etag := got.header.Get("ETag"); len(etag) < 3 || etag[0] != '"' || got.header.Get("Last-Modified") == "" {
				t.Errorf("%s %s: ETag %q, Last-Modified %q", method, test.key, etag, got.header.Get("Last-Modified"))
			}
		}
	}
}

func TestRanges(t *testing.T) {
	f := setup(t, nil)
	f.put(t, dir+"/v_seg_0009.m4s", "0123456789")
	for _, test := range []struct {
		spec, want, contentRange string
		status                   int
	}{
		{"bytes=0-3", "0123", "bytes 0-3/10", 206},
		{"bytes=4-", "456789", "bytes 4-9/10", 206},
		{"bytes=-3", "789", "bytes 7-9/10", 206},
		{"bytes=9-9", "9", "bytes 9-9/10", 206},
		{"bytes=5-1000", "56789", "bytes 5-9/10", 206},
		{"bytes=10-", "", "bytes */10", 416},
		{"bytes=3-1", "", "", 416},
	} {
		got := f.get(t, http.MethodGet, dir+"/v_seg_0009.m4s", "Range", test.spec)
		if got.status != test.status || got.header.Get("Content-Range") != test.contentRange ||
			(test.status != http.StatusRequestedRangeNotSatisfiable && got.body != test.want) {
			t.Errorf("%s: %d %q %q; want %d %q %q", test.spec, got.status, got.header.Get("Content-Range"), got.body, test.status, test.contentRange, test.want)
		}
		if got.status == http.StatusRequestedRangeNotSatisfiable && got.header.Get("Cache-Control") == cacheForever {
			t.Errorf("%s: an error is cached for ever", test.spec)
		}
	}

	got := f.get(t, http.MethodGet, dir+"/v_seg_0009.m4s", "Range", "bytes=0-1,8-,3-3")
	_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil || got.status != http.StatusPartialContent {
		t.Fatalf("several ranges: %d, %q, %v", got.status, got.header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(strings.NewReader(got.body), params["boundary"])
	for _, want := range []string{"01", "89", "3"} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part); err != nil || string(got) != want || part.Header.Get("Content-Type") != "video/mp4" {
			t.Errorf("part %q of type %q, %v; want %q", got, part.Header.Get("Content-Type"), err, want)
		}
	}
}

func TestConditions(t *testing.T) {
	f := setup(t, nil)
	for _, key := range []string{dir + "/v_seg_0001.m4s", dir + "/manifest.mpd", running + "/manifest.mpd"} {
		first := f.get(t, http.MethodGet, key)
		etag, modified := first.header.Get("ETag"), first.header.Get("Last-Modified")
		for _, test := range []struct {
			status int
			header []string
		}{
			{304, []string{"If-None-Match", etag}},
			{304, []string{"If-None-Match", `"other", ` + etag}},
			{304, []string{"If-Modified-Since", modified}},
			{200, []string{"If-None-Match", `"other"`}},
			{412, []string{"If-Match", `"other"`}},
			{206, []string{"Range", "bytes=0-1", "If-Range", etag}},
			{200, []string{"Range", "bytes=0-1", "If-Range", `"other"`}},
		} {
			got := f.get(t, http.MethodGet, key, test.header...)
			if got.status != test.status {
				t.Errorf("%s %q: %d, want %d", key, test.header, got.status, test.status)
			}
			if got.status == http.StatusNotModified && (got.body != "" || got.header.Get("ETag") != etag) {
				t.Errorf("%s %q: body %q, ETag %q", key, test.header, got.body, got.header.Get("ETag"))
			}
			if got.status == http.StatusOK && got.body != first.body {
				t.Errorf("%s %q: body %q", key, test.header, got.body)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	f := setup(t, nil)
	if err := f.db.Put(t.Context(), media.Recording{Stream: "camera", RecordDir: dir + "/encoded name"}); err != nil {
		t.Fatal(err)
	}
	f.put(t, dir+"/encoded name/v_init.m4s", "found")
	if got := f.get(t, http.MethodGet, strings.ReplaceAll(dir, "/", "%2F")+"/encoded%20name%2fv_init.m4s"); got.status != http.StatusOK || got.body != "found" {
		t.Errorf("an encoded key: %d %q", got.status, got.body)
	}
	for key, want := range map[string]int{
		"": 400, "%2e%2e": 400, "%2e%2e/top": 400, "..%2ftop": 400, dir + "/%2e%2e/%2e%2e/top": 400, dir + "/..%2f..%2ftop": 400,
		dir + "%2f..%2f..%2f..%2f..%2fetc%2fpasswd": 400, "%2fetc%2fpasswd": 400, dir + "/%2e": 400, dir + "/.hidden": 400,
		dir + "/v_init.m4s%00": 400, dir + "/%00": 400, dir + "%5cmanifest.mpd": 400, "..%5c..%5ctop": 400, dir + "%2f": 400,
		dir + "%2f%2fmanifest.mpd": 400, dir + "/%ff%fe": 400, dir + "/a%0d%0ab": 400, ".live777-tmp/x": 400,
		strings.Repeat("x", 5000): 400, "%252e%252e/top": 404,
		dir + "/v_seg_9999.m4s": 404, dir: 404, "camera": 404, "none": 404, "no/such/object": 404,
		"top": 404, "not/of/a/recording.m4s": 404, "not/of/a": 404, dir + "x/manifest.mpd": 404,
	} {
		got := f.get(t, http.MethodGet, key)
		if got.status != want || strings.Contains(got.body, "secret") {
			t.Errorf("GET %.100q: %d %q, want %d", key, got.status, got.body, want)
		}
		if got.header.Get("Cache-Control") == cacheForever {
			t.Errorf("GET %.100q: the error is cached for ever", key)
		}
	}
}

// TestOthersFiles: what lies in or below the folder of a recording and is not the
// recorder's is nobody's business, nor is it of that recording's stream.
func TestOthersFiles(t *testing.T) {
	f := setup(t, nil)
	for _, name := range []string{
		"notes.txt", "private/secret.txt", "private/v_init.m4s", "1762842203/v_seg_0001.m4s", "all.mp4", "v_seg_1.m4s",
		"v_seg_0001.m4s.bak", "x_init.m4s", "xv_init.m4s", "v_init.mp4", "manifest.mpd.old", "private/manifest.mpd",
	} {
		f.put(t, chosen+"/"+name, "secret")
		if got := f.get(t, http.MethodGet, chosen+"/"+name); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %q", name, got.status, got.body)
		}
		if rec, err := f.RecordingOf(t.Context(), chosen+"/"+name); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s is of stream %q, %v", name, rec.Stream, err)
		}
	}
}

func TestRecordingOf(t *testing.T) {
	f := setup(t, nil)
	if rec, err := f.RecordingOf(t.Context(), dir+"/manifest.mpd"); err != nil || rec.Stream != "camera" {
		t.Errorf("RecordingOf = %q, %v", rec.Stream, err)
	}
	for key, want := range map[string]fault.Kind{"not/of/a/recording.m4s": fault.NotFound, "top": fault.NotFound, dir + "/../x": fault.Invalid} {
		if _, err := f.RecordingOf(t.Context(), key); fault.KindOf(err) != want {
			t.Errorf("RecordingOf(%q): error %v", key, err)
		}
	}
}

func TestLists(t *testing.T) {
	f := setup(t, nil)
	page, err := f.Recordings(t.Context(), media.RecordingQuery{Stream: "camera", Limit: 2})
	if err != nil || len(page.Recordings) != 2 || page.Total != 4 || page.Next == "" {
		t.Errorf("Recordings = %d of %d, next %q, %v", len(page.Recordings), page.Total, page.Next, err)
	}
	page, err = f.Recordings(t.Context(), media.RecordingQuery{Stream: "camera"})
	if err != nil || !slices.ContainsFunc(page.Recordings, func(r media.Recording) bool { return r.RecordDir == running && r.Duration == 77 }) {
		t.Errorf("Recordings = %+v, %v; want the running one as of now", page, err)
	}
	streams, err := f.Streams(t.Context(), media.StreamQuery{})
	if err != nil || len(streams) != 1 || streams[0].Stream != "camera" || streams[0].Recordings != 4 {
		t.Errorf("Streams = %+v, %v", streams, err)
	}
}

// hearingCatalogue hears of a recording's end just after it has been asked for a page.
type hearingCatalogue struct {
	Catalogue
	hear func()
}

func (c *hearingCatalogue) ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	page, err := c.Catalogue.ListPage(ctx, q)
	c.hear()
	return page, err
}

// TestListsAnEnd: a recording that has ended is listed as that, also at the moment at
// which the recorder leaves it to the catalogue.
func TestListsAnEnd(t *testing.T) {
	f := setup(t, nil)
	f.catalogue = &hearingCatalogue{f.catalogue, func() {
		ended := runningNow
		ended.Status = media.StatusComplete
		if err := f.db.Put(t.Context(), ended); err != nil {
			t.Error(err)
		}
		delete(f.live.now, running)
	}}
	page, err := f.Recordings(t.Context(), media.RecordingQuery{Stream: "camera"})
	if err != nil || !slices.ContainsFunc(page.Recordings, func(r media.Recording) bool {
		return r.RecordDir == running && r.Status == media.StatusComplete
	}) {
		t.Errorf("Recordings = %+v, %v; want the one that has ended", page, err)
	}
}

// TestLiveManifest: the manifest of a recording that runs comes from memory, not
// from the old one in the storage, and its ETag follows its content.
func TestLiveManifest(t *testing.T) {
	f := setup(t, nil)
	key := running + "/manifest.mpd"
	got := f.get(t, http.MethodGet, key)
	sum := sha256.Sum256([]byte(got.body))
	if got.status != http.StatusOK || got.body != "<MPD>live</MPD>" || got.header.Get("Cache-Control") != cacheValidate ||
		got.header.Get("Content-Type") != "application/dash+xml" || got.header.Get("ETag") != `"`+hex.EncodeToString(sum[:16])+`"` {
		t.Errorf("%d %q %v", got.status, got.body, got.header)
	}
	old := got.header.Get("ETag")
	f.live.mu.Lock()
	f.live.manifests[key] = "<MPD>next</MPD>" // within the same second
	f.live.mu.Unlock()
	got = f.get(t, http.MethodGet, key, "If-None-Match", old)
	if got.status != http.StatusOK || got.body != "<MPD>next</MPD>" || got.header.Get("ETag") == old {
		t.Errorf("after a change: %d %q, ETag %q", got.status, got.body, got.header.Get("ETag"))
	}
	f.live.mu.Lock()
	delete(f.live.manifests, key)
	f.live.mu.Unlock()
	if got = f.get(t, http.MethodGet, key); got.body != "content of manifest.mpd" {
		t.Errorf("after the end: %q", got.body)
	}
}

// TestHLS: playlists of a recording that runs come from memory, and one that there is not
// is said to be none that there has to be.
func TestHLS(t *testing.T) {
	f := setup(t, nil)
	if got := f.get(t, http.MethodGet, running+"/audio.m3u8"); got.status != http.StatusOK || got.body != "#EXTM3U live" ||
		got.header.Get("Cache-Control") != cacheValidate || got.header.Get("Content-Type") != "application/vnd.apple.mpegurl" {
		t.Errorf("%d %q %v", got.status, got.body, got.header)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	err := f.Object(w, r, dir+"/video.m3u8")
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "VP8") {
		t.Errorf("error %v, want one of fault.NotFound that says what has no playlist", err)
	}
}

// TestCatalogueMissed: a recording that runs can be played although the
// catalogue could not be told of it; a catalogue that fails is no "not found".
func TestCatalogueMissed(t *testing.T) {
	f := setup(t, nil)
	if err := f.db.Delete(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"manifest.mpd", "v_init.m4s", "v_seg_0001.m4s", "v_seg_0002.m4s"} {
		if got := f.get(t, http.MethodGet, running+"/"+name); got.status != http.StatusOK {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if rec, err := f.RecordingOf(t.Context(), running+"/v_init.m4s"); err != nil || rec.Stream != "camera" {
		t.Errorf("RecordingOf = %q, %v", rec.Stream, err)
	}
	f.live.now = nil
	if got := f.get(t, http.MethodGet, running+"/v_init.m4s"); got.status != http.StatusNotFound {
		t.Errorf("what neither knows: %d", got.status)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := f.get(t, http.MethodGet, dir+"/v_init.m4s"); got.status != http.StatusInternalServerError {
		t.Errorf("with a broken catalogue: %d", got.status)
	}
}

// TestManyRanges: each costs a request to the backend, so too many are ignored.
func TestManyRanges(t *testing.T) {
	f := setup(t, nil)
	f.put(t, dir+"/v_seg_0009.m4s", strings.Repeat("x", 1000))
	for ranges, want := range map[int]int{maxRanges: http.StatusPartialContent, maxRanges + 1: http.StatusOK} {
		got := f.get(t, http.MethodGet, dir+"/v_seg_0009.m4s", "Range", "bytes=0-0"+strings.Repeat(",0-0", ranges-1))
		if got.status != want {
			t.Errorf("%d ranges: %d, want %d", ranges, got.status, want)
		}
	}
}

// brokenBackend breaks off each body after some bytes.
type brokenBackend struct{ storage.Backend }

var errBroken = errors.New("the disk broke")

func (b brokenBackend) Get(ctx context.Context, key string, offset, _ int64) (io.ReadCloser, error) {
	r, err := b.Backend.Get(ctx, key, offset, 4)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(r, failing{}), r}, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

// TestStorageBreaksOff: the client can tell that the body is not whole, and the
// log says why.
func TestStorageBreaksOff(t *testing.T) {
	f := setup(t, func(b storage.Backend) storage.Backend { return brokenBackend{b} })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+dir+"/v_seg_0001.m4s", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("the client takes a part for the whole")
	}
	<-f.handled
	if log := f.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, errBroken.Error()) || !strings.Contains(log, dir) {
		t.Errorf("log: %q, want one line with the cause", log)
	}
}

// TestClientLeaves: one that goes away in the middle is no error of ours.
func TestClientLeaves(t *testing.T) {
	f := setup(t, nil)
	f.put(t, dir+"/v_seg_0009.m4s", strings.Repeat("x", 32<<20)) // more than sockets buffer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+dir+"/v_seg_0009.m4s", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = res.Body.Close()
	select {
	case err := <-f.handled:
		if err != nil {
			t.Errorf("Object: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the handler does not notice that the client left")
	}
	if log := f.log.String(); log != "" {
		t.Errorf("log: %q", log)
	}
}

// leavingBackend ends the request's context when the body is read.
type leavingBackend struct {
	storage.Backend
	leave func()
}

func (b *leavingBackend) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := b.Backend.Get(ctx, key, offset, length)
	b.leave()
	return r, err
}

// TestClientLeavesWhileReading: the backend's error is then the client's doing.
func TestClientLeavesWhileReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := setup(t, func(b storage.Backend) storage.Backend { return &leavingBackend{b, cancel} })
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody).WithContext(ctx)
	if err := f.Object(w, r, dir+"/v_init.m4s"); err != nil || w.Body.Len() != 0 {
		t.Errorf("Object: %v, %d bytes", err, w.Body.Len())
	}
	if log := f.log.String(); log != "" {
		t.Errorf("log: %q", log)
	}
}

// pattern is n bytes that tell where they are.
func pattern(n int64) io.Reader { return io.LimitReader(&patternReader{}, n) }

type patternReader struct{ pos int64 }

func (r *patternReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte((r.pos + int64(i)) * 31 >> 3)
	}
	r.pos += int64(len(p))
	return len(p), nil
}

// TestLargeObject streams 100 MB: every byte arrives, and memory does not grow
// with the size.
func TestLargeObject(t *testing.T) {
	const size = 100 << 20
	f := setup(t, nil)
	if err := f.store.Put(t.Context(), dir+"/v_seg_0009.m4s", pattern(size), size); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+dir+"/v_seg_0009.m4s", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, want := sha256.New(), sha256.New()
	n, err := io.Copy(got, res.Body)
	runtime.ReadMemStats(&after)
	if err != nil || n != size || res.Header.Get("Content-Length") != strconv.Itoa(size) {
		t.Fatalf("%d bytes of %s, %v", n, res.Header.Get("Content-Length"), err)
	}
	// All that was allocated, freed or not: buffers that grew would be in it.
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("%d bytes were allocated to send %d", allocated, size)
	}
	if _, err := io.Copy(want, pattern(size)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the bytes are not those that were stored")
	}
}

// TestGrowingObject: an open segment can be fetched while it is written.
func TestGrowingObject(t *testing.T) {
	f := setup(t, nil)
	key := running + "/v_seg_0003.m4s"
	f.live.open[key] = true
	file, err := f.store.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, etag := "", ""
	for i := range 3 {
		chunk := fmt.Sprintf("chunk %d;", i)
		if _, err := file.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
		want += chunk
		got := f.get(t, http.MethodGet, key, "If-None-Match", etag)
		if got.status != http.StatusOK || got.body != want || got.header.Get("Cache-Control") != cacheNoStore {
			t.Errorf("%d %q %q, want %q", got.status, got.body, got.header.Get("Cache-Control"), want)
		}
		etag = got.header.Get("ETag")
	}
}

func TestNewNeeds(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New without a backend: no error")
	}
}
