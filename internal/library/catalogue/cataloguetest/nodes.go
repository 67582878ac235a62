package cataloguetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// testNodes: what a manager keeps of nodes.
func testNodes(ctx context.Context, t *testing.T, db *catalogue.DB) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...catalogue.Node) {
		t.Helper()
		if got, err := db.Nodes(ctx); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v %+v, want %+v", err, got, want)
		}
	}
	expect()
	b := catalogue.Node{Alias: "b", URL: "http://b", Token: "t", Registered: true}
	a := catalogue.Node{Alias: "a", URL: "http://a", Local: true}
	must(db.PutNode(ctx, b))
	must(db.PutNode(ctx, a))
	expect(a, b)
	must(db.SetCursor(ctx, "b", "feed", "5-9"))
	must(db.SetCursor(ctx, "nobody", "feed", "1"))
	b.Feed, b.Cursor = "feed", "5-9"
	expect(a, b)
	b.URL, b.Token = "http://elsewhere", "t2"
	must(db.PutNode(ctx, b))
	expect(a, b)
	// Where its recordings are decides by what names they are known.
	b.Local, b.Feed, b.Cursor = true, "", ""
	must(db.PutNode(ctx, b))
	expect(a, b)
	must(db.DeleteNode(ctx, "a"))
	must(db.DeleteNode(ctx, "a"))
	expect(b)
}

// testNodeNames: what nodes call themselves, which goes with them.
func testNodeNames(ctx context.Context, t *testing.T, db *catalogue.DB) {
	names := func(want ...catalogue.NodeName) {
		t.Helper()
		if got, err := db.NodeNames(ctx); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v %+v, want %+v", err, got, want)
		}
	}
	names()
	told, sure := catalogue.NodeName{Name: "berlin", Alias: "edge"}, catalogue.NodeName{Name: "berlin", Alias: "edge", Sure: true}
	nameless := catalogue.NodeName{Alias: "other", Sure: true}
	both := catalogue.NodeName{Name: "berlin", Alias: "other"}
	put := func(all ...catalogue.NodeName) {
		t.Helper()
		for _, n := range all {
			if err := db.PutNodeName(ctx, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(told)
	names(told)
	put(sure, told, nameless, both) // what is sure stays so
	names(nameless, sure, both)
	for _, bad := range []string{"a\x00b", "\xff", strings.Repeat("x", 256)} {
		if err := db.PutNodeName(ctx, catalogue.NodeName{Name: bad, Alias: "edge"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	if err := db.DeleteNode(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	names(sure)
}

// testReassign: the recordings of a node become another's, some at a time, and
// followers hear of each.
func testReassign(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for i := range 5 {
		r := recording("camera", i)
		r.Node = []string{"berlin", "paris"}[i/4]
		put(ctx, t, db, r)
	}
	kept := recording("camera", 9)
	kept.RecordDir, kept.Node = "@berlin/camera/9", "berlin"
	put(ctx, t, db, kept)
	before, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{3, 1, 0} {
		if n, err := db.Reassign(ctx, "berlin", "edge", "@", 3); err != nil || n != want {
			t.Fatalf("%d were reassigned, want %d: %v", n, want, err)
		}
	}
	for node, want := range map[string]int{"edge": 4, "paris": 1, "berlin": 1} {
		if page, total := dirs(ctx, t, db, media.RecordingQuery{Node: node}); total != want || len(page) != want {
			t.Errorf("%s has %q, %d", node, page, total)
		}
	}
	changes, err := db.Changes(ctx, before, 0)
	if err != nil || len(changes) != 4 {
		t.Errorf("the feed tells of %d, %v", len(changes), err)
	}
	for _, c := range changes {
		want := recording("camera", 0)
		if c.Recording.Node != "edge" || c.Recording.Bytes != want.Bytes || len(c.Recording.Tracks) != len(want.Tracks) {
			t.Errorf("%+v", c)
		}
	}
	if n, err := db.Reassign(ctx, "berlin", "edge", "", 3); err != nil || n != 1 {
		t.Errorf("without an exception: %d, %v", n, err)
	}
}

// testRemoved: which recordings there were.
func testRemoved(ctx context.Context, t *testing.T, db *catalogue.DB) {
	var ask []string
	for i := range 700 { // more than one statement's parameters
		ask = append(ask, recording("camera", i).RecordDir)
	}
	for i := range 4 {
		put(ctx, t, db, recording("camera", i*200))
	}
	var err error
	for _, do := range []func() error{
		func() error { return db.Delete(ctx, ask[0]) },
		func() error { return db.BeginDelete(ctx, ask[200]) },
		func() error { return db.Delete(ctx, ask[600]) },
		func() error { return db.Put(ctx, recording("camera", 600)) }, // again
	} {
		if err = do(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Removed(ctx, ask)
	slices.Sort(got)
	if want := []string{ask[0], ask[200]}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got, err := db.Removed(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("asked for none: %q, %v", got, err)
	}
}

// testFolders: recordings by many folders, and the folders of a node in pages.
func testFolders(ctx context.Context, t *testing.T, db *catalogue.DB) {
	var want, ask []string
	var all []media.Recording
	for i := range 1200 { // more than one statement's parameters
		r := recording(fmt.Sprintf("camera-%04d", i), i)
		r.Node = []string{"even", "odd"}[i%2]
		all = append(all, r)
		if i%2 == 1 {
			want = append(want, r.RecordDir)
		}
		ask = append(ask, r.RecordDir, "none/"+r.RecordDir)
	}
	if err := db.PutAll(ctx, all); err != nil {
		t.Fatal(err)
	}
	found, err := db.FindAll(ctx, ask)
	if err != nil || len(found) != 1200 {
		t.Errorf("%d recordings were found: %v", len(found), err)
	}
	if found, err := db.FindAll(ctx, nil); err != nil || len(found) != 0 {
		t.Errorf("asked for none: %d, %v", len(found), err)
	}
	var dirs []string
	for after := ""; ; after = dirs[len(dirs)-1] {
		page, err := db.DirsOfNode(ctx, "odd", after, 250)
		if err != nil {
			t.Fatal(err)
		}
		if dirs = append(dirs, page...); len(page) < 250 {
			break
		}
	}
	if !slices.Equal(dirs, want) {
		t.Errorf("%d folders of the node, want %d in order", len(dirs), len(want))
	}
}
