package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
)

// databaseOutage is how long the manager's database is away.
const databaseOutage = 30 * time.Second

// fleet is what the test is about.
type fleet struct {
	t       *testing.T
	minio   *miniotest.Server
	store   *s3.Store
	pg      *pgtest.Server
	nodes   map[string]*service
	names   map[string]string // the manager's aliases of nodes by their own names
	manager *service
	streams []string

	deleted   []string // folders of recordings
	protected []string // likewise
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{
		t: t, minio: miniotest.Start(t), pg: pgtest.Start(t), nodes: map[string]*service{}, names: map[string]string{"a": "a", "b": "b", "edge-3": "c"},
		streams: []string{"cam-a", "cam-b", "cam-c", "both"},
	}
	bucket := s3Storage(f.minio, f.minio.Endpoint)
	f.store = openBucket(t, f.minio)
	databases := map[string]string{"a": "sqlite://live777.db", "b": "sqlite://live777.db", "c": f.pg.Database()}
	list := ""
	for name, alias := range f.names {
		database := databases[alias]
		f.nodes[alias] = newService(t, "live777", "[http]\nlisten = \"%s\"\n[webrtc]\nlisten = \"127.0.0.1:0\"\n"+fmt.Sprintf(
			"[database]\nurl = %q\n[recorder]\nnode_alias = %q\nsegment_seconds = 1\nreconnect_seconds = 3\nmax_recording_seconds = 16\n[recorder.storage]\n%s",
			strings.ReplaceAll(database, "%", "%%"), name, bucket))
		list += fmt.Sprintf("[[nodes]]\nalias = %q\nurl = %q\n", alias, f.nodes[alias].url)
	}
	f.manager = newService(t, "liveman", list+"[http]\nlisten = \"%s\"\n"+fmt.Sprintf(
		"[database]\nurl = %q\n[fleet]\npoll_seconds = 1\ntimeout_seconds = 3\n[auto_record]\nstreams = [\"*\"]\nretry_seconds = 1\n[storage]\n%s",
		strings.ReplaceAll(f.pg.Database(), "%", "%%"), bucket))
	return f
}

// publish sends a stream to a node and returns what ends that.
func (f *fleet) publish(node, stream string) *publisher {
	f.t.Helper()
	return f.nodes[node].publishKeyed(stream)
}

// count returns how many recordings of a stream the manager knows.
func (f *fleet) count(stream string) int {
	list, _ := f.manager.recordings([]string{stream})
	return len(list)
}

// finished waits for a recording in a list that is over, and which nothing was done
// to.
func (f *fleet) finished(p *service, stream string) string {
	f.t.Helper()
	dir := ""
	await.Until(f.t, "a recording of "+stream+" is over", func() bool {
		list, _ := p.recordings([]string{stream})
		for _, r := range slices.Backward(list) { // oldest first
			if r.Status != media.StatusRecording && !slices.Contains(f.deleted, r.RecordDir) && !slices.Contains(f.protected, r.RecordDir) {
				dir = r.RecordDir
				return true
			}
		}
		return false
	})
	return dir
}

// remove deletes a recording by way of a server that has it in its list.
func (f *fleet) remove(p *service, stream string) {
	f.t.Helper()
	dir := f.finished(p, stream)
	if a := p.ask(http.MethodDelete, "/api/recordings/"+dir, ""); a.status != http.StatusNoContent && a.status != http.StatusAccepted {
		f.t.Fatalf("delete %s: %d %s", dir, a.status, a.body)
	}
	f.deleted = append(f.deleted, dir)
}

// protect protects a recording likewise.
func (f *fleet) protect(p *service, stream string) {
	f.t.Helper()
	dir := f.finished(p, stream)
	if a := p.ask(http.MethodPatch, "/api/recordings/"+dir, `{"protected":true}`); a.status != http.StatusOK {
		f.t.Fatalf("protect %s: %d %s", dir, a.status, a.body)
	}
	f.protected = append(f.protected, dir)
}

// refused tries both on a recording whose node, or the catalogue, is down.
func (f *fleet) refused(dir string) {
	f.t.Helper()
	for method, body := range map[string]string{http.MethodDelete: "", http.MethodPatch: `{"protected":true}`} {
		if a := f.manager.ask(method, "/api/recordings/"+dir, body); a.status != http.StatusServiceUnavailable {
			f.t.Errorf("%s %s: %d %s", method, dir, a.status, a.body)
		}
	}
}

