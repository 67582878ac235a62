//go:build !norecorder

package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/follow"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// originalNode answers as a node of the original live777 does: what it says is less than
// our nodes do, and its errors are plain text.
type originalNode struct {
	*httptest.Server
	features []string
	noEvents bool // as behind a proxy that collects them
	gone     chan struct{}

	mu      sync.Mutex
	streams map[string]*originalFakeStream
	index   []map[string]any // sessions, with "updated" beside
	clock   int64            // µs
	objects map[string]string
	seen    []string
	busy    chan struct{} // has an element while a recording is being started
	drained bool          // a manager of its own kind takes everything off the index
	pulled  func()        // is called once, when the index has been read to its end while something is recorded
}

type originalFakeStream struct {
	publisher string
	media     bool
	recording bool
}

func newOriginalNode(t *testing.T) *originalNode {
	t.Helper()
	o := &originalNode{
		features: []string{"recorder"}, gone: make(chan struct{}), streams: map[string]*originalFakeStream{},
		clock: time.Now().UnixMicro(), objects: map[string]string{}, busy: make(chan struct{}, 1),
	}
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /api/info": func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, map[string]any{"version": "0.9.0", "gitHash": "4220514", "buildTime": "2026-11-30T00:00:00+00:00", "features": o.features})
		},
		"GET /api/streams/":                func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, o.list()) },
		"GET /api/sse/streams":             o.events,
		"POST /api/record/{stream}":        o.start,
		"GET /api/record/{stream}":         o.status,
		"DELETE /api/record/{stream}":      o.stop,
		"GET /api/recordings":              o.pull,
		"GET /api/record/object/{path...}": o.object,
	} {
		mux.HandleFunc(pattern, h)
	}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen = append(o.seen, r.Method+" "+r.URL.Path)
		o.mu.Unlock()
		if r.URL.Path != "/api/info" && r.Header.Get("Authorization") != "Bearer "+nodeToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		close(o.gone)
		o.CloseClientConnections()
		o.Close()
	})
	return o
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (o *originalNode) list() []any {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := []any{}
	for id, s := range o.streams {
		stats := map[string]any{"bytes": o.clock, "packets": 1, "bitrate": 1000}
		sessions, codecs := []any{}, []any{}
		if s.publisher != "" {
			sessions = append(sessions, map[string]any{
				"id": s.publisher, "createdAt": 1796092802119, "leaveAt": 0, "state": "connected", "hasDataChannel": false, "stats": stats,
			})
			codecs = append(codecs, map[string]any{"kind": "audio", "codec": "opus", "fmtp": "minptime=10"}, map[string]any{"kind": "video", "codec": "h264", "fmtp": "packetization-mode=1"})
		}
		list = append(list, map[string]any{
			"id": id, "createdAt": 1796092802064, "publish": map[string]any{"leaveAt": 0, "sessions": sessions},
			"subscribe": map[string]any{"leaveAt": 1796092802064, "sessions": []any{}}, "codecs": codecs,
			"provisioned": false, "onDemand": false, "stats": map[string]any{"publish": stats, "subscribe": stats}, "statsScope": "node",
		})
	}
	return list
}

func (o *originalNode) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		if !o.noEvents {
			data, _ := json.Marshal(o.list())
			_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(50 * time.Millisecond):
		case <-r.Context().Done():
			return
		case <-o.gone:
			return
		}
	}
}

// start does not answer while the stream has no media, nor does anything else about
// recordings.
func (o *originalNode) start(w http.ResponseWriter, r *http.Request) {
	var body struct {
		BaseDir *string `json:"base_dir"`
	}
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "Expected request with `Content-Type: application/json`", http.StatusUnsupportedMediaType)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.busy <- struct{}{}
	defer func() { <-o.busy }()
	_, _ = io.Copy(io.Discard, r.Body) // so that a client that leaves is noticed
	id := r.PathValue("stream")
	if !o.awaitMedia(r.Context(), id) {
		http.Error(w, "stream forward not found", http.StatusInternalServerError)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	second := strconv.FormatInt(o.clock/1e6, 10)
	dir := id + "/" + second
	if body.BaseDir != nil {
		dir = *body.BaseDir
	}
	if s := o.streams[id]; !s.recording {
		s.recording = true
		o.note(map[string]any{"id": second, "stream": id, "start_ts": o.clock, "end_ts": nil, "duration_ms": nil, "mpd_path": dir + "/manifest.mpd", "status": "Active"})
	}
	o.objects[dir+"/manifest.mpd"], o.objects[dir+"/v_init.m4s"] = originalMPD, "0123456789"
	_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "record_id": second, "record_dir": dir, "mpd_path": dir + "/manifest.mpd"})
}

