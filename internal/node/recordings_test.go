//go:build !norecorder

package node

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// publishShort publishes a stream for two seconds.
func (n *testNode) publishShort(stream string) {
	n.t.Helper()
	p, err := load.New(load.Options{
		URL: n.url + "/whip/" + stream, Video: open(n.t, "h264_baseline.h264"), Audio: open(n.t, "opus_stereo.ogg"),
		Duration: 2 * time.Second, SenderReports: true,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := p.Run(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// feed follows the changes of recordings from a place on.
func (n *testNode) feed(since string) (changes []media.Change, next int64) {
	n.t.Helper()
	var page struct {
		Feed    string
		Changes []media.Change
		Next    int64
	}
	if code := n.call(http.MethodGet, "/api/recordings?since="+since, "", &page); code != 200 || page.Feed == "" {
		n.t.Fatalf("GET /api/recordings: %d %+v", code, page)
	}
	return page.Changes, page.Next
}

// TestProtectAndDelete: a recording by its API from its first second to its end.
func TestProtectAndDelete(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	n.publishShort("camera")
	var status recordAnswer
	if code := n.call(http.MethodGet, "/api/record/camera", "", &status); code != 200 || !status.Recording {
		t.Fatalf("GET /api/record/camera: %d %+v", code, status)
	}
	resource := "/api/recordings/" + status.RecordDir
	if code := n.call(http.MethodDelete, resource, "", nil); code != http.StatusConflict {
		t.Errorf("DELETE of a recording that runs: %d", code)
	}
	if code := n.call(http.MethodDelete, "/api/record/camera", "", nil); code != 200 {
		t.Fatalf("stop: %d", code)
	}
	var rec media.Recording
	if code := n.call(http.MethodGet, resource, "", &rec); code != 200 || rec.Status != media.StatusComplete || len(rec.Tracks) != 2 {
		t.Errorf("GET: %d %+v", code, rec)
	}
	for _, want := range []string{
		`live777_recordings_total{reason="none",status="complete"} 1`, `live777_stream_segments_total{kind="video",layer="0",stream="camera"} `,
		`live777_disk_free_bytes{disk="storage"} `, `live777_database_seconds_count `, `live777_requests_total{code="200",method="GET",route="/api/record/{stream}"} 1`,
	} {
		if text := n.metrics(); !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if code := n.call(http.MethodPatch, resource, `{"protected": true}`, &rec); code != 200 || !rec.Protected {
		t.Errorf("PATCH: %d %+v", code, rec)
	}
	if code := n.call(http.MethodDelete, resource, "", nil); code != http.StatusConflict {
		t.Errorf("DELETE of a protected recording: %d", code)
	}
	if code := n.call(http.MethodPatch, resource, `{"protected": false}`, nil); code != 200 {
		t.Errorf("PATCH: %d", code)
	}
	changes, next := n.feed("0")
	if len(changes) != 1 || changes[0].RecordDir != rec.RecordDir || changes[0].Recording == nil || changes[0].Recording.Bytes != rec.Bytes {
		t.Errorf("the feed has %+v", changes)
	}
	foreign := filepath.Join(n.root, rec.RecordDir, "notes.txt")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := n.call(http.MethodDelete, resource, "", nil); code != http.StatusNoContent {
		t.Errorf("DELETE: %d", code)
	}
	for _, path := range []string{resource, "/api/record/object/" + rec.MPDPath, "/api/record/object/" + rec.RecordDir + "/v_init.m4s"} {
		if code := n.call(http.MethodGet, path, "", nil); code != http.StatusNotFound {
			t.Errorf("GET %s afterwards: %d", path, code)
		}
	}
	files, err := filepath.Glob(filepath.Join(n.root, rec.RecordDir, "*"))
	if err != nil || !slices.Equal(files, []string{foreign}) {
		t.Errorf("left are %q, %v", files, err)
	}
	if changes, _ := n.feed(strconv.FormatInt(next, 10)); len(changes) != 1 || !changes[0].Deleted || changes[0].RecordDir != rec.RecordDir || changes[0].Recording != nil {
		t.Errorf("then the feed has %+v", changes)
	}
}

// TestRetention: a node applies its policy by itself, and spares what it records.
func TestRetention(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Recorder.AutoStreams = []string{"*"}
		c.Recorder.Retention.MaxBytes, c.Recorder.Retention.Check = "1", 1
	})
	n.publishShort("camera")
	changes, _ := n.feed("0")
	if len(changes) != 1 || changes[0].Deleted {
		t.Fatalf("while it runs, the feed has %+v", changes)
	}
	if code := n.call(http.MethodDelete, "/api/record/camera", "", nil); code != 200 {
		t.Fatalf("stop: %d", code)
	}
	await.Until(t, "the feed says that it is deleted", func() bool {
		changes, _ := n.feed("0")
		return len(changes) == 1 && changes[0].Deleted
	})
	await.Until(t, "no file of it is left", func() bool {
		files, err := filepath.Glob(filepath.Join(n.root, "[^.]*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files) == 0
	})
}
