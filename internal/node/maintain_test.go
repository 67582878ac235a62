//go:build !norecorder

package node

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
)

// catalogued returns all recordings that a node lists, as JSON.
func (n *testNode) catalogued() []string {
	n.t.Helper()
	changes, _ := n.feed("0&limit=200")
	slices.SortFunc(changes, func(a, b media.Change) int { return strings.Compare(a.RecordDir, b.RecordDir) })
	var all []string
	for _, c := range changes {
		if c.Deleted {
			continue
		}
		data, err := json.Marshal(c.Recording)
		if err != nil {
			n.t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

// command runs Rebuild or Verify over what a node has.
func command(t *testing.T, cfg *config.Config, rebuild bool, prefixes ...string) (ok bool, output string, err error) {
	t.Helper()
	var out bytes.Buffer
	c := Command{Prefixes: prefixes, Stdout: &out, Stderr: t.Output()}
	if rebuild {
		ok, err = Rebuild(t.Context(), cfg, c)
	} else {
		ok, err = Verify(t.Context(), cfg, c)
	}
	return ok, out.String(), err
}

// TestRebuildAndVerify: recordings of a node are all right, and the catalogue that
// was lost comes back as it was; beside a node that is recording neither disturbs it.
func TestRebuildAndVerify(t *testing.T) {
	t.Parallel()
	var cfg *config.Config
	setup := func(c *config.Config) { c.Recorder.AutoStreams, cfg = []string{"*"}, c }
	n := startNode(t, setup)
	var wg sync.WaitGroup
	for _, stream := range []string{"one", "two", "three"} {
		wg.Go(func() { n.publishShort(stream) })
	}
	wg.Wait()
	var dirs []string
	for _, stream := range []string{"one", "two"} { // the third goes on
		var ended recordAnswer
		if code := n.call(http.MethodDelete, "/api/record/"+stream, "", &ended); code != 200 {
			t.Fatalf("stop: %d", code)
		}
		dirs = append(dirs, ended.RecordDir)
	}
	if code := n.call(http.MethodPatch, "/api/recordings/"+dirs[0], `{"protected": true}`, nil); code != 200 {
		t.Errorf("PATCH: %d", code)
	}
	before := n.catalogued()
	if ok, out, err := command(t, cfg, true); !ok || err != nil || !strings.Contains(out, "3 recordings in storage: 0 added") || !strings.Contains(out, "is not sealed") {
		t.Errorf("rebuild beside a node: %v, %v\n%s", ok, err, out)
	}
	if ok, out, err := command(t, cfg, false); !ok || err != nil || !strings.Contains(out, "all good; 1 running") {
		t.Errorf("verify beside a node: %v, %v\n%s", ok, err, out)
	}
	if got := n.catalogued(); !slices.Equal(got, before) {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
	}
	var ended recordAnswer
	if code := n.call(http.MethodDelete, "/api/record/three", "", &ended); code != 200 || ended.Status != string(media.StatusComplete) {
		t.Errorf("stop: %d %+v", code, ended)
	}
	before = n.catalogued()
	n.stop()

	file := strings.TrimPrefix(string(cfg.Database.URL), "sqlite://")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(file + suffix); err != nil {
			t.Fatal(err)
		}
	}
	if ok, out, err := command(t, cfg, false); ok || err != nil || strings.Count(out, "is not in the catalogue") != 3 {
		t.Errorf("verify without a catalogue: %v, %v\n%s", ok, err, out)
	}
	if ok, out, err := command(t, cfg, true); !ok || err != nil || !strings.Contains(out, "3 added") {
		t.Errorf("rebuild: %v, %v\n%s", ok, err, out)
	}
	if ok, out, err := command(t, cfg, false); !ok || err != nil || !strings.Contains(out, "all good") {
		t.Errorf("verify: %v, %v\n%s", ok, err, out)
	}
	again := startNode(t, func(c *config.Config) { *c = *cfg })
	if got := again.catalogued(); !slices.Equal(got, before) {
		t.Errorf("the catalogue has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
	}
	again.stop()

	if err := os.Remove(filepath.Join(n.root, dirs[1], "v_seg_0001.m4s")); err != nil {
		t.Fatal(err)
	}
	if ok, out, err := command(t, cfg, false); ok || err != nil || !strings.Contains(out, dirs[1]+"/v_seg_0001.m4s: the manifest names it") {
		t.Errorf("verify of a damaged recording: %v, %v\n%s", ok, err, out)
	}
	if ok, out, err := command(t, cfg, false, "/"+dirs[0]+"/"); !ok || err != nil {
		t.Errorf("verify of another: %v, %v\n%s", ok, err, out)
	}
	if ok, out, err := command(t, cfg, false, "."); ok || err != nil || !strings.Contains(out, "3 recordings") {
		t.Errorf("verify of everything: %v, %v\n%s", ok, err, out)
	}
	for _, slip := range []string{"oen", "storage/one", dirs[0] + "0"} {
		if ok, out, err := command(t, cfg, false, "two", slip); ok || err == nil || !strings.Contains(err.Error(), slip) {
			t.Errorf("verify of %s, which is not there: %v, %v\n%s", slip, ok, err, out)
		}
	}
	cfg.Recorder.Storage.Root += "-absent"
	for _, rebuild := range []bool{false, true} {
		if ok, _, err := command(t, cfg, rebuild); ok || err == nil || !strings.Contains(err.Error(), "recorder.storage.root") {
			t.Errorf("without storage: %v, %v", ok, err)
		}
	}
}
