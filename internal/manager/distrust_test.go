//go:build !norecorder

package manager

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// TestNodesDoNotSayWhatTheirObjectsAre: a node's answer is no page of the manager's
// origin, and stays in no cache for ever, whatever it says.
func TestNodesDoNotSayWhatTheirObjectsAre(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	evil := nodeOfObjects(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Disposition", "inline")
		w.Header().Set("Set-Cookie", "session=theirs")
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, "<script>alert(1)</script>")
	})
	m := startManager(t, t.TempDir(), map[string]*server{"evil": {url: evil.URL}}, nil)
	until(t, "the recording is known", func() bool {
		a, _ := m.request(http.MethodGet, "/api/recordings/cam/1", "")
		return a.StatusCode == http.StatusOK
	})
	for name, want := range map[string]string{
		"manifest.mpd": "application/dash+xml", "v_seg_0001.m4s": "video/mp4", "a_seg_0001.m4s": "audio/mp4", "recording.json": "application/json",
	} {
		a, _ := m.request(http.MethodGet, "/api/record/object/@evil/cam/1/"+name, "")
		got := a.Header
		if a.StatusCode != http.StatusOK || got.Get("Content-Type") != want || got.Get("X-Content-Type-Options") != "nosniff" ||
			got.Get("Cache-Control") != "no-cache" || got.Get("Set-Cookie") != "" || got.Get("Content-Disposition") != "" ||
			strings.Contains(got.Get("Content-Security-Policy"), "*") {
			t.Errorf("%s: %d %v", name, a.StatusCode, got)
		}
	}
}

// TestAllow: a node that registers is where it may be, and stays there.
func TestAllow(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	f.o.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	register := func(alias, url string) error {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: alias, URL: url}, false)
		return err
	}
	for i, url := range []string{"http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80", "http://169.254.169.254", "http://[::ffff:127.0.0.1]"} {
		if err := register("n"+strconv.Itoa(i), url); fault.KindOf(err) != fault.Forbidden || !strings.Contains(err.Error(), "registration.allow") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for i, url := range []string{"http://192.0.2.7:7777", "http://[2001:db8::1]:7777", "http://[::ffff:192.0.2.8]"} {
		if err := register("m"+strconv.Itoa(i), url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	// A name may become another address afterwards.
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the address was connected to") }))
	t.Cleanup(s.Close)
	c := peer.New(peer.NewGuarded(f.o.Allow), s.URL, "")
	if resp, err := c.Do(t.Context(), peer.Call{Method: http.MethodGet, Path: "/", Wait: 10 * time.Second}); err == nil {
		_ = resp.Body.Close()
		t.Error("a connection to elsewhere")
	}
}

// TestAliasesInAnyCase: two that differ in the case of letters are one to people, and to
// some file systems.
func TestAliasesInAnyCase(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	f.load([]config.Node{{Alias: "Main", URL: "http://192.0.2.1"}})
	register := func(alias string) error {
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: alias, URL: "http://192.0.2.9"}, true)
		return err
	}
	if err := register("edge"); err != nil {
		t.Fatal(err)
	}
	for _, alias := range []string{"EDGE", "Edge", "main"} {
		if err := register(alias); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "case of letters") {
			t.Errorf("%s: %v", alias, err)
		}
	}
}

// TestRegistrationsAreBounded: lengths, and how many there are.
func TestRegistrationsAreBounded(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	for _, r := range []api.NodeRegistration{
		{Alias: "a", URL: "http://192.0.2.1/" + strings.Repeat("x", maxURL)},
		{Alias: "a", URL: "http://192.0.2.1", Token: strings.Repeat("x", maxToken+1)},
	} {
		if _, _, err := f.Register(t.Context(), r, true); fault.KindOf(err) != fault.Invalid {
			t.Errorf("too long: %v", err)
		}
	}
	f.mu.Lock()
	for i := range maxRegistered {
		alias := "n" + strconv.Itoa(i)
		f.nodes[alias] = newNode(f, alias, registered, "http://192.0.2.1:"+strconv.Itoa(10000+i), "", false)
	}
	f.mu.Unlock()
	_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "one-more", URL: "http://192.0.2.2"}, true)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "1000 nodes") {
		t.Errorf("one more: %v", err)
	}
	f.mu.Lock()
	clear(f.nodes)
	f.mu.Unlock()
}

// TestFeedsAreBounded: a node that tells of ever more is not followed for ever.
func TestFeedsAreBounded(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	many, told := 6, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		page := follow.Page{Feed: "feed"}
		for range many {
			told++
			r := completeRecording("edge", "cam/"+strconv.Itoa(told))
			page.Changes = append(page.Changes, media.Change{Seq: int64(told), RecordDir: r.RecordDir, Recording: &r})
		}
		page.Next = int64(told)
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(s.Close)
	n := newNode(f, "edge", registered, s.URL, "", true)
	f.feeds.MaxRows = 10
	if err := n.feed.Walk(t.Context()); err == nil || !strings.Contains(err.Error(), "more than 10 recordings") {
		t.Errorf("too many rows: %v", err)
	}
	many = api.MaxPage + 1
	if err := n.feed.Walk(t.Context()); err == nil || !strings.Contains(err.Error(), "a page of its feed") {
		t.Errorf("too many at once: %v", err)
	}
}

