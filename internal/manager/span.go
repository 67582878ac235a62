package manager

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// Span implements api.Playback: a span may have parts of several nodes' recordings, and of
// copies the one that lacks the least.
func (l *library) Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
	if name == media.FileName {
		return fault.New(fault.Unsupported, "a manager makes no file of a span: ask the node that has recorded it, or save whole recordings")
	}
	return l.spans.Serve(w, r, stream, s, name, until)
}

// Overlapping implements span.Source. The record_dirs are those of the manager's
// catalogue, by which each recording is found again, whatever other nodes have. A page
// may be shorter than asked for.
func (l *library) Overlapping(ctx context.Context, q media.OverlapQuery) (media.OverlapPage, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	page, err := l.fleet.o.Catalogue.Overlapping(ctx, q)
	if err != nil {
		return page, unavailable(err)
	}
	page.Recordings = slices.DeleteFunc(page.Recordings, l.fleet.isGone)
	return page, nil
}

// NoMedia implements span.Source.
func (l *library) NoMedia(ctx context.Context, stream string, s media.TimeSpan) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return unavailable(l.archive.NoMedia(ctx, stream, s))
}
