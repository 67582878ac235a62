//go:build unix && !norecorder

package manager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// told is a receiver of events.
type told struct {
	url string

	mu  sync.Mutex
	all []string // "type subject"
	ids map[string]string
	bad []string
}

func newTold(t *testing.T) *told {
	r := &told{ids: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		var e struct{ ID, Type, Subject string }
		if err := json.NewDecoder(q.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		what := strings.TrimPrefix(e.Type, "io.github.live777.") + " " + e.Subject
		r.mu.Lock()
		defer r.mu.Unlock()
		if other := r.ids[e.ID]; other != "" {
			r.bad = append(r.bad, what+" is told twice")
		}
		r.ids[e.ID] = what
		r.all = append(r.all, what)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *told) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// TestManagersTellOnce: two managers of a database tell each event once, and whoever is left
// goes on.
func TestManagersTellOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t).Database()
	receiver := newTold(t)
	dir, address := t.TempDir(), portlock.Address(t)
	begin := func() *server {
		return startNode(t, "edge", dir, func(c *config.Config) { c.HTTP.Listen = address })
	}
	edge := begin()
	var managers []*server
	for range 2 {
		own := t.TempDir()
		managers = append(managers, startManager(t, own, map[string]*server{"edge": edge}, func(c *config.Liveman) {
			c.Database.URL = config.DatabaseURL(database)
			c.Events.File = filepath.Join(own, "events.db")
			c.Webhooks = []config.Webhook{{URL: config.TargetURL(receiver.url)}}
		}))
	}
	var want []string
	wantNow := func(within time.Duration, more ...string) {
		t.Helper()
		want = append(want, more...)
		began := time.Now()
		await.Until(t, strings.Join(more, ", ")+" is told", func() bool { return len(receiver.list()) >= len(want) })
		if took := time.Since(began); took > within {
			t.Errorf("%q is told after %v", more, took)
		}
		if got := receiver.list(); !slices.Equal(got, want) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	}
	nothingWaits := func(m *server) {
		t.Helper()
		await.Until(t, "nothing waits at a manager", func() bool {
			var st struct {
				Targets []struct{ Waiting, Delivered, Elsewhere int }
			}
			m.call(http.MethodGet, "/api/webhooks", "", &st)
			one := st.Targets[0]
			return one.Waiting == 0 && one.Delivered+one.Elsewhere == len(want)
		})
	}
	stop := edge.publish("cam")
	await.Until(t, "the recording has begun", func() bool { return edge.call(http.MethodPost, "/api/record/cam", "", nil) == http.StatusOK })
	wantNow(time.Minute, "recording.started cam")
	edge.awaitMedia("cam")
	edge.call(http.MethodDelete, "/api/record/cam", "", nil)
	wantNow(time.Minute, "recording.ended cam")
	stop()
	edge.stop()
	wantNow(time.Minute, "node.down edge")
	edge = begin()
	wantNow(time.Minute, "node.up edge")
	path := "/api/recordings/" + edge.recordings("cam")[0].RecordDir
	// One manager takes back what the other was asked to delete, and one of them deletes.
	const takeBack = `{"deleted": false}`
	for _, step := range []struct {
		m                  *server
		method, path, body string
		want               int
	}{
		{managers[0], http.MethodDelete, path + "?grace=10m", "", http.StatusOK}, {managers[1], http.MethodPatch, path, takeBack, http.StatusOK},
		{managers[0], http.MethodPatch, path, takeBack, http.StatusConflict}, {managers[0], http.MethodDelete, path + "?grace=1s", "", http.StatusOK},
	} {
		if code := step.m.call(step.method, step.path, step.body, nil); code != step.want {
			t.Errorf("%s %s %s: %d", step.method, step.path, step.body, code)
		}
	}
	wantNow(time.Minute, "recording.deleted cam")
	for _, m := range managers {
		nothingWaits(m)
	}
	managers[0].stop()
	edge.stop()
	wantNow(10*time.Second, "node.down edge")
	nothingWaits(managers[1])
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	if len(receiver.bad) > 0 {
		t.Errorf("%q", receiver.bad)
	}
}
