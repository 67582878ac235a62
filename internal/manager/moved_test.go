//go:build !norecorder

package manager

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// object asks for an object of a recording and returns what it says, or the status.
func (s *server) object(path string) string {
	s.t.Helper()
	resp, body := s.request(http.MethodGet, "/api/record/object/"+path, "")
	if resp.StatusCode != http.StatusOK {
		return http.StatusText(resp.StatusCode) + ": " + body
	}
	return body
}

// One folder on several nodes and in shared storage: every path has one meaning,
// and each mpd_path is of the recording that it stands with.
func TestPathsOfOneFolder(t *testing.T) {
	t.Parallel()
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	shares := newArchive(t, "shares", place, nil)
	first, second := newArchive(t, "first", config.Storage{}, nil), newArchive(t, "second", config.Storage{}, nil)
	nodes := map[string]*archive{"s": shares, "a": first, "b": second}
	shares.add(nil, "cam/all", "cam/ab/under") // the other nodes' folder has one below it
	first.add(nil, "cam/all", "cam/ab", "cam/a")
	second.add(nil, "cam/all", "cam/ab")
	cfg := managerOf("sqlite://"+filepath.Join(t.TempDir(), "liveman.db"), place, nodes)
	m := run(t, cfg)
	until(t, "everything is catalogued", func() bool { return len(m.recordings("cam")) == 7 })

	names := map[string]string{"s": "shares", "a": "first", "b": "second"}
	for _, r := range m.recordings("cam") {
		want := "<MPD/> of " + names[r.Node]
		if got := m.object(r.MPDPath); got != want {
			t.Errorf("%s of %s has mpd_path %s, which is %q", r.RecordDir, r.Node, r.MPDPath, got)
		}
		if strings.HasPrefix(r.RecordDir, "@") || strings.HasPrefix(r.MPDPath, "@") != (r.Node != "s") {
			t.Errorf("%+v", r)
		}
		var one media.Recording
		dir := strings.TrimSuffix(r.MPDPath, "/manifest.mpd")
		if code := m.call(http.MethodGet, "/api/recordings/"+dir, "", &one); code != http.StatusOK || one.MPDPath != r.MPDPath || one.Node != r.Node || one.RecordDir != r.RecordDir {
			t.Errorf("%s: %d %+v", dir, code, one)
		}
		var signed struct{ URL string }
		m.call(http.MethodPost, "/api/sign/"+dir, "", &signed)
		if resp, body := m.request(http.MethodGet, signed.URL, ""); resp.StatusCode != http.StatusOK || body != want {
			t.Errorf("signed %s: %d %s", dir, resp.StatusCode, body)
		}
	}
	for path, want := range map[string]string{
		"cam/all/manifest.mpd":      "<MPD/> of shares",
		"@a/cam/all/manifest.mpd":   "<MPD/> of first",
		"cam/a/manifest.mpd":        "<MPD/> of first",
		"cam/ab/under/manifest.mpd": "<MPD/> of shares",
		"@s/cam/all/manifest.mpd":   "Not Found: ",
		"@c/cam/all/manifest.mpd":   "Not Found: ",
		"cam/ab/manifest.mpd":       "Conflict: ",
	} {
		if got := m.object(path); !strings.HasPrefix(got, want) || strings.HasPrefix(want, "<") && got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	// What is done by such a path is done to that recording.
	if code := m.call(http.MethodDelete, "/api/recordings/cam/all", "", nil); code != http.StatusNoContent || len(shares.recordings("cam")) != 1 || len(first.recordings("cam")) != 3 {
		t.Errorf("delete that of shared storage: %d", code)
	}
	if got := m.object("cam/all/manifest.mpd"); !strings.HasPrefix(got, "Conflict: ") {
		t.Errorf("with two left: %s", got)
	}
	if code := m.call(http.MethodPatch, "/api/recordings/@b/cam/ab", `{"protected":true}`, nil); code != http.StatusOK {
		t.Errorf("protect: %d", code)
	}
	if list := second.recordings("cam"); len(list) != 2 || list[0].Protected == list[1].Protected {
		t.Errorf("%+v", list)
	}
}

// movedManager is a manager of one node, whose configuration changes.
type movedManager struct {
	*server
	t    *testing.T
	cfg  *config.Liveman
	db   *catalogue.DB
	edge *archive
}

func newMovedManager(t *testing.T, place config.Storage, edge *archive) *movedManager {
	cfg := managerOf("sqlite://"+filepath.Join(t.TempDir(), "liveman.db"), place, map[string]*archive{"edge": edge})
	db := openCatalogue(t, string(cfg.Database.URL))
	t.Cleanup(func() { _ = db.Close() })
	return &movedManager{run(t, cfg), t, cfg, db, edge}
}

// restart starts the manager again with a change of its configuration.
func (m *movedManager) restart(change func(n *config.Node)) {
	m.t.Helper()
	m.stop()
	change(&m.cfg.Nodes[0])
	m.server = run(m.t, m.cfg)
}

// settle waits until the catalogue is what it should be and the node is followed.
func (m *movedManager) settle(want []string) {
	m.t.Helper()
	followedBy(m.t, m.db, want)
	level(m.t, m.server, map[string]*archive{m.cfg.Nodes[0].Alias: m.edge})
	followedBy(m.t, m.db, want)
}

// A node that keeps its recordings itself from now on: what it has in shared
// storage is there, plays, and can be deleted, as a rebuild says too.
func TestMovedToLocal(t *testing.T) {
	t.Parallel()
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	edge := newArchive(t, "berlin", place, nil)
	edge.add(nil, "cam/1795161600", "cam/1795165200")
	old := expected(t, "edge", false, finished("", "cam/1795161600"), finished("", "cam/1795165200"))
	m := newMovedManager(t, place, edge)
	m.settle(old)

	edge.place = config.Storage{Type: config.StorageFS, Root: filepath.Join(edge.dir, "own")}
	edge.store = openPlace(t, edge.place)
	edge.add(nil, "cam/1795168800", "cam/1795161600") // one of the same name as an old one
	edge.offline(func() { edge.rebuildOwn() })
	m.restart(func(n *config.Node) { n.LocalStorage = true })
	own := expected(t, "edge", true, finished("", "cam/1795168800"), finished("", "cam/1795161600"))
	m.settle(slices.Concat(old, own))
	for path, want := range map[string]string{"cam/1795165200": "<MPD/> of berlin", "@edge/cam/1795168800": "<MPD/> of berlin"} {
		if got := m.object(path + "/manifest.mpd"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if said, ok := rebuild(t, m.cfg); !ok {
		t.Error(said)
	}
	followedBy(t, m.db, slices.Concat(old, own))

	if code := m.call(http.MethodDelete, "/api/recordings/cam/1795161600", "", nil); code != http.StatusNoContent {
		t.Errorf("delete: %d", code)
	}
	if stored, err := (folder.Shared{Backend: openPlace(t, place)}).Has(t.Context(), "cam/1795161600"); stored || err != nil {
		t.Errorf("deleted from shared storage it is there: %v, %v", stored, err)
	}
	m.settle(slices.Concat(old[1:], own))
	if list := edge.recordings("cam"); len(list) != 2 {
		t.Errorf("the node has %+v", list)
	}
}

// A node that records to shared storage from now on, with what it had brought there.
func TestMovedToShared(t *testing.T) {
	t.Parallel()
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	edge := newArchive(t, "berlin", config.Storage{}, nil)
	edge.add(nil, "cam/1795161600", "cam/1795165200")
	both := []media.Recording{finished("", "cam/1795161600"), finished("", "cam/1795165200")}
	m := newMovedManager(t, place, edge)
	m.settle(expected(t, "edge", true, both...))

	edge.place, edge.store = place, openPlace(t, place)
	edge.add(nil, "cam/1795161600", "cam/1795165200")
	m.restart(func(n *config.Node) { n.LocalStorage = false })
	m.settle(expected(t, "edge", false, both...))
	if got := m.object("cam/1795161600/manifest.mpd"); got != "<MPD/> of berlin" {
		t.Error(got)
	}
	if said, ok := rebuild(t, m.cfg); !ok {
		t.Error(said)
	}
	followedBy(t, m.db, expected(t, "edge", false, both...))
}

// A node that has another alias with the manager, another name of its own and
// another URL, has the recordings that it had.
func TestRenamedInConfiguration(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
		at := place
		if local {
			at = config.Storage{}
		}
		edge := newArchive(t, "berlin", at, nil)
		edge.add(nil, "cam/1795161600", "cam/1795165200")
		m := newMovedManager(t, place, edge)
		list := []media.Recording{finished("", "cam/1795161600"), finished("", "cam/1795165200")}
		m.settle(expected(t, "edge", local, list...))

		edge.stop()
		edge.name = "bonn"
		edge.start(portlock.Address(t))
		edge.add(nil, "cam/1795168800")
		list = append(list, finished("", "cam/1795168800"))
		m.restart(func(n *config.Node) { n.Alias, n.URL = "hub", edge.url })
		m.settle(expected(t, "hub", local, list...))
		// From storage it is the same: by both of its names.
		deleteRows(t, m.db, "cam/1795161600", "cam/1795168800")
		if said, ok := rebuild(t, m.cfg); !ok {
			t.Error(said)
		}
		followedBy(t, m.db, expected(t, "hub", local, list...))
		nodes, err := m.db.Nodes(t.Context())
		if err != nil || len(nodes) != 1 || nodes[0].Alias != "hub" {
			t.Errorf("local %v: the manager knows %+v, %v", local, nodes, err)
		}
	}
}

// A node that registers by another name than before, from where it was, takes its
// own place; one that registers from elsewhere is followed there; and one that is
// in the configuration is not followed twice.
func TestRenamedRegistered(t *testing.T) {
	t.Parallel()
	place := config.Storage{Type: config.StorageFS, Root: t.TempDir()}
	cfg := managerOf("sqlite://"+filepath.Join(t.TempDir(), "liveman.db"), place, nil)
	cfg.Registration.Token = "let-me-in"
	db := openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	m := run(t, cfg)
	edge := newArchive(t, "berlin", config.Storage{}, func(c *config.Config) {
		c.Manager = config.Manager{URL: m.url, Token: "let-me-in", NodeURL: "http://" + c.HTTP.Listen, NodeToken: nodeToken, Register: 1}
	})
	edge.add(nil, "cam/1795161600")
	list := []media.Recording{finished("", "cam/1795161600")}
	followedBy(t, db, expected(t, "berlin", true, list...))

	edge.stop()
	edge.name = "bonn"
	edge.start(strings.TrimPrefix(edge.url, "http://"))
	followedBy(t, db, expected(t, "bonn", true, list...))
	aliases := func() (all []string) {
		var nodes []struct{ Alias string }
		m.call(http.MethodGet, "/api/nodes/", "", &nodes)
		for _, n := range nodes {
			all = append(all, n.Alias)
		}
		return all
	}
	if got := aliases(); !slices.Equal(got, []string{"bonn"}) {
		t.Errorf("the manager has %q", got)
	}
	until(t, "the old name is forgotten", func() bool { saved, err := db.Nodes(t.Context()); return err == nil && len(saved) == 1 })

	edge.stop()
	edge.start(portlock.Address(t))
	edge.add(nil, "cam/1795165200")
	list = append(list, finished("", "cam/1795165200"))
	followedBy(t, db, expected(t, "bonn", true, list...))

	// The configuration holds, also of one that had registered before.
	m.stop()
	cfg.Nodes = []config.Node{{Alias: "hub", URL: edge.url, Token: nodeToken, LocalStorage: true}}
	m = run(t, cfg)
	followedBy(t, db, expected(t, "hub", true, list...))
	if got := aliases(); !slices.Equal(got, []string{"hub"}) {
		t.Errorf("the manager has %q", got)
	}
	body := `{"alias":"bonn","url":"` + edge.url + `","token":"` + nodeToken + `","local_storage":true}`
	if resp, said := m.request(http.MethodPost, "/api/nodes", body, "Authorization", "Bearer let-me-in"); resp.StatusCode != http.StatusConflict || !strings.Contains(said, "hub") {
		t.Errorf("a node of the configuration registers by another name: %d %s", resp.StatusCode, said)
	}
}
