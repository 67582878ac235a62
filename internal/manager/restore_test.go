//go:build !norecorder

package manager

import (
	"bytes"
	"database/sql"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	live777 "github.com/live777/recorder/internal/node"
)

// A manager whose database is an old copy arrives where its nodes are: what they
// recorded, deleted and protected meanwhile.
func managerRestored(t *testing.T, kind databaseKind) {
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	shares, keeps := newArchive(t, "berlin", place, nil), newArchive(t, "rome", config.Storage{}, nil)
	nodes := map[string]*archive{"edge-1": shares, "edge-2": keeps}
	before := []string{"cam/1795161600", "cam/1795165200", "door/1795161600"}
	for _, n := range nodes {
		n.add(nil, n.named(before)...)
	}
	cfg := managerOf(kind.make(), place, nodes)
	db := openCatalogue(t, string(cfg.Database.URL))
	m := run(t, cfg)
	until(t, "everything is catalogued", func() bool { return len(entries(t, db)) == 6 })
	level(t, m, nodes)
	m.stop()
	_ = db.Close()
	restore := kind.save(string(cfg.Database.URL))

	m = run(t, cfg)
	var want []string
	for alias, n := range nodes {
		dirs := n.named(before)
		after := n.named([]string{"cam/1795168800", dirs[0] + "/1795172400"}) // rotated
		n.add(nil, after...)
		n.protect(dirs[1])
		n.remove(dirs[2], after[0])
		n.add(nil, after[0]) // and recorded again
		protected := finished("", dirs[1])
		protected.Protected = true
		want = append(want, expected(t, alias, n == keeps, finished("", dirs[0]), protected, finished("", after[0]), finished("", after[1]))...)
	}
	db = openCatalogue(t, string(cfg.Database.URL))
	followedBy(t, db, want)
	_ = db.Close()
	m.stop()

	restore()
	db = openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	if len(entries(t, db)) != 6 {
		t.Fatal("the backup is not back")
	}
	m = run(t, cfg)
	followedBy(t, db, want)
	level(t, m, nodes)
	followedBy(t, db, want)
}

// named returns folders in which no other node records.
func (a *archive) named(dirs []string) []string {
	list := make([]string, len(dirs))
	for i, dir := range dirs {
		stream, rest, _ := strings.Cut(dir, "/")
		list[i] = stream + "/" + a.name + "/" + rest
	}
	return list
}

// The database of a node is an old copy: its feed goes back. In the manager's
// catalogue nothing is lost that is in storage, nothing that was deleted comes
// back, and what was sealed or protected stays so. live777 rebuild does the rest
// for a node that keeps its recordings.
func nodeRestored(t *testing.T, kind databaseKind, local bool) {
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	at := place
	if local {
		at = config.Storage{}
	}
	edge := newArchive(t, "berlin", at, nil)
	edge.add(nil, "cam/1795161600", "cam/1795165200", "cam/1795168800", "door/fixed", "door/again")
	restore := edge.backup()

	nodes := map[string]*archive{"edge": edge}
	cfg := managerOf(kind.make(), place, nodes)
	db := openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	m := run(t, cfg)
	edge.protect("cam/1795165200")
	edge.remove("cam/1795168800", "door/fixed", "door/again")
	edge.add(nil, "cam/1795172400")
	longer := func(r *media.Recording) { r.Bytes = 777 }
	edge.add(longer, "door/again") // another recording in the same folder
	protected, again := finished("", "cam/1795165200"), finished("", "door/again")
	protected.Protected = true
	longer(&again)
	had := expected(t, "edge", local, finished("", "cam/1795161600"), protected, again)
	since := expected(t, "edge", local, finished("", "cam/1795172400"))
	want := slices.Concat(had, since)
	followedBy(t, db, want)
	level(t, m, nodes)

	restore() // the node sees that its catalogue is old, and makes it anew
	level(t, m, nodes)
	followedBy(t, db, want)

	// So does live777 rebuild.
	edge.offline(func() { edge.rebuildOwn() })
	followedBy(t, db, want)
	level(t, m, nodes)
	followedBy(t, db, want)
	if list := edge.recordings("cam"); len(list) != 3 {
		t.Errorf("the node has %+v", list)
	}
}