// TestManager: three nodes, one of which has another name with the manager, MinIO,
// PostgreSQL and liveman, of which each but MinIO is killed while everything is
// recorded, and recordings are deleted and protected at the manager and at the nodes
// while another part is down. At the end the catalogue, the bucket and the nodes
// agree entry by entry, the manager serves every recording, and players play them.
func TestManager(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	publishers := map[string]*publisher{
		"a": f.publish("a", "cam-a"), "b": f.publish("b", "cam-b"), "c": f.publish("c", "cam-c"), "a both": f.publish("a", "both"), "b both": f.publish("b", "both"),
	}
	await.Until(t, "everything is recorded, on each node that has it", func() bool {
		list, ok := f.manager.recordings(f.streams)
		return ok && len(list) >= 5
	})
	// Of what ends when its node is killed the manager hears nothing.
	await.Until(t, "recordings are rotated", func() bool { return f.count("cam-a") > 1 })
	over := f.finished(f.manager, "cam-b")

	t.Log("kill a node")
	_ = f.nodes["b"].stop(syscall.SIGKILL)
	publishers["b"].end()
	publishers["b both"].end()
	await.Within(t, 20*time.Second, "the node is down", func() bool { return f.state("b") == "down" })
	f.refused(over)
	f.remove(f.manager, "cam-a")
	f.protect(f.manager, "cam-c")
	f.answersSoon("/api/streams/", "/api/nodes/", "/api/playback/cam-b", "/api/record/cam-a?node=a")
	f.nodes["b"].start()
	publishers["b"], publishers["b both"] = f.publish("b", "cam-b"), f.publish("b", "both")
	before := f.count("cam-b")
	await.Until(t, "it records again", func() bool { return f.state("b") == "up" && f.count("cam-b") > before })

	t.Log("kill the database")
	dir := f.finished(f.manager, "both")
	f.pg.Kill()
	down := time.Now()
	f.remove(f.nodes["a"], "cam-a")
	f.protect(f.nodes["b"], "cam-b")
	await.Within(t, 40*time.Second, "the manager says that it has no catalogue", func() bool { return f.manager.get("/api/playback", nil) == http.StatusServiceUnavailable })
	f.answersSoon("/api/streams/", "/api/nodes/", "/api/record/cam-a?node=a")
	f.refused(dir)
	time.Sleep(time.Until(down.Add(databaseOutage)))
	f.pg.Restart()
	before = f.count("cam-c")
	await.Until(t, "the catalogue goes on", func() bool { return f.count("cam-c") > before })

	t.Log("kill the manager")
	f.remove(f.manager, "cam-c")
	f.protect(f.manager, "both")
	_ = f.manager.stop(syscall.SIGKILL)
	f.remove(f.nodes["c"], "cam-c")
	f.protect(f.nodes["a"], "cam-a")
	time.Sleep(5 * time.Second) // recordings go on and are rotated, and nobody hears of it
	f.manager.start()

	t.Log("restart all")
	for _, p := range publishers {
		p.end()
	}
	for _, p := range slices.AppendSeq([]*service{f.manager}, maps.Values(f.nodes)) {
		if err := p.stop(syscall.SIGTERM); err != nil {
			t.Errorf("%s ended with %v", p.binary, err)
		}
	}
	for _, p := range slices.AppendSeq([]*service{f.manager}, maps.Values(f.nodes)) {
		p.start()
	}
	difference := f.difference()
	for deadline := time.Now().Add(90 * time.Second); difference != "" && time.Now().Before(deadline); difference = f.difference() {
		time.Sleep(500 * time.Millisecond)
	}
	if difference != "" {
		t.Fatal(difference)
	}
	f.acted()
	f.playAll()
}

func (f *fleet) state(alias string) string {
	var n struct {
		State string `json:"state"`
	}
	f.manager.get("/api/nodes/"+alias, &n)
	return n.State
}

