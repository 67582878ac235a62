package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// shape is what a manager of the original live777 needs of a JSON value: "int",
// "string", "bool", one of several words, an object with these fields, or an array.
type (
	shape  any
	object map[string]shape
	array  struct{ of shape }
	oneOf  []string
	orNull struct{ of shape }
)

// fits returns what of v is not as s. A manager passes over fields that it does not know.
func fits(at string, v any, s shape) error {
	switch s := s.(type) {
	case object:
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, no object", at, v)
		}
		for name, of := range s {
			field, ok := m[name]
			if !ok {
				return fmt.Errorf("missing field %s.%s", at, name)
			}
			if err := fits(at+"."+name, field, of); err != nil {
				return err
			}
		}
		return nil
	case array:
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s is %v, no array", at, v)
		}
		for i, e := range list {
			if err := fits(at+"["+strconv.Itoa(i)+"]", e, s.of); err != nil {
				return err
			}
		}
		return nil
	case orNull:
		if v == nil {
			return nil
		}
		return fits(at, v, s.of)
	case oneOf:
		if word, ok := v.(string); ok && slices.Contains(s, word) {
			return nil
		}
	case string:
		number, isNumber := v.(json.Number)
		_, isString := v.(string)
		_, isBool := v.(bool)
		_, notInt := strconv.ParseInt(number.String(), 10, 64)
		if s == "int" && isNumber && notInt == nil || s == "string" && isString || s == "bool" && isBool {
			return nil
		}
	}
	return fmt.Errorf("%s is %v, want %v", at, v, s)
}

var (
	originalPresence = object{"leaveAt": "int", "sessions": array{object{
		"id": "string", "createdAt": "int", "leaveAt": "int", "hasDataChannel": "bool",
		"state": oneOf{"new", "connecting", "connected", "disconnected", "failed", "closed"},
	}}}
	originalStreams = array{object{
		"id": "string", "createdAt": "int", "publish": originalPresence, "subscribe": originalPresence,
		"codecs": array{object{"kind": "string", "codec": "string", "fmtp": "string"}},
	}}
	originalSessions = object{"last_ts": orNull{"int"}, "sessions": array{object{
		"id": "string", "stream": "string", "start_ts": "int", "end_ts": orNull{"int"}, "duration_ms": orNull{"int"}, "mpd_path": "string",
		"status": oneOf{"Active", "Completed", "Failed", "Acked"},
	}}}
)

func checkShape(t *testing.T, what string, data []byte, s shape) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %s: %v", what, data, err)
	}
	if err := fits("answer", v, s); err != nil {
		t.Errorf("%s: %v in %s", what, err, data)
	}
}

