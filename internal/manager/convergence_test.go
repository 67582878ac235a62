//go:build !norecorder

package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/storage/fs"
)

// newTestFleet is a fleet without nodes, with a catalogue and shared storage.
func newTestFleet(t *testing.T) (*fleet, *catalogue.DB, *fs.Store) {
	t.Helper()
	store, err := fs.New(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := catalogue.Open(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(fleetOptions{
		Catalogue: db, Storage: store, Poll: 200 * time.Millisecond, Timeout: time.Second, Control: time.Second,
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		f.close()
		_ = db.Close()
		_ = store.Close()
	})
	close(f.opened)
	return f, db, store
}

func completeRecording(node, dir string) media.Recording {
	end := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	return media.Recording{
		Stream: "cam", RecordDir: dir, MPDPath: dir + "/manifest.mpd", Node: node,
		Start: end.Add(-time.Minute), End: &end, Status: media.StatusComplete,
	}
}

// describe puts a recording's description into shared storage.
func describe(t *testing.T, store *fs.Store, r media.Recording) {
	t.Helper()
	data, err := media.EncodeRecording(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), r.RecordDir+"/"+media.InfoName, strings.NewReader(string(data)), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// A node that was down has its streams again, even if its events never broke off;
// meanwhile nobody says that nothing is recorded.
func TestStreamsAfterNodeWasDown(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/info", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, `{"name":"live777","version":"1"}`)
	})
	mux.HandleFunc("GET /api/sse/streams", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "data: [{\"id\":\"cam\",\"publish\":{\"sessions\":[{\"id\":\"s\"}]},\"recording\":true}]\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	f, db, _ := newTestFleet(t)
	defer f.close()
	n := newNode(f, "a", configured, srv.URL, "", true)
	f.add(n)
	until(t, "the node's stream is there", func() bool { return len(f.Streams()) == 1 })
	running := completeRecording("a", "cam/1")
	running.End, running.Status = nil, media.StatusRecording
	if err := db.Put(t.Context(), n.Mount(running)); err != nil {
		t.Fatal(err)
	}
	sick.Store(true)
	until(t, "the node is down", func() bool { return n.isUp() != nil })
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		answer, err := f.Record(t.Context(), api.RecordRequest{Method: method, Stream: "cam"})
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%s while the node is down: %d %s, %v", method, answer.Status, answer.Body, err)
		}
	}
	if answer, err := f.Record(t.Context(), api.RecordRequest{Method: http.MethodGet, Stream: "other"}); err != nil || answer.Status != http.StatusOK {
		t.Errorf("another stream: %d %v", answer.Status, err)
	}
	sick.Store(false)
	until(t, "the stream is there again", func() bool { return len(f.Streams()) == 1 })
}

