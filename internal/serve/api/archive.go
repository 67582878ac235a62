package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// MaxBuckets is the most spans of a timeline.
	MaxBuckets     = 2000
	defaultBuckets = 300
)

// Archive shows all recordings of a stream as one timeline. Errors have a fault.Kind.
type Archive interface {
	// Timeline returns a part of the archive of a stream, or a fault.NotFound where
	// nothing of it is recorded.
	Timeline(ctx context.Context, q media.TimelineQuery) (media.Timeline, error)
	// Streams lists streams that have recordings, by their ids.
	Streams(ctx context.Context, q media.StreamQuery) ([]media.ArchiveStream, error)
}

func (a *API) listArchives(w http.ResponseWriter, r *http.Request) error {
	if a.o.Archive == nil {
		return errNoPlayback
	}
	after, limit, err := parseStreamPage(r.URL.Query())
	if err != nil {
		return err
	}
	page, more, err := recorded(r.Context(), grantOf(r), after, limit, a.o.Archive.Streams,
		func(s media.ArchiveStream) string { return s.Stream })
	if err != nil {
		return err
	}
	if more {
		linkNext(w, r, "/api/archive", page[len(page)-1].Stream, limit)
	}
	a.writeJSON(w, http.StatusOK, page)
	return nil
}

func (a *API) getArchive(w http.ResponseWriter, r *http.Request) error {
	if a.o.Archive == nil {
		return errNoPlayback
	}
	q, err := parseTimelineQuery(r.URL.Query(), a.now().Truncate(time.Millisecond))
	if err != nil {
		return err
	}
	q.Stream = r.PathValue("stream")
	timeline, err := a.o.Archive.Timeline(r.Context(), q)
	if err != nil {
		return err
	}
	a.writeJSON(w, http.StatusOK, timeline)
	return nil
}

// parseTimelineQuery reads from, to and buckets. Without from it is all until to,
// without to all until now.
func parseTimelineQuery(v url.Values, now time.Time) (q media.TimelineQuery, err error) {
	q.Buckets = defaultBuckets
	if s := v.Get("buckets"); s != "" {
		if q.Buckets, err = strconv.Atoi(s); err != nil || q.Buckets < 1 || q.Buckets > MaxBuckets {
			return q, fault.Errorf(fault.Invalid, "buckets %.40q is not a number from 1 to %d", s, MaxBuckets)
		}
	}
	from, to := v.Get("from"), v.Get("to")
	if to == "" {
		to = "now"
	}
	if from != "" {
		q.Span, err = media.ParseTimeSpan(from, to, now, nil)
		return q, err
	}
	if strings.TrimLeft(to, " +") != to {
		return q, fault.New(fault.Invalid, "to is a duration: say with from when it begins")
	}
	q.Span, err = media.ParseTimeSpan("0", to, now, nil)
	q.Span.From = time.Time{}
	return q, err
}
