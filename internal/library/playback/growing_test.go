package playback

import (
	"io"
	"net/http"
	"testing"

	"github.com/live777/recorder/internal/storage"
)

// growing is a segment that is written while it is read.
type growing struct {
	t    *testing.T
	f    *fixture
	key  string
	file storage.File
	size chan int64 // of what is written; closed when it is closed
	now  int64
	open bool
}

func (f *fixture) growing(t *testing.T, key string) *growing {
	t.Helper()
	file, err := f.store.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	g := &growing{t: t, f: f, key: key, file: file, size: make(chan int64, 10), open: true}
	f.live.grown = g.grown
	return g
}

// write writes so many chunks, each of which is heard of at once.
func (g *growing) write(chunks ...string) {
	g.t.Helper()
	for _, c := range chunks {
		if _, err := g.file.Write([]byte(c)); err != nil {
			g.t.Error(err)
		}
		g.size <- int64(len(c))
	}
}

func (g *growing) close() {
	if err := g.file.Close(); err != nil {
		g.t.Error(err)
	}
	close(g.size)
}

// grown is fakeLive.grown for one reader.
func (g *growing) grown(key string, beyond int64) (int64, bool) {
	for key == g.key && g.open && g.now <= beyond {
		n, ok := <-g.size
		g.now, g.open = g.now+n, ok
	}
	return g.now, key == g.key && g.open
}

// A segment that is being written is sent chunk by chunk, until it is closed.
func TestSegmentIsSentWhileItGrows(t *testing.T) {
	for ranges, want := range map[string]string{"": "firstsecondthird", "bytes=5-9007199254740991": "secondthird"} {
		f := setup(t, nil)
		key := running + "/v_seg_0003.m4s"
		g := f.growing(t, key)
		g.write("first", "second")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+key, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		status := http.StatusOK
		if ranges != "" {
			r.Header.Set("Range", ranges)
			status = http.StatusPartialContent
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status || res.Header.Get("Cache-Control") != cacheNoStore || res.ContentLength >= 0 {
			t.Errorf("%q: %d %v, length %d", ranges, res.StatusCode, res.Header, res.ContentLength)
		}
		early := make([]byte, len("second"))
		if ranges == "" {
			early = make([]byte, len("firstsecond"))
		}
		if _, err := io.ReadFull(res.Body, early); err != nil {
			t.Fatalf("%q: what is written does not come before the rest: %v", ranges, err)
		}
		g.write("third")
		g.close()
		rest, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := string(early) + string(rest); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", ranges, got, err, want)
		}
		if err := <-f.handled; err != nil {
			t.Error(err)
		}
	}
}

// A range that is not written yet is waited for.
func TestRangeIsWaitedFor(t *testing.T) {
	f := setup(t, nil)
	key := running + "/v_seg_0003.m4s"
	g := f.growing(t, key)
	g.write("first")
	answered := make(chan answer, 1)
	go func() { answered <- f.get(t, http.MethodGet, key, "Range", "bytes=5-10") }()
	g.write("second", "third")
	if got := <-answered; got.status != http.StatusPartialContent || got.body != "second" {
		t.Errorf("%d %q", got.status, got.body)
	}
	go func() { answered <- f.get(t, http.MethodGet, key, "Range", "bytes=16-") }()
	g.write("fourth")
	g.close()
	if got := <-answered; got.status != http.StatusPartialContent || got.body != "fourth" {
		t.Errorf("%d %q", got.status, got.body)
	}
}

// What players wait for is asked of the recorder, and what cannot be is refused.
func TestReload(t *testing.T) {
	f := setup(t, nil)
	if got := f.get(t, http.MethodGet, running+"/audio.m3u8?_HLS_msn=7&_HLS_part=2"); got.body != "#EXTM3U live up to 7, 2" {
		t.Errorf("%d %q", got.status, got.body)
	}
	for _, query := range []string{"_HLS_msn=-1", "_HLS_msn=1.5", "_HLS_part=3"} {
		if got := f.get(t, http.MethodGet, running+"/audio.m3u8?"+query); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %q", query, got.status, got.body)
		}
	}
}
