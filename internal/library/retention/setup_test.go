package retention

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// began is when the first recording of the tests began.
var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// gate is a storage that can be made to fail and notes what is deleted.
type gate struct {
	storage.Backend
	mu      sync.Mutex
	fail    func(op, key string) error
	deleted []string
}

func (g *gate) check(op, key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail == nil {
		return nil
	}
	return g.fail(op, key)
}

func (g *gate) failWith(fail func(op, key string) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = fail
}

func (g *gate) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := g.check("get", key); err != nil {
		return nil, err
	}
	return g.Backend.Get(ctx, key, offset, length)
}

func (g *gate) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	if err := g.check("put", key); err != nil {
		return err
	}
	return g.Backend.Put(ctx, key, body, size)
}

func (g *gate) Delete(ctx context.Context, key string) error {
	if err := g.check("delete", key); err != nil {
		return err
	}
	g.mu.Lock()
	g.deleted = append(g.deleted, key)
	g.mu.Unlock()
	return g.Backend.Delete(ctx, key)
}

// fakeLive has the recordings that run.
type fakeLive struct {
	mu      sync.Mutex
	running map[string]media.Recording
	refused error // what Seal says
}

func (l *fakeLive) Running(dir string) (media.Recording, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec, ok := l.running[dir]
	return rec, ok
}

func (l *fakeLive) Seal(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused == nil {
		delete(l.running, dir)
	}
	return l.refused
}

func (l *fakeLive) Forget(string) {}

func (l *fakeLive) Protect(dir string, protected bool) (media.Recording, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec, ok := l.running[dir]
	if ok {
		rec.Protected = protected
		l.running[dir] = rec
	}
	return rec, ok, nil
}

// rig is a Keeper over a real storage and catalogue.
type rig struct {
	*Keeper
	t     *testing.T
	store *gate
	db    *catalogue.DB
	live  *fakeLive
	now   time.Time
	log   *logtest.Buffer
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	files, err := fs.New(t.TempDir(), fs.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	db, err := catalogue.Open(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	g := &rig{
		t: t, store: &gate{Backend: files}, db: db, live: &fakeLive{running: map[string]media.Recording{}},
		now: began.Add(1000 * time.Hour), log: &logtest.Buffer{},
	}
	g.restart(change)
	return g
}

// restart gives the rig a new Keeper over what the old one has left.
func (g *rig) restart(change func(*Options)) {
	g.t.Helper()
	o := Options{
		Backend: g.store, Catalogue: g.db, Live: g.live, Now: func() time.Time { return g.now },
		Logger: slog.New(slog.NewTextHandler(g.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	k, err := New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	g.Keeper = k
}

// mediaNames are the names of the media objects of each recording of the tests.
var mediaNames = []string{"v_init.m4s", "a_init.m4s", "v_init_0002.m4s", "v_seg_0001.m4s", "a_seg_0001.m4s", "v_seg_0002.m4s", "v2_seg_10000.m4s", "v_seg_0003.webm"}

// record makes a recording of 1000 bytes that began the given hours after began
// and lasted one.
func (g *rig) record(dir string, hours int, change func(*media.Recording)) media.Recording {
	g.t.Helper()
	start := began.Add(time.Duration(hours) * time.Hour)
	end := start.Add(time.Hour)
	stream, _, _ := strings.Cut(dir, "/")
	rec := media.Recording{
		Stream: stream, RecordID: media.RecordID(dir), RecordDir: dir, MPDPath: path.Join(dir, media.ManifestName),
		Start: start, End: &end, Bytes: 1000, Duration: 3600, Status: media.StatusComplete, Tracks: []media.RecordingTrack{{Kind: "video", Codec: "H264"}},
	}
	if change != nil {
		change(&rec)
	}
	for i, name := range mediaNames {
		size := 1000 / len(mediaNames)
		if i == 0 {
			size += 1000 % len(mediaNames)
		}
		g.put(path.Join(dir, name), strings.Repeat("x", size))
	}
	g.put(path.Join(dir, media.ManifestName), "<MPD/>")
	g.putInfo(rec)
	if err := g.db.Put(g.t.Context(), rec); err != nil {
		g.t.Fatal(err)
	}
	return rec
}

func (g *rig) putInfo(rec media.Recording) {
	g.t.Helper()
	data, err := media.EncodeRecording(rec)
	if err != nil {
		g.t.Fatal(err)
	}
	g.put(path.Join(rec.RecordDir, media.InfoName), string(data))
}

func (g *rig) put(key, content string) {
	g.t.Helper()
	if err := g.store.Backend.Put(g.t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
		g.t.Fatal(err)
	}
}

// objects returns the keys below a prefix.
func (g *rig) keys(prefix string) (keys []string) {
	g.t.Helper()
	for o, err := range g.store.List(g.t.Context(), prefix) {
		if err != nil {
			g.t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// left returns the folders in which recordings have objects, and checks that the
// catalogue has the same recordings.
func (g *rig) left() []string {
	g.t.Helper()
	var dirs []string
	for _, key := range g.keys("") {
		if dir := path.Dir(key); media.IsObjectName(path.Base(key)) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	page, _, err := g.db.List(g.t.Context(), media.RecordingQuery{})
	if err != nil {
		g.t.Fatal(err)
	}
	var listed []string
	for _, rec := range page {
		listed = append(listed, rec.RecordDir)
	}
	slices.Sort(listed)
	slices.Sort(dirs)
	if !slices.Equal(dirs, listed) {
		g.t.Errorf("storage has %q, the catalogue %q", dirs, listed)
	}
	return dirs
}

func (g *rig) wantLeft(want ...string) {
	g.t.Helper()
	slices.Sort(want)
	if got := g.left(); !slices.Equal(got, want) {
		g.t.Errorf("left are %q, want %q", got, want)
	}
}

// logged returns the lines of the log that have a text.
func (g *rig) logged(text string) (lines []string) {
	for line := range strings.Lines(g.log.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func dirOf(i int) string { return fmt.Sprintf("camera/%010d", 1767322800+i) }
