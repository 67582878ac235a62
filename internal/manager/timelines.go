package manager

import (
	"context"

	libarchive "github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/media"
)

// timelines is the archives of the streams of all nodes. It implements api.Archive.
// Recordings have the names of the manager's catalogue, which are no one else's.
type timelines struct{ archive *libarchive.Archive }

func newTimelines(f *fleet, c libarchive.Catalogue) (*timelines, error) {
	a, err := libarchive.New(libarchive.Options{Catalogue: c, Gone: f.isGone, Dead: f.isDead, Without: f.going.aliases, Now: f.now})
	return &timelines{a}, err
}

// Timeline implements api.Archive.
func (t *timelines) Timeline(ctx context.Context, q media.TimelineQuery) (media.Timeline, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	timeline, err := t.archive.Timeline(ctx, q)
	if err != nil {
		return media.Timeline{}, unavailable(err)
	}
	return timeline, nil
}

// Streams implements api.Archive.
func (t *timelines) Streams(ctx context.Context, q media.StreamQuery) ([]media.ArchiveStream, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	streams, err := t.archive.Streams(ctx, q)
	if err != nil {
		return nil, unavailable(err)
	}
	return streams, nil
}

// isDead reports whether the node of a recording is down: what it was recording has ended, for
// all that the manager can tell.
func (f *fleet) isDead(r media.Recording) bool {
	n := f.node(r.Node)
	return n != nil && n.describe().State == stateDown
}
