//go:build !norecorder

package node

import (
	"net/http"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/serve/eventlog"
)

// happened is the types of the events of a node, the oldest first, with who came and left.
func (n *testNode) happened() (types []string) {
	n.t.Helper()
	var page eventlog.Page
	if code := n.call(http.MethodGet, "/api/events/log?limit=200", "", &page); code != http.StatusOK {
		n.t.Fatalf("GET /api/events/log: %d", code)
	}
	for _, e := range page.Events {
		types = append([]string{strings.TrimSpace(e.Type + " " + e.Side)}, types...)
	}
	return types
}

// TestEventLog: a node notes who came and left, and what became of the recording.
func TestEventLog(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	stop := n.publishUntil("camera")
	n.until("the recording", func() bool {
		var status recordAnswer
		return n.call(http.MethodGet, "/api/record/camera", "", &status) == http.StatusOK && status.Recording
	})
	leave := watch(t, n.url, "camera", "")
	await := func(event string) {
		t.Helper()
		n.until(event, func() bool { return strings.Contains(strings.Join(n.happened(), "\n"), event) })
	}
	await(eventlog.SessionCame + " viewer")
	leave()
	await(eventlog.SessionLeft + " viewer")
	stop()
	await(eventlog.SessionLeft + " publisher")
	var ended recordAnswer
	if code := n.call(http.MethodDelete, "/api/record/camera", "", &ended); code != http.StatusOK {
		t.Fatalf("stop: %d", code)
	}
	await(eventlog.RecordingEnded)
	if code := n.call(http.MethodDelete, "/api/recordings/"+ended.RecordDir, "", nil); code != http.StatusNoContent {
		t.Fatalf("delete: %d", code)
	}
	await(eventlog.RecordingDeleted)
	all := strings.Join(n.happened(), "\n")
	for _, once := range []string{eventlog.Started, eventlog.SessionCame + " publisher", eventlog.RecordingStarted} {
		if strings.Count(all, once) != 1 {
			t.Errorf("%s is not there once in\n%s", once, all)
		}
	}
}
