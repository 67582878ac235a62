//go:build !norecorder

package manager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// bigObject is far more than the sockets between a client and a node hold.
	bigObject = 192 << 20
	// socketBuffers is what may be under way when nobody reads: two connections,
	// whose ends the kernel gives up to 6 MiB each.
	socketBuffers = 48 << 20

	block = 64 << 10
)

// noise is what all blocks of an object have but for their numbers.
var noise = sync.OnceValue(func() []byte {
	p := make([]byte, block)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p)
	return p
})

// pattern fills p with block n of an object: noise, and its number. To make and to check
// an object must not take long where the race detector slows everything down.
func pattern(p []byte, n int64) {
	copy(p, noise())
	binary.BigEndian.PutUint64(p, uint64(n)) //nolint:gosec // never negative
}

// patternHash is the SHA-256 of a big object.
var patternHash = sync.OnceValue(func() []byte {
	sum, p := sha256.New(), make([]byte, block)
	for n := range int64(bigObject / block) {
		pattern(p, n)
		_, _ = sum.Write(p)
	}
	return sum.Sum(nil)
})

// objectNode is a node that has recordings of its own, whose objects behave as
// their names say.
type objectNode struct {
	*httptest.Server
	handed  atomic.Int64 // bytes of big objects that were written
	waiting atomic.Int32 // answers that stand still
	healthy atomic.Bool  // then every object is whole
}

func newObjectNode(t *testing.T) *objectNode {
	t.Helper()
	n := &objectNode{}
	n.Server = nodeOfObjects(t, n.object)
	return n
}

