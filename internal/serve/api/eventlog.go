package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/eventlog"
)

// EventLog is what has happened lately.
type EventLog interface {
	List(q eventlog.Query) eventlog.Page
}

// listEvents shows events of the streams that the grant is for; those of no stream to who
// may view them all.
func (a *API) listEvents(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	q := eventlog.Query{Kind: eventlog.Kind(v.Get("kind")), Least: eventlog.Level(v.Get("level")), Stream: v.Get("stream")}
	if q.Kind != "" && !slices.Contains(eventlog.Kinds(), q.Kind) {
		return fault.Errorf(fault.Invalid, "kind %.40q is none of %q", q.Kind, eventlog.Kinds())
	}
	if q.Least != "" && !slices.Contains(eventlog.Levels(), q.Least) {
		return fault.Errorf(fault.Invalid, "level %.40q is none of %q", q.Least, eventlog.Levels())
	}
	var err error
	if q.Limit, err = parseLimit(v.Get("limit"), defaultLimit, MaxPage); err != nil {
		return err
	}
	if text := v.Get("before"); text != "" {
		if q.Before, err = strconv.ParseInt(text, 10, 64); err != nil || q.Before < 1 {
			return fault.Errorf(fault.Invalid, "before %.40q is not a number from 1", text)
		}
	}
	if a.o.EventLog == nil {
		a.writeJSON(w, http.StatusOK, eventlog.Page{Events: []eventlog.Entry{}, Since: a.now().UTC()})
		return nil
	}
	grant := grantOf(r)
	q.Allow = func(e eventlog.Entry) bool { return grant.Allows(auth.View, e.Stream) == nil }
	a.writeJSON(w, http.StatusOK, a.o.EventLog.List(q))
	return nil
}
