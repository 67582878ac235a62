//go:build !norecorder

package manager

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// heldUp is a catalogue from which nothing is taken out until a test says so.
type heldUp struct {
	*catalogue.DB
	begun, goOn chan struct{}
}

func (h heldUp) DeleteAll(ctx context.Context, node string, dirs []string) (int, error) {
	select {
	case h.begun <- struct{}{}:
	case <-h.goOn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case <-h.goOn:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return h.DB.DeleteAll(ctx, node, dirs)
}

// manyRecordings puts recordings of a node that keeps them itself into a catalogue, and
// one of a stream that another has, too.
func manyRecordings(t *testing.T, db *catalogue.DB, node string, n int) {
	t.Helper()
	var all []media.Recording
	for i := range n {
		r := completeRecording(node, fmt.Sprintf("@%s/cam-%d/%d", node, i%7, 1000+i))
		r.Stream = fmt.Sprintf("cam-%d", i%7)
		all = append(all, r)
	}
	if err := db.PutAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// TestRemovalHoldsUpNobody: a node that is removed is gone from all lists at once, while
// others register and its recordings are still being taken out of the tables.
func TestRemovalHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	held := heldUp{db, make(chan struct{}), make(chan struct{})}
	f.o.Catalogue = held
	register := func(alias, url string) error {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: alias, URL: url, LocalStorage: true}, true)
		return err
	}
	if err := register("edge", "http://192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	manyRecordings(t, db, "edge", 3*follow.Batch)
	other := completeRecording("other", "cam-1/7")
	other.Stream = "cam-1"
	if err := db.PutAll(t.Context(), []media.Recording{other}); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), "edge"); err != nil {
		t.Fatal(err)
	}
	<-held.begun // and goes no further
	l := &library{fleet: f, now: f.now}
	page, err := l.Recordings(t.Context(), media.RecordingQuery{Stream: "cam-0", Limit: 10})
	if err != nil || len(page.Recordings) > 0 || page.Total > 0 {
		t.Errorf("recordings of a stream that the node alone has: %d of %d, %v", len(page.Recordings), page.Total, err)
	}
	page, err = l.Recordings(t.Context(), media.RecordingQuery{Stream: "cam-1", Limit: 10})
	if err != nil || len(page.Recordings) != 1 || page.Total != 1 || page.Recordings[0].RecordDir != "cam-1/7" {
		t.Errorf("recordings of one that another has: %+v, %v", page, err)
	}
	sums, err := l.Streams(t.Context(), media.StreamQuery{Limit: 3})
	if err != nil || len(sums) != 1 || sums[0].Stream != "cam-1" || sums[0].Recordings != 1 {
		t.Errorf("streams: %+v, %v", sums, err)
	}
	if _, err := f.find(t.Context(), "@edge/cam-0/1000"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("one recording: %v", err)
	}
	if len(f.Nodes()) > 0 {
		t.Errorf("nodes: %+v", f.Nodes())
	}
	if err := f.Remove(t.Context(), "edge"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("removed again: %v", err)
	}
	if err := register("late", "http://192.0.2.2"); err != nil { // waits for nothing
		t.Errorf("another registers: %v", err)
	}
	close(held.goOn)
	until(t, "the tables have nothing of the node", func() bool {
		dirs, err := db.DirsOfNode(t.Context(), "edge", "", 1)
		nodes, err2 := db.Nodes(t.Context())
		return err == nil && err2 == nil && len(dirs) == 0 && len(nodes) == 1 && !f.going.has("edge")
	})
}

// overtaken is a catalogue from which a node's recordings are taken out right after
// something was read.
type overtaken struct {
	*catalogue.DB
	t    *testing.T
	dirs []string
}

// DirsOfNode keeps the removal itself from ending, where it finds nothing any more: the
// test alone says when something is taken out.
func (o overtaken) DirsOfNode(ctx context.Context, _, _ string, _ int) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (o overtaken) takeOut() {
	if _, err := o.DB.DeleteAll(o.t.Context(), "edge", o.dirs); err != nil {
		o.t.Error(err)
	}
}

func (o overtaken) StreamsPage(ctx context.Context, q media.StreamQuery) ([]media.StreamSummary, int, error) {
	defer o.takeOut()
	return o.DB.StreamsPage(ctx, q)
}

func (o overtaken) ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	defer o.takeOut()
	return o.DB.ListPage(ctx, q)
}

