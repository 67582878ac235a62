package manager

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

// Span implements api.Playback: a span may have parts of several nodes' recordings, and of
// copies the one that lacks the least.
func (l *library) Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
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

// Manifest implements span.Source.
func (l *library) Manifest(ctx context.Context, recordDir string) ([]byte, error) {
	return l.files.Manifest(ctx, recordDir)
}

// File implements span.Source.
func (l *library) File(w http.ResponseWriter, r *http.Request, name string, clips []playback.Clip) error {
	return l.files.File(w, r, name, clips)
}

// sayNodes says which nodes' recordings an answer is of.
func sayNodes(h http.Header, recordings []media.Recording) {
	var nodes []string
	for i := range recordings {
		if alias := recordings[i].Node; !slices.Contains(nodes, alias) {
			nodes = append(nodes, alias)
		}
	}
	h.Set("X-Live777-Node", strings.Join(nodes, ", "))
}

// Edge implements span.Source. Only the node knows the chunks of what it records.
func (l *library) Edge(string) (tail manifest.Tail, more <-chan struct{}, ok bool) {
	return manifest.Tail{}, nil, false
}

// Await implements span.Source: there is nothing to wait for.
func (l *library) Await(ctx context.Context, _ <-chan struct{}) (came bool, err error) {
	return false, ctx.Err()
}

// NoMedia implements span.Source.
func (l *library) NoMedia(ctx context.Context, stream string, s media.TimeSpan) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return unavailable(l.archive.NoMedia(ctx, stream, s))
}
