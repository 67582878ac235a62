//go:build !norecorder

package node

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/config"
	"github.com/live777/recorder/internal/health"
	"github.com/live777/recorder/internal/media"
)

// problems returns what a node says is wrong, by place.
func (n *testNode) problems() map[string]health.Problem {
	n.t.Helper()
	var answer struct{ Problems []health.Problem }
	if code := n.call(http.MethodGet, "/api/problems", "", &answer); code != http.StatusOK {
		n.t.Fatalf("GET /api/problems: %d", code)
	}
	all := map[string]health.Problem{}
	for _, p := range answer.Problems {
		all[p.Place] = p
	}
	return all
}

// until waits until done, and fails the test when it takes too long.
func (n *testNode) until(what string, done func() bool) {
	n.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("waited in vain for %s; the node says that %+v", what, n.problems())
		}
	}
}

// A storage root that is renamed while it is recorded to: what was recorded ends with
// a verdict that says so, what comes is in the new root, and the node tells.
func TestRootReplaced(t *testing.T) {
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	n.publishShort("camera")
	if p := n.problems(); len(p) != 0 {
		t.Errorf("before: %+v", p)
	}
	var running recordAnswer
	n.call(http.MethodGet, "/api/record/camera", "", &running)
	if err := os.Rename(n.root, n.root+".old"); err != nil {
		t.Fatal(err)
	}
	n.until("that it is told", func() bool { return strings.Contains(n.problems()["storage"].Text, "was replaced") })
	if n.problems()["storage"].Serious || n.call(http.MethodGet, "/readyz", "", nil) != http.StatusOK {
		t.Error("a root that was opened anew keeps from recording")
	}
	n.call(http.MethodDelete, "/api/record/camera", "", nil)
	n.publishShort("later")
	var ended recordAnswer
	if code := n.call(http.MethodDelete, "/api/record/later", "", &ended); code != 200 || ended.Status != string(media.StatusComplete) {
		t.Errorf("stop: %d %+v", code, ended)
	}
	if _, err := os.Stat(filepath.Join(n.root, ended.RecordDir, media.ManifestName)); err != nil {
		t.Errorf("what is recorded now: %v", err)
	}
	for _, row := range n.catalogued() {
		if strings.Contains(row, running.RecordDir) && strings.Contains(row, `"complete"`) {
			t.Errorf("the recording whose root went away: %s", row)
		}
	}
}

// A root that cannot be opened is serious.
func TestRootInTheWay(t *testing.T) {
	dir := t.TempDir()
	folder, file, link := filepath.Join(dir, "folder"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, nil, 0o600), os.Symlink(folder, link), os.Symlink(file, link+".next")); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, func(c *config.Config) { c.Recorder.Storage.Root = link })
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	n.until("that it is told", func() bool { return n.problems()["storage"].Serious })
	if code := n.call(http.MethodGet, "/readyz", "", nil); code != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", code)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	n.until("that it is mended", func() bool { return n.call(http.MethodGet, "/readyz", "", nil) == http.StatusOK })
}

// A catalogue that is empty, older than storage or another one is made from storage by
// the node itself, at its start.
func TestCatalogueRestored(t *testing.T) {
	var cfg *config.Config
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams, cfg = []string{"*"}, c })
	file := strings.TrimPrefix(string(cfg.Database.URL), "sqlite://")
	record := func(n *testNode, stream string) {
		t.Helper()
		n.publishShort(stream)
		if code := n.call(http.MethodDelete, "/api/record/"+stream, "", nil); code != 200 {
			t.Fatalf("stop: %d", code)
		}
	}
	restart := func() { n = startNode(t, func(c *config.Config) { *c = *cfg }) }
	record(n, "one")
	n.stop()
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	restart()
	record(n, "two")
	want := n.catalogued()
	n.stop()
	remove := func() {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(file + suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	notes := filepath.Join(n.root, journalFolder, stampName)
	for name, lose := range map[string]func() error{
		"older":                       func() error { return os.WriteFile(file, backup, 0o600) },
		"another":                     func() error { return nil },
		"empty, and nothing is known": func() error { return os.Remove(notes) },
	} {
		remove()
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		restart()
		n.until(name+": that it is made from storage", func() bool { return slices.Equal(n.catalogued(), want) })
		n.until(name+": that nothing is wrong any more", func() bool { return len(n.problems()) == 0 })
		n.stop()
	}
}
