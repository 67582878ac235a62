package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// fakeRecordings has a feed that add lengthens.
type fakeRecordings struct {
	*fakes
	pending bool // Delete leaves objects

	mu      sync.Mutex
	feed    []media.Change
	broken  error
	cursors []media.Cursor
	watch   chan struct{}
}

func (f *fakeRecordings) Recording(_ context.Context, dir string) (media.Recording, error) {
	stream, _, _ := strings.Cut(dir, "/")
	return media.Recording{Stream: stream, RecordDir: dir}, f.call("recording(%s)", dir)
}

func (f *fakeRecordings) Protect(_ context.Context, dir string, protected bool) (media.Recording, error) {
	return media.Recording{RecordDir: dir, Protected: protected}, f.call("protect(%s,%v)", dir, protected)
}

func (f *fakeRecordings) Delete(_ context.Context, dir string) (bool, error) {
	return !f.pending, f.call("delete(%s)", dir)
}

func (f *fakeRecordings) DeleteLater(_ context.Context, dir string, grace time.Duration) (media.Deletion, error) {
	return media.Deletion{RecordDir: dir, Stream: "camera", At: time.Unix(1_700_000_000, 0).UTC().Add(grace)}, f.call("delete(%s) in %v", dir, grace)
}

func (f *fakeRecordings) Undelete(_ context.Context, dir string) (media.Recording, error) {
	return media.Recording{Stream: "camera", RecordDir: dir}, f.call("undelete(%s)", dir)
}

func (f *fakeRecordings) Deletions(context.Context) ([]media.Deletion, error) {
	return []media.Deletion{{RecordDir: "camera/1700000000", Stream: "camera", At: time.Unix(1_700_000_010, 0).UTC()}}, nil
}

func (f *fakeRecordings) Feed(context.Context) (string, error) { return "feed-1", nil }

func (f *fakeRecordings) Follow(_ context.Context, c media.Cursor, limit int) (changes []media.Change, next media.Cursor, err error) {
	_ = f.call("follow(%s,%d)", c, limit)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursors = append(f.cursors, c)
	if f.broken != nil {
		return nil, c, f.broken
	}
	if c == (media.Cursor{}) && len(f.feed) > 0 {
		c.Base = f.feed[len(f.feed)-1].Seq
	}
	for _, change := range f.feed {
		if change.Seq > c.Seq && len(changes) < limit {
			changes = append(changes, change)
		}
	}
	if len(changes) > 0 {
		c.Seq = changes[len(changes)-1].Seq
	}
	c.Base = max(c.Base, c.Seq)
	return changes, c, nil
}

func (f *fakeRecordings) Watch() (<-chan struct{}, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = make(chan struct{}, 1)
	return f.watch, func() {}
}

// add appends a change to the feed and wakes who watches.
func (f *fakeRecordings) add(seq int64, dir string, deleted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change := media.Change{Seq: seq, RecordDir: dir, Deleted: deleted}
	if !deleted {
		change.Recording = &media.Recording{RecordDir: dir}
	}
	f.feed = append(f.feed, change)
	f.notify()
}

// fail makes the feed fail.
func (f *fakeRecordings) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = err
	f.notify()
}

func (f *fakeRecordings) notify() {
	if f.watch != nil {
		select {
		case f.watch <- struct{}{}:
		default:
		}
	}
}

func newRecordingsNode(t *testing.T) (*node, *fakeRecordings) {
	t.Helper()
	var f *fakeRecordings
	n := newNode(t, func(o *Options) { f = o.Recordings.(*fakeRecordings) })
	return n, f
}

