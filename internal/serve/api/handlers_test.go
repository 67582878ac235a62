package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

func httpRequest(t *testing.T, method, target string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), method, target, nil)
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no error")
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	for k := fault.Internal; k <= fault.TooMany; k++ {
		if statuses[k] < 400 {
			t.Errorf("kind %d has no status", k)
		}
	}
	for err, want := range map[error]int{
		fault.New(fault.Conflict, "busy"):                                             409,
		fmt.Errorf("start: %w", fault.New(fault.StorageFull, "full")):                 507,
		fault.New(fault.Unprocessable, "codec"):                                       422,
		fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 1}):                         413,
		errors.New("open /var/lib/secret-place: permission denied"):                   500,
		fault.Wrap(fault.Unavailable, errors.New("storage is away")):                  503,
		fault.New(fault.PreconditionMissing, "If-Match"):                              428,
		fault.Errorf(fault.Kind(200), "a kind that somebody added and forgot %s", ""): 500,
	} {
		n := newNode(t, nil)
		n.err, n.unchecked = err, true
		w := n.do(t, http.MethodPost, "/whip/room", "")
		expect(t, w, want)
		if strings.Contains(w.Body.String(), "secret-place") {
			t.Errorf("internals in the answer: %s", w.Body)
		}
		if lines := strings.Count(n.logs.String(), "request failed"); (want == 500 || want == 503 || want == 507) != (lines == 1) && want != 500 {
			t.Errorf("%v: logged %d times", err, lines)
		}
		if want == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
	}
}

// Who has to wait is told for how long, whatever package says so.
func TestErrorsTellHowLongToWait(t *testing.T) {
	n := newNode(t, nil)
	n.err, n.unchecked = fmt.Errorf("start: %w", fault.Waitf(fault.TooMany, 6500*time.Millisecond, "too often, for %d seconds")), true
	w := n.do(t, http.MethodPost, "/whip/room", "")
	expect(t, w, http.StatusTooManyRequests)
	if got := w.Header().Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q, want 7", got)
	}
}

func TestStreams(t *testing.T) {
	n := newNode(t, nil)
	if w := n.do(t, http.MethodGet, "/api/streams/", ""); w.Body.String() != "[]\n" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("no streams: %s", w.Body)
	}
	expect(t, n.do(t, http.MethodGet, "/api/streams/room", ""), http.StatusNotFound)
	expect(t, n.do(t, http.MethodPost, "/api/streams/room", ""), http.StatusNoContent)
	expect(t, n.do(t, http.MethodPost, "/api/streams/room", ""), http.StatusConflict)
	expect(t, n.do(t, http.MethodPost, "/api/streams/hall", `{"x":1}`), http.StatusBadRequest)
	n.status.Recording, n.status.Info.Start = true, time.UnixMilli(1500)
	w := n.do(t, http.MethodGet, "/api/streams/room", "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["id"] != "room" || got["recording"] != true || got["recordingSince"] != 1500.0 || got["createdAt"] == nil || got["publish"] == nil || got["subscribe"] == nil || got["tracks"] == nil {
		t.Errorf("a stream: %s", w.Body)
	}
	if w := n.do(t, http.MethodGet, "/api/streams", ""); w.Code != 200 || !strings.HasPrefix(w.Body.String(), `[{"id":"room"`) {
		t.Errorf("without the slash: %d %s", w.Code, w.Body)
	}
	expect(t, n.do(t, http.MethodDelete, "/api/streams/room", ""), http.StatusNoContent)
	expect(t, n.do(t, http.MethodDelete, "/api/streams/room", ""), http.StatusNotFound)
}

func TestStartRecording(t *testing.T) {
	for body, want := range map[string]string{
		"": "start(room,)", "{}": "start(room,)", "{ }\n": "start(room,)", `{"base_dir":""}`: "start(room,)", `{"base_dir":null}`: "start(room,)",
		`{"base_dir":"/a/b/"}`: "start(room,a/b)", `{"base_dir":"a"}`: "start(room,a)",
	} {
		n := newNode(t, nil)
		n.rec = media.Recording{Stream: "room", RecordID: "1718200000", RecordDir: "room/1718200000", MPDPath: "room/1718200000/manifest.mpd", Node: "n"}
		w := n.do(t, http.MethodPost, "/api/record/room", body)
		expect(t, w, http.StatusOK)
		if got := n.called(); got != want {
			t.Errorf("%s: called %s, want %s", body, got, want)
		}
		if got, want := w.Body.String(), `{"id":"room","record_id":"1718200000","record_dir":"room/1718200000","mpd_path":"room/1718200000/manifest.mpd"}`+"\n"; got != want {
			t.Errorf("answer %s, want %s", got, want)
		}
	}
}

