package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/health"
)

// What is wrong is told to those who may view everything; where it is, to everybody.
// Only what is serious makes a server unready.
func TestProblems(t *testing.T) {
	var wrong []health.Problem
	n := newNode(t, func(o *Options) {
		withAuth(o)
		o.Load = func() NodeLoad { return NodeLoad{Streams: 3} }
		o.Problems = func() []health.Problem { return wrong }
	})
	m := newManager(t, func(o *ManagerOptions) {
		managerWithAuth(o)
		o.Problems = func() []health.Problem { return wrong }
	})
	get := func(h *node, path, bearer string, status int, want string) {
		t.Helper()
		if w := h.do(t, http.MethodGet, path, "", "Authorization", bearer); w.Code != status || want != "" && w.Body.String() != want+"\n" {
			t.Errorf("%s: %d %s, want %d %s", path, w.Code, w.Body, status, want)
		}
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		wrong  []health.Problem
		ready  int
		public string
		told   string
	}{
		{[]health.Problem{}, 200, `{"problems":[],"status":"ok"}`, `[]`},
		{
			[]health.Problem{{Place: "spool", Text: "slow", Since: since}}, 200, `{"problems":["spool"],"status":"ok"}`,
			`[{"place":"spool","text":"slow","since":"2026-01-02T03:04:05Z","serious":false}]`,
		},
		{
			[]health.Problem{{Place: "storage", Text: "it is full", Since: since, Serious: true}}, 503, `{"problems":["storage"],"status":"failing"}`,
			`[{"place":"storage","text":"it is full","since":"2026-01-02T03:04:05Z","serious":true}]`,
		},
	} {
		wrong = step.wrong
		for _, h := range []*node{n, m} {
			get(h, "/readyz", "", step.ready, step.public)
			get(h, "/api/problems", "Bearer "+token, 200, `{"problems":`+step.told+`}`)
			get(h, "/api/problems", "", 401, "")
		}
		load := `{"streams":3,"publishers":0,"viewers":0,"recordings":0,"problems":` + step.told + `}`
		if len(step.wrong) == 0 {
			load = `{"streams":3,"publishers":0,"viewers":0,"recordings":0}`
		}
		get(n, "/api/load", "Bearer "+token, 200, load)
	}
}