// awaitMedia waits until a stream has media; false where there is none, or nobody waits.
func (o *originalNode) awaitMedia(ctx context.Context, id string) bool {
	for {
		o.mu.Lock()
		s := o.streams[id]
		ready := s != nil && s.media
		o.mu.Unlock()
		if s == nil || ready {
			return ready
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return false
		case <-o.gone:
			return false
		}
	}
}

const originalMPD = `<?xml version="1.0" encoding="utf-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT20.100S"><Period/></MPD>`

// note puts a session into the index, in place of what it has of it. It is called with
// o.mu locked.
func (o *originalNode) note(session map[string]any) {
	o.index = slices.DeleteFunc(o.index, func(s map[string]any) bool { return s["mpd_path"] == session["mpd_path"] })
	o.clock += 1_000_000
	if o.drained {
		return
	}
	session["updated"] = o.clock
	o.index = append(o.index, session)
}

func (o *originalNode) status(w http.ResponseWriter, r *http.Request) {
	o.busy <- struct{}{}
	defer func() { <-o.busy }()
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.streams[r.PathValue("stream")]
	answerJSON(w, map[string]bool{"recording": s != nil && s.recording})
}

// stop answers with nothing.
func (o *originalNode) stop(w http.ResponseWriter, r *http.Request) {
	o.busy <- struct{}{}
	defer func() { <-o.busy }()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(r.PathValue("stream"))
	w.WriteHeader(http.StatusOK)
}

// end ends the recording of a stream. It is called with o.mu locked.
func (o *originalNode) end(id string) {
	if s := o.streams[id]; s != nil && s.recording {
		s.recording = false
		for _, session := range slices.Clone(o.index) {
			if session["stream"] == id && session["status"] == "Active" {
				session["status"], session["end_ts"], session["duration_ms"] = "Completed", session["start_ts"].(int64)+20_110_000, 20110
				o.note(session)
			}
		}
	}
}

func (o *originalNode) pull(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		http.Error(w, "Failed to deserialize query string: missing field `limit`", http.StatusBadRequest)
		return
	}
	since, _ := strconv.ParseInt(r.URL.Query().Get("since_ts"), 10, 64)
	o.mu.Lock()
	defer o.mu.Unlock()
	sessions := []any{}
	var last any
	for _, s := range o.index {
		if updated := s["updated"].(int64); updated > since && len(sessions) < limit {
			sessions, last = append(sessions, s), updated
		}
	}
	answerJSON(w, map[string]any{"sessions": sessions, "last_ts": last})
	if o.pulled != nil && len(sessions) == 0 && slices.ContainsFunc(o.index, func(s map[string]any) bool { return s["status"] == "Active" }) {
		o.pulled()
		o.pulled = nil
	}
}

