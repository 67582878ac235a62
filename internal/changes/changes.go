// Package changes is a catalogue's feed of changes as the API wants it.
package changes

import (
	"context"

	"github.com/live777/recorder/internal/api"
	"github.com/live777/recorder/internal/catalogue"
	"github.com/live777/recorder/internal/media"
)

// Source is the part of api.Recordings that is about what changes. Safe for
// concurrent use.
type Source struct{ Catalogue *catalogue.DB }

// Feed implements api.Recordings.
func (s Source) Feed(ctx context.Context) (string, error) { return s.Catalogue.FeedID(ctx) }

// Watch implements api.Recordings.
func (s Source) Watch() (<-chan struct{}, func()) { return s.Catalogue.Watch() }

// Follow implements api.Recordings. It names recordings as the catalogue does.
func (s Source) Follow(ctx context.Context, c media.Cursor, limit int) ([]api.Change, media.Cursor, error) {
	changes, next, err := s.Catalogue.Follow(ctx, c, limit)
	if err != nil {
		return nil, c, err
	}
	out := make([]api.Change, len(changes))
	for i, change := range changes {
		out[i] = api.Change{Seq: change.Seq, Deleted: change.Deleted, RecordDir: change.RecordDir}
		if !change.Deleted {
			out[i].Recording = &changes[i].Recording
		}
	}
	return out, next, nil
}