// TestStreamsAreBounded: a node that tells of too many streams has none that are known,
// by events and by lists, and says so. Others go on, and it does when it tells of fewer.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	list := func() []api.NodeStream {
		streams := []api.NodeStream{}
		for i := range told.Load() {
			streams = append(streams, published("many-"+strconv.FormatInt(i, 10), false))
		}
		return streams
	}
	event := func(w http.ResponseWriter, _ *http.Request) {
		data, _ := json.Marshal(list())
		_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
	}
	f, _, _ := newTestFleet(t)
	f.maxStreams, f.o.Poll, f.o.Timeout = 3, 100*time.Millisecond, 30*time.Second
	told.Store(3)
	for alias, n := range map[string]*fakeNode{
		"lists":  {list: list},
		"events": {events: event, list: list},
		"other":  {list: func() []api.NodeStream { return []api.NodeStream{published("cam", false)} }},
	} {
		f.add(newNode(f, alias, configured, newFakeNode(t, n).URL, "", true))
	}
	t.Cleanup(f.close)
	have := func(alias, stream string) bool { _, ok := f.node(alias).stream(stream); return ok }
	for _, alias := range []string{"lists", "events"} {
		until(t, "as many as there may be are known of "+alias, func() bool { return have(alias, "many-2") })
	}
	told.Store(4)
	for _, alias := range []string{"lists", "events"} {
		until(t, alias+" says that there are too many", func() bool {
			err := f.node(alias).notListed()
			return err != nil && strings.Contains(err.Error(), "tells of more than 3 streams")
		})
	}
	if n := f.node("lists"); have("lists", "many-0") || !strings.Contains(n.describe().Error, "more than 3") {
		t.Errorf("%+v", n.describe())
	}
	if !have("other", "cam") {
		t.Error("another node's stream is gone")
	}
	told.Store(2)
	until(t, "it goes on", func() bool { return have("lists", "many-1") && f.node("lists").describe().Error == "" })
}

// TestNoRecordingOfWhoConnects: an offer alone makes no recording, as on a node.
func TestNoRecordingOfWhoConnects(t *testing.T) {
	t.Parallel()
	f, _, _ := newTestFleet(t)
	n := newNode(f, "edge", configured, "http://192.0.2.1", "", true)
	n.probed(nodeInfo{Info: recordingInfo}, 0, nil) // up
	f.nodes["edge"] = n
	a := &autoRecorder{fleet: f, patterns: []string{"*"}, retry: time.Minute, now: time.Now, log: f.log, tasks: map[autoKey]*autoTask{}}
	for _, state := range []string{"new", "connecting", "connected"} {
		n.replaceStreams([]api.NodeStream{{ID: "cam", Publish: api.StreamPresence{Sessions: []api.StreamSession{{ID: "s", State: state}}}}})
		if due := len(a.due()); due != map[string]int{"connected": 1}[state] {
			t.Errorf("%s: %d recordings are due", state, due)
		}
	}
	f.nodes = map[string]*node{}
}

// TestRecordingsOfOthers: a node that has registered itself may tell of anything in shared
// storage. What that has of another stream is not played, changed or deleted for it.
func TestRecordingsOfOthers(t *testing.T) {
	l := newTestLibrary(t, true)
	keeper, err := retention.New(retention.Options{Backend: l.store, Catalogue: l.db, Now: time.Now, Logger: l.fleet.log})
	if err != nil {
		t.Fatal(err)
	}
	l.fleet.o.Control = time.Minute
	s := &shelf{Changes: l.db, fleet: l.fleet, keeper: keeper}
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusNotFound) }))
	t.Cleanup(evil.Close)
	l.fleet.nodes["edge"] = newNode(l.fleet, "edge", registered, evil.URL, "", false)
	l.fleet.nodes["edge"].probed(nodeInfo{Info: recordingInfo}, 0, nil)
	l.add("cam/old", time.Hour, 10, "manifest.mpd", "v_seg_0001.m4s")
	l.add("secret/1", time.Hour, 10, "manifest.mpd", "v_seg_0001.m4s")
	l.add("secret/2", time.Hour, 10, "manifest.mpd", "v_seg_0001.m4s") // which nothing describes
	describe(t, l.store, completeRecording("other", "cam/old"))
	secret := completeRecording("other", "secret/1")
	secret.Stream = "secret"
	describe(t, l.store, secret)
	for key, want := range map[string]string{
		"cam/old/manifest.mpd": "storage says", "cam/old/v_seg_0001.m4s": "https://bucket.example/",
		"secret/1/manifest.mpd": "no recorded object", "secret/1/v_seg_0001.m4s": "no recorded object", "secret/2/v_seg_0001.m4s": "no recorded object",
	} {
		for range 2 { // the second is told from memory, or not at all
			if _, text := l.get(http.MethodGet, key); !strings.Contains(text, want) {
				t.Errorf("%s: %q, want %q", key, text, want)
			}
		}
	}
	if done, err := s.Delete(t.Context(), "secret/1"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("delete what is another's: %v, %v", done, err)
	}
	if there, err := l.fleet.shared.Has(t.Context(), "secret/1"); !there || err != nil {
		t.Errorf("it is deleted: %v", err)
	}
	if _, err := s.Delete(t.Context(), "cam/old"); err != nil {
		t.Errorf("delete what storage has as it says: %v", err)
	}
}

// TestAliasesOfOneSpelling: letters that can be written in two ways are in no alias, so that
// two that look alike differ.
func TestAliasesOfOneSpelling(t *testing.T) {
	t.Parallel()
	for alias, ok := range map[string]bool{"edge-1": true, "Edge_1.x": true, "caf\u00e9": false, "cafe\u0301": false, "\u212aelvin": false, "a\u202eb": false, "a\u200bb": false, ".a": false, "a/b": false, "": false} {
		if config.IsAlias(alias) != ok {
			t.Errorf("%+q may be an alias: %v", alias, !ok)
		}
	}
}