// TestOriginalShapes: what managers of the original live777 read of a node and of a
// manager, field by field: one that is missing costs them the whole list.
func TestOriginalShapes(t *testing.T) {
	n := newNode(t, func(o *Options) {
		pub, err := o.Streams.Publish("room", live.SessionInfo{ID: "p", CreatedAt: time.Unix(1, 0), State: "connected"},
			[]media.Track{{Kind: media.Video, Codec: "H264", Fmtp: "packetization-mode=1"}}, fakePublisher{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pub.Close)
		st, err := o.Streams.Get("room")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Subscribe(live.SubscribeOptions{Session: &live.SessionInfo{ID: "v", CreatedAt: time.Unix(2, 0), State: "new"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Streams.Create("idle"); err != nil {
			t.Fatal(err)
		}
	})
	for _, path := range []string{"/api/streams/", "/api/streams"} {
		w := n.do(t, http.MethodGet, path, "")
		checkShape(t, path, w.Body.Bytes(), originalStreams)
		if got := strings.Count(w.Body.String(), `"createdAt"`); got != 4 {
			t.Errorf("%d streams and sessions: %s", got, w.Body)
		}
	}
	checkShape(t, "liveman", newManager(t, nil).do(t, http.MethodGet, "/api/streams/", "").Body.Bytes(), originalStreams)
	checkShape(t, "strategy", n.do(t, http.MethodGet, "/api/strategy/", "").Body.Bytes(), object{
		"each_stream_max_sub": "int", "cascade_push_close_sub": "bool", "auto_create_whip": "bool", "auto_create_whep": "bool",
		"auto_delete_whip": "int", "auto_delete_whep": "int",
	})
	w := n.do(t, http.MethodPost, "/api/record/room", `{"base_dir":null}`, "Content-Type", "application/json")
	checkShape(t, "start", w.Body.Bytes(), object{"id": "string", "record_id": "string", "record_dir": "string", "mpd_path": "string"})
	checkShape(t, "status", n.do(t, http.MethodGet, "/api/record/room", "").Body.Bytes(), object{"recording": "bool"})
}

// TestFitsFails: the check above can.
func TestFitsFails(t *testing.T) {
	for name, body := range map[string]string{
		"a field less":  `[{"id":"a","createdAt":1,"publish":{"leaveAt":0,"sessions":[]},"subscribe":{"leaveAt":0,"sessions":[]}}]`,
		"a wrong type":  `[{"id":1,"createdAt":1,"publish":{"leaveAt":0,"sessions":[]},"subscribe":{"leaveAt":0,"sessions":[]},"codecs":[]}]`,
		"no integer":    `[{"id":"a","createdAt":1.5,"publish":{"leaveAt":0,"sessions":[]},"subscribe":{"leaveAt":0,"sessions":[]},"codecs":[]}]`,
		"null":          `[{"id":"a","createdAt":1,"publish":{"leaveAt":0,"sessions":[]},"subscribe":{"leaveAt":0,"sessions":[]},"codecs":null}]`,
		"a wrong state": `[{"id":"a","createdAt":1,"publish":{"leaveAt":0,"sessions":[{"id":"p","createdAt":1,"leaveAt":0,"hasDataChannel":false,"state":"up"}]},"subscribe":{"leaveAt":0,"sessions":[]},"codecs":[]}]`,
	} {
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if fits("answer", v, originalStreams) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestOriginalSync: a manager of the original live777 walks through the recordings, and
// goes on from where it was.
func TestOriginalSync(t *testing.T) {
	n, f := newRecordingsNode(t)
	end := time.Unix(1763806030, 0)
	add := func(seq int64, r media.Recording) {
		f.add(seq, r.RecordDir, false)
		f.feed[len(f.feed)-1].Recording = &r
	}
	add(10, media.Recording{Stream: "room", RecordID: "1763806000", RecordDir: "room/1763806000", MPDPath: "room/1763806000/manifest.mpd", Start: time.Unix(1763806000, 5000), Status: media.StatusRecording})
	f.add(11, "room/1", true)
	add(12, media.Recording{Stream: "hall", RecordDir: "x", MPDPath: "x/manifest.mpd", Start: time.Unix(1763806001, 0), End: &end, Duration: 29.0004, Status: media.StatusDegraded})
	add(13, media.Recording{Stream: "room", RecordID: "1763806002", MPDPath: "y/manifest.mpd", Start: time.Unix(1763806002, 0), End: &end, Duration: 4e6, Status: media.StatusFailed})
	get := func(query string) recordingSessions {
		t.Helper()
		w := n.do(t, http.MethodGet, "/api/recordings?"+query, "")
		checkShape(t, query, w.Body.Bytes(), originalSessions)
		var page recordingSessions
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		return page
	}
	ids := func(p recordingSessions) string {
		var list []string
		for _, s := range p.Sessions {
			list = append(list, s.Stream+"/"+s.ID+" "+s.Status)
		}
		return strings.Join(list, ", ")
	}
	expectPage := func(query, want string, last int64) recordingSessions {
		t.Helper()
		page := get(query)
		if got := ids(page); got != want || (page.LastTS == nil) != (last == 0) || page.LastTS != nil && *page.LastTS != last {
			t.Errorf("%s: %s, last_ts %v; want %s, %d", query, got, page.LastTS, want, last)
		}
		return page
	}
	page := expectPage("limit=2", "room/1763806000 Active", 11)
	if s := page.Sessions[0]; s.StartTS != 1763806000000005 || s.EndTS != nil || s.DurationMS != nil || s.MPDPath != "room/1763806000/manifest.mpd" {
		t.Errorf("one that runs: %+v", s)
	}
	page = expectPage("limit=2&since_ts=11", "hall/1763806001 Completed, room/1763806002 Failed", 13)
	if s := page.Sessions[0]; *s.EndTS != 1763806030000000 || *s.DurationMS != 29000 {
		t.Errorf("one that has ended: %+v", s)
	}
	if s := page.Sessions[1]; *s.DurationMS != 1<<31-1 {
		t.Errorf("one of 46 days: %+v", s)
	}
	expectPage("limit=2&since_ts=13", "", 0)
	expectPage("limit=9&since_ts=11&stream=room", "room/1763806002 Failed", 13)
	expectPage("since_ts=1763806020000000", "hall/1763806001 Completed, room/1763806002 Failed", 13) // a time
	expectPage("since_ts=1763806030000000", "", 13)
	expect(t, n.do(t, http.MethodGet, "/api/recordings?since_ts=x", ""), http.StatusBadRequest)
	if w := n.do(t, http.MethodGet, "/api/recordings?since=12", ""); strings.Contains(w.Body.String(), "sessions") {
		t.Errorf("who follows the feed is told of sessions: %s", w.Body)
	}
	f.fail(fault.New(fault.Unavailable, "away"))
	expect(t, n.do(t, http.MethodGet, "/api/recordings?since_ts=11", ""), http.StatusServiceUnavailable)
}

// TestOriginalAck: what a manager says about its index changes nothing here.
func TestOriginalAck(t *testing.T) {
	n, f := newRecordingsNode(t)
	f.add(5, "room/1763806000", false)
	body := `{"records":[{"stream":"room","record":"1763806000"},{"stream":"hall","record":"1"}]}`
	for method, want := range map[string]string{http.MethodPatch: `{"acked":2}`, http.MethodDelete: `{"deleted":0}`} {
		if w := n.do(t, method, "/api/recordings", body); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
		for _, bad := range []string{`{"records":[{"stream":"../x","record":"1"}]}`, `{"records":[{"stream":"room"}]}`, `[]`, `{"sessions":[]}`} {
			expect(t, n.do(t, method, "/api/recordings", bad), http.StatusBadRequest)
		}
	}
	if calls := n.called(); strings.Contains(calls, "delete") {
		t.Errorf("it came to %s", calls)
	}
}

type fakePublisher struct{}

func (fakePublisher) RequestKeyFrame(media.TrackID) {}
func (fakePublisher) Close()                        {}
