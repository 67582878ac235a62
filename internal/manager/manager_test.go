//go:build !norecorder

package manager

import (
	"net/http"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// Start, watch, play and stop a recording through the manager, with recordings
// that are on the node.
func TestRecordAndPlayThroughTheManager(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	edge := startNode(t, "edge-1", t.TempDir(), nil)
	other := startNode(t, "edge-2", t.TempDir(), nil)
	m := startManager(t, t.TempDir(), map[string]*server{"edge-1": edge, "edge-2": other}, nil, &log)
	edge.publish("cam")
	until(t, "the manager knows the stream", func() bool {
		var s api.FleetStream
		return m.call(http.MethodGet, "/api/streams/cam", "", &s) == http.StatusOK && len(s.Nodes) == 1 && len(s.Tracks) == 2 && s.Nodes[0].Node == "edge-1"
	})

	var started, again recordAnswer
	if code := m.call(http.MethodPost, "/api/record/cam", "", &started); code != http.StatusOK || !strings.HasPrefix(started.RecordDir, "cam/") ||
		started.MPDPath != "@edge-1/"+started.RecordDir+"/manifest.mpd" {
		t.Fatalf("POST: %d %+v", code, started)
	}
	if code := m.call(http.MethodPost, "/api/record/cam?node=edge-1", `{}`, &again); code != http.StatusOK || again != started {
		t.Errorf("POST again: %d %+v", code, again)
	}
	// Errors of the node come through as they are.
	resp, theirs := edge.request(http.MethodPost, "/api/record/cam", `{"base_dir":"cam/other"}`)
	resp2, ours := m.request(http.MethodPost, "/api/record/cam", `{"base_dir":"cam/other"}`)
	if resp.StatusCode != http.StatusConflict || resp2.StatusCode != resp.StatusCode || ours != theirs || resp2.Header.Get("X-Live777-Node") != "edge-1" {
		t.Errorf("the node says %d %s, the manager %d %s", resp.StatusCode, theirs, resp2.StatusCode, ours)
	}
	var status recordAnswer
	until(t, "it is recording", func() bool {
		return m.call(http.MethodGet, "/api/record/cam", "", &status) == http.StatusOK && status.Recording && status.RecordDir == started.RecordDir &&
			status.MPDPath == started.MPDPath
	})
	until(t, "the live manifest names segments", func() bool {
		resp, mpd := m.request(http.MethodGet, "/api/record/object/"+started.MPDPath, "")
		return resp.StatusCode == http.StatusOK && strings.Contains(mpd, `type="dynamic"`) && strings.Contains(mpd, "<S ")
	})
	var stopped recordAnswer
	if code := m.call(http.MethodDelete, "/api/record/cam", "", &stopped); code != http.StatusOK || !stopped.Stopped || stopped.MPDPath != started.MPDPath ||
		stopped.Status != string(media.StatusComplete) {
		t.Errorf("DELETE: %d %+v", code, stopped)
	}
	until(t, "the catalogue has the recording as the node has it", func() bool {
		ours, theirs := m.recordings("cam"), edge.recordings("cam")
		return len(ours) == 1 && len(theirs) == 1 && ours[0].Status == media.StatusComplete && ours[0].Bytes == theirs[0].Bytes &&
			ours[0].RecordDir == theirs[0].RecordDir && ours[0].MPDPath == "@edge-1/"+theirs[0].MPDPath && ours[0].Node == "edge-1" &&
			ours[0].Duration == theirs[0].Duration && len(ours[0].Tracks) == 2
	})
	var sums []media.StreamSummary
	if m.call(http.MethodGet, "/api/playback", "", &sums); len(sums) != 1 || sums[0].Stream != "cam" || sums[0].Recordings != 1 {
		t.Errorf("summary: %+v", sums)
	}
	sameObjects(t, edge, m, started.RecordDir)

	if code := m.call(http.MethodDelete, "/api/recordings/"+started.RecordDir, "", nil); code != http.StatusNoContent {
		t.Errorf("delete the recording: %d", code)
	}
	if len(m.recordings("cam")) != 0 || len(edge.recordings("cam")) != 0 {
		t.Error("the recording is still there")
	}
	if strings.Contains(log.String(), nodeToken) {
		t.Error("the node's token is in the log")
	}
}

// sameObjects holds the answers of the manager about the objects of a recording
// against those of its node: whole, in part and on conditions.
func sameObjects(t *testing.T, node, m *server, dir string) {
	t.Helper()
	for _, name := range []string{"manifest.mpd", "recording.json", "v_init.m4s", "v_seg_0001.m4s", "a_seg_0001.m4s", "v_seg_9999.m4s", "other.txt"} {
		path := "/api/record/object/" + dir + "/" + name
		whole, _ := node.request(http.MethodGet, path, "")
		for _, header := range [][]string{
			nil, {"Range", "bytes=10-99"}, {"Range", "bytes=-5"}, {"Range", "bytes=999999999-"},
			{"If-None-Match", whole.Header.Get("ETag")}, {"If-Match", `"other"`}, {"Range", "bytes=1-2", "If-Range", `"other"`},
			{"Range", "bytes=1-2", "If-Range", whole.Header.Get("ETag")},
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				want, wantBody := node.request(method, path, "", header...)
				got, gotBody := m.request(method, path, "", header...)
				if got.StatusCode != want.StatusCode || got.StatusCode < 400 && gotBody != wantBody {
					t.Errorf("%s %s %q: %d with %d bytes, the node says %d with %d", method, name, header, got.StatusCode, len(gotBody), want.StatusCode, len(wantBody))
				}
				for _, h := range []string{"Content-Type", "Content-Range", "ETag", "Cache-Control", "Accept-Ranges"} {
					if got.StatusCode < 400 && got.Header.Get(h) != want.Header.Get(h) {
						t.Errorf("%s %s %q: %s is %q, of the node %q", method, name, header, h, got.Header.Get(h), want.Header.Get(h))
					}
				}
			}
		}
	}
}
