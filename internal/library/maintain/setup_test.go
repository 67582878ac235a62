package maintain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// fixture is a recording that a node has made, of three seconds.
const fixture = "testdata/recording"

// recorded is when.
var recorded = time.Date(2026, 11, 22, 17, 16, 0, 0, time.UTC)

// hooked is a storage that tells of each Get, which may fail.
type hooked struct {
	storage.Backend
	mu  sync.Mutex
	get func(key string) error
}

func (h *hooked) onGet(get func(key string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.get = get
}

func (h *hooked) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	h.mu.Lock()
	get := h.get
	h.mu.Unlock()
	body, err := h.Backend.Get(ctx, key, offset, length)
	if get == nil || err != nil {
		return body, err
	}
	if err := get(key); err != nil { // after the object was opened: what is read is old
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

// rig is a storage with recordings, and a catalogue.
type rig struct {
	t     *testing.T
	root  string
	store *hooked
	db    *catalogue.DB
	log   *slog.Logger
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := &rig{t: t, root: t.TempDir(), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	files, err := fs.New(g.root, fs.Options{NoSync: true, Logger: g.log})
	if err != nil {
		t.Fatal(err)
	}
	g.store = &hooked{Backend: files}
	if g.db, err = catalogue.Open(t.Context(), "sqlite://:memory:"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(files.Close(), g.db.Close()) })
	return g
}

// record puts the fixture into a folder, and into the catalogue as change makes it.
func (g *rig) record(dir string, change func(*media.Recording)) media.Recording {
	g.t.Helper()
	if err := os.CopyFS(filepath.Join(g.root, dir), os.DirFS(fixture)); err != nil {
		g.t.Fatal(err)
	}
	rec, _, err := readInfo(g.t.Context(), g.store, dir)
	if err != nil {
		g.t.Fatal(err)
	}
	rec.Stream, _, _ = strings.Cut(dir, "/")
	if change != nil {
		change(&rec)
	}
	g.writeInfo(rec)
	if err := g.db.Put(g.t.Context(), rec); err != nil {
		g.t.Fatal(err)
	}
	return rec
}

func (g *rig) writeInfo(rec media.Recording) {
	g.t.Helper()
	data, err := media.EncodeRecording(rec)
	if err != nil {
		g.t.Fatal(err)
	}
	g.write(path.Join(rec.RecordDir, media.InfoName), data)
}

func (g *rig) write(key string, data []byte) {
	g.t.Helper()
	if err := g.store.Put(g.t.Context(), key, bytes.NewReader(data), int64(len(data))); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) read(key string) []byte {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.root, key))
	if err != nil {
		g.t.Fatal(err)
	}
	return data
}

func (g *rig) remove(key string) {
	g.t.Helper()
	if err := g.store.Delete(g.t.Context(), key); err != nil {
		g.t.Fatal(err)
	}
}

// entries returns the whole catalogue, entry by entry.
func (g *rig) entries() []string {
	g.t.Helper()
	page, _, err := g.db.List(g.t.Context(), media.RecordingQuery{})
	if err != nil {
		g.t.Fatal(err)
	}
	var out []string
	for _, rec := range page {
		data, err := json.Marshal(rec)
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, string(data))
	}
	slices.Sort(out)
	return out
}

// lose gives the rig an empty catalogue.
func (g *rig) lose() {
	g.t.Helper()
	db, err := catalogue.Open(g.t.Context(), "sqlite://:memory:")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = db.Close() })
	g.db = db
}

func (g *rig) rebuild(change func(*RebuildOptions)) RebuildSummary {
	g.t.Helper()
	o := RebuildOptions{Backend: g.store, Catalogue: g.db, Logger: g.log}
	if change != nil {
		change(&o)
	}
	sum, err := Rebuild(g.t.Context(), o)
	if err != nil {
		g.t.Fatal(err)
	}
	return sum
}

// verify returns what is found, by folder.
func (g *rig) verify(change func(*VerifyOptions)) (map[string]Finding, VerifySummary, error) {
	g.t.Helper()
	found := map[string]Finding{}
	o := VerifyOptions{
		Backend: g.store, Catalogue: g.db, Now: func() time.Time { return recorded.Add(time.Hour) },
		Report: func(f Finding) {
			if _, twice := found[f.RecordDir]; twice {
				g.t.Errorf("%s is reported twice", f.RecordDir)
			}
			found[f.RecordDir] = f
		},
	}
	if change != nil {
		change(&o)
	}
	sum, err := Verify(g.t.Context(), o)
	return found, sum, err
}