// nodeOfObjects is a node that is made up, with one recording in cam/1, whose objects
// are what object answers.
func nodeOfObjects(t *testing.T, object http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"name":"live777","version":"made up"}`)
	})
	mux.HandleFunc("GET /api/streams/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") })
	mux.HandleFunc("GET /api/recordings", func(w http.ResponseWriter, r *http.Request) {
		page := follow.Page{Feed: "feed", Next: 1, Changes: []media.Change{}}
		if r.URL.Query().Get("since") == "0" {
			rec := completeRecording("made up", "cam/1")
			page.Changes = append(page.Changes, media.Change{Seq: 1, RecordDir: rec.RecordDir, Recording: &rec})
		}
		_ = json.NewEncoder(w).Encode(page) // a client that left needs no page
	})
	mux.HandleFunc("GET /api/record/object/cam/1/{name}", object)
	s := httptest.NewServer(mux)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// The objects of an objectNode.
const (
	bigName     = "v_seg_0001.m4s"
	tornName    = "v_seg_0002.m4s" // ends in the middle of what was announced
	chunkedName = "v_seg_0003.m4s" // likewise, of a length that was not
	stuckName   = "v_seg_0004.m4s" // stands still in the middle
	silentName  = "v_seg_0005.m4s" // breaks off before it begins
	tornSize    = 300_000
)

func (n *objectNode) object(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	h := w.Header()
	h.Set("Content-Type", "video/iso.segment")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("ETag", `"`+name+`"`)
	if name == bigName {
		h.Set("Content-Length", strconv.Itoa(bigObject))
		p := make([]byte, block)
		for i := range int64(bigObject / block) {
			pattern(p, i)
			written, err := w.Write(p)
			n.handed.Add(int64(written))
			if err != nil {
				return
			}
		}
		return
	}
	if name == silentName && !n.healthy.Load() {
		panic(http.ErrAbortHandler)
	}
	if name != chunkedName || n.healthy.Load() {
		h.Set("Content-Length", strconv.Itoa(tornSize))
	}
	whole := strings.Repeat("x", tornSize)
	if n.healthy.Load() {
		_, _ = io.WriteString(w, whole)
		return
	}
	_, _ = io.WriteString(w, whole[:tornSize/2])
	_ = http.NewResponseController(w).Flush()
	if name == stuckName {
		n.waiting.Add(1)
		defer n.waiting.Add(-1)
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// download asks for an object on a connection of its own, whose socket takes
// little, and returns its body unread and the length that was announced.
func download(t *testing.T, url string) (body io.ReadCloser, length int64) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(block)
		}
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = resp.Body.Close(); transport.CloseIdleConnections() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	return resp.Body, resp.ContentLength
}

// readSlowly takes a big object in steps, with a rest after each, in which what was
// handed out may be ahead of what was read by no more than sockets hold.
func readSlowly(t *testing.T, url string, handed *atomic.Int64) {
	t.Helper()
	body, length := download(t, url)
	if length != bigObject {
		t.Fatalf("%d bytes", length)
	}
	sum, got := sha256.New(), int64(0)
	for _, step := range []int64{0, 1 << 20, 64 << 20} {
		n, err := io.CopyN(sum, body, step)
		if got += n; err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		before := int64(-1)
		until(t, "nothing more is handed out to who does not read", func() bool {
			now := handed.Load()
			rest := now == before
			before = now
			time.Sleep(200 * time.Millisecond)
			return rest && now == handed.Load()
		})
		if ahead := handed.Load() - got; ahead > socketBuffers {
			t.Fatalf("%d MiB were handed out that a client which has read %d MiB did not take", ahead>>20, got>>20)
		}
	}
	n, err := io.Copy(sum, body)
	if got += n; err != nil || got != bigObject {
		t.Fatalf("%d bytes of %d: %v", got, bigObject, err)
	}
	if !bytes.Equal(sum.Sum(nil), patternHash()) {
		t.Error("what came is not what was sent")
	}
}

// What is relayed is read from the node as the client takes it.
func TestRelayBackPressure(t *testing.T) {
	t.Parallel()
	n := newObjectNode(t)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": {url: n.URL}}, nil)
	awaitRecording(t, m)
	readSlowly(t, m.url+"/api/record/object/cam/1/"+bigName, &n.handed)
}

func awaitRecording(t *testing.T, m *server) {
	t.Helper()
	until(t, "the manager knows the node's recording", func() bool { return len(m.recordings("cam")) == 1 })
}

// bigBackend has one object, which it makes up as it is read.
type bigBackend struct {
	storage.Backend
	handed atomic.Int64
}

func (b *bigBackend) Stat(_ context.Context, key string) (storage.Object, error) {
	return storage.Object{Key: key, Size: bigObject, ETag: "big"}, nil
}

func (b *bigBackend) Get(_ context.Context, _ string, offset, length int64) (io.ReadCloser, error) {
	if offset != 0 || length != bigObject {
		return nil, fmt.Errorf("unexpected range from %d, %d bytes", offset, length)
	}
	r, w := io.Pipe()
	go func() {
		p := make([]byte, block)
		for i := range int64(bigObject / block) {
			pattern(p, i)
			written, err := w.Write(p)
			b.handed.Add(int64(written))
			if err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	return r, nil
}

// Likewise what comes from shared storage.
func TestSharedStorageBackPressure(t *testing.T) {
	t.Parallel()
	backend := &bigBackend{}
	l := newTestLibrary(t, false)
	l.add("cam/1", time.Hour, 10)
	served, err := newLibrary(l.fleet, shared{backend: backend}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := served.Object(w, r, strings.TrimPrefix(r.URL.Path, "/"), time.Time{}); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	readSlowly(t, srv.URL+"/cam/1/"+bigName, &backend.handed)
}

// A node that breaks off in the middle of an object gives the client a transfer
// that is broken, too, and no object that looks whole and is short. The log says
// once what happened, and the next request gets what the node has then.
func TestBrokenRelay(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	n := newObjectNode(t)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": {url: n.URL}}, nil, &log)
	awaitRecording(t, m)
	url := m.url + "/api/record/object/cam/1/"
	for _, name := range []string{tornName, chunkedName} {
		body, _ := download(t, url+name)
		data, err := io.ReadAll(body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(data) > tornSize/2 {
			t.Errorf("%s: %d bytes, which ended with %v", name, len(data), err)
		}
		until(t, "the log says it", func() bool { return strings.Contains(log.String(), name) })
	}
	resp, body := m.request(http.MethodGet, "/api/record/object/cam/1/"+silentName, "")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("ETag") != "" || !strings.Contains(body, `node \"edge\"`) {
		t.Errorf("a node that says nothing: %d %s %v", resp.StatusCode, body, resp.Header)
	}
	for _, name := range []string{tornName, chunkedName, silentName} {
		lines := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, name) && !strings.Contains(line, "level=DEBUG") {
				lines++
				if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "edge") || strings.Contains(line, n.URL) {
					t.Errorf("the log says: %s", line)
				}
			}
		}
		if lines != 1 {
			t.Errorf("the log has %d lines about %s:\n%s", lines, name, log.String())
		}
	}
	n.healthy.Store(true)
	for _, name := range []string{tornName, chunkedName, silentName} {
		if resp, body := m.request(http.MethodGet, "/api/record/object/cam/1/"+name, ""); resp.StatusCode != http.StatusOK || len(body) != tornSize {
			t.Errorf("%s, now whole: %d with %d bytes", name, resp.StatusCode, len(body))
		}
	}
}