func TestRecordings(t *testing.T) {
	n, f := newRecordingsNode(t)
	w := n.do(t, http.MethodGet, "/api/recordings/room/1", "")
	var rec media.Recording
	if err := json.Unmarshal(w.Body.Bytes(), &rec); err != nil || w.Code != http.StatusOK || rec.RecordDir != "room/1" || rec.Stream != "room" {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
	w = n.do(t, http.MethodPatch, "/api/recordings/a/b/c", `{"protected": true}`)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"protected":true`) {
		t.Errorf("PATCH: %d %s", w.Code, w.Body)
	}
	w = n.do(t, http.MethodPatch, "/api/recordings/a/b/c", `{"protected": false}`)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"protected"`) {
		t.Errorf("PATCH: %d %s", w.Code, w.Body)
	}
	expect(t, n.do(t, http.MethodDelete, "/api/recordings/room/1", ""), http.StatusNoContent)
	f.pending = true
	expect(t, n.do(t, http.MethodDelete, "/api/recordings/room/1", ""), http.StatusAccepted)
	if got, want := n.called(), "recording(room/1) protect(a/b/c,true) protect(a/b/c,false) delete(room/1) delete(room/1)"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
	for kind, status := range map[fault.Kind]int{fault.NotFound: 404, fault.Conflict: 409, fault.Unavailable: 503} {
		n.err = fault.New(kind, "not now")
		if kind != fault.Conflict { // with which reading cannot be
			expect(t, n.do(t, http.MethodGet, "/api/recordings/room/1", ""), status)
		}
		expect(t, n.do(t, http.MethodPatch, "/api/recordings/room/1", `{"protected": true}`), status)
		expect(t, n.do(t, http.MethodDelete, "/api/recordings/room/1", ""), status)
	}
}