// TestBaseDirOfOthers: a token for some streams must not write among, or make its
// own, what belongs to another.
func TestBaseDirOfOthers(t *testing.T) {
	n := newNode(t, withAuth)
	rooms := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room-*"}, auth.Record)}
	all := []string{"Authorization", "Bearer " + jwtFor(t, []string{"*"}, auth.Record)}
	for _, tt := range []struct {
		baseDir string
		token   []string
		want    int
	}{
		{"room-1/x", rooms, http.StatusOK},
		{"/room-2/x/", rooms, http.StatusOK},
		{"hall", rooms, http.StatusForbidden},
		{"/hall/1762842203/", rooms, http.StatusForbidden},
		{"hall/room-1", rooms, http.StatusForbidden},
		{"hall/x", all, http.StatusOK},
	} {
		w := n.do(t, http.MethodPost, "/api/record/room-1", `{"base_dir":"`+tt.baseDir+`"}`, tt.token...)
		if w.Code != tt.want {
			t.Errorf("base_dir %q: %d %s, want %d", tt.baseDir, w.Code, w.Body, tt.want)
		}
	}
}

func TestStartRecordingBadBodies(t *testing.T) {
	long := `{"base_dir":"` + strings.Repeat("x", maxJSON) + `"}`
	for body, want := range map[string]string{
		"null": "object", "[]": "object", "x": "object", `"a"`: "object",
		"{": "ends too early", `{"base_dir":}`: "not valid JSON", "{} {}": "more than one", "{}x": "more than one",
		`{"base_dir":5}`: `field "base_dir" must be a string, not a number`, `{"base_dir":["a"]}`: `field "base_dir"`,
		`{"basedir":"a"}`: `unknown field "basedir"`, `{"base_dir":"/"}`: "base_dir: path is empty", `{"base_dir":"a/../b"}`: "base_dir",
		`{"base_dir":"a//b"}`: "base_dir", `{"base_dir":"a\\b"}`: "base_dir", `{"base_dir":"a\u0000"}`: "base_dir",
	} {
		n := newNode(t, nil)
		w := n.do(t, http.MethodPost, "/api/record/room", body)
		expect(t, w, http.StatusBadRequest)
		var e errorBody
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || !strings.Contains(e.Error, want) {
			t.Errorf("%s: %s, want %s", body, w.Body, want)
		}
		if n.called() != "" {
			t.Errorf("%s: called %s", body, n.called())
		}
	}
	expect(t, newNode(t, nil).do(t, http.MethodPost, "/api/record/room", long), http.StatusRequestEntityTooLarge)
}

func TestRecordingStatus(t *testing.T) {
	n := newNode(t, nil)
	for _, tt := range []struct {
		status RecordStatus
		want   string
	}{
		{RecordStatus{}, `{"recording":false}`},
		{RecordStatus{Error: "disk full"}, `{"recording":false,"error":"disk full"}`},
		{RecordStatus{Recording: true, Info: media.Recording{RecordDir: "d", MPDPath: "d/manifest.mpd", Start: time.Unix(1, 0), Status: media.StatusRecording}},
			`{"recording":true,"record_id":"","record_dir":"d","mpd_path":"d/manifest.mpd","duration":0,"durable_through":0,"bytes":0,"status":"recording","tracks":[]}`},
		{RecordStatus{Recording: true, Info: media.Recording{RecordID: "1", RecordDir: "d/1", MPDPath: "d/1/manifest.mpd", Start: time.Unix(1, 0).UTC(),
			Periods: 1, Duration: 1.5, Bytes: 9, Status: media.StatusRecording, Reason: "r", Tracks: []media.RecordingTrack{}}},
			`{"recording":true,"record_id":"1","record_dir":"d/1","mpd_path":"d/1/manifest.mpd","started_at":"1970-01-01T00:00:01Z","duration":1.5,"durable_through":0,"bytes":9,"status":"recording","reason":"r","tracks":[]}`},
	} {
		n.status = tt.status
		if w := n.do(t, http.MethodGet, "/api/record/room", ""); w.Code != 200 || w.Body.String() != tt.want+"\n" {
			t.Errorf("%d %s\nwant %s", w.Code, w.Body, tt.want)
		}
	}
}