// answersSoon asks for what does not need what is down: waiting for that would take
// three seconds, each time. An answer that is slow because the machine is busy has
// other chances.
func (f *fleet) answersSoon(paths ...string) {
	f.t.Helper()
	for _, path := range paths {
		var took []time.Duration
		for slow := true; slow && len(took) < 5; {
			start := time.Now()
			if code := f.manager.get(path, nil); code != http.StatusOK {
				f.t.Errorf("%s: %d", path, code)
			}
			took = append(took, time.Since(start))
			slow = took[len(took)-1] > time.Second
			if slow && len(took) == 5 {
				f.t.Errorf("%s waits: %v", path, took)
			}
		}
	}
}

// difference says what of the catalogue, the bucket and the nodes differs; "" for
// nothing.
func (f *fleet) difference() string {
	ours, ok := f.manager.recordings(f.streams)
	if !ok {
		return "the manager does not list"
	}
	catalogue := f.entries(ours)
	theirs := map[string]string{}
	for alias, n := range f.nodes {
		list, ok := n.recordings(f.streams)
		if !ok {
			return "node " + alias + " does not list"
		}
		maps.Copy(theirs, f.entries(list))
	}
	stored := map[string]string{}
	for o, err := range f.store.List(f.t.Context(), "") {
		if err != nil {
			return err.Error()
		}
		if path.Base(o.Key) != media.InfoName {
			continue
		}
		r, err := f.info(o.Key)
		if err != nil {
			return err.Error()
		}
		maps.Copy(stored, f.entries([]media.Recording{r}))
	}
	return firstDifference("the nodes", catalogue, theirs) + firstDifference("the bucket", catalogue, stored)
}

func (f *fleet) info(key string) (media.Recording, error) {
	body, err := f.store.Get(f.t.Context(), key, 0, -1)
	if err != nil {
		return media.Recording{}, err
	}
	defer func() { _ = body.Close() }()
	var data bytes.Buffer
	if _, err := data.ReadFrom(body); err != nil {
		return media.Recording{}, err
	}
	r, _, err := media.DecodeRecording(data.Bytes(), path.Dir(key))
	return r, err
}

// acted checks what was done to recordings: the lists, which agree, have it, and of
// what was deleted nothing is left in the bucket.
func (f *fleet) acted() {
	for _, dir := range f.deleted {
		if code := f.manager.get("/api/recordings/"+dir, nil); code != http.StatusNotFound {
			f.t.Errorf("%s was deleted, and is answered with %d", dir, code)
		}
		for o, err := range f.store.List(f.t.Context(), dir) {
			f.t.Errorf("%s was deleted, and the bucket has %s, %v", dir, o.Key, err)
		}
	}
	for _, dir := range f.protected {
		var r media.Recording
		if code := f.manager.get("/api/recordings/"+dir, &r); code != http.StatusOK || !r.Protected {
			f.t.Errorf("%s was protected, and is answered with %d %+v", dir, code, r)
		}
		if a := f.manager.ask(http.MethodDelete, "/api/recordings/"+dir, ""); a.status != http.StatusConflict {
			f.t.Errorf("%s is protected, and its deletion is answered with %d %s", dir, a.status, a.body)
		}
	}
}

// entries renders recordings by their folders, with times as the catalogue has
// them, and nodes as the manager calls them.
func (f *fleet) entries(list []media.Recording) map[string]string {
	out := map[string]string{}
	for _, r := range list {
		if alias, ok := f.names[r.Node]; ok {
			r.Node = alias
		}
		r.Start = r.Start.UTC().Truncate(time.Millisecond)
		if r.End != nil {
			end := r.End.UTC().Truncate(time.Millisecond)
			r.End = &end
		}
		text, err := json.Marshal(r)
		if err != nil {
			text = []byte(err.Error())
		}
		out[r.RecordDir] = string(text)
	}
	return out
}

func firstDifference(name string, catalogue, other map[string]string) string {
	for dir, text := range catalogue {
		if other[dir] != text {
			return fmt.Sprintf("the catalogue says of %s\n%s\n%s:\n%s\n", dir, text, name, other[dir])
		}
	}
	for dir := range other {
		if catalogue[dir] == "" {
			return fmt.Sprintf("the catalogue does not have %s of %s\n", dir, name)
		}
	}
	return ""
}

// browsers is how many recordings are played at the same time.
const browsers = 3