// TestDeleteLater deletes in a while, lists what waits, and takes it back.
func TestDeleteLater(t *testing.T) {
	n, _ := newRecordingsNode(t)
	for grace, want := range map[string]string{"10s": "10s", "10": "10s", "2m": "2m0s"} {
		w := n.do(t, http.MethodDelete, "/api/recordings/room/1?grace="+grace, "")
		if got := n.called(); w.Code != http.StatusOK || !strings.HasSuffix(got, "delete(room/1) in "+want) {
			t.Errorf("grace=%s: %d %s, called %s", grace, w.Code, w.Body, got)
		}
	}
	for _, grace := range []string{"-1s", "11m", "soon", "1e9"} {
		expect(t, n.do(t, http.MethodDelete, "/api/recordings/room/1?grace="+grace, ""), http.StatusBadRequest)
	}
	if w := n.do(t, http.MethodPatch, "/api/recordings/room/1", `{"deleted": false}`); w.Code != http.StatusOK || !strings.HasSuffix(n.called(), " undelete(room/1)") {
		t.Errorf("take it back: %d %s", w.Code, w.Body)
	}
	for _, body := range []string{`{"deleted": true}`, `{"deleted": false, "protected": true}`} {
		expect(t, n.do(t, http.MethodPatch, "/api/recordings/room/1", body), http.StatusBadRequest)
	}
	if w := n.do(t, http.MethodGet, "/api/deletions", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"record_dir":"camera/1700000000"`) {
		t.Errorf("what waits: %d %s", w.Code, w.Body)
	}
}

func TestPatchRecordingBadBodies(t *testing.T) {
	for _, body := range []string{"", "{}", "null", "[]", "true", `{"protected":null}`, `{"protected":1}`, `{"protected":"true"}`, `{"protected":true,"x":1}`, `{"status":"complete"}`, `{"protected":true`} {
		n, _ := newRecordingsNode(t)
		expect(t, n.do(t, http.MethodPatch, "/api/recordings/room/1", body), http.StatusBadRequest)
		if calls := n.called(); calls != "" {
			t.Errorf("%s: called %s", body, calls)
		}
	}
}

func TestWithoutRecordings(t *testing.T) {
	n := newNode(t, func(o *Options) { o.Recordings = nil })
	for target, method := range map[string]string{
		"/api/recordings": "GET", "/api/sse/recordings": "GET", "/api/deletions": "GET", "/api/recordings/a/1": "GET", "/api/recordings/a/2": "PATCH", "/api/recordings/a/3": "DELETE",
	} {
		expect(t, n.do(t, method, target, ""), http.StatusNotImplemented)
	}
}

// TestExistenceIsNotTold: what is not there and what is another's has the same answer,
// to the byte.
func TestExistenceIsNotTold(t *testing.T) {
	n := newNode(t, withAuth)
	for _, right := range []auth.Right{auth.View, auth.Delete, auth.Record, auth.Publish, auth.Subscribe, auth.Admin} {
		as := bearerHeader(jwtFor(t, []string{"room-*"}, right))
		for _, tt := range []struct{ method, there, notThere string }{
			{"GET", "/api/record/object/hall/1/v_init.m4s", "/api/record/object/unknown"},
			{"GET", "/api/recordings/hall/1", "/api/recordings/unknown"},
			{"PATCH", "/api/recordings/hall/1", "/api/recordings/unknown"},
			{"DELETE", "/api/recordings/hall/1", "/api/recordings/unknown"},
			{"POST", "/api/sign/hall/1", "/api/sign/unknown"},
			{"DELETE", "/session/room-1/pub", "/session/room-1/gone"},
			{"DELETE", "/session/room-1/view", "/session/room-1/gone"},
			{"PATCH", "/session/room-1/view", "/session/room-1/gone"},
			{"DELETE", "/session/hall/pub", "/session/hall/gone"},
		} {
			there, notThere := n.do(t, tt.method, tt.there, "", as...), n.do(t, tt.method, tt.notThere, "", as...)
			if there.Code < 300 || there.Code == http.StatusBadRequest {
				continue // it may
			}
			if there.Code != notThere.Code || there.Body.String() != notThere.Body.String() {
				t.Errorf("%s: %s %s: %d %s\n%s: %d %s", right, tt.method, tt.there, there.Code, there.Body, tt.notThere, notThere.Code, notThere.Body)
			}
		}
	}
}

func TestRecordingRights(t *testing.T) {
	n := newNode(t, withAuth)
	view := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room-*"}, auth.View)}
	del := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room-*"}, auth.Delete)}
	for _, test := range []struct {
		method, dir string
		token       []string
		status      int
	}{
		{"GET", "room-1/1", view, 200}, {"GET", "hall/1", view, 404}, {"DELETE", "room-1/1", view, 403}, {"PATCH", "room-1/1", view, 403},
		{"DELETE", "room-1/1", del, 204}, {"DELETE", "hall/1", del, 404}, {"PATCH", "room-1/1", del, 200}, {"PATCH", "hall/1", del, 404},
	} {
		body := ""
		if test.method == "PATCH" {
			body = `{"protected": true}`
		}
		expect(t, n.do(t, test.method, "/api/recordings/"+test.dir, body, test.token...), test.status)
	}
}

func TestFeed(t *testing.T) {
	n, f := newRecordingsNode(t)
	if w := n.do(t, http.MethodGet, "/api/recordings?since=0", ""); w.Body.String() != `{"feed":"feed-1","changes":[],"next":0}`+"\n" {
		t.Errorf("an empty feed: %d %s", w.Code, w.Body)
	}
	f.add(5, "room/1", false)
	f.add(7, "room/2", true)
	w := n.do(t, http.MethodGet, "/api/recordings?since=0&limit=1", "")
	var page struct {
		Changes []media.Change
		Next    int64
		Base    int64
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Changes) != 1 || page.Changes[0].Recording == nil || page.Next != 5 || page.Base != 7 {
		t.Errorf("the first page: %s", w.Body)
	}
	w = n.do(t, http.MethodGet, "/api/recordings?since=5&base=7", "")
	if want := `{"feed":"feed-1","changes":[{"seq":7,"deleted":true,"record_dir":"room/2"}],"next":7}` + "\n"; w.Body.String() != want {
		t.Errorf("the last page: %s", w.Body)
	}
	if want := []media.Cursor{{}, {}, {Seq: 5, Base: 7}}; !reflect.DeepEqual(f.cursors, want) {
		t.Errorf("cursors %v, want %v", f.cursors, want)
	}
	for _, q := range []string{"since=x", "since=-1", "base=x", "since=1.5", "limit=0", "limit=x"} {
		expect(t, n.do(t, http.MethodGet, "/api/recordings?"+q, ""), http.StatusBadRequest)
	}
	if n.do(t, http.MethodGet, "/api/recordings?since=5&limit=1000", ""); !slices.Contains(f.fakes.calls, "follow(5,200)") {
		t.Errorf("more than a page: %q", f.fakes.calls)
	}
	f.fail(fault.New(fault.Conflict, "begin again at 0"))
	expect(t, n.do(t, http.MethodGet, "/api/recordings?since=1", ""), http.StatusConflict)
	expect(t, n.do(t, http.MethodGet, "/api/sse/recordings?since=1", ""), http.StatusConflict)
	expect(t, n.do(t, http.MethodGet, "/api/sse/recordings", "", "Last-Event-ID", "x"), http.StatusBadRequest)
}

// event reads lines up to the next blank one.
func event(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("read event: %v", err)
		}
		if line == "\n" {
			return strings.Join(lines, "")
		}
		lines = append(lines, line)
	}
}

func TestRecordingEvents(t *testing.T) {
	n, f := newRecordingsNode(t)
	n.timing = timing{io: 5 * time.Second, poll: time.Hour, heartbeat: time.Hour}
	f.add(5, "room/1", false)
	f.add(6, "room/2", true)
	addr, _ := n.listen(t)
	r := subscribe(t, addr, "/api/sse/recordings")
	for i, want := range []string{"id: 5-6\ndata: {\"seq\":5,", "id: 6\ndata: {\"seq\":6,\"deleted\":true,\"record_dir\":\"room/2\"}\n"} {
		if got := event(t, r); !strings.HasPrefix(got, want) {
			t.Errorf("event %d is %q, want %q", i, got, want)
		}
	}
	for seq := int64(7); seq < 10; seq++ {
		f.add(seq, "room/3", false)
		if got, want := event(t, r), fmt.Sprintf("id: %d\ndata: {\"seq\":%d,", seq, seq); !strings.HasPrefix(got, want) {
			t.Errorf("event %q, want %q", got, want)
		}
	}
	f.fail(fault.New(fault.Conflict, "begin again at 0"))
	if got, want := event(t, r), "event: error\ndata: {\"error\":\"begin again at 0\",\"code\":\"conflict\"}\n"; got != want {
		t.Errorf("the last event is %q, want %q", got, want)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("after the error: %q %v", rest, err)
	}
}

// TestRecordingEventsResume: a client goes on behind the last event that it saw.
func TestRecordingEventsResume(t *testing.T) {
	n, f := newRecordingsNode(t)
	n.timing = timing{io: 5 * time.Second, poll: time.Millisecond, heartbeat: time.Hour}
	for seq := int64(1); seq <= 2*MaxPage+10; seq++ { // several pages
		f.add(seq, "room/1", false)
	}
	addr, _ := n.listen(t)
	for from, header := range map[int64]string{0: "", 3: "Last-Event-ID: 3\r\n", MaxPage: fmt.Sprintf("Last-Event-ID: %d-%d\r\n", MaxPage, 2*MaxPage+10)} {
		r := subscribe(t, addr, "/api/sse/recordings?since=0", header)
		for seq := from + 1; seq <= 2*MaxPage+10; seq++ {
			id, _, _ := strings.Cut(event(t, r), "\n")
			want := fmt.Sprintf("id: %d", seq)
			if from != 3 && seq < 2*MaxPage+10 {
				want += fmt.Sprintf("-%d", 2*MaxPage+10)
			}
			if id != want {
				t.Fatalf("from %d: %q, want %q", from, id, want)
			}
		}
	}
}

func TestRecordingEventsEnd(t *testing.T) {
	n, _ := newRecordingsNode(t)
	n.timing = timing{io: 5 * time.Second, poll: time.Hour, heartbeat: time.Millisecond}
	addr, server := n.listen(t)
	r := subscribe(t, addr, "/api/sse/recordings")
	for range 3 { // the first says that the client is connected
		if got := event(t, r); got != ":\n" {
			t.Errorf("heartbeat %q", got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown with event streams open: %v", err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
}
