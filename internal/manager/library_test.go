//go:build !norecorder

package manager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage/fs"
)

type signer struct{}

func (signer) PresignGet(_ context.Context, key string, ttl time.Duration) (string, error) {
	return fmt.Sprintf("https://bucket.example/%s?for=%v", key, ttl), nil
}

// testLibrary is a library over a shared folder, of a node that answers with
// "node says" and the object's name.
type testLibrary struct {
	*library
	t     *testing.T
	store *fs.Store
	db    *catalogue.DB
	node  *node
}

func newTestLibrary(t *testing.T, sign bool) *testLibrary {
	t.Helper()
	store, err := fs.New(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := catalogue.Open(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "v_seg_0009.m4s") {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "node says "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	}))
	f := newFleet(fleetOptions{Catalogue: db, Storage: store, Poll: time.Second, Timeout: time.Second, Now: time.Now, Logger: logger(t)})
	t.Cleanup(func() {
		f.close()
		server.Close()
		_ = db.Close()
		_ = store.Close()
	})
	n := newNode(f, "edge", configured, server.URL, "", false)
	f.nodes["edge"] = n
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil) // up
	place := shared{backend: store}
	if sign {
		place.presign = signer{}
	}
	l, err := newLibrary(f, place, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return &testLibrary{library: l, t: t, store: store, db: db, node: n}
}

// add makes a recording that ended some time ago, or runs, with objects.
func (l *testLibrary) add(dir string, ended time.Duration, durable float64, objects ...string) {
	l.t.Helper()
	end := time.Now().Add(-ended)
	r := media.Recording{Stream: "cam", RecordID: "1767366245", RecordDir: dir, MPDPath: dir + "/manifest.mpd", Node: "edge", Start: end, End: &end, Status: media.StatusComplete, Duration: 10, DurableThrough: durable}
	if ended == 0 {
		r.End, r.Status = nil, media.StatusRecording
	}
	if err := l.db.Put(l.t.Context(), r); err != nil {
		l.t.Fatal(err)
	}
	for _, name := range objects {
		text := "storage says " + name
		if err := l.store.Put(l.t.Context(), dir+"/"+name, strings.NewReader(text), int64(len(text))); err != nil {
			l.t.Fatal(err)
		}
	}
}

// get returns the status of an object, and its body or where it is.
func (l *testLibrary) get(method, key string) (status int, text string) {
	l.t.Helper()
	return l.getUntil(method, key, time.Time{})
}

// getUntil is get for somebody who may have the object until then.
func (l *testLibrary) getUntil(method, key string, until time.Time) (status int, text string) {
	l.t.Helper()
	w := httptest.NewRecorder()
	err := l.Object(w, httptest.NewRequestWithContext(l.t.Context(), method, "/", nil), key, until)
	if err != nil {
		return int(fault.KindOf(err)), err.Error()
	}
	if w.Code == http.StatusFound {
		return w.Code, w.Header().Get("Location") + " " + w.Header().Get("Cache-Control")
	}
	return w.Code, w.Body.String()
}

// Segments are sent for to the storage where it has them, manifests never are.
func TestSignedRedirect(t *testing.T) {
	l := newTestLibrary(t, true)
	l.add("cam/old", time.Hour, 10, "manifest.mpd", "v_init.m4s", "v_seg_0001.m4s")
	l.add("cam/running", 0, 0, "v_seg_0001.m4s")
	for _, tt := range []struct {
		method, key, want string
		status            int
	}{
		{http.MethodGet, "cam/old/v_seg_0001.m4s", "https://bucket.example/cam/old/v_seg_0001.m4s?for=5m0s private, max-age=150", http.StatusFound},
		{http.MethodGet, "cam/old/v_init.m4s", "https://bucket.example/cam/old/v_init.m4s?for=5m0s private, max-age=150", http.StatusFound},
		{http.MethodGet, "cam/old/manifest.mpd", "storage says manifest.mpd", http.StatusOK},
		{http.MethodHead, "cam/old/v_seg_0001.m4s", "", http.StatusOK},
		{http.MethodGet, "cam/running/v_seg_0001.m4s", "https://bucket.example/cam/running/v_seg_0001.m4s?for=5m0s private, max-age=150", http.StatusFound},
		{http.MethodGet, "cam/running/v_seg_0002.m4s", "node says v_seg_0002.m4s", http.StatusOK},
		{http.MethodGet, "cam/running/manifest.mpd", "node says manifest.mpd", http.StatusOK},
	} {
		if status, text := l.get(tt.method, tt.key); status != tt.status || text != tt.want {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.key, status, text, tt.status, tt.want)
		}
	}
}

