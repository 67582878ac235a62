package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/eventlog"
)

// TestEventLog shows what has happened to who may know of it.
func TestEventLog(t *testing.T) {
	log := eventlog.New(nil)
	log.Add(eventlog.Entry{Kind: eventlog.Recordings, Type: eventlog.RecordingEnded, Stream: "a", RecordDir: "a/1", Status: media.StatusFailed, Level: eventlog.Error, Text: "no space"})
	log.Add(eventlog.Entry{Kind: eventlog.Sessions, Type: eventlog.SessionCame, Stream: "b", Side: "viewer", Session: "s"})
	log.Add(eventlog.Entry{Kind: eventlog.Server, Type: eventlog.ProblemBegan, Place: "storage", Params: map[string]any{"n": 1}})
	for name, h := range map[string]*node{
		"live777": newNode(t, func(o *Options) { withAuth(o); o.EventLog = log }),
		"liveman": newManager(t, func(o *ManagerOptions) { managerWithAuth(o); o.EventLog = log }),
	} {
		get := func(query, token string, code int) (p eventlog.Page) {
			t.Helper()
			w := h.do(t, http.MethodGet, "/api/events/log"+query, "", "Authorization", "Bearer "+token)
			if err := json.Unmarshal(w.Body.Bytes(), &p); w.Code != code || err != nil {
				t.Errorf("%s: %s: %d %s %v", name, query, w.Code, w.Body, err)
			}
			return p
		}
		if p := get("", token, 200); len(p.Events) != 3 || p.Events[0].Place != "storage" {
			t.Errorf("%s: %+v", name, p)
		}
		if p := get("?kind=recording&level=error&stream=a&before=2&limit=1000", token, 200); len(p.Events) != 1 || p.Events[0].Text != "no space" {
			t.Errorf("%s: %+v", name, p)
		}
		if p := get("", jwtFor(t, []string{"b*"}, auth.View), 200); len(p.Events) != 1 || p.Events[0].Stream != "b" {
			t.Errorf("%s: to who may view b: %+v", name, p)
		}
		get("", jwtFor(t, []string{"*"}, auth.Publish), 403)
		for _, query := range []string{"?kind=x", "?level=x", "?before=0", "?limit=0"} {
			get(query, token, 400)
		}
	}
	if w := newNode(t, nil).do(t, http.MethodGet, "/api/events/log", ""); w.Code != 200 {
		t.Errorf("nothing is noted: %d %s", w.Code, w.Body)
	}
}
