package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// What a page may have: at these sizes the catalogue gives one in 10 ms, with a
// million recordings (docs/benchmarks.md).
const (
	// MaxPage is the most recordings, or changes of them, on a page.
	MaxPage      = 200
	defaultLimit = 100
	// MaxStreams is the most streams on a page, and how many there are by default.
	MaxStreams = 1000
	// MaxOffset is how many recordings may be passed over by their number.
	MaxOffset = 1000
)

var errNoPlayback = fault.New(fault.Unsupported, "this build has no playback; use one that was not built with -tags norecorder").Coded("no_recorder")

func (a *API) getObject(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	until, _ := grantOf(r).Expires()
	return a.o.Playback.Object(w, r, r.PathValue("path"), until)
}

// listRecorded answers with an array, as it did before it had pages: that there is
// another one is said by a link (RFC 8288).
func (a *API) listRecorded(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	after, limit, err := parseStreamPage(r.URL.Query())
	if err != nil {
		return err
	}
	page, more, err := recorded(r.Context(), grantOf(r), after, limit, a.o.Playback.Streams,
		func(s media.StreamSummary) string { return s.Stream })
	if err != nil {
		return err
	}
	if more {
		linkNext(w, r, "/api/playback", page[len(page)-1].Stream, limit)
	}
	a.writeJSON(w, http.StatusOK, page)
	return nil
}

// parseStreamPage reads after and limit of a list of streams.
func parseStreamPage(q url.Values) (after string, limit int, err error) {
	if limit, err = parseLimit(q.Get("limit"), MaxStreams, MaxStreams); err != nil {
		return "", 0, err
	}
	if after = q.Get("after"); after != "" {
		if err := media.CheckStreamID(after); err != nil {
			return "", 0, fault.Errorf(fault.Invalid, "after: %w", err)
		}
	}
	return after, limit, nil
}

// linkNext says where the page of streams that follows is (RFC 8288).
func linkNext(w http.ResponseWriter, r *http.Request, path, last string, limit int) {
	next := url.Values{"after": {last}, "limit": {strconv.Itoa(limit)}}
	w.Header().Set("Link", "<"+prefixOf(r)+path+"?"+next.Encode()+`>; rel="next"`)
}

// recorded returns the first streams after one that g may view, and whether there are
// more; list gives what a query selects, and id the stream of one. Where g is for few
// streams it looks only where their ids may be.
func recorded[S any](ctx context.Context, g *auth.Grant, after string, limit int,
	list func(context.Context, media.StreamQuery) ([]S, error), id func(S) string,
) (page []S, more bool, err error) {
	page = []S{}
	for _, prefix := range g.Prefixes() {
		for q := (media.StreamQuery{After: after, Prefix: prefix, Limit: limit + 1}); ; {
			found, err := list(ctx, q)
			if err != nil {
				return nil, false, err
			}
			for _, s := range found {
				if g.Allows(auth.View, id(s)) != nil {
					continue
				}
				if len(page) == limit {
					return page, true, nil
				}
				page = append(page, s)
			}
			if len(found) < q.Limit {
				break
			}
			q.After, q.Limit = id(found[len(found)-1]), MaxStreams+1 // g is for few of them
		}
	}
	return page, false, nil
}

func (a *API) listRecordings(w http.ResponseWriter, r *http.Request) error {
	if a.o.Playback == nil {
		return errNoPlayback
	}
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		return err
	}
	q.Stream = r.PathValue("stream")
	page, err := a.o.Playback.Recordings(r.Context(), q)
	if err != nil {
		return err
	}
	if page.Recordings == nil {
		page.Recordings = []media.Recording{}
	}
	a.writeJSON(w, http.StatusOK, struct {
		Stream     string            `json:"stream"`
		Total      int               `json:"total"`
		Recordings []media.Recording `json:"recordings"`
		Next       string            `json:"next,omitempty"`
	}{q.Stream, page.Total, page.Recordings, page.Next})
	return nil
}

// parseQuery reads limit, offset, after, from and to; the error is a fault.Invalid.
func parseQuery(v url.Values) (media.RecordingQuery, error) {
	q := media.RecordingQuery{After: v.Get("after")}
	var err error
	if q.Limit, err = parseLimit(v.Get("limit"), defaultLimit, MaxPage); err != nil {
		return q, err
	}
	if s := v.Get("offset"); s != "" {
		q.Offset, err = strconv.Atoi(s)
		switch {
		case err != nil || q.Offset < 0 || q.Offset > MaxOffset:
			return q, fault.Errorf(fault.Invalid, "offset %q is not a number from 0 to %d: to go on further, ask with the next of an answer as after", s, MaxOffset)
		case q.After != "" && q.Offset > 0:
			return q, fault.New(fault.Invalid, "after says where the page begins: leave offset out")
		}
	}
	if q.From, err = parseTime("from", v.Get("from")); err != nil {
		return q, err
	}
	if q.To, err = parseTime("to", v.Get("to")); err != nil {
		return q, err
	}
	if !q.From.IsZero() && !q.To.IsZero() && q.To.Before(q.From) {
		return q, fault.New(fault.Invalid, "to is before from")
	}
	return q, nil
}

// parseLimit reads the number of things on a page. Whoever asks for more than most
// gets that, and is told where to go on.
func parseLimit(s string, byDefault, most int) (int, error) {
	if s == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fault.Errorf(fault.Invalid, "limit %q is not a number from 1", s)
	}
	return min(n, most), nil
}

// parseTime is media.ParseTime. "" is no bound.
func parseTime(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return media.ParseTime(name, s, nil)
}