// rebuildOwn is live777 rebuild.
func (a *archive) rebuildOwn() {
	a.t.Helper()
	cfg := config.Default()
	cfg.Recorder.NodeAlias, cfg.Recorder.Storage = a.name, a.place
	cfg.Database.URL = config.DatabaseURL(a.catalogue())
	var said bytes.Buffer
	if ok, err := live777.Rebuild(a.t.Context(), cfg, live777.Command{Stdout: &said, Stderr: a.t.Output(), Logger: logger(a.t)}); err != nil || !ok {
		a.t.Fatalf("live777 rebuild: %v %v %s", ok, err, said.String())
	}
}

// A manager that was off for so long that its nodes do not remember all that was
// deleted meanwhile arrives at the same.
func offForLong(t *testing.T, kind databaseKind) {
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	shares, keeps := newArchive(t, "berlin", place, nil), newArchive(t, "rome", config.Storage{}, nil)
	nodes := map[string]*archive{"edge-1": shares, "edge-2": keeps}
	for _, n := range nodes {
		n.add(nil, n.named([]string{"cam/1795161600", "cam/1795165200", "cam/1795168800"})...)
	}
	cfg := managerOf(kind.make(), place, nodes)
	db := openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	m := run(t, cfg)
	until(t, "everything is catalogued", func() bool { return len(entries(t, db)) == 6 })
	level(t, m, nodes)
	m.stop()

	var want []string
	for alias, n := range nodes {
		dirs := n.named([]string{"cam/1795161600", "cam/1795165200", "cam/1795168800", "cam/1795172400"})
		n.add(nil, dirs[3])
		n.remove(dirs[0], dirs[1])
		n.protect(dirs[2])
		n.offline(func() { forgetRemovals(t, filepath.Join(n.dir, "live777.db")) })
		protected := finished("", dirs[2])
		protected.Protected = true
		want = append(want, expected(t, alias, n == keeps, protected, finished("", dirs[3]))...)
	}
	m = run(t, cfg)
	followedBy(t, db, want)
	level(t, m, nodes)
	followedBy(t, db, want)
}

// forgetRemovals makes a feed forget what was removed, as it does after many
// removals more.
func forgetRemovals(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, query := range []string{`DELETE FROM removals`, `UPDATE feed SET floor = last_seq`} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
}

// What an old copy of a manager's database says of recordings that nobody else
// has a word about is put right by a rebuild.
func TestRestoredWithoutNode(t *testing.T) {
	t.Parallel()
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	edge := newArchive(t, "berlin", place, nil)
	edge.add(nil, "cam/1795161600", "cam/1795165200")
	cfg := managerOf("sqlite://"+filepath.Join(t.TempDir(), "liveman.db"), place, map[string]*archive{"edge": edge})
	m := run(t, cfg)
	db := openCatalogue(t, string(cfg.Database.URL))
	until(t, "everything is catalogued", func() bool { return len(entries(t, db)) == 2 })
	_ = db.Close()
	m.stop()
	edge.stop()
	cfg.Nodes = nil // it is gone for good
	restore := saveFiles(t, strings.TrimPrefix(string(cfg.Database.URL), "sqlite://"))
	m = run(t, cfg)
	for _, r := range m.recordings("cam") {
		if resp, body := m.request(http.MethodGet, "/api/record/object/"+r.MPDPath, ""); resp.StatusCode != http.StatusOK || body != "<MPD/> of berlin" {
			t.Errorf("of a node that is gone: %d %s", resp.StatusCode, body)
		}
	}
	if code := m.call(http.MethodDelete, "/api/recordings/cam/1795161600", "", nil); code != http.StatusNoContent {
		t.Errorf("delete: %d", code)
	}
	m.stop()
	restore()
	if said, ok := rebuild(t, cfg); !ok || !strings.Contains(said, `"removed":1`) {
		t.Error(said)
	}
	m = run(t, cfg)
	if list := m.recordings("cam"); len(list) != 1 || list[0].RecordDir != "cam/1795165200" || list[0].Node != "edge" {
		t.Errorf("%+v", list)
	}
}