// object has whole objects only.
func (o *originalNode) object(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.objects[r.PathValue("path")]
	if !ok {
		http.Error(w, "NotFound (permanent) at read, context: { service: fs, path: "+r.PathValue("path")+" } => entity not found", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	_, _ = io.WriteString(w, content)
}

// publish adds a stream; without media it is one that has just come.
func (o *originalNode) publish(id, publisher string, media bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams[id] = &originalFakeStream{publisher: publisher, media: media}
}

// asked returns how often something was asked for.
func (o *originalNode) asked(request string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.seen {
		if strings.HasPrefix(s, request) {
			n++
		}
	}
	return n
}

// manageOriginal runs a manager whose configuration has the url and the token of an
// original node, and nothing more.
func manageOriginal(t *testing.T, o *originalNode, change func(*config.Liveman), also ...io.Writer) *server {
	t.Helper()
	return startManager(t, t.TempDir(), map[string]*server{"rust": {url: o.URL}}, change, also...)
}

// stream returns a stream as the manager has it.
func (s *server) stream(id string) (st api.FleetStream) {
	s.t.Helper()
	_, body := s.request(http.MethodGet, "/api/streams/"+id, "")
	_ = json.Unmarshal([]byte(body), &st) // an error is none
	return st
}

// TestOriginalNode: a node of the original live777 is one of a fleet, with what it can do.
func TestOriginalNode(t *testing.T) {
	t.Parallel()
	for name, noEvents := range map[string]bool{"events": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOriginalNode(t)
			o.noEvents = noEvents
			o.publish("cam", "p1", true)
			m := manageOriginal(t, o, nil)
			until(t, "the stream is there", func() bool { return len(m.stream("cam").Publish.Sessions) == 1 })
			if s := m.stream("cam"); len(s.Tracks) != 2 || s.Tracks[1].Codec != "H264" || s.Tracks[0].Codec != "opus" || s.Codecs[1].Fmtp != "packetization-mode=1" || s.Recording {
				t.Errorf("the stream is %+v", s)
			}
			var n api.FleetNode
			if m.call(http.MethodGet, "/api/nodes/rust", "", &n); n.Kind != "original" || n.Version != "0.9.0" || n.State != "up" || n.Storage != "local" || n.Error != "" {
				t.Errorf("the node is %+v", n)
			}

			var said recordAnswer
			if code := m.call(http.MethodPost, "/api/record/cam", "", &said); code != http.StatusOK || said.MPDPath != "@rust/"+said.RecordDir+"/manifest.mpd" {
				t.Fatalf("start: %d %+v", code, said)
			}
			until(t, "the recording is in the catalogue", func() bool { return len(m.recordings("cam")) == 1 })
			var status recordAnswer
			if code := m.call(http.MethodGet, "/api/record/cam", "", &status); code != http.StatusOK || !status.Recording || status.RecordDir != said.RecordDir || status.MPDPath != said.MPDPath {
				t.Errorf("status: %d %+v", code, status)
			}
			if s := m.stream("cam"); !s.Recording || s.Stopped {
				t.Errorf("while it is recorded: %+v", s.NodeStream)
			}
			resource := "/api/recordings/" + said.RecordDir
			if code := m.call(http.MethodDelete, resource, "", &status); code != http.StatusConflict {
				t.Errorf("delete what runs: %d %+v", code, status)
			}
			if code := m.call(http.MethodDelete, "/api/record/cam", "", &status); code != http.StatusOK || status.Recording || !status.Stopped || status.ID != "cam" {
				t.Errorf("stop: %d %+v", code, status)
			}
			if code := m.call(http.MethodDelete, "/api/record/cam", "", &status); code != http.StatusOK || status.Stopped {
				t.Errorf("stop again: %d %+v", code, status)
			}
			until(t, "the recording has ended", func() bool { return m.recordings("cam")[0].End != nil })
			if r := m.recordings("cam")[0]; r.Status != media.StatusDegraded || r.Reason != follow.ReasonNoLedger || r.Duration != 20.11 || r.Node != "rust" || r.Tracks == nil {
				t.Errorf("the recording is %+v", r)
			}
			until(t, "it is known to be stopped", func() bool { s := m.stream("cam"); return s.Stopped && !s.Recording })
			m.playsOriginal(t, said)
			m.keepsOriginal(t, o, said)
			for _, request := range []string{"GET /api/load", "GET /api/sse/recordings", "PATCH", "DELETE /api/recordings"} {
				if n := o.asked(request); n > 0 {
					t.Errorf("%s, which it does not have or is not to be told, was asked for %d times", request, n)
				}
			}
		})
	}
}