// What a node knows nothing of is deleted from shared storage, or not at all.
func TestDeleteUnknownToNode(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/info" {
			_, _ = fmt.Fprint(w, `{"name":"live777"}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprint(w, `{"error":"there is no recording"}`)
	}))
	defer srv.Close()
	f, db, store := newTestFleet(t)
	defer f.close()
	n := newNode(f, "a", configured, srv.URL, "", false)
	f.add(n)
	until(t, "the node is up", func() bool { return n.isUp() == nil })
	keeper, err := retention.New(retention.Options{Backend: store, Catalogue: db, Now: time.Now, Logger: f.log})
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{Changes: db, fleet: f, keeper: keeper}
	for dir, tc := range map[string]struct{ stored, protected, deleted bool }{
		"cam/1": {true, true, false}, "cam/2": {true, false, true}, "cam/3": {false, false, true},
	} {
		r := completeRecording("a", dir)
		r.Protected = tc.protected
		if tc.stored {
			describe(t, store, r)
		}
		if err := db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		_, err := s.Delete(t.Context(), dir)
		if (err == nil) != tc.deleted || err != nil && fault.KindOf(err) != fault.Conflict {
			t.Errorf("delete %s: %v", dir, err)
		}
		if there, err := f.shared.Has(t.Context(), dir); there == tc.deleted || err != nil {
			t.Errorf("%s is stored: %v, %v", dir, there, err)
		}
		if _, err := db.Get(t.Context(), dir); errors.Is(err, catalogue.ErrNotFound) != tc.deleted {
			t.Errorf("%s in the catalogue: %v", dir, err)
		}
	}
}

// What a node answers does not undo what its feed has told since.
func TestProtectAfterDeletion(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	defer f.close()
	var n *node
	r := completeRecording("a", "cam/1")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, rq *http.Request) {
		page := &follow.Page{Feed: "f", Next: 2, Changes: []media.Change{{Seq: 2, Deleted: true, RecordDir: r.RecordDir}}}
		if err := n.feed.Apply(rq.Context(), follow.At("f"), page); err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(r)
	}))
	defer srv.Close()
	n = newNode(f, "a", configured, srv.URL, "", true)
	f.nodes["a"] = n
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil) // up
	if err := db.Put(t.Context(), n.Mount(r)); err != nil {
		t.Fatal(err)
	}
	s := &shelf{Changes: db, fleet: f}
	if got, err := s.Protect(t.Context(), "cam/1", true); err != nil || got.RecordDir != "cam/1" {
		t.Errorf("protect: %q, %v", got.RecordDir, err)
	}
	if _, err := db.Get(t.Context(), "@a/cam/1"); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("the deleted recording: %v", err)
	}
	if !n.feed.Waiting() {
		t.Error("the feed is not looked at")
	}
}

// A URL that would take in the paths that are put after it is refused.
func TestRegisterURLs(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	for _, bad := range []string{"http://h/secret#", "http://h/secret#x", "http://h/secret?", "http://h/?a=b", "http://u@h", "ftp://h", "h:1"} {
		if _, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "evil", URL: bad}, true); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for given, want := range map[string]string{
		"http://h:1/": "http://h:1", "http://h/a%2Fb/": "http://h/a%2Fb", "http://u:p@h/a?b#c": "http://h/a", "": "",
	} {
		if c := peer.New(f.http, given, ""); c.Base != want {
			t.Errorf("base of %q: %q", given, c.Base)
		}
	}
}

// Another server that answers is no node.
func TestProbeOfAnotherServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"SecretAccessKey":"x"}`)
	}))
	defer srv.Close()
	f, _, _ := newTestFleet(t)
	defer f.close()
	n := newNode(f, "a", configured, srv.URL, "", true)
	f.add(n)
	until(t, "the node is down", func() bool { return n.describe().State == stateDown })
	if err := n.isUp(); !errors.Is(err, errNoNode) {
		t.Error(err)
	}
}

// savingCatalogue calls before when a node is saved.
type savingCatalogue struct {
	Catalogue
	before func() error
}

func (c *savingCatalogue) PutNode(ctx context.Context, n catalogue.Node) error {
	if err := c.before(); err != nil {
		return err
	}
	return c.Catalogue.PutNode(ctx, n)
}

// lookingCatalogue calls before when recordings are put.
type lookingCatalogue struct {
	Catalogue
	before func()
}

func (c *lookingCatalogue) PutAll(ctx context.Context, recordings []media.Recording) error {
	c.before()
	return c.Catalogue.PutAll(ctx, recordings)
}

