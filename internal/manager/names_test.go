//go:build !norecorder

package manager

import (
	"testing"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// Whose a name is: what a node says of itself counts more than what the manager
// calls a node, and that more than what stands in a node's catalogue; of two who say
// the same the one that is there.
func TestAliasOf(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	for alias, local := range map[string]bool{"a": false, "b": false, "keeps": true} {
		f.nodes[alias] = newNode(f, alias, configured, "http://127.0.0.1:1", "", local)
	}
	claim := func(name, alias string, sure bool) {
		t.Helper()
		if err := f.names.Claim(t.Context(), catalogue.NodeName{Name: name, Alias: alias, Sure: sure}); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(name, alias string) {
		t.Helper()
		if got, ok := f.names.AliasOf(name); ok != (alias != "") || ok && got != alias {
			t.Errorf("%q is of %q, %v; want %q", name, got, ok, alias)
		}
	}
	expect("", "")
	expect("berlin", "")
	expect("a", "a") // as the manager calls it
	claim("berlin", "a", false)
	expect("berlin", "a")
	claim("berlin", "gone", true)
	expect("berlin", "gone")
	claim("berlin", "keeps", true)
	expect("berlin", "keeps")
	claim("berlin", "b", true)
	expect("berlin", "b")
	claim("berlin", "a", true)
	expect("berlin", "") // two have the same name
	claim("a", "b", false)
	expect("a", "a")
	claim("a", "b", true) // b calls itself what the manager calls another
	expect("a", "b")
	claim("", "b", true)
	expect("", "b")
	f.names.Forget("b")
	expect("", "")
	expect("berlin", "a")
}

// A node that is heard of gets the recordings that a rebuild has catalogued by its
// name, also those that it does not know itself; and no other's.
func TestIntroduce(t *testing.T) {
	t.Parallel()
	f, db, _ := newTestFleet(t)
	n := newNode(f, "edge", configured, "http://127.0.0.1:1", "", false)
	other := newNode(f, "paris", configured, "http://127.0.0.1:1", "", false)
	f.nodes["edge"], f.nodes["paris"] = n, other
	for dir, node := range map[string]string{"cam/1": "berlin", "cam/2": "paris", "cam/3": "oslo", "cam/4": "", "@berlin/cam/5": "berlin"} {
		if err := db.Put(t.Context(), completeRecording(node, dir)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want map[string]string) {
		t.Helper()
		for dir, node := range want {
			if r, err := db.Get(t.Context(), dir); err != nil || r.Node != node {
				t.Errorf("%s is %q's, %v; want %q", dir, r.Node, err, node)
			}
		}
	}
	introduce := func(n *node, name string) {
		t.Helper()
		n.probed(nodeInfo{Info: api.Info{Node: name}}, 0, nil)
		if err := n.feed.Introduce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.feed.Introduce(t.Context()); err != nil { // nothing is known of it yet
		t.Fatal(err)
	}
	expect(map[string]string{"cam/1": "berlin", "cam/4": ""})
	introduce(n, "berlin")
	expect(map[string]string{"cam/1": "edge", "cam/2": "paris", "cam/3": "oslo", "cam/4": "", "@berlin/cam/5": "berlin"})
	introduce(n, "paris") // which is what the manager calls another node
	expect(map[string]string{"cam/2": "paris"})
	introduce(n, "oslo")
	introduce(n, "")
	expect(map[string]string{"cam/1": "edge", "cam/2": "paris", "cam/3": "edge", "cam/4": "edge"})
	names, err := db.NodeNames(t.Context())
	if err != nil || len(names) != 4 || !names[1].Sure || names[1] != (catalogue.NodeName{Name: "berlin", Alias: "edge", Sure: true}) {
		t.Errorf("kept are %+v, %v", names, err)
	}
}

// A node whose catalogue was made from shared storage tells of others' recordings
// too: they stay theirs, and do not come back after they were deleted.
func TestToldByAnother(t *testing.T) {
	t.Parallel()
	f, db, store := newTestFleet(t)
	n := newNode(f, "edge", configured, "http://127.0.0.1:1", "", false)
	other := newNode(f, "hub", configured, "http://127.0.0.1:1", "", false)
	f.nodes["edge"], f.nodes["hub"] = n, other
	n.probed(nodeInfo{Info: api.Info{Node: "berlin"}}, 0, nil)
	if err := f.names.Claim(t.Context(), catalogue.NodeName{Name: "paris", Alias: "hub", Sure: true}); err != nil {
		t.Fatal(err)
	}
	stored, deleted, mine := completeRecording("paris", "cam/1"), completeRecording("paris", "cam/2"), completeRecording("berlin", "cam/3")
	former, wrong := completeRecording("lyon", "cam/4"), completeRecording("paris", "cam/5")
	for _, r := range []media.Recording{stored, mine, former, wrong} {
		describe(t, store, r)
	}
	row := wrong
	row.Node = "edge" // from when nobody knew of paris
	if err := db.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	page := &follow.Page{Feed: "f", Next: 5}
	for i, r := range []media.Recording{stored, deleted, mine, former, wrong} {
		page.Changes = append(page.Changes, media.Change{Seq: int64(i + 1), RecordDir: r.RecordDir, Recording: &r})
	}
	for range 2 {
		if err := n.feed.Apply(t.Context(), follow.Beginning(), page); err != nil {
			t.Fatal(err)
		}
		for dir, want := range map[string]string{"cam/1": "hub", "cam/2": "", "cam/3": "edge", "cam/4": "edge", "cam/5": "hub"} {
			if r, err := db.Get(t.Context(), dir); r.Node != want || (err == nil) != (want != "") {
				t.Errorf("%s is %q's, %v; want %q", dir, r.Node, err, want)
			}
		}
	}
	// What hub tells of its own is newer, and not undone.
	protected := stored
	protected.Protected = true
	other.probed(nodeInfo{Info: api.Info{Node: "paris"}}, 0, nil)
	own := &follow.Page{Feed: "g", Next: 1, Changes: []media.Change{{Seq: 1, RecordDir: "cam/1", Recording: &protected}}}
	if err := other.feed.Apply(t.Context(), follow.At("g"), own); err != nil {
		t.Fatal(err)
	}
	if err := n.feed.Apply(t.Context(), follow.Beginning(), page); err != nil {
		t.Fatal(err)
	}
	if r, err := db.Get(t.Context(), "cam/1"); err != nil || !r.Protected || r.Node != "hub" {
		t.Errorf("%+v, %v", r, err)
	}
}