func TestStopRecording(t *testing.T) {
	n := newNode(t, nil)
	if w := n.do(t, http.MethodDelete, "/api/record/room", ""); w.Code != 200 || w.Body.String() != `{"id":"room","recording":false,"stopped":false}`+"\n" {
		t.Errorf("nothing to stop: %d %s", w.Code, w.Body)
	}
	n.stopped = true
	n.rec = media.Recording{RecordDir: "d", MPDPath: "d/manifest.mpd", Status: media.StatusComplete}
	want := `{"id":"room","recording":false,"stopped":true,"record_id":"","record_dir":"d","mpd_path":"d/manifest.mpd","status":"complete"}` + "\n"
	if w := n.do(t, http.MethodDelete, "/api/record/room", ""); w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s\nwant %s", w.Code, w.Body, want)
	}
}

func TestWithoutRecorder(t *testing.T) {
	n := newNode(t, func(o *Options) { o.Recorder, o.Playback, o.Archive = nil, nil, nil })
	for _, rt := range n.routes() {
		if strings.HasPrefix(rt.path, "/api/record/") || strings.HasPrefix(rt.path, "/api/playback") || strings.HasPrefix(rt.path, "/api/archive") || strings.HasPrefix(rt.path, "/api/sign/") {
			expect(t, n.do(t, rt.method, target(rt, "room", ""), ""), http.StatusNotImplemented)
		}
	}
	expect(t, n.do(t, http.MethodPost, "/api/streams/room", ""), http.StatusNoContent)
	expect(t, n.do(t, http.MethodGet, "/api/streams/room", ""), http.StatusOK)
}

func TestPlayback(t *testing.T) {
	n := newNode(t, nil)
	if w := n.do(t, http.MethodGet, "/api/playback", ""); w.Body.String() != "[]\n" {
		t.Errorf("no recordings: %s", w.Body)
	}
	if w := n.do(t, http.MethodGet, "/api/playback/room", ""); w.Body.String() != `{"stream":"room","total":7,"recordings":[]}`+"\n" {
		t.Errorf("no page: %s", w.Body)
	}
	if want := (media.RecordingQuery{Stream: "room", Limit: defaultLimit}); n.query != want {
		t.Errorf("query %+v, want %+v", n.query, want)
	}
	n.next = "abc"
	if w := n.do(t, http.MethodGet, "/api/playback/room?after=xyz&limit=1000", ""); w.Body.String() != `{"stream":"room","total":7,"recordings":[],"next":"abc"}`+"\n" {
		t.Errorf("a page with one behind it: %s", w.Body)
	}
	if want := (media.RecordingQuery{Stream: "room", After: "xyz", Limit: 200}); n.query != want {
		t.Errorf("query %+v, want %+v", n.query, want)
	}
	n.do(t, http.MethodGet, "/api/playback/room?limit=5&offset=10&from=2026-01-02T00:00:00%2B08:00&to=1767312000", "")
	want := media.RecordingQuery{Stream: "room", Limit: 5, Offset: 10, From: time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC), To: time.Unix(1767312000, 0).UTC()}
	if !reflect.DeepEqual(n.query, want) {
		t.Errorf("query %+v, want %+v", n.query, want)
	}
	for _, q := range []string{"limit=0", "limit=x", "offset=-1", "offset=1001", "after=xyz&offset=1", "from=yesterday", "to=-1", "from=2&to=1"} {
		expect(t, n.do(t, http.MethodGet, "/api/playback/room?"+q, ""), http.StatusBadRequest)
	}
}

// streamPages follows the links from a list of streams to its last page.
func (n *node) streamPages(t *testing.T, path string, headers ...string) (pages [][]string) {
	t.Helper()
	for path != "" {
		w := n.do(t, http.MethodGet, path, "", headers...)
		var page []media.StreamSummary
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(pages) > 20 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		var ids []string
		for _, s := range page {
			ids = append(ids, s.Stream)
		}
		pages = append(pages, ids)
		link, ok := strings.CutSuffix(w.Header().Get("Link"), `>; rel="next"`)
		if path = strings.TrimPrefix(link, "<"); ok != (path != "") {
			t.Fatalf("%s: link %q", path, w.Header().Get("Link"))
		}
	}
	return pages
}