// TestListsWhileRemoving: no list has what is being taken out while it is made.
func TestListsWhileRemoving(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	other := completeRecording("other", "cam-1/7")
	other.Stream = "cam-1"
	if err := db.PutAll(t.Context(), []media.Recording{other}); err != nil {
		t.Fatal(err)
	}
	again := func() { manyRecordings(t, db, "edge", 14) }
	again()
	dirs, err := db.DirsOfNode(t.Context(), "edge", "", 100)
	if err != nil || len(dirs) != 14 {
		t.Fatalf("%q, %v", dirs, err)
	}
	f.o.Catalogue = overtaken{db, t, dirs}
	if err := f.depart(t.Context(), catalogue.Node{Alias: "edge"}); err != nil {
		t.Fatal(err)
	}
	l := &library{fleet: f, now: f.now}
	sums, err := l.Streams(t.Context(), media.StreamQuery{Limit: 3})
	if err != nil || len(sums) != 1 || sums[0].Stream != "cam-1" || sums[0].Recordings != 1 {
		t.Errorf("streams: %+v, %v", sums, err)
	}
	for stream, want := range map[string]int{"cam-0": 0, "cam-1": 1} {
		again()
		page, err := l.Recordings(t.Context(), media.RecordingQuery{Stream: stream, Limit: 10})
		if err != nil || len(page.Recordings) != want || page.Total != want {
			t.Errorf("%s: %d of %d, %v", stream, len(page.Recordings), page.Total, err)
		}
	}
}

// TestRemovalGoesOn: after a restart of the manager, in the middle of it.
func TestRemovalGoesOn(t *testing.T) {
	t.Parallel()
	f, db, store := newTestFleet(t)
	manyRecordings(t, db, "edge", 10)
	f.o.Catalogue = heldUp{db, nil, nil}
	if err := db.PutNode(t.Context(), catalogue.Node{Alias: "edge", Registered: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.depart(t.Context(), catalogue.Node{Alias: "edge"}); err != nil {
		t.Fatal(err)
	}
	f.going.take("edge") // as the end of the process does
	next := newFleet(fleetOptions{Catalogue: db, Storage: store, Poll: time.Second, Timeout: time.Second, Control: time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(next.close)
	if err := next.open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing is left", func() bool {
		dirs, err := db.DirsOfNode(t.Context(), "edge", "", 1)
		nodes, err2 := db.Nodes(t.Context())
		return err == nil && err2 == nil && len(dirs)+len(nodes) == 0
	})
}

// TestNodeComesBackWhileItIsRemoved: what is being taken out is not what it brings.
func TestNodeComesBackWhileItIsRemoved(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	held := heldUp{db, make(chan struct{}), make(chan struct{})}
	f.o.Catalogue = held
	manyRecordings(t, db, "edge", 10)
	if err := db.PutNode(t.Context(), catalogue.Node{Alias: "edge", Registered: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.depart(t.Context(), catalogue.Node{Alias: "edge"}); err != nil {
		t.Fatal(err)
	}
	<-held.begun
	if _, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: "http://192.0.2.1", LocalStorage: true}, false); err != nil {
		t.Fatal(err)
	}
	nodes, err := db.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Cursor != "" || !nodes[0].Registered || f.going.has("edge") {
		t.Errorf("%+v, %v", nodes, err)
	}
}

// TestPhantomsGoWithTheirNode: what a node has told of shared storage, and is not there,
// goes with it, as its names do; what is there stays.
func TestPhantomsGoWithTheirNode(t *testing.T) {
	t.Parallel()
	f, db, store := newTestFleet(t)
	real, phantom := completeRecording("edge", "cam/1"), completeRecording("edge", "cam/2")
	if err := store.Put(t.Context(), "cam/1/"+media.InfoName, strings.NewReader("{}"), 2); err != nil {
		t.Fatal(err)
	}
	if err := db.PutAll(t.Context(), []media.Recording{real, phantom}); err != nil {
		t.Fatal(err)
	}
	if err := f.names.Claim(t.Context(), catalogue.NodeName{Name: "made-up", Alias: "edge", Sure: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.PutNode(t.Context(), catalogue.Node{Alias: "edge", Registered: true}); err != nil {
		t.Fatal(err)
	}
	if err := f.depart(t.Context(), catalogue.Node{Alias: "edge"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the phantom is gone", func() bool {
		dirs, err := db.DirsOfNode(t.Context(), "edge", "", 10)
		return err == nil && strings.Join(dirs, " ") == "cam/1" && !f.going.has("edge")
	})
	names, err := db.NodeNames(t.Context())
	if err != nil || len(names) > 0 || len(f.names.Claims("edge")) > 0 {
		t.Errorf("names: %+v %v, %v", names, f.names.Claims("edge"), err)
	}
}
