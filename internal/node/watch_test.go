//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
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
	"github.com/live777/recorder/internal/load"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/spool"
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

// publishUntil publishes a stream until the function that it returns is called.
func (n *testNode) publishUntil(stream string) (stop func()) {
	n.t.Helper()
	p, err := load.New(load.Options{
		URL: n.url + "/whip/" + stream, Video: open(n.t, "h264_baseline.h264"), Audio: open(n.t, "opus_stereo.ogg"),
		Duration: time.Hour, SenderReports: true,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Run(ctx) // which ends by being told to
	}()
	stop = func() {
		cancel()
		<-done
	}
	n.t.Cleanup(stop)
	return stop
}

// Objects of a recording that vanish while it runs are told of everywhere, as something
// that keeps nobody from recording, and no more when it has ended: its verdict says so.
func TestObjectsVanishWhileRecording(t *testing.T) {
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	stop := n.publishUntil("camera")
	var running recordAnswer
	n.until("the recording", func() bool {
		n.call(http.MethodGet, "/api/record/camera", "", &running)
		return running.RecordDir != ""
	})
	// They are gone before it is first looked for some, which is when a segment is whole.
	removed := 0
	n.until("its init segments", func() bool {
		inits, err := filepath.Glob(filepath.Join(n.root, running.RecordDir, "*_init*"))
		for _, name := range inits {
			removed++
			err = errors.Join(err, os.Remove(name))
		}
		if err != nil {
			t.Fatal(err)
		}
		return removed == 2
	})
	n.until("that it is told", func() bool { return strings.Contains(n.problems()["recordings"].Text, running.RecordDir) })
	var state struct {
		Problems json.RawMessage `json:"problems"`
		Reason   string          `json:"reason"`
	}
	for _, path := range []string{"/api/load", "/readyz"} {
		state.Problems = nil
		if code := n.call(http.MethodGet, path, "", &state); code != http.StatusOK || !strings.Contains(string(state.Problems), `"recordings"`) {
			t.Errorf("%s: %d, and wrong is %s", path, code, state.Problems)
		}
	}
	if n.problems()["recordings"].Serious {
		t.Error("lost objects keep others from being recorded")
	}
	const metric = `live777_problem{place="recordings",severity="minor"} 1`
	if text := n.metrics(); !strings.Contains(text, metric) {
		t.Errorf("the metrics have no %s", metric)
	}
	if n.call(http.MethodGet, "/api/record/camera", "", &state); !strings.Contains(state.Reason, "which it had taken") {
		t.Errorf("the status says %q", state.Reason)
	}
	var ended recordAnswer
	if n.call(http.MethodDelete, "/api/record/camera", "", &ended); ended.Status != string(media.StatusFailed) {
		t.Errorf("ended as %+v", ended)
	}
	stop()
	n.until("that nothing is wrong any more", func() bool { return len(n.problems()) == 0 && !strings.Contains(n.metrics(), metric) })
}

// metrics returns what Prometheus is told.
func (n *testNode) metrics() string {
	n.t.Helper()
	code, text := n.ask(http.MethodGet, "/metrics", "")
	if code != http.StatusOK {
		n.t.Fatalf("metrics: %d", code)
	}
	return string(text)
}

// What is wrong with a spool, and with the storage behind it, is told, and whether it keeps
// anybody from recording.
func TestSpoolProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		err     error
		text    string // empty: nothing is wrong
		serious bool
	}{
		"well":              {err: errors.Join(lookSpool(spool.Status{UsedBytes: 94, MaxBytes: 100}), lookRemote(spool.Status{}))},
		"without a bound":   {err: lookSpool(spool.Status{UsedBytes: 1 << 40})},
		"full":              {lookSpool(spool.Status{UsedBytes: 95, MaxBytes: 100}), "recorder.spool.max_bytes", true},
		"conflicts":         {lookSpool(spool.Status{Conflicts: 3}), "does not take 3 objects", false},
		"deleted":           {lookSpool(spool.Status{Lost: 2}), "2 objects are gone from the spool", false},
		"no uploads":        {lookRemote(spool.Status{Failing: true, LastError: "a login page"}), "a login page", false},
		"full, and deleted": {lookSpool(spool.Status{UsedBytes: 100, MaxBytes: 100, Lost: 2}), "2 objects are gone", true},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.text == "" {
				if tc.err != nil {
					t.Errorf("wrong is %v", tc.err)
				}
				return
			}
			if tc.err == nil || !strings.Contains(tc.err.Error(), tc.text) || health.IsMinor(tc.err) == tc.serious {
				t.Errorf("wrong is %v, minor: %v", tc.err, health.IsMinor(tc.err))
			}
		})
	}
}