// What was looked up while a change was on its way into the catalogue is not
// remembered once it is there.
func TestChangeEndsWhatWasLookedUp(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	n := newNode(f, "a", configured, "http://127.0.0.1:1", "", false)
	before := completeRecording("a", "cam/1")
	if err := db.Put(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	f.o.Catalogue = &lookingCatalogue{db, func() {
		if r, err := f.find(t.Context(), "cam/1"); err != nil || r.Protected {
			t.Errorf("before: %+v, %v", r, err)
		}
	}}
	after := before
	after.Protected = true
	page := &follow.Page{Feed: "f", Changes: []media.Change{{Seq: 1, RecordDir: "cam/1", Recording: &after}}, Next: 1}
	if err := n.feed.Apply(t.Context(), follow.At("f"), page); err != nil {
		t.Fatal(err)
	}
	if r, err := f.find(t.Context(), "cam/1"); err != nil || !r.Protected {
		t.Errorf("after: %+v, %v", r, err)
	}
	f.o.Catalogue = db
	if err := f.names.Reassign(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	if r, err := f.find(t.Context(), "cam/1"); err != nil || r.Node != "b" {
		t.Errorf("of another node: %+v, %v", r, err)
	}
}

// Nobody follows a node at its old place when its place in the feed is forgotten.
func TestRegisterElsewhere(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	register := func(url string) (bool, error) {
		_, created, err := f.Register(t.Context(), api.NodeRegistration{Alias: "a", URL: url}, true)
		return created, err
	}
	if created, err := register("http://127.0.0.1:1"); !created || err != nil {
		t.Fatal(created, err)
	}
	old := f.node("a")
	var fail error
	f.o.Catalogue = &savingCatalogue{db, func() error {
		select {
		case <-old.done:
		default:
			t.Error("the old place is followed still")
		}
		return fail
	}}
	fail = errors.New("the disk is full")
	if _, err := register("http://127.0.0.1:2"); !errors.Is(err, fail) {
		t.Error(err)
	}
	if n := f.node("a"); n == nil || n.client.Base != "http://127.0.0.1:1" {
		t.Fatal("the node is not followed any more")
	}
	old, fail = f.node("a"), nil
	if created, err := register("http://127.0.0.1:2"); created || err != nil {
		t.Error(created, err)
	}
	if n := f.node("a"); n == nil || n.client.Base != "http://127.0.0.1:2" {
		t.Error("the node is not followed where it is now")
	}
}

// stuckCatalogue takes no note of a node that goes.
type stuckCatalogue struct{ Catalogue }

func (stuckCatalogue) SetCursor(context.Context, string, string, string) error {
	return fault.New(fault.Unavailable, "the database is away")
}

// A node that could not be removed is there still, and is followed.
func TestRemovalThatFails(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	if _, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "a", URL: "http://127.0.0.1:1", Token: "t"}, true); err != nil {
		t.Fatal(err)
	}
	f.o.Catalogue = stuckCatalogue{db}
	if err := f.Remove(t.Context(), "a"); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if n := f.node("a"); n == nil || n.client.Token() != "t" || n.source != registered {
		t.Fatal("it is not followed any more")
	}
	f.o.Catalogue = db
	if err := f.Remove(t.Context(), "a"); err != nil || f.node("a") != nil {
		t.Errorf("once more: %v", err)
	}
}

// A node that does not answer holds up no recordings of others, nor after it is
// known to be down.
func TestAutoRecordPastHangingNode(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	f.o.Control = time.Minute
	ended := make(chan struct{}, 2*autoStarts)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	defer hanging.Close()
	started := make(chan struct{}, 1)
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		started <- struct{}{}
		_, _ = fmt.Fprint(w, `{}`)
	}))
	defer good.Close()
	add := func(alias, url string, count int) *node {
		n := newNode(f, alias, configured, url, "", true)
		n.probed(nodeInfo{Info: recordingInfo}, 0, nil) // up
		var list []api.NodeStream
		for i := range count {
			list = append(list, api.NodeStream{ID: fmt.Sprintf("%s%d", alias, i), Publish: api.StreamPresence{Sessions: []api.StreamSession{{ID: "s"}}}})
		}
		n.replaceStreams(list)
		f.nodes[alias] = n
		return n
	}
	bad := add("a", hanging.URL, 2*autoStarts)
	add("b", good.URL, 1)
	a := &autoRecorder{fleet: f, patterns: []string{"*"}, retry: time.Minute, now: time.Now, log: f.log}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.run(ctx) }()
	defer func() { cancel(); <-done }()
	for _, ch := range []chan struct{}{started, ended} {
		select {
		case <-ch:
		case <-time.After(time.Minute):
			t.Fatal("not in time")
		}
		bad.probed(nodeInfo{Info: api.Info{}}, 0, syscall.ECONNREFUSED)
	}
}

// A node has what it recorded by the name that it has itself, or without one.
func TestOwnNameOfNode(t *testing.T) {
	t.Parallel()
	for _, own := range []string{"", "berlin"} {
		f, db, store := newTestFleet(t)
		r := completeRecording(own, "cam/1")
		describe(t, store, r)
		if err := db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		n := newNode(f, "edge", configured, "http://127.0.0.1:1", "", false)
		n.probed(nodeInfo{Info: api.Info{Node: own}}, 0, nil)
		page := &follow.Page{Feed: "f", Next: 1, Changes: []media.Change{{Seq: 1, RecordDir: r.RecordDir, Recording: &r}}}
		if err := n.feed.Apply(t.Context(), follow.At("f"), page); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Get(t.Context(), "cam/1"); err != nil || got.Node != "edge" {
			t.Errorf("node %q: it is %q's, %v", own, got.Node, err)
		}
	}
}