// Relays from a node that stands still hold up nothing else, and end with their
// clients; nothing is logged of who leaves.
func TestStuckRelay(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	n, other := newObjectNode(t), newObjectNode(t)
	other.healthy.Store(true)
	m := startManager(t, t.TempDir(), map[string]*server{"edge": {url: n.URL}, "other": {url: other.URL}}, nil, &log)
	until(t, "the manager knows both recordings", func() bool { return len(m.recordings("cam")) == 2 })
	const clients = 100
	var bodies []io.Closer
	for range clients {
		body, _ := download(t, m.url+"/api/record/object/@edge/cam/1/"+stuckName)
		if _, err := io.ReadFull(body, make([]byte, tornSize/4)); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	until(t, "all of them wait", func() bool { return n.waiting.Load() == clients })
	for _, path := range []string{"/api/nodes/", "/api/streams/", "/api/playback/cam", "/api/record/object/@other/cam/1/" + tornName, "/api/recordings/@edge/cam/1"} {
		within(t, path, time.Second, func() time.Duration {
			start := time.Now()
			if resp, body := m.request(http.MethodGet, path, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d: %.100s", path, resp.StatusCode, body)
			}
			return time.Since(start)
		})
	}
	for _, b := range bodies {
		_ = b.Close()
	}
	until(t, "the node's answers end with the clients", func() bool { return n.waiting.Load() == 0 })
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, stuckName) && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("the log says: %s", line)
		}
	}
}

// TestRelayOfFiles: a recording as one file is saved by the name that its node gives it, in
// the viewer's zone, and why it cannot be one file is passed on.
func TestRelayOfFiles(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusOK)
	n := nodeOfObjects(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Query().Get("split") == "true" {
			w.Header().Set("Content-Type", "application/zip")
		}
		w.Header().Set("Content-Disposition", `attachment; filename="cam `+r.URL.Query().Get("tz")+`.mp4"; size=1`)
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, `{"error":"its video is VP8"}`)
	})
	m := startManager(t, t.TempDir(), map[string]*server{"edge": {url: n.URL}}, nil)
	until(t, "the recording is known", func() bool {
		a, _ := m.request(http.MethodGet, "/api/recordings/cam/1", "")
		return a.StatusCode == http.StatusOK
	})
	const url = "/api/record/object/@edge/cam/1/file.mp4?tz=Asia/Shanghai"
	a, _ := m.request(http.MethodGet, url, "")
	if got := a.Header.Get("Content-Disposition"); a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "video/mp4" ||
		got != `attachment; filename="cam Asia/Shanghai.mp4"` {
		t.Errorf("%d, %q, saved as %q", a.StatusCode, a.Header.Get("Content-Type"), got)
	}
	zipped, _ := m.request(http.MethodGet, url+"&split=true", "")
	if got := zipped.Header.Get("Content-Type"); got != "application/zip" {
		t.Errorf("a ZIP is %q", got)
	}
	for _, refused := range []int{http.StatusConflict, http.StatusBadRequest} {
		status.Store(int32(refused))
		if a, body := m.request(http.MethodGet, url, ""); a.StatusCode != refused || !strings.Contains(body, "VP8") {
			t.Errorf("what the node refuses with %d: %d, %s", refused, a.StatusCode, body)
		}
	}
}

// TestRelayOfLowLatency: what a player waits for is asked of the node, and what grows while
// it is sent is passed on as it comes.
func TestRelayOfLowLatency(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	n := nodeOfObjects(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("_HLS_msn") == "99" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, q.Get("_HLS_msn")+","+q.Get("_HLS_part")+","+q.Get("_HLS_skip"))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, " and the rest")
	})
	m := startManager(t, t.TempDir(), map[string]*server{"edge": {url: n.URL}}, nil)
	until(t, "the recording is known", func() bool {
		a, _ := m.request(http.MethodGet, "/api/recordings/cam/1", "")
		return a.StatusCode == http.StatusOK
	})
	const url = "/api/record/object/@edge/cam/1/video.m3u8?_HLS_part=2&_HLS_skip=YES&_HLS_msn="
	if a, _ := m.request(http.MethodGet, url+"99", ""); a.StatusCode != http.StatusBadRequest {
		t.Errorf("what the node refuses: %d", a.StatusCode)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+url+"7", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	early := make([]byte, len("7,2,YES"))
	if _, err := io.ReadFull(resp.Body, early); err != nil || string(early) != "7,2,YES" {
		t.Fatalf("%d %q, %v", resp.StatusCode, early, err)
	}
	close(more)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != " and the rest" {
		t.Errorf("%q, %v", rest, err)
	}
}
