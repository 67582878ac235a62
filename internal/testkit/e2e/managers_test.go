package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// takeover is how soon a manager does what another one did that was killed.
const takeover = 5 * time.Second

// twoManagers is two nodes, and two managers of them with one database.
type twoManagers struct {
	t        *testing.T
	nodes    map[string]*service
	managers [2]*service
	told     *toldOnce
}

// toldOnce is a webhook of two managers. Only the first one signs. What it is told of the
// stream "kept" it does not take before that manager has ended.
type toldOnce struct {
	*httptest.Server
	ended chan struct{}

	mu      sync.Mutex
	hanging int               // how many events the first manager tells just now
	taken   map[string]string // "type subject", by id
	repeats []string
}

func newToldOnce(t *testing.T) *toldOnce {
	o := &toldOnce{ended: make(chan struct{}), taken: map[string]string{}}
	o.Server = httptest.NewServer(http.HandlerFunc(o.take))
	t.Cleanup(o.Close)
	return o
}

func (o *toldOnce) take(w http.ResponseWriter, r *http.Request) {
	var e struct{ ID, Type, Subject string }
	if json.NewDecoder(r.Body).Decode(&e) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Header.Get("Webhook-Signature") != "" && e.Subject == "kept" {
		o.hang(1)
		<-r.Context().Done()
		o.hang(-1)
		return
	}
	select {
	case <-o.ended:
	default:
		if e.Subject == "kept" { // the first manager is to have it
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	what := strings.TrimPrefix(e.Type, "io.github.live777.") + " " + e.Subject
	if o.taken[e.ID] != "" || e.Subject != "moved" && o.hasLocked(what) { // that has two recordings
		o.repeats = append(o.repeats, what)
	}
	o.taken[e.ID] = what
}

func (o *toldOnce) hang(more int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hanging += more
}

func (o *toldOnce) hangs() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hanging > 0
}

// has reports whether an event was taken: "type subject".
func (o *toldOnce) has(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hasLocked(what)
}

func (o *toldOnce) hasLocked(what string) bool {
	return slices.Contains(slices.Collect(maps.Values(o.taken)), what)
}

func newTwoManagers(t *testing.T) *twoManagers {
	f := &twoManagers{t: t, nodes: map[string]*service{}, told: newToldOnce(t)}
	list := ""
	for _, alias := range []string{"n1", "n2"} { // n2 registers, with one of the managers
		f.nodes[alias] = newService(t, "live777", "[http]\nlisten = \"%s\"\n[webrtc]\nlisten = \"127.0.0.1:0\"\n[recorder]\nsegment_seconds = 1\nreconnect_seconds = 2\n")
		if alias == "n1" {
			list = fmt.Sprintf("[[nodes]]\nalias = %q\nurl = %q\n", alias, f.nodes[alias].url)
		}
	}
	database := strings.ReplaceAll(pgtest.Start(t).Database(), "%", "%%")
	for i := range f.managers {
		f.managers[i] = newService(t, "liveman", list+"[http]\nlisten = \"%s\"\n"+fmt.Sprintf(
			"[database]\nurl = %q\n[fleet]\npoll_seconds = 1\ntimeout_seconds = 5\n[auto_record]\nstreams = [\"*\"]\nretry_seconds = 1\n[[webhooks]]\nurl = %q\nname = \"all\"\nsecret = %q\n",
			database, f.told.URL, []string{"of the first one", ""}[i]))
	}
	f.register()
	for _, m := range f.managers {
		await.Until(t, "a manager knows both nodes", func() bool { return f.up(m) == 2 })
	}
	return f
}

// register has one manager know the second node, and for a moment one that is not there,
// which the other removes.
func (f *twoManagers) register() {
	f.t.Helper()
	a, b := f.managers[0], f.managers[1]
	for alias, url := range map[string]string{"n2": f.nodes["n2"].url, "gone": "http://127.0.0.1:1"} {
		body := fmt.Sprintf(`{"alias":%q,"url":%q,"local_storage":true}`, alias, url)
		if got := a.ask(http.MethodPost, "/api/nodes/", body, "Content-Type", "application/json"); got.status != http.StatusCreated {
			f.t.Fatalf("register %s: %d %s", alias, got.status, got.body)
		}
	}
	await.Within(f.t, takeover, "the other manager knows the node", func() bool { return b.get("/api/nodes/gone", nil) == http.StatusOK })
	if got := b.ask(http.MethodDelete, "/api/nodes/gone", ""); got.status != http.StatusNoContent {
		f.t.Errorf("remove: %d %s", got.status, got.body)
	}
	await.Within(f.t, takeover, "the first manager knows that it is removed", func() bool { return a.get("/api/nodes/gone", nil) == http.StatusNotFound })
}

// up returns how many nodes a manager knows to be up.
func (f *twoManagers) up(m *service) (n int) {
	var list []struct{ State string }
	m.get("/api/nodes/", &list)
	for _, one := range list {
		if one.State == "up" {
			n++
		}
	}
	return n
}

// publisherOf returns where a stream is published, and the publisher's session there;
// "" where it is published on no node, or on several.
func (f *twoManagers) publisherOf(stream string) (alias, session string) {
	for name, n := range f.nodes {
		var s struct {
			Publish struct{ Sessions []struct{ ID, State string } }
		}
		if n.get("/api/streams/"+stream, &s) != http.StatusOK || len(s.Publish.Sessions) == 0 {
			continue
		}
		if alias != "" {
			return "", ""
		}
		if one := s.Publish.Sessions[0]; one.State == "connected" {
			alias, session = name, one.ID
		}
	}
	return alias, session
}

// endRecording has a stream's recording end, by the second manager, and returns its folder.
func (f *twoManagers) endRecording(stream string, p *publisher) (dir string) {
	f.t.Helper()
	m := f.managers[1]
	await.Within(f.t, 20*time.Second, stream+" is recorded", func() bool {
		list, _ := m.recordings([]string{stream})
		if len(list) == 1 {
			dir = list[0].RecordDir
		}
		return len(list) == 1
	})
	p.end()
	await.Within(f.t, 20*time.Second, stream+" is recorded to its end", func() bool {
		list, _ := m.recordings([]string{stream})
		return len(list) == 1 && list[0].Status == media.StatusComplete
	})
	return dir
}

// TestManagers has two managers of one database, of which one is killed.
func TestManagers(t *testing.T) {
	t.Parallel()
	f := newTwoManagers(t)
	a, b := f.managers[0], f.managers[1]

	// What comes through both at the same time is on one node.
	sdp, err := offer(webrtc.RTPTransceiverDirectionSendonly)
	if err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	streams := []string{"both-0", "both-1", "both-2", "both-3"}
	for _, stream := range streams {
		for _, m := range f.managers {
			together.Go(func() { m.ask(http.MethodPost, "/whip/"+stream, sdp, "Content-Type", "application/sdp") })
		}
	}
	together.Wait()
	for _, stream := range streams {
		on := 0
		for _, n := range f.nodes {
			if n.get("/api/streams/"+stream, nil) == http.StatusOK {
				on++
			}
		}
		if on != 1 {
			t.Errorf("%s is on %d nodes", stream, on)
		}
	}

	deleted := a.publishKeyed("deleted")
	kept, ended := a.publishKeyed("kept"), a.publishKeyed("ended")
	places := map[string][2]string{}
	for _, stream := range []string{"kept", "ended"} {
		await.Within(t, 20*time.Second, stream+" is published", func() bool {
			alias, session := f.publisherOf(stream)
			places[stream] = [2]string{alias, session}
			return alias != ""
		})
	}
	watched := b.watch("kept")
	watched.await(t)
	recorded := func(m *service, stream string) (list []media.Recording) {
		list, _ = m.recordings([]string{stream})
		return list
	}
	await.Within(t, 20*time.Second, "both streams are recorded", func() bool {
		return len(recorded(b, "kept")) == 1 && len(recorded(b, "ended")) == 1
	})
	if list, ok := a.recordings([]string{"kept", "ended"}); !ok || len(list) != 2 {
		t.Errorf("the other manager has %d recordings of two", len(list))
	}

	await.Within(t, time.Minute, "the first manager tells something", f.told.hangs)
	dir := f.endRecording("deleted", deleted)
	if got := a.ask(http.MethodDelete, "/api/recordings/"+dir+"?grace=2s", ""); got.status != http.StatusOK {
		t.Errorf("delete it in a while: %d %s", got.status, got.body)
	}
	watched.gap()
	if err := a.stop(syscall.SIGKILL); err == nil {
		t.Error("a manager that was killed ended as if it were well")
	}
	killed := time.Now()
	close(f.told.ended)
	came := b.publishKeyed("came")
	at := places["ended"]
	if got := b.ask(http.MethodDelete, "/session/ended/"+at[0]+"~"+at[1], ""); got.status != http.StatusOK {
		t.Errorf("the other manager ends a session: %d %s", got.status, got.body)
	}
	<-ended.done // whose connection ends
	await.Within(t, takeover, "a stream that came after that is recorded", func() bool { return len(recorded(b, "came")) == 1 })
	await.Within(t, takeover, "it is told what the first one was about to tell", func() bool { return f.told.has("recording.started kept") })
	await.Within(t, takeover, "what the first one was asked to delete is deleted", func() bool { return len(recorded(b, "deleted")) == 0 })
	if took := time.Since(killed); took > takeover {
		t.Errorf("it took %v", took)
	}
	if gap := watched.gap(); gap > time.Second {
		t.Errorf("a viewer saw nothing for %v", gap)
	}
	if alias, session := f.publisherOf("kept"); [2]string{alias, session} != places["kept"] {
		t.Errorf("a publisher went from %v to %s %s", places["kept"], alias, session)
	}
	await.Within(t, 20*time.Second, "what came has media", func() bool {
		var st status
		return b.get("/api/record/came", &st) == http.StatusOK && st.Duration >= 2
	})
	kept.end()
	came.end()
	for _, stream := range []string{"kept", "ended", "came"} {
		await.Within(t, 30*time.Second, stream+" is in the catalogue once, and whole", func() bool {
			list := recorded(b, stream)
			return len(list) == 1 && list[0].Status == media.StatusComplete
		})
	}
	f.nodeDies()
	f.wantToldOnce([]string{"kept", "ended", "came"})
	if strings.Contains(b.log.String(), "ERROR") {
		t.Error("the manager that is left complains; see its log")
	}
}

// nodeDies kills a node whose publisher goes to another one, and wants the archive of the
// stream to say so of the time between the two, also when the node is back.
func (f *twoManagers) nodeDies() {
	f.t.Helper()
	m := f.managers[1]
	began := time.Now()
	first := m.publishKeyed("moved")
	var dead string
	await.Within(f.t, 20*time.Second, "the stream is published", func() bool { dead, _ = f.publisherOf("moved"); return dead != "" })
	shown := func(n int) bool {
		list, _ := m.recordings([]string{"moved"})
		return len(list) == n && list[0].Duration > 0 && len(list[0].Tracks) == 2 // the newest first
	}
	await.Within(f.t, 20*time.Second, "the manager shows what is recorded", func() bool { return shown(1) })
	if took := time.Since(began); took > 10*time.Second {
		f.t.Errorf("the manager shows the recording after %v", took)
	}
	_ = f.nodes[dead].stop(syscall.SIGKILL)
	await.Within(f.t, takeover, "it is told that a node is down", func() bool { return f.told.has("node.down " + dead) })
	first.cancel()
	second := m.publishKeyed("moved")
	defer second.end()
	await.Within(f.t, 20*time.Second, "the other node's recording is shown", func() bool { return shown(2) })
	cause := func() (cause string) {
		var line media.Timeline
		m.get("/api/archive/moved", &line)
		for _, s := range line.Spans {
			if s.Kind == media.SpanGap {
				cause += s.Cause + " "
			}
		}
		return cause
	}
	if got := cause(); got != media.CauseNode+" " {
		f.t.Errorf("while the node is dead: gaps of %q", got)
	}
	f.nodes[dead].start()
	await.Within(f.t, 20*time.Second, "what the dead node recorded has ended", func() bool {
		list, _ := m.recordings([]string{"moved"})
		return len(list) == 2 && list[1].Status != media.StatusRecording
	})
	if got := cause(); got != media.CauseNode+" " {
		f.t.Errorf("when the node is back: gaps of %q", got)
	}
}

// wantToldOnce wants the beginning and the end of a recording told of each stream, and nothing
// twice.
func (f *twoManagers) wantToldOnce(streams []string) {
	f.t.Helper()
	for _, stream := range streams {
		for _, kind := range []string{"recording.started ", "recording.ended "} {
			await.Within(f.t, takeover, kind+stream+" is told", func() bool { return f.told.has(kind + stream) })
		}
	}
	f.told.mu.Lock()
	defer f.told.mu.Unlock()
	if len(f.told.repeats) > 0 {
		f.t.Errorf("told more than once: %q", f.told.repeats)
	}
}
