package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func scrapeManager(t *testing.T, m *Manager) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestManager(t *testing.T) {
	known := true
	m := NewManager(FleetSources{
		Nodes: func() []NodeState {
			return []NodeState{
				{Alias: "a", State: "up", Streams: 2, Publishers: 3, Viewers: 4, Recordings: 1, Latency: 20 * time.Millisecond, FeedLag: 3 * time.Second},
				{Alias: "b", State: "down", FeedLag: -1},
			}
		},
		Streams:    func() int { return 2 },
		Recordings: func() (int, bool) { return 7, known },
	})
	m.Request("GET /api/nodes/{alias}", "GET", 200, 3*time.Millisecond)
	m.Request("", "BREW", 404, time.Millisecond)
	m.Request("/", "BREW", 405, time.Millisecond) // the page, which is for any method
	m.Request("/", "GET", 200, time.Millisecond)
	m.Relayed("a", 100, false)
	m.Relayed("a", 50, true)
	m.Call(2 * time.Millisecond)
	m.Failed()
	text := scrapeManager(t, m)
	for _, want := range []string{
		`liveman_nodes{state="up"} 1`, `liveman_nodes{state="down"} 1`, `liveman_nodes{state="connecting"} 0`,
		`liveman_node_up{node="a"} 1`, `liveman_node_up{node="b"} 0`, `liveman_node_streams{node="a"} 2`, `liveman_node_publishers{node="a"} 3`,
		`liveman_node_viewers{node="a"} 4`, `liveman_node_recordings{node="a"} 1`, `liveman_node_latency_seconds{node="a"} 0.02`,
		`liveman_node_feed_lag_seconds{node="a"} 3`, "liveman_streams 2", "liveman_catalogue_recordings 7", "liveman_database_up 1",
		`liveman_requests_total{code="200",method="GET",route="/api/nodes/{alias}"} 1`, `liveman_requests_total{code="404",method="",route=""} 1`,
		`liveman_requests_total{code="405",method="",route="/"} 1`, `liveman_requests_total{code="200",method="GET",route="/"} 1`,
		`liveman_answer_seconds_bucket{route="/api/nodes/{alias}",le="0.005"} 1`, `liveman_relay_bytes_total{node="a"} 150`,
		`liveman_relay_errors_total{node="a"} 1`, "liveman_database_seconds_count 1", "liveman_database_errors_total 1", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, `liveman_node_feed_lag_seconds{node="b"}`) {
		t.Error("a node that was never followed has a lag")
	}
	known = false
	if text := scrapeManager(t, m); strings.Contains(text, "liveman_catalogue_recordings ") || !strings.Contains(text, "liveman_database_up 0") {
		t.Error("a database that is away still counts recordings")
	}
}