// TestStreamPages: the pages of streams have each that the token is for once, and no
// link names another.
func TestStreamPages(t *testing.T) {
	n := newNode(t, withAuth)
	n.summaries = nil
	for _, id := range []string{"a&b", "hall-1", "hall-2", "room-1", "room-12", "room-2", "room-3", "studio", "摄像头"} {
		n.summaries = append(n.summaries, media.StreamSummary{Stream: id})
	}
	for _, tt := range []struct {
		streams []string
		query   string
		want    string
		calls   string
	}{
		{[]string{"*"}, "", "[[a&b hall-1 hall-2 room-1 room-12 room-2 room-3 studio 摄像头]]", "streams(,,1001)"},
		{[]string{"*"}, "?limit=4", "[[a&b hall-1 hall-2 room-1] [room-12 room-2 room-3 studio] [摄像头]]", "streams(,,5) streams(room-1,,5) streams(studio,,5)"},
		{[]string{"*"}, "?limit=9&after=hall-2", "[[room-1 room-12 room-2 room-3 studio 摄像头]]", "streams(hall-2,,10)"},
		{[]string{"*"}, "?limit=1&after=studio", "[[摄像头]]", "streams(studio,,2)"},
		{[]string{"room-*"}, "?limit=2", "[[room-1 room-12] [room-2 room-3]]", "streams(,room-,3) streams(room-12,room-,3)"},
		{[]string{"room-1", "hall-*", "room-?"}, "?limit=2", "[[hall-1 hall-2] [room-1 room-2] [room-3]]", ""},
		{[]string{"*-2"}, "?limit=1", "[[hall-2] [room-2]]", "streams(,,2) streams(hall-1,,1001) streams(hall-2,,2) streams(room-12,,1001)"},
		{[]string{"room-[^2]"}, "?limit=1", "[[room-1] [room-3]]", ""},
		{[]string{"nobody"}, "", "[[]]", "streams(,nobody,1001)"},
	} {
		n.calls = nil
		got := fmt.Sprint(n.streamPages(t, "/api/playback"+tt.query, "Authorization", "Bearer "+jwtFor(t, tt.streams, auth.View)))
		if got != tt.want {
			t.Errorf("%q %s: %s, want %s", tt.streams, tt.query, got, tt.want)
		}
		if calls := strings.Join(n.calls, " "); tt.calls != "" && calls != tt.calls {
			t.Errorf("%q %s: %s, want %s", tt.streams, tt.query, calls, tt.calls)
		}
	}
	for _, q := range []string{"limit=0", "after=a/b", "after=%00", "after=.."} {
		expect(t, n.do(t, http.MethodGet, "/api/playback?"+q, "", "Authorization", "Bearer "+token), http.StatusBadRequest)
	}
}

func TestObjects(t *testing.T) {
	n := newNode(t, withAuth)
	restricted := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room-*"}, auth.View)}
	if w := n.do(t, http.MethodGet, "/api/record/object/room-1/1/v_init.m4s", "", restricted...); w.Body.String() != "bytes of room-1/1/v_init.m4s" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	expect(t, n.do(t, http.MethodGet, "/api/record/object/hall/1/v_init.m4s", "", restricted...), http.StatusNotFound)
	expect(t, n.do(t, http.MethodGet, "/api/record/object/unknown", "", restricted...), http.StatusNotFound)
	n.err = fault.New(fault.NotFound, "object not found")
	expect(t, n.do(t, http.MethodGet, "/api/record/object/room-1/x", "", "Authorization", "Bearer "+token), http.StatusNotFound)
}

// TestRangeNotSatisfiable: the answer tells the object's size, and nothing else of it.
func TestRangeNotSatisfiable(t *testing.T) {
	n := newNode(t, nil)
	for err, want := range map[error]string{fault.New(fault.RangeNotSatisfiable, "no such bytes"): "bytes */10", fault.New(fault.NotFound, "gone"): ""} {
		n.serveObjects(func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Range", "bytes */10")
			w.Header().Set("ETag", `"x"`)
			return err
		})
		w := n.do(t, http.MethodGet, "/api/record/object/a/b", "")
		expect(t, w, statuses[fault.KindOf(err)])
		if w.Header().Get("Content-Range") != want || w.Header().Get("ETag") != "" {
			t.Errorf("%v: %v", err, w.Header())
		}
	}
}

func TestInfoAndTime(t *testing.T) {
	n := newNode(t, withAuth)
	if w := n.do(t, http.MethodGet, "/api/info", ""); w.Body.String() != `{"name":"live777","version":"1","node":"","features":["recorder"],"codecs":["H264"]}`+"\n" {
		t.Errorf("info: %s", w.Body)
	}
	w := n.do(t, http.MethodGet, "/api/time", "")
	if w.Body.String() != "2026-01-02T03:04:05.006Z" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("time: %s %v", w.Body, w.Header())
	}
}

