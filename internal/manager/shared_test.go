//go:build !norecorder

package manager

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage/fs"
)

// Two nodes that record the same stream to shared storage never meet in a folder,
// whoever starts them, nor after a rotation.
func TestCopiesInSharedStorage(t *testing.T) {
	t.Parallel()
	shared := t.TempDir()
	onShared := func(c *config.Config) {
		c.Recorder.Storage.Root, c.Recorder.MaxRecording = shared, 2
	}
	a, b := startNode(t, "a", t.TempDir(), onShared), startNode(t, "b", t.TempDir(), onShared)
	m := startManager(t, t.TempDir(), map[string]*server{"a": a, "b": b}, func(c *config.Liveman) {
		c.Storage = config.Storage{Type: config.StorageFS, Root: shared}
		c.AutoRecord = config.AutoRecord{Streams: []string{"auto"}, Copies: "all", Retry: 1}
	})
	for _, n := range []*server{a, b} {
		n.publish("auto")
		n.publish("manual")
	}
	until(t, "both nodes have the stream", func() bool {
		var s api.FleetStream
		m.call(http.MethodGet, "/api/streams/manual", "", &s)
		return len(s.Nodes) == 2 && len(s.Publish.Sessions) == 2
	})
	for _, node := range []string{"a", "b", "a"} { // once more is the same recording
		if resp, body := m.request(http.MethodPost, "/api/record/manual?node="+node, ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"manual/`+node+`/`) {
			t.Errorf("start on %s: %d %s", node, resp.StatusCode, body)
		}
	}
	dirs := map[string]bool{}
	for range 4 { // most of them in the same second, and before the node has told that it was stopped
		var started recordAnswer
		if code := m.call(http.MethodDelete, "/api/record/manual?node=a", "", nil); code != http.StatusOK {
			t.Errorf("stop: %d", code)
		}
		if code := m.call(http.MethodPost, "/api/record/manual?node=a", "", &started); code != http.StatusOK || dirs[started.RecordDir] || !strings.HasPrefix(started.RecordDir, "manual/a/") {
			t.Errorf("start again: %d %+v", code, started)
		}
		dirs[started.RecordDir] = true
	}
	for _, stream := range []string{"auto", "manual"} {
		until(t, "there are rotated recordings of both nodes", func() bool {
			count := map[string]int{}
			for _, r := range m.recordings(stream) {
				if !strings.HasPrefix(r.RecordDir, stream+"/"+r.Node+"/") || r.RecordID == "" {
					t.Fatalf("a recording of %s is in %s", r.Node, r.RecordDir)
				}
				count[r.Node]++
			}
			return count["a"] > 1 && count["b"] > 1
		})
	}
}

// A recording that has the stream's folder by its base_dir keeps no other of the stream
// from being recorded: that is beside it.
func TestCopiesBesideBaseDir(t *testing.T) {
	t.Parallel()
	shared := t.TempDir()
	onShared := func(c *config.Config) { c.Recorder.Storage.Root = shared }
	a, b := startNode(t, "a", t.TempDir(), onShared), startNode(t, "b", t.TempDir(), onShared)
	m := startManager(t, t.TempDir(), map[string]*server{"a": a, "b": b}, func(c *config.Liveman) {
		c.Storage = config.Storage{Type: config.StorageFS, Root: shared}
	})
	a.publish("cam")
	b.publish("cam")
	until(t, "both nodes have the stream", func() bool {
		var s api.FleetStream
		m.call(http.MethodGet, "/api/streams/cam", "", &s)
		return len(s.Nodes) == 2 && len(s.Publish.Sessions) == 2
	})
	var started recordAnswer
	if code := m.call(http.MethodPost, "/api/record/cam?node=a", `{"base_dir":"cam"}`, &started); code != http.StatusOK || started.RecordDir != "cam" {
		t.Fatalf("start with a base_dir: %d %+v", code, started)
	}
	if code := m.call(http.MethodPost, "/api/record/cam?node=b", "", &started); code != http.StatusOK || !strings.HasPrefix(started.RecordDir, "cam-2/") {
		t.Errorf("start of the other: %d %+v", code, started)
	}
}

// Where two nodes tell of the same folder of shared storage, the catalogue has the
// recording that is there.
func TestOneFolderOfTwoNodes(t *testing.T) {
	t.Parallel()
	store, err := fs.New(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	db, err := catalogue.Open(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	f := newFleet(fleetOptions{Catalogue: db, Storage: store, Poll: time.Second, Timeout: time.Second, Now: time.Now, Logger: logger(t)})
	defer f.close()
	end := time.Now()
	recordedBy := func(node string) media.Recording {
		return media.Recording{Stream: "cam", RecordDir: "cam/1767366245", Node: node, Start: end, End: &end, Status: media.StatusComplete}
	}
	data, err := media.EncodeRecording(recordedBy("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), "cam/1767366245/recording.json", strings.NewReader(string(data)), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	tell := func(alias string) {
		n := newNode(f, alias, configured, "http://127.0.0.1:1", "", false)
		r := recordedBy(alias)
		page := &follow.Page{Feed: "f", Next: 1, Changes: []media.Change{{Seq: 1, RecordDir: r.RecordDir, Recording: &r}}}
		if err := n.feed.Apply(t.Context(), follow.At("f"), page); err != nil {
			t.Fatal(err)
		}
	}
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		if err := db.Delete(t.Context(), "cam/1767366245"); err != nil {
			t.Fatal(err)
		}
		for _, alias := range order {
			tell(alias)
		}
		if r, err := db.Get(t.Context(), "cam/1767366245"); err != nil || r.Node != "a" {
			t.Errorf("told by %q: it is %q's, %v", order, r.Node, err)
		}
	}
}

// Who has a registration token can have a node tell of the recordings of another, by that
// one's name and before it does. They are the other's all the same, where the manager can
// know it: by its configuration, or by the alias, which nobody else can take.
func TestNameOfAnother(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{"configured": configured, "registered": registered} {
		for _, order := range [][]string{{"evil", "cam-1", "evil"}, {"cam-1", "evil", "cam-1"}} {
			f, db, store := newTestFleet(t)
			nodes := map[string]*node{
				"evil": newNode(f, "evil", registered, "http://127.0.0.1:1", "", false), "cam-1": newNode(f, "cam-1", source, "http://127.0.0.1:2", "", false),
			}
			r := completeRecording("cam-1", "cam/1767366245")
			describe(t, store, r)
			for _, alias := range order {
				n := nodes[alias]
				f.nodes[alias] = n
				n.probed(nodeInfo{Info: api.Info{Node: "cam-1"}}, 0, nil)
				if err := n.feed.Introduce(t.Context()); err != nil {
					t.Fatal(err)
				}
				page := &follow.Page{Feed: "f", Next: 1, Changes: []media.Change{{Seq: 1, RecordDir: r.RecordDir, Recording: &r}}}
				if err := n.feed.Apply(t.Context(), follow.At("f"), page); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := db.Get(t.Context(), r.RecordDir); err != nil || got.Node != "cam-1" {
				t.Errorf("%s, told by %q: it is %q's, %v", name, order, got.Node, err)
			}
			f.close()
		}
	}
}
