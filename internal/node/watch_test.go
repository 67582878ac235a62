//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/eventlog"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/spool"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
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
	defer func() {
		if n.t.Failed() {
			n.t.Logf("the node says that %+v", n.problems())
		}
	}()
	await.Until(n.t, what, done)
}

// A storage root that is renamed while it is recorded to: what was recorded ends with
// a verdict that says so, what comes is in the new root, and the node tells.
func TestRootReplaced(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	n.until("events of both", func() bool {
		return slices.Contains(n.happened(), eventlog.ProblemBegan) && slices.Contains(n.happened(), eventlog.ProblemEnded)
	})
}

// A catalogue that is empty, older than storage or another one is made from storage by
// the node itself, at its start.
func TestCatalogueRestored(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

// A spool that is removed while it is recorded to, and remote storage takes nothing, is
// seen and told everywhere, and made anew. What was in it is lost: no recording of it is
// complete, and those that come are whole.
func TestSpoolRemoved(t *testing.T) {
	t.Parallel()
	n, server, proxy := bucketNode(t)
	proxy.Inject(miniotest.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"})
	waiting := n.short("waiting")
	if rec := waiting(); rec.Status != media.StatusComplete || rec.DurableThrough != 0 {
		t.Fatalf("before: %s (%s), durable through %v", rec.Status, rec.Reason, rec.DurableThrough)
	}
	stop := n.publishUntil("camera")
	running := n.running("camera")
	n.remove(n.spool)
	n.until("that it is told", func() bool {
		text := n.problems()["spool"].Text
		return strings.Contains(text, "was removed or replaced") && strings.Contains(text, "objects are gone")
	})
	n.tellsEverywhere("spool", "minor", http.StatusOK)
	n.until("the verdict of what waited", func() bool { return waiting().Status == media.StatusFailed })
	if rec := waiting(); !strings.Contains(rec.Reason, "gone from the spool") {
		t.Errorf("the reason is %q", rec.Reason)
	}
	n.until("the verdict of what ran", func() bool { return running().Status == media.StatusFailed })
	n.until("that what runs now is noted", func() bool {
		notes, err := filepath.Glob(filepath.Join(n.spool, journalFolder, "*.journal"))
		_, named := os.Stat(filepath.Join(n.spool, remoteName))
		return err == nil && named == nil && len(notes) > 0
	})
	stop()
	later := n.short("later")
	proxy.Clear()
	n.until("that all that comes is stored", func() bool { rec := later(); return rec.DurableThrough > 0 && rec.DurableThrough == rec.Duration })
	if rec := later(); rec.Status != media.StatusComplete {
		t.Errorf("what came later: %s (%s)", rec.Status, rec.Reason)
	}
	for _, rec := range []media.Recording{waiting(), running()} {
		n.until("that remote storage knows", func() bool {
			told, err := n.remoteInfo(server, rec.RecordDir)
			if told.Status == media.StatusComplete {
				t.Fatalf("%s is complete in remote storage", rec.RecordDir)
			}
			return err == nil && told.Status == media.StatusFailed
		})
		if rec.Status != media.StatusFailed || rec.DurableThrough > 0 {
			t.Errorf("%s: %s (%s), durable through %v", rec.RecordDir, rec.Status, rec.Reason, rec.DurableThrough)
		}
		if code := n.call(http.MethodDelete, "/api/recordings/"+rec.RecordDir, "", nil); code != http.StatusOK && code != http.StatusNoContent {
			t.Errorf("delete: %d", code)
		}
	}
	n.until("that nothing is lost any more", func() bool { return !strings.Contains(n.problems()["spool"].Text, "objects are gone") })
}

// A spool that cannot be made anew keeps from recording, and is told everywhere until it
// is mended.
func TestSpoolInTheWay(t *testing.T) {
	t.Parallel()
	n, _, _ := bucketNode(t)
	n.until("a file in its place", func() bool { // the node may be faster, and makes the folder anew
		return errors.Join(os.RemoveAll(n.spool), os.WriteFile(n.spool, nil, 0o600)) == nil
	})
	n.until("that it is told", func() bool { return n.problems()["spool"].Serious })
	n.tellsEverywhere("spool", "serious", http.StatusServiceUnavailable)
	if text := n.problems()["spool"].Text; !strings.Contains(text, "recorder.spool.dir") || !strings.Contains(text, "make it writable") {
		t.Errorf("what is told: %s", text)
	}
	if err := os.Remove(n.spool); err != nil {
		t.Fatal(err)
	}
	n.until("that it is mended", func() bool { return n.call(http.MethodGet, "/readyz", "", nil) == http.StatusOK })
	row := n.short("camera")
	n.until("that all is stored", func() bool { rec := row(); return rec.DurableThrough > 0 && rec.DurableThrough == rec.Duration })
	if rec := row(); rec.Status != media.StatusComplete {
		t.Errorf("%s (%s)", rec.Status, rec.Reason)
	}
}

// The folder of what is noted of recordings that run, for the case of a crash, may be
// removed: it is made anew with all that it had, and nothing is missing.
func TestNotesRemoved(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	stop := n.publishUntil("camera")
	n.running("camera")
	notes := filepath.Join(n.root, journalFolder)
	n.until("that it is noted", func() bool { _, err := os.Stat(filepath.Join(notes, stampName)); return err == nil })
	before := n.notes(notes)
	n.remove(notes)
	n.until("that it is noted again", func() bool {
		_, err := os.Stat(filepath.Join(notes, stampName))
		after := n.notes(notes)
		return err == nil && len(after) == len(before) && strings.HasPrefix(strings.Join(after, ""), strings.Join(before, ""))
	})
	if p := n.problems(); len(p) > 0 {
		t.Errorf("told is %+v", p)
	}
	var ended recordAnswer
	if code := n.call(http.MethodDelete, "/api/record/camera", "", &ended); code != http.StatusOK || ended.Status != string(media.StatusComplete) {
		t.Errorf("stop: %d %+v", code, ended)
	}
	n.until("that what has ended is noted no more", func() bool { return len(n.notes(notes)) == 0 })
	stop()
}

// notes returns what is noted of the recordings that run.
func (n *testNode) notes(folder string) (all []string) {
	n.t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.journal"))
	for _, name := range names {
		data, readErr := os.ReadFile(name)
		if errors.Is(readErr, os.ErrNotExist) {
			continue // its recording has just ended
		}
		err = errors.Join(err, readErr)
		all = append(all, string(data))
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return all
}

// running waits until a recording of a stream has media, and returns what the catalogue
// has of it.
func (n *testNode) running(stream string) (row func() media.Recording) {
	n.t.Helper()
	var answer struct {
		RecordDir string  `json:"record_dir"`
		Duration  float64 `json:"duration"`
	}
	n.until("media of "+stream, func() bool {
		n.call(http.MethodGet, "/api/record/"+stream, "", &answer)
		return answer.Duration > 0
	})
	return func() (rec media.Recording) {
		n.call(http.MethodGet, "/api/recordings/"+answer.RecordDir, "", &rec)
		return rec
	}
}

// remove removes a folder at once, however much is written to it meanwhile.
func (n *testNode) remove(folder string) {
	n.t.Helper()
	former := folder + ".old"
	if err := os.Rename(folder, former); err != nil {
		n.t.Fatal(err)
	}
	n.until("that nothing is left of "+former, func() bool { return os.RemoveAll(former) == nil })
}

// tellsEverywhere wants a problem to be told wherever it is looked for.
func (n *testNode) tellsEverywhere(place, severity string, ready int) {
	n.t.Helper()
	for path, status := range map[string]int{"/api/problems": http.StatusOK, "/api/load": http.StatusOK, "/readyz": ready} {
		var state struct{ Problems json.RawMessage }
		if code := n.call(http.MethodGet, path, "", &state); code != status || !strings.Contains(string(state.Problems), `"`+place+`"`) {
			n.t.Errorf("%s: %d, and wrong is %s", path, code, state.Problems)
		}
	}
	if metric, text := `live777_problem{place="`+place+`",severity="`+severity+`"} 1`, n.metrics(); !strings.Contains(text, metric) {
		n.t.Errorf("the metrics have no %s", metric)
	}
}

// remoteInfo returns what recording.json in the bucket says.
func (n *testNode) remoteInfo(server *miniotest.Server, dir string) (rec media.Recording, err error) {
	key := path.Join(dir, media.InfoName)
	o, err := server.Client().GetObject(n.t.Context(), &s3.GetObjectInput{Bucket: &server.Bucket, Key: &key})
	if err != nil {
		return rec, err
	}
	data, err := io.ReadAll(o.Body)
	if err = errors.Join(err, o.Body.Close()); err == nil {
		rec, _, err = media.DecodeRecording(data, dir)
	}
	return rec, err
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