// playsOriginal fetches the objects of a recording, which come whole.
func (s *server) playsOriginal(t *testing.T, said recordAnswer) {
	t.Helper()
	for path, want := range map[string]string{said.MPDPath: originalMPD, said.RecordDir + "/v_init.m4s": "0123456789"} {
		if resp, body := s.request(http.MethodGet, "/api/record/object/"+path, "", "Range", "bytes=2-3"); resp.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := s.request(http.MethodGet, "/api/record/object/"+said.RecordDir+"/v_seg_0009.m4s", ""); resp.StatusCode != http.StatusNotFound || strings.Contains(body, "service") {
		t.Errorf("an object that is not there: %d %s", resp.StatusCode, body)
	}
	var signed struct{ URL string }
	if code := s.call(http.MethodPost, "/api/sign/"+said.RecordDir, "", &signed); code != http.StatusOK {
		t.Errorf("sign: %d", code)
	}
	if resp, body := s.request(http.MethodGet, signed.URL, ""); resp.StatusCode != http.StatusOK || body != originalMPD {
		t.Errorf("the URL: %d %s", resp.StatusCode, body)
	}
}

// keepsOriginal tries to protect and to delete a recording: the node can do neither, and a
// recording of which it has nothing any more is forgotten.
func (s *server) keepsOriginal(t *testing.T, o *originalNode, said recordAnswer) {
	t.Helper()
	resource := "/api/recordings/" + said.RecordDir
	var answer recordAnswer
	if code := s.call(http.MethodPatch, resource, `{"protected":true}`, &answer); code != http.StatusNotImplemented || !strings.Contains(answer.Error, "original live777") {
		t.Errorf("protect: %d %+v", code, answer)
	}
	if code := s.call(http.MethodDelete, resource, "", &answer); code != http.StatusNotImplemented || !strings.Contains(answer.Error, "remove \""+said.RecordDir+"\"") {
		t.Errorf("delete: %d %+v", code, answer)
	}
	o.mu.Lock()
	clear(o.objects)
	o.mu.Unlock()
	if code := s.call(http.MethodDelete, resource, "", nil); code != http.StatusNoContent || len(s.recordings("cam")) != 0 {
		t.Errorf("delete what is not there any more: %d %v", code, s.recordings("cam"))
	}
}

// TestOriginalWithoutMedia: an original that does not answer is waited for no longer than
// is allowed, says why, and is not asked for ever.
func TestOriginalWithoutMedia(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.publish("cam", "p1", false)
	logs := new(logtest.Buffer)
	m := manageOriginal(t, o, func(c *config.Liveman) {
		c.Fleet.ControlTimeout = 1
		c.AutoRecord.Streams, c.AutoRecord.Retry = []string{"cam"}, 1
	}, logs)
	until(t, "it is given up", func() bool { return strings.Contains(logs.String(), "tried again when its publisher is another") })
	looks := o.asked("GET /api/record/cam")
	until(t, "it was looked at some times more", func() bool { return o.asked("GET /api/record/cam") > looks+3 })
	tries := o.asked("POST /api/record/cam")
	if tries != originalTries {
		t.Errorf("it was tried %d times, want %d", tries, originalTries)
	}
	var said recordAnswer
	if code := m.call(http.MethodPost, "/api/record/cam", "", &said); code != http.StatusServiceUnavailable || !strings.Contains(said.Error, "while a stream has no media") {
		t.Errorf("on request: %d %+v", code, said)
	}
	if code := m.call(http.MethodPost, "/api/record/other?node=rust", "", &said); code != http.StatusNotFound {
		t.Errorf("a stream that is not there: %d %+v", code, said)
	}
	if n := o.asked("POST /api/record/cam"); n != tries+1 {
		t.Errorf("then it was tried %d times", n-tries-1)
	}
	o.publish("cam", "p2", true)
	until(t, "the next publisher is recorded", func() bool { return m.stream("cam").Recording })
	// What somebody stops is not started again, though the node does not remember it.
	if code := m.call(http.MethodDelete, "/api/record/cam", "", &said); code != http.StatusOK || !said.Stopped {
		t.Errorf("stop: %d %+v", code, said)
	}
	polls := o.asked("GET /api/record/cam")
	until(t, "it was looked at some times more", func() bool { return o.asked("GET /api/record/cam") > polls+3 })
	if s := m.stream("cam"); s.Recording || !s.Stopped {
		t.Errorf("what was stopped is recorded: %+v", s.NodeStream)
	}
	o.publish("cam", "p3", true)
	until(t, "the publisher after that is recorded", func() bool { return m.stream("cam").Recording })
}

// TestOriginalHangs: while something holds up all that an original says of recordings, each
// request ends with its deadline, and the node is still there with its streams.
func TestOriginalHangs(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.publish("cam", "p1", true)
	m := manageOriginal(t, o, func(c *config.Liveman) { c.Fleet.Timeout, c.Fleet.ControlTimeout = 1, 1 })
	until(t, "the stream is there", func() bool { return m.stream("cam").ID != "" })
	o.busy <- struct{}{}
	for method, why := range map[string]string{http.MethodGet: "no answer within", http.MethodDelete: "no answer within", http.MethodPost: "has no media"} {
		var said recordAnswer
		if code := m.call(method, "/api/record/cam", "", &said); code != http.StatusServiceUnavailable || !strings.Contains(said.Error, why) {
			t.Errorf("%s: %d %+v", method, code, said)
		}
	}
	until(t, "that is said of the node", func() bool {
		var n api.FleetNode
		m.call(http.MethodGet, "/api/nodes/rust", "", &n)
		return n.State == "up" && strings.Contains(n.Error, "whether streams are recorded")
	})
	if m.stream("cam").ID == "" {
		t.Error("the stream is gone")
	}
	<-o.busy
	until(t, "it records again", func() bool { return m.call(http.MethodPost, "/api/record/cam", "", nil) == http.StatusOK })
	until(t, "nothing is wrong with the node", func() bool {
		var n api.FleetNode
		m.call(http.MethodGet, "/api/nodes/rust", "", &n)
		return n.Error == ""
	})
}

// TestOriginalWithoutRecorder: a build that has none is not asked for recordings.
func TestOriginalWithoutRecorder(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.features = []string{"webui"}
	o.publish("cam", "p1", true)
	m := manageOriginal(t, o, func(c *config.Liveman) { c.AutoRecord.Streams = []string{"*"} })
	until(t, "the stream is there", func() bool { return len(m.stream("cam").Publish.Sessions) == 1 })
	var said recordAnswer
	if code := m.call(http.MethodPost, "/api/record/cam", "", &said); code != http.StatusNotImplemented || !strings.Contains(said.Error, "without its recorder") {
		t.Errorf("start: %d %+v", code, said)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if code := m.call(method, "/api/record/cam", "", &said); code != http.StatusOK || said.Recording {
			t.Errorf("%s: %d %+v", method, code, said)
		}
	}
	if n := o.asked("GET /api/recordings") + o.asked("POST /api/record") + o.asked("GET /api/record/"); n > 0 {
		t.Errorf("it was asked %d times all the same", n)
	}
}

// TestOriginalForgets: a recording of whose end nobody tells is ended. A manager of the
// original's kind takes what it knows off the index; a node that died leaves it active.
func TestOriginalForgets(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.publish("taken", "p1", true)
	o.mu.Lock()
	o.note(map[string]any{"id": "1796090000", "stream": "died", "start_ts": int64(1796090000e6), "end_ts": nil, "duration_ms": nil, "mpd_path": "/died/1796090000/manifest.mpd", "status": "Active"})
	o.note(map[string]any{"id": "1", "stream": "../x", "start_ts": int64(1), "end_ts": nil, "duration_ms": nil, "mpd_path": "a/b/manifest.mpd", "status": "Active"})
	o.mu.Unlock()
	m := manageOriginal(t, o, nil)
	until(t, "what was active when the node died has ended", func() bool {
		list := m.recordings("died")
		return len(list) == 1 && list[0].Status == media.StatusDegraded && list[0].Reason == follow.ReasonForgotten && list[0].RecordDir == "died/1796090000"
	})
	until(t, "the stream is there", func() bool { return m.stream("taken").ID != "" })
	o.mu.Lock()
	o.drained = true
	o.mu.Unlock()
	if code := m.call(http.MethodPost, "/api/record/taken", "", nil); code != http.StatusOK {
		t.Fatalf("start: %d", code)
	}
	until(t, "it is in the catalogue", func() bool { return len(m.recordings("taken")) == 1 })
	o.mu.Lock()
	o.streams["taken"].recording = false
	o.mu.Unlock()
	until(t, "what was taken off the index has ended", func() bool {
		r := m.recordings("taken")[0]
		return r.Status == media.StatusDegraded && r.Reason == follow.ReasonForgotten && r.Duration == 20.1 && r.End.Sub(r.Start).Seconds() == 20.1
	})
}

// TestOriginalEndsMeanwhile: a recording that ends while the index is read, which has it
// as active, is not taken for one of whose end nobody tells.
func TestOriginalEndsMeanwhile(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.publish("cam", "p1", true)
	o.pulled = func() { o.end("cam") }
	m := manageOriginal(t, o, nil)
	until(t, "the stream is there", func() bool { return m.stream("cam").ID != "" })
	if code := m.call(http.MethodPost, "/api/record/cam", "", nil); code != http.StatusOK {
		t.Fatalf("start: %d", code)
	}
	until(t, "its end is known", func() bool {
		list := m.recordings("cam")
		return len(list) == 1 && list[0].Reason == follow.ReasonNoLedger && list[0].Duration == 20.11
	})
	if n := o.asked("GET /api/record/object"); n > 0 {
		t.Errorf("its length was asked of its manifest %d times: it was taken for one that is forgotten", n)
	}
}

// TestOriginalReplaced: where an original was another program answers, and is taken for
// what it is.
func TestOriginalReplaced(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.publish("cam", "p1", true)
	ours := newFakeNode(t, &fakeNode{list: func() []api.NodeStream { return []api.NodeStream{published("new", true)} }})
	var target struct {
		sync.Mutex
		handler http.Handler
	}
	target.handler = o.Config.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target.Lock()
		h := target.handler
		target.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	m := startManager(t, t.TempDir(), map[string]*server{"rust": {url: front.URL}}, nil)
	until(t, "the stream is there", func() bool { return m.stream("cam").ID != "" })
	if code := m.call(http.MethodPost, "/api/record/cam", "", nil); code != http.StatusOK {
		t.Fatalf("start: %d", code)
	}
	until(t, "the recording is there", func() bool { return len(m.recordings("cam")) == 1 })
	target.Lock()
	target.handler = ours.Config.Handler
	target.Unlock()
	until(t, "the other one's stream is there", func() bool { return m.stream("new").Recording && m.stream("cam").ID == "" })
	var n api.FleetNode
	if m.call(http.MethodGet, "/api/nodes/rust", "", &n); n.Kind != "recorder" {
		t.Errorf("the node is %+v", n)
	}
	until(t, "what the other one does not have is gone", func() bool { return len(m.recordings("cam")) == 0 })
}

// The rebuilt catalogue has the recordings of an original, too.
func TestOriginalRebuild(t *testing.T) {
	t.Parallel()
	o := newOriginalNode(t)
	o.mu.Lock()
	for i := range 450 {
		second := int64(1796090000 + i)
		o.note(map[string]any{
			"id": strconv.FormatInt(second, 10), "stream": "cam", "start_ts": second * 1e6, "end_ts": second*1e6 + 5e5, "duration_ms": 500,
			"mpd_path": fmt.Sprintf("cam/%d/manifest.mpd", second), "status": "Completed",
		})
	}
	o.mu.Unlock()
	cfg := config.DefaultLiveman()
	cfg.Database.URL = config.DatabaseURL("sqlite://" + t.TempDir() + "/liveman.db")
	cfg.Nodes = []config.Node{{Alias: "rust", URL: o.URL, Token: nodeToken}}
	ok, err := Rebuild(t.Context(), cfg, Command{Stdout: io.Discard, Stderr: io.Discard, Logger: logger(t)})
	if err != nil || !ok {
		t.Fatalf("rebuild: %v, %v", ok, err)
	}
	db, err := catalogue.Open(context.Background(), string(cfg.Database.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, total, err := db.List(context.Background(), media.RecordingQuery{Stream: "cam", Node: "rust", Limit: 1}); err != nil || total != 450 {
		t.Errorf("%d recordings, %v", total, err)
	}
}