// playAll reads every recording back from the bucket and through the manager, and plays
// one of each node and number of Periods.
func (f *fleet) playAll() {
	list, _ := f.manager.recordings(f.streams)
	f.t.Logf("%d recordings", len(list))
	type shape struct {
		node    string
		periods int
	}
	shapes := map[shape]bool{}
	var playing []*script
	end := func() {
		var result map[string]played
		playing[0].wait(&result)
		playing = playing[1:]
	}
	for _, r := range list {
		if r.Status != media.StatusComplete && r.Status != media.StatusDegraded {
			f.t.Errorf("%s is %s: %s", r.RecordDir, r.Status, r.Reason)
			continue
		}
		back := f.readBack(r)
		s := shape{r.Node, len(back.Periods)}
		if shapes[s] {
			continue
		}
		shapes[s] = true
		if len(playing) == browsers {
			end()
		}
		playing = append(playing, f.play(r, back))
	}
	if len(shapes) < len(f.nodes) {
		f.t.Errorf("recordings of so few nodes: %v", shapes)
	}
	for len(playing) > 0 {
		end()
	}
}

// readBack reads a recording back from the bucket. The manager serves the same bytes.
func (f *fleet) readBack(r media.Recording) *verify.Recording {
	f.t.Helper()
	back, err := verify.ReadRecording(f.t.Context(), f.store, r.RecordDir)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, problem := range slices.Concat(back.Problems, verify.Audit(back)) {
		f.t.Errorf("%s: %s", r.RecordDir, problem)
	}
	served := 0
	for o, err := range f.store.List(f.t.Context(), r.RecordDir) {
		if err != nil {
			f.t.Fatal(err)
		}
		if ext := path.Ext(o.Key); ext != ".mpd" && ext != ".m4s" {
			continue
		}
		body, err := f.store.Get(f.t.Context(), o.Key, 0, -1)
		if err != nil {
			f.t.Fatal(err)
		}
		stored, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil {
			f.t.Fatal(err)
		}
		if a := f.manager.ask(http.MethodGet, "/api/record/object/"+o.Key, ""); a.status != http.StatusOK || !bytes.Equal(a.body, stored) {
			f.t.Errorf("%s: the manager answers with %d and %d bytes, the bucket has %d", o.Key, a.status, len(a.body), len(stored))
		}
		served++
	}
	if served < 3 {
		f.t.Errorf("%s has %d objects", r.RecordDir, served)
	}
	return back
}

// play starts a browser with a recording.
func (f *fleet) play(r media.Recording, back *verify.Recording) *script {
	f.t.Helper()
	// Where a player jumps over what a killed node has not recorded it leaves some
	// frames out, and how many is its own affair. At such a rate it also decodes
	// some twice.
	frames := 0
	for _, track := range back.Tracks {
		if track.Kind == media.Video && len(back.Periods) == 1 {
			frames = len(track.Samples)
		}
	}
	return startScript(f.t, nil, "play.mjs", "--base", f.manager.url, "--mpd", r.MPDPath, "--frames", strconv.Itoa(frames),
		"--tolerance", "30", "--players", "shaka", "--rate", "3", "--out", f.t.ArtifactDir())
}

// The page of a manager shows its nodes, records a stream on one of the two that
// have it, and plays what is on that node's disk.
func TestManagerPage(t *testing.T) {
	t.Parallel()
	nodes := map[string]*service{}
	list := ""
	for _, alias := range []string{"east", "west"} {
		nodes[alias] = newService(t, "live777", "[http]\nlisten = \"%s\"\n[webrtc]\nlisten = \"127.0.0.1:0\"\n[recorder]\nsegment_seconds = 1\n"+
			fmt.Sprintf("node_alias = %q\n", alias))
		list += fmt.Sprintf("[[nodes]]\nalias = %q\nurl = %q\n", alias, nodes[alias].url)
	}
	f := &fleet{t: t, nodes: nodes, manager: newService(t, "liveman", list+"[http]\nlisten = \"%s\"\n[fleet]\npoll_seconds = 1\n")}
	f.publish("east", "cam")
	f.publish("west", "cam")
	var result struct {
		RecordDir string `json:"record_dir"`
	}
	startScript(t, nil, "manager.mjs", "--base", f.manager.url, "--stream", "cam", "--node", "west", "--other", "east",
		"--node-url", nodes["west"].url, "--out", t.ArtifactDir()).wait(&result)
	read(t, filepath.Join(nodes["west"].dir, "storage"), result.RecordDir)
}
