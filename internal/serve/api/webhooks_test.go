package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/serve/events"
)

// toldEvents is an Events that says what it was asked.
type toldEvents struct{ asked events.DeliveryQuery }

func (*toldEvents) Status(context.Context) (events.Status, error) {
	return events.Status{Targets: []events.Target{{
		Name: "studio", Kind: "webhook", To: "https://hooks.example/a", Events: []string{"stream.*"}, Signed: true, Waiting: 2, Failing: true, Error: "it answers 500",
		OldestWaiting: time.Unix(1, 0).UTC(), Counts: events.Counts{Delivered: 3},
	}}, MaxBytes: 1, KeepHours: 72}, nil
}

func (e *toldEvents) Deliveries(_ context.Context, q events.DeliveryQuery) ([]events.Delivery, error) {
	e.asked = q
	return []events.Delivery{{N: 7, Target: "studio", ID: "a", Type: "stream.started", Subject: "b", Attempt: 1, Outcome: events.OutcomeFailed, Status: 500, Error: "x"}}, nil
}

// TestWebhooks has administrators see who is told of events, and nobody else.
func TestWebhooks(t *testing.T) {
	var told toldEvents
	for name, h := range map[string]*node{
		"live777": newNode(t, func(o *Options) { withAuth(o); o.Events = &told }),
		"liveman": newManager(t, func(o *ManagerOptions) { managerWithAuth(o); o.Events = &told }),
	} {
		for path, want := range map[string]string{
			"/api/webhooks": `"name":"studio"`, "/api/webhooks/deliveries?target=studio&subject=b&before=9&limit=1000": `{"deliveries":[{"n":7,`,
		} {
			w := h.do(t, http.MethodGet, path, "", "Authorization", "Bearer "+token)
			if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %s: %d %s", name, path, w.Code, w.Body)
			}
			if w := h.do(t, http.MethodGet, path, ""); w.Code != 401 {
				t.Errorf("%s: %s without a token: %d", name, path, w.Code)
			}
		}
		if want := (events.DeliveryQuery{Target: "studio", Subject: "b", Before: 9, Limit: MaxPage}); told.asked != want {
			t.Errorf("%+v, want %+v", told.asked, want)
		}
		for _, query := range []string{"before=0", "before=x", "limit=0"} {
			if w := h.do(t, http.MethodGet, "/api/webhooks/deliveries?"+query, "", "Authorization", "Bearer "+token); w.Code != 400 {
				t.Errorf("%s: %d", query, w.Code)
			}
		}
	}
	if w := newNode(t, withAuth).do(t, http.MethodGet, "/api/webhooks", "", "Authorization", "Bearer "+token); w.Code != 501 {
		t.Errorf("nobody is told: %d", w.Code)
	}
}
