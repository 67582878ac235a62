package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/auth"
)

// answeringFleet answers requests about recordings with what it is told.
type answeringFleet struct {
	fakeFleet
	answer NodeAnswer
}

func (f *answeringFleet) Record(_ context.Context, r RecordRequest) (NodeAnswer, error) {
	return f.answer, f.call("record(%s,%s,%s,%s)", r.Method, r.Stream, r.Node, r.BaseDir)
}

// What a node answers comes back as it is, whatever it is.
func TestAnswersOfNodes(t *testing.T) {
	var fleet *answeringFleet
	n := newManager(t, func(o *ManagerOptions) {
		managerWithAuth(o)
		fleet = &answeringFleet{fakeFleet: o.Fleet.(fakeFleet)}
		o.Fleet = fleet
	})
	n.unchecked = true // the node's answers are its own
	as := []string{"Authorization", "Bearer " + token}
	for _, answer := range []NodeAnswer{
		{Node: "edge", Status: http.StatusOK, Body: []byte("{\"id\":\"room\"}\n")},
		{Node: "edge", Status: http.StatusInsufficientStorage, Body: []byte(`{"error":"no space is left"}`)},
		{Node: "edge", Status: http.StatusServiceUnavailable, Body: []byte(`{"error":"x"}`), RetryAfter: "7"},
	} {
		fleet.answer = answer
		w := n.do(t, http.MethodPost, "/api/record/room?node=edge", `{"base_dir":"/room/x/"}`, as...)
		if w.Code != answer.Status || w.Body.String() != string(answer.Body) || w.Header().Get("Retry-After") != answer.RetryAfter ||
			w.Header().Get(nodeHeader) != "edge" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%+v came back as %d %q %v", answer, w.Code, w.Body, w.Header())
		}
	}
	if calls := n.called(); !strings.HasPrefix(calls, "record(POST,room,edge,room/x)") {
		t.Errorf("called %s", calls)
	}
	n.err = &NodeError{NodeAnswer{Node: "edge", Status: http.StatusConflict, Body: []byte(`{"error":"it is protected"}`)}}
	if w := n.do(t, http.MethodDelete, "/api/recordings/room/1", "", as...); w.Code != http.StatusConflict || w.Body.String() != `{"error":"it is protected"}` {
		t.Errorf("an error of the node: %d %s", w.Code, w.Body)
	}
	n.err = nil
	for _, body := range []string{`{"base_dir":"../x"}`, `[]`, `{"dir":"x"}`} {
		expect(t, n.do(t, http.MethodPost, "/api/record/room", body, as...), http.StatusBadRequest)
	}
	rooms := []string{"Authorization", "Bearer " + jwtFor(t, []string{"room"}, auth.Record)}
	expect(t, n.do(t, http.MethodPost, "/api/record/room", `{"base_dir":"hall/x"}`, rooms...), http.StatusForbidden)
}

// TestManagerRoutesAreDocumented is TestRoutesAreDocumented for a manager.
func TestManagerRoutesAreDocumented(t *testing.T) {
	checkDocument(t, "../../../docs/api-liveman.md", newManager(t, nil).managerRoutes())
}
