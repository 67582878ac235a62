package playback

import (
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
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

const (
	dir     = "camera/1762842203" // of a sealed recording
	running = "camera/1762849999"
	orphan  = "camera/1762800000" // of a recording that a crash left open
	chosen  = "camera/shared"     // a sealed recording's, by its base_dir
)

// runningNow is what the recorder knows of the recording that runs.
var runningNow = media.Recording{
	Stream: "camera", RecordID: path.Base(running), RecordDir: running, Status: media.StatusRecording, Duration: 77,
}

type fakeLive struct {
	mu        sync.Mutex
	manifests map[string]string
	open      map[string]bool
	now       map[string]media.Recording
	modified  time.Time
	grown     func(key string, beyond int64) (int64, bool) // nil: nothing grows
}

func (l *fakeLive) LiveManifest(_ context.Context, key string, q media.Reload) ([]byte, time.Time, bool, error) {
	data, modified, ok := l.Manifest(key)
	if q.Waits() {
		data = fmt.Appendf(nil, "%s up to %d, %d", data, q.Sequence, q.Part)
	}
	return data, modified, ok, nil
}

func (l *fakeLive) Grown(_ context.Context, key string, beyond int64) (size int64, open bool, err error) {
	if l.grown != nil {
		size, open = l.grown(key, beyond)
	}
	return size, open, nil
}

func (l *fakeLive) Manifest(key string) ([]byte, time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.manifests[key]
	return []byte(m), l.modified, ok
}

func (l *fakeLive) SampleIndex(string) ([]byte, bool) { return nil, false }

func (l *fakeLive) Open(key string) bool { return l.open[key] }

func (l *fakeLive) Running(dir string) (media.Recording, bool) {
	r, ok := l.now[dir]
	return r, ok
}

// fixture is a Server over a real storage and catalogue, behind HTTP.
type fixture struct {
	*Server
	url     string
	store   *fs.Store
	db      *catalogue.DB
	live    *fakeLive
	log     logtest.Buffer
	handled chan error // what each Object returned
}

func setup(t *testing.T, wrap func(storage.Backend) storage.Backend) *fixture {
	t.Helper()
	f := &fixture{
		live: &fakeLive{
			manifests: map[string]string{running + "/manifest.mpd": "<MPD>live</MPD>", running + "/audio.m3u8": "#EXTM3U live"},
			open:      map[string]bool{running + "/v_seg_0002.m4s": true},
			now:       map[string]media.Recording{running: runningNow},
			modified:  time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC),
		},
		handled: make(chan error, 100),
	}
	var err error
	if f.store, err = fs.New(t.TempDir(), fs.Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	if f.db, err = catalogue.Open(t.Context(), "sqlite://:memory:"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(f.store.Close(), f.db.Close()) })
	for d, status := range map[string]media.Status{
		dir: media.StatusComplete, running: media.StatusRecording, orphan: media.StatusRecording, chosen: media.StatusComplete,
	} {
		rec := media.Recording{Stream: "camera", RecordDir: d, Status: status}
		if d != chosen {
			rec.RecordID = path.Base(d)
		}
		if err := f.db.Put(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"v_init.m4s", "a_init.m4s", "v_seg_0001.m4s", "a_seg_0001.m4s", "v_seg_0002.m4s",
			"v_seg_0001.webm", "a_seg_0001.webm", "v_init_0002.m4s", "v3_init.m4s", "v2_seg_10000.m4s", "manifest.mpd", "index.m3u8", "video-2.m3u8", "audio.m3u8", "recording.json"} {
			f.put(t, d+"/"+name, "content of "+name)
		}
	}
	f.put(t, "not/of/a/recording.m4s", "secret")
	f.put(t, "top", "secret")
	var backend storage.Backend = f.store
	if wrap != nil {
		backend = wrap(backend)
	}
	f.Server, err = New(Options{Backend: backend, Catalogue: f.db, Live: f.live, Logger: slog.New(slog.NewTextHandler(&f.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	f.url = f.listen(t)
	return f
}

// listen serves Object as the API does, and returns the URL that keys follow.
func (f *fixture) listen(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/record/object/{path...}", func(w http.ResponseWriter, r *http.Request) {
		err := f.Object(w, r, r.PathValue("path"))
		switch fault.KindOf(err) {
		case fault.Invalid:
			w.WriteHeader(http.StatusBadRequest)
		case fault.NotFound:
			w.WriteHeader(http.StatusNotFound)
		case fault.Conflict:
			w.WriteHeader(http.StatusConflict)
		case fault.Unavailable:
			w.WriteHeader(http.StatusServiceUnavailable)
		case fault.RangeNotSatisfiable:
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		case fault.PreconditionFailed:
			w.WriteHeader(http.StatusPreconditionFailed)
		default:
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
		f.handled <- err
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/api/record/object/"
}

func (f *fixture) put(t *testing.T, key, content string) {
	t.Helper()
	if err := f.store.Put(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	length int64 // as announced
	body   string
}

// get asks for key, as it stands in the URL.
func (f *fixture) get(t *testing.T, method, key string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+key, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, res.ContentLength, string(body)}
}
