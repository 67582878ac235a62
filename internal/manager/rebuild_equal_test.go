//go:build !norecorder

package manager

import (
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
)

// What storage says makes the catalogue that following the nodes has made, entry by
// entry: whatever the manager calls the nodes, whatever these call themselves or
// called themselves before.
func rebuiltIsFollowed(t *testing.T, kind databaseKind, place config.Storage) {
	first, second := newArchive(t, "berlin", place, nil), newArchive(t, "paris", place, nil)
	own := newArchive(t, "rome", config.Storage{}, nil)
	nodes := map[string]*archive{"edge-1": first, "edge-2": second, "edge-3": own}

	first.add(nil, "cam/berlin/1795161600", "cam/berlin/1795165200", "door/1795161600")
	second.add(nil, "cam/paris/1795161600", "cam/paris/1795165200")
	second.add(func(r *media.Recording) { r.Node = "lyon" }, "cam/lyon/1795161600") // its name of last year
	own.add(nil, "cam/1795161600", "door/1795161600")                               // of which there is one in shared storage, too
	first.protect("door/1795161600")
	second.remove("cam/paris/1795165200")

	protected := finished("", "door/1795161600")
	protected.Protected = true
	lyon := finished("", "cam/lyon/1795161600")
	kept := expected(t, "edge-3", true, finished("", "cam/1795161600"), finished("", "door/1795161600"))
	want := slices.Concat(
		expected(t, "edge-1", false, finished("", "cam/berlin/1795161600"), finished("", "cam/berlin/1795165200"), protected),
		expected(t, "edge-2", false, finished("", "cam/paris/1795161600"), lyon),
		kept,
	)
	cfg := managerOf(kind.make(), place, nodes)
	db := openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	m := run(t, cfg)
	followedBy(t, db, want)
	m.stop()

	// The same database, of which much is lost and wrong.
	deleteRows(t, db, "cam/berlin/1795161600", "cam/lyon/1795161600", "@edge-3/cam/1795161600")
	wrong := finished("berlin", "door/1795161600")
	wrong.Bytes = 1
	gone := finished("edge-1", "cam/berlin/1795168800")
	if err := db.PutAll(t.Context(), []media.Recording{wrong, gone}); err != nil {
		t.Fatal(err)
	}
	if said, ok := rebuild(t, cfg); !ok {
		t.Error(said)
	}
	followedBy(t, db, want)
	if said, ok := rebuild(t, cfg); !ok || !strings.Contains(said, `"added":0,"updated":0,"removed":0`) {
		t.Errorf("once more: %s", said)
	}

	// A new database, with the nodes there to say what they are called.
	fresh := *cfg
	fresh.Database.URL = config.DatabaseURL(kind.make())
	withNames := fresh
	withNames.Nodes = slices.Clone(fresh.Nodes)
	for i, n := range withNames.Nodes {
		if n.Alias == "edge-2" {
			withNames.Nodes[i].NodeAliases = []string{"lyon"}
		}
	}
	if said, ok := rebuild(t, &withNames); !ok {
		t.Error(said)
	}
	holds(t, &withNames, want)

	// From storage alone: of the nodes only the one is up that keeps its recordings.
	first.stop()
	second.stop()
	alone := withNames
	alone.Database.URL = config.DatabaseURL(kind.make())
	alone.Nodes = slices.Clone(withNames.Nodes)
	for i, n := range alone.Nodes {
		alone.Nodes[i].NodeAliases = map[string][]string{"edge-1": {"berlin"}, "edge-2": {"paris", "lyon"}}[n.Alias]
	}
	if said, ok := rebuild(t, &alone); !ok {
		t.Error(said)
	}
	holds(t, &alone, want)

	// With nobody to ask recordings have the names that they were made with, until
	// their nodes are there again.
	unknown := fresh
	unknown.Database.URL = config.DatabaseURL(kind.make())
	if said, ok := rebuild(t, &unknown); !ok {
		t.Error(said)
	}
	named := slices.Concat(
		expected(t, "berlin", false, finished("", "cam/berlin/1795161600"), finished("", "cam/berlin/1795165200"), protected),
		expected(t, "paris", false, finished("", "cam/paris/1795161600")), expected(t, "lyon", false, lyon),
		kept,
	)
	holds(t, &unknown, named)
	first.start(strings.TrimPrefix(first.url, "http://"))
	second.start(strings.TrimPrefix(second.url, "http://"))
	m = run(t, &unknown)
	again := openCatalogue(t, string(unknown.Database.URL))
	defer func() { _ = again.Close() }()
	followedBy(t, again, want)
	level(t, m, nodes)
	m.stop()
	followedBy(t, again, want)
	if said, ok := rebuild(t, &unknown); !ok || !strings.Contains(said, `"added":0,"updated":0,"removed":0`) {
		t.Errorf("once it is known what they are called: %s", said)
	}
	followedBy(t, again, want)

	// What somebody has deleted from storage goes, and does not come back, though its
	// node, which was not told, still has it in its catalogue.
	lost := "cam/berlin/1795165200"
	for o, err := range first.store.List(t.Context(), lost) {
		if err == nil {
			err = first.store.Delete(t.Context(), o.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if said, ok := rebuild(t, &unknown); !ok || !strings.Contains(said, `"removed":1`) {
		t.Errorf("of what is not in storage: %s", said)
	}
	want = slices.DeleteFunc(want, func(e string) bool { return strings.HasPrefix(e, lost+" ") })
	m = run(t, &unknown)
	followedBy(t, again, want)
	level(t, m, nodes)
	followedBy(t, again, want)
	first.offline(func() { first.rebuildOwn() })
	if list := first.recordings("cam"); len(list) != 3 { // shared storage has those of paris, too
		t.Errorf("the node still has %+v", list)
	}
	level(t, m, nodes)
	followedBy(t, again, want)
}

// holds compares the catalogue of a configuration with what it should be.
func holds(t *testing.T, cfg *config.Liveman, want []string) {
	t.Helper()
	db := openCatalogue(t, string(cfg.Database.URL))
	defer func() { _ = db.Close() }()
	slices.Sort(want)
	if got := entries(t, db); !slices.Equal(got, want) {
		t.Errorf("the catalogue is not what it should be:\n%s", difference(got, want))
	}
}
