package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/events"
)

// Events is who is told of what happens: webhooks, commands, brokers.
type Events interface {
	Status(ctx context.Context) (events.Status, error)
	// Deliveries returns the newest attempts to tell events, the newest first.
	Deliveries(ctx context.Context, q events.DeliveryQuery) ([]events.Delivery, error)
}

var errNoEvents = fault.New(fault.Unsupported, "this server tells nobody of events").Coded("no_events")

func (a *API) getWebhooks(w http.ResponseWriter, r *http.Request) error {
	if a.o.Events == nil {
		return errNoEvents
	}
	s, err := a.o.Events.Status(r.Context())
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, s)
	return nil
}

func (a *API) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	if a.o.Events == nil {
		return errNoEvents
	}
	v := r.URL.Query()
	q := events.DeliveryQuery{Target: v.Get("target"), Subject: v.Get("subject")}
	var err error
	if q.Limit, err = parseLimit(v.Get("limit"), defaultLimit, MaxPage); err != nil {
		return err
	}
	if text := v.Get("before"); text != "" {
		if q.Before, err = strconv.ParseInt(text, 10, 64); err != nil || q.Before < 1 {
			return fault.Errorf(fault.Invalid, "before %q is not a number from 1", text)
		}
	}
	list, err := a.o.Events.Deliveries(r.Context(), q)
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, map[string][]events.Delivery{"deliveries": list})
	return nil
}
