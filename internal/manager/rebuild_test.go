//go:build !norecorder

package manager

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
)

// From storage alone, and from what nodes keep themselves, an empty database
// becomes what the lost one was.
func TestRebuild(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		shared := t.TempDir()
		edge := startNode(t, "edge", t.TempDir(), func(c *config.Config) { c.Recorder.Storage.Root = shared })
		change := func(c *config.Liveman) {
			if !local {
				c.Storage = config.Storage{Type: config.StorageFS, Root: shared}
			}
		}
		m := startManager(t, t.TempDir(), map[string]*server{"edge": edge}, change)
		stop := edge.publish("cam")
		until(t, "it records", func() bool { return m.call(http.MethodPost, "/api/record/cam", "", nil) == http.StatusOK })
		edge.awaitMedia("cam")
		m.call(http.MethodDelete, "/api/record/cam", "", nil)
		stop()
		until(t, "it is listed", func() bool { l := m.recordings("cam"); return len(l) == 1 && l[0].End != nil })
		want, err := json.Marshal(m.recordings("cam"))
		if err != nil {
			t.Fatal(err)
		}
		m.stop()
		if !local {
			edge.stop() // storage alone
		}

		cfg := config.DefaultLiveman()
		cfg.HTTP.Listen = "127.0.0.1:0"
		cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(t.TempDir(), "new.db"))
		cfg.Nodes = []config.Node{{Alias: "edge", URL: edge.url, Token: nodeToken}}
		change(cfg)
		var said bytes.Buffer
		if ok, err := Rebuild(t.Context(), cfg, Command{JSON: true, Stdout: &said, Stderr: t.Output(), Logger: logger(t)}); err != nil || !ok {
			t.Fatalf("rebuild: %v %v %s", ok, err, said.String())
		}
		edge.stop()
		again := startManager(t, t.TempDir(), nil, func(c *config.Liveman) { *c = *cfg })
		if got, _ := json.Marshal(again.recordings("cam")); !bytes.Equal(got, want) {
			t.Errorf("local %v: %s, before it was %s", local, got, want)
		}
		fillsWhatIsLost(t, cfg, shared, local)
		// A node that cannot be asked is said, and takes nothing away.
		if ok, err := Rebuild(t.Context(), cfg, Command{Stdout: &said, Stderr: t.Output(), Logger: logger(t)}); err != nil || ok == local {
			t.Errorf("local %v, with the node down: %v %v %s", local, ok, err, said.String())
		}
		if len(again.recordings("cam")) != 1 {
			t.Error("the recording is gone")
		}
	}
}

// fillsWhatIsLost takes a segment away from storage: a rebuild that is asked to stores
// another one in its place, if the storage is shared.
func fillsWhatIsLost(t *testing.T, cfg *config.Liveman, storage string, local bool) {
	t.Helper()
	lost, err := filepath.Glob(filepath.Join(storage, "cam", "*", "*_seg_0001.*"))
	if err != nil || len(lost) == 0 {
		t.Fatalf("there is no segment: %v", err)
	}
	if err := os.Remove(lost[0]); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	_, err = Rebuild(t.Context(), cfg, Command{JSON: true, Fill: true, Stdout: &said, Stderr: t.Output(), Logger: logger(t)})
	if _, stat := os.Stat(lost[0]); local != (stat != nil) || local != (fault.KindOf(err) == fault.Invalid && err != nil) || local == strings.Contains(said.String(), `"filled":1`) {
		t.Errorf("local %v, -fill: %v, %v %s", local, err, stat, said.String())
	}
}
