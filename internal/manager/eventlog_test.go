//go:build !norecorder

package manager

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/serve/eventlog"
)

// TestEventLog: a manager notes recordings by the names that it gives them, and a node
// that goes down.
func TestEventLog(t *testing.T) {
	t.Parallel()
	n := startNode(t, "a", t.TempDir(), func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} })
	m := startManager(t, t.TempDir(), map[string]*server{"a": n}, nil)
	await := func(event string) {
		t.Helper()
		until(t, event, func() bool {
			var page eventlog.Page
			if code := m.call(http.MethodGet, "/api/events/log", "", &page); code != http.StatusOK {
				t.Fatalf("GET /api/events/log: %d", code)
			}
			var all strings.Builder
			for _, e := range page.Events {
				fmt.Fprintln(&all, e.Type, e.Stream, e.Node)
			}
			return strings.Contains(all.String(), event)
		})
	}
	await(eventlog.Started)
	stop := n.publish("cam")
	n.awaitMedia("cam")
	await(eventlog.RecordingStarted + " cam a")
	stop()
	if code := n.call(http.MethodDelete, "/api/record/cam", "", nil); code != http.StatusOK {
		t.Fatalf("stop: %d", code)
	}
	await(eventlog.RecordingEnded + " cam a")
	n.stop()
	await(eventlog.NodeDown + "  a")
}