// A URL of the storage ends with the token or the link that it was asked for with.
func TestSignedRedirectEndsWithItsReason(t *testing.T) {
	l := newTestLibrary(t, true)
	l.add("cam/old", time.Hour, 10, "v_seg_0001.m4s")
	now := time.Now()
	l.now = func() time.Time { return now }
	for left, want := range map[time.Duration]string{
		time.Hour:               "for=5m0s private, max-age=150",
		100 * time.Second:       "for=1m40s private, max-age=50",
		2500 * time.Millisecond: "for=2s private, max-age=1",
		time.Second:             "for=1s private, max-age=0",
		999 * time.Millisecond:  "storage says v_seg_0001.m4s", // too short to be signed for
		-time.Second:            "storage says v_seg_0001.m4s", // it ended while this was answered
	} {
		if _, text := l.getUntil(http.MethodGet, "cam/old/v_seg_0001.m4s", now.Add(left)); !strings.HasSuffix(text, want) {
			t.Errorf("%v are left: %q, want %q", left, text, want)
		}
	}
}

// What storage does not have yet comes from the node, and what it has does when
// the node is down.
func TestWhereObjectsComeFrom(t *testing.T) {
	l := newTestLibrary(t, false)
	l.add("cam/old", time.Hour, 10, "manifest.mpd", "v_seg_0001.m4s")
	l.add("cam/late", time.Hour, 5, "manifest.mpd", "v_seg_0001.m4s") // half of it waits for its upload
	l.add("cam/running", 0, 0, "manifest.mpd", "v_seg_0001.m4s")
	up := map[string]string{
		"cam/old/manifest.mpd": "storage", "cam/old/v_seg_0001.m4s": "storage", "cam/old/v_seg_0002.m4s": "",
		"cam/late/manifest.mpd": "node", "cam/late/v_seg_0001.m4s": "storage", "cam/late/v_seg_0002.m4s": "node", "cam/late/v_seg_0009.m4s": "",
		"cam/running/manifest.mpd": "node", "cam/running/recording.json": "node", "cam/running/v_seg_0001.m4s": "storage", "cam/running/v_seg_0002.m4s": "node",
		"cam/gone/manifest.mpd": "", "cam/old/other.txt": "",
	}
	for key, want := range up {
		if _, text := l.get(http.MethodGet, key); !strings.HasPrefix(text, want+" says") && want != "" || want == "" && !strings.Contains(text, "no recorded object") {
			t.Errorf("%s: %q, want that of the %s", key, text, want)
		}
	}
	l.node.probed(nodeInfo{Info: api.Info{}}, 0, io.EOF)
	l.node.probed(nodeInfo{Info: api.Info{}}, 0, io.EOF)
	for key, want := range up {
		if want == "node" && strings.Contains(key, "seg") {
			want = ""
		}
		if key == "cam/running/recording.json" {
			want = "" // nobody has it
		}
		if _, text := l.get(http.MethodGet, key); want != "" && !strings.HasPrefix(text, "storage says") || want == "" && !strings.Contains(text, "no recorded object") {
			t.Errorf("%s, with the node down: %q", key, text)
		}
	}
}

// A recording that its node keeps has one name that is its alone, by whatever name
// it is asked for.
func TestRecordingOf(t *testing.T) {
	l := newTestLibrary(t, false)
	l.node.local = true
	l.add("@edge/cam/1", time.Hour, 10)
	l.add("cam/2", time.Hour, 10)
	for key, want := range map[string]string{
		"cam/1/manifest.mpd": "@edge/cam/1", "@edge/cam/1/v_seg_0001.m4s": "@edge/cam/1", "cam/2/manifest.mpd": "cam/2",
	} {
		if r, err := l.RecordingOf(t.Context(), key); err != nil || r.RecordDir != want || r.Stream != "cam" {
			t.Errorf("%s is of %q, %v", key, r.RecordDir, err)
		}
	}
}
