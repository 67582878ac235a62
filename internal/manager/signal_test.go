//go:build !norecorder

package manager

import (
	"net/http"
	"slices"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// TestOneAddress publishes to managers: two of them, of two nodes.
func TestOneAddress(t *testing.T) {
	dir := t.TempDir()
	record := func(c *config.Config) { c.Recorder.AutoStreams = []string{"*"} }
	nodes := map[string]*server{"n1": startNode(t, "n1", t.TempDir(), record), "n2": startNode(t, "n2", t.TempDir(), record)}
	patient := func(c *config.Liveman) { c.Fleet.Timeout = 60 } // a node that is slow is no node that is down
	m := startManager(t, dir, nodes, patient)
	other := startManager(t, t.TempDir(), nodes, patient)
	up := func(m *server, want int) {
		until(t, "the nodes are up", func() bool {
			var list []api.FleetNode
			m.call(http.MethodGet, "/api/nodes", "", &list)
			n := 0
			for _, one := range list {
				if one.State == stateUp && one.Load.Process != nil {
					n++
				}
			}
			return n == want
		})
	}
	up(m, 2)
	up(other, 2)

	first, second := m.publish("cam"), m.publish("hall")
	where := func(m *server, stream string) (alias string, s api.FleetStream) {
		until(t, stream+" is published", func() bool {
			return m.call(http.MethodGet, "/api/streams/"+stream, "", &s) == http.StatusOK && len(s.Publish.Sessions) == 1 && s.Publish.Sessions[0].State == "connected"
		})
		for _, n := range s.Nodes { // others have had it
			if len(n.Publish.Sessions) > 0 {
				alias = n.Node
			}
		}
		return alias, s
	}
	a, s := where(m, "cam")
	b, _ := where(m, "hall")
	if a == b {
		t.Errorf("both streams went to %s", a)
	}
	nodes[a].awaitMedia("cam")

	// A viewer and the end of a session by the other manager.
	where(other, "cam")
	if code, _ := other.request(http.MethodPost, "/whep/cam", "no offer", "Content-Type", "application/sdp"); code.StatusCode != http.StatusBadRequest {
		t.Errorf("an offer that is none: %d", code.StatusCode)
	}
	if code := other.call(http.MethodDelete, "/session/cam/"+a+"~"+s.Publish.Sessions[0].ID, "", nil); code != http.StatusOK {
		t.Errorf("DELETE of a session by the other manager: %d", code)
	}
	first()

	// A draining node gets nothing more; when it ends, its publishers go elsewhere.
	if code := m.call(http.MethodPost, "/api/nodes/"+a+"/drain", "", nil); code != http.StatusNoContent {
		t.Fatalf("drain: %d", code)
	}
	m.publish("cam")
	if c, _ := where(m, "cam"); c != b {
		t.Errorf("the stream went to %s, which is draining", c)
	}
	second()
	if code := m.call(http.MethodDelete, "/api/nodes/"+a+"/drain", "", nil); code != http.StatusNoContent {
		t.Errorf("end of draining: %d", code)
	}
	nodes[b].awaitMedia("cam")
	nodes[b].stop()
	m.publish("cam")
	if c, _ := where(m, "cam"); c != a {
		t.Errorf("the stream went to %s, which has ended", c)
	}
	nodes[a].awaitMedia("cam")
	until(t, "the archive has the stream's recordings of both nodes", func() bool {
		var page struct{ Recordings []media.Recording }
		m.call(http.MethodGet, "/api/playback/cam", "", &page)
		names := map[string]bool{}
		for _, r := range page.Recordings {
			names[r.Node] = true
		}
		return len(names) == 2
	})
	if code := m.call(http.MethodPost, "/api/nodes/nobody/drain", "", nil); code != http.StatusNotFound {
		t.Errorf("drain of no node: %d", code)
	}
}

// TestSignallingOff wants WHIP to be refused where it is off.
func TestSignallingOff(t *testing.T) {
	m := startManager(t, t.TempDir(), nil, func(c *config.Liveman) { c.Signalling.Mode = signallingOff })
	resp, _ := m.request(http.MethodPost, "/whip/cam", "v=0", "Content-Type", "application/sdp")
	var info api.Info
	m.call(http.MethodGet, "/api/info", "", &info)
	if resp.StatusCode != http.StatusNotImplemented || slices.Contains(info.Features, "signalling") {
		t.Errorf("%d %v", resp.StatusCode, info.Features)
	}
}