func TestPanics(t *testing.T) {
	n := newNode(t, nil)
	n.serveObjects(func(http.ResponseWriter, *http.Request) error { panic("a defect") })
	w := n.do(t, http.MethodGet, "/api/record/object/a/b", "")
	expect(t, w, http.StatusInternalServerError)
	if log := n.logs.String(); !strings.Contains(log, "a defect") || !strings.Contains(log, "handlers_test.go") {
		t.Errorf("no stack in the log:\n%s", log)
	}
	if strings.Contains(w.Body.String(), "defect") {
		t.Errorf("internals in the answer: %s", w.Body)
	}

	// What has begun cannot be mended: the client sees that it is not all.
	addr, _ := n.listen(t)
	for _, fail := range []func() error{func() error { panic("late") }, func() error { return errors.New("late") }} {
		n.serveObjects(func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("begun"))
			return fail()
		})
		c := dial(t, addr)
		_, _ = fmt.Fprint(c, "GET /api/record/object/a/b HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = resp.Body.Read(make([]byte, 200))
			for err == nil {
				_, err = resp.Body.Read(make([]byte, 200))
			}
			_ = resp.Body.Close()
		}
		if err == nil || err.Error() == "EOF" {
			t.Errorf("a torn response looked whole: %v", err)
		}
	}
	n.serveObjects(nil)
	if w := n.do(t, http.MethodGet, "/api/record/object/a/b", ""); w.Code != http.StatusOK {
		t.Errorf("after panics: %d", w.Code)
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	n := newNode(t, withAuth)
	n.err = errors.New("broken")
	for _, header := range []string{"Bearer " + token, "Bearer hunter2", "Basic hunter2"} {
		n.do(t, http.MethodPost, "/whip/room?token=hunter2", "", "Authorization", header)
	}
	log := n.logs.String()
	if strings.Contains(log, token) || strings.Contains(log, "hunter2") {
		t.Errorf("a token in the log:\n%s", log)
	}
	if strings.Count(log, "msg=request ") != 3 || strings.Count(log, `msg="request failed"`) != 1 {
		t.Errorf("access log:\n%s", log)
	}
}

// slowRecorder takes its time, and ends early when the request does.
type slowRecorder struct {
	fakeRecorder
	takes time.Duration
}

func (s *slowRecorder) Start(ctx context.Context, stream, baseDir string) (media.Recording, error) {
	select {
	case <-time.After(s.takes):
		return s.fakeRecorder.Start(ctx, stream, baseDir)
	case <-ctx.Done():
		return media.Recording{}, ctx.Err()
	}
}

// TestErrorsTellNoAddresses: whatever fails behind a route, its answer does not say
// where that is, and the log does.
func TestErrorsTellNoAddresses(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 9000}, Err: syscall.ECONNREFUSED}
	cause := &url.Error{Op: "Get", URL: "http://storage.internal:9000/bucket?X-Amz-Signature=abc", Err: dial}
	for kind := range statuses {
		if kind == fault.Invalid { // it is about the request, and said in full: nothing behind a route calls it so
			continue
		}
		for _, server := range []func(*testing.T) *node{
			func(t *testing.T) *node { return newNode(t, nil) }, func(t *testing.T) *node { return newManager(t, nil) },
		} {
			n := server(t)
			n.unchecked = true // not every route has every status
			n.err = fmt.Errorf("ask storage: %w", cause)
			if kind != fault.Internal {
				n.err = fault.Errorf(kind, "ask storage: %w", cause)
			}
			n.Close() // event streams end
			failed := 0
			for _, rt := range n.table {
				w := n.do(t, rt.method, target(rt, "room", "pub"), map[string]string{http.MethodPatch: `{"protected":true}`}[rt.method])
				if w.Code == statuses[kind] {
					failed++
				}
				for _, private := range []string{"10.1.2.3", "internal:", "9000", "X-Amz", "/bucket"} {
					if strings.Contains(w.Body.String(), private) || strings.Contains(fmt.Sprint(w.Header()), private) {
						t.Errorf("%s %s, kind %d: %d %s %v", rt.method, rt.path, kind, w.Code, w.Body, w.Header())
					}
				}
			}
			if failed < 5 {
				t.Errorf("kind %d: %d routes failed", kind, failed)
			}
			if logged := strings.Contains(n.logs.String(), "10.1.2.3:9000"); logged != (kind == fault.Internal || kind == fault.Unavailable || kind == fault.StorageFull) {
				t.Errorf("kind %d is logged with the address: %v", kind, logged)
			}
		}
	}
}
