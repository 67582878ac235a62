// Package archive shows the recordings of a stream, of all its rotations and of all
// nodes, as one timeline of the wall clock. It asks the catalogue alone.
package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// MaxLedgers is the most recordings whose ledgers are looked at for one answer. Of
	// more there is an outline.
	MaxLedgers = 1000
	// pageSize is how many recordings are asked for at a time.
	pageSize = 500
)

// Catalogue finds recordings of a stream by time. *catalogue.DB is one.
type Catalogue interface {
	// Overlapping returns the page of recordings that q selects, oldest first.
	Overlapping(ctx context.Context, q media.OverlapQuery) (media.OverlapPage, error)
	// Before returns the recording that ended last of those that ended at a time or
	// before, After the one that began first of those that began then or later, each of
	// those that have media. An error of fault.NotFound says that there is none.
	Before(ctx context.Context, stream string, t time.Time, without ...string) (media.Recording, error)
	After(ctx context.Context, stream string, t time.Time, without ...string) (media.Recording, error)
	// Count returns how many recordings q selects, whatever its After and Limit.
	Count(ctx context.Context, q media.OverlapQuery) (int, error)
	// Outline sums up the recordings of a stream in a time.
	Outline(ctx context.Context, q media.OutlineQuery) (media.Outline, error)
	// Archives returns the archives of the streams that q selects, by their ids.
	Archives(ctx context.Context, q media.StreamQuery) ([]media.ArchiveStream, error)
}

// Options configure New. Catalogue is needed.
type Options struct {
	Catalogue Catalogue
	// Running returns what is known of the recording in a folder that runs, of which the
	// catalogue hears now and then. nil: nothing runs here.
	Running func(recordDir string) (media.Recording, bool)
	// Gone selects recordings that are not there any more. nil: none.
	Gone func(media.Recording) bool
	// Dead reports whether the node of a recording that runs, as far as is known, is dead.
	// nil: none is.
	Dead func(media.Recording) bool
	// Without returns nodes whose recordings are not there any more. nil: none.
	Without func() []string
	Now     func() time.Time // nil means time.Now
}

// Archive finds what there is of a time. Safe for concurrent use.
type Archive struct{ o Options }

// New returns an Archive.
func New(o Options) (*Archive, error) {
	if o.Catalogue == nil {
		return nil, errors.New("archive: Catalogue is needed")
	}
	if o.Running == nil {
		o.Running = func(string) (media.Recording, bool) { return media.Recording{}, false }
	}
	if o.Dead == nil {
		o.Dead = func(media.Recording) bool { return false }
	}
	if o.Gone == nil {
		o.Gone = func(media.Recording) bool { return false }
	}
	if o.Without == nil {
		o.Without = func() []string { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Archive{o}, nil
}

// Streams returns the archives of the streams that q selects, by their ids.
func (a *Archive) Streams(ctx context.Context, q media.StreamQuery) ([]media.ArchiveStream, error) {
	q.Without = a.o.Without()
	return a.o.Catalogue.Archives(ctx, q)
}

// Recordings returns the recordings of a stream that have media in a span, oldest first,
// those that run as of now. If there are more than most, it is the first most, and more
// is true.
func (a *Archive) Recordings(ctx context.Context, stream string, span media.TimeSpan, most int) (recordings []media.Recording, more bool, err error) {
	recordings, more, stale, err := a.recordings(ctx, stream, span, most)
	if err == nil && stale {
		// The catalogue may have heard of an end after it was asked.
		recordings, more, _, err = a.recordings(ctx, stream, span, most)
	}
	return recordings, more, err
}

// recordings is Recordings; stale says that one is running for the catalogue and does
// not run here.
func (a *Archive) recordings(ctx context.Context, stream string, span media.TimeSpan, most int) (found []media.Recording, more, stale bool, err error) {
	q := media.OverlapQuery{Stream: stream, From: span.From, To: span.To, Limit: min(pageSize, most)}
	for {
		page, err := a.o.Catalogue.Overlapping(ctx, q)
		if err != nil {
			return nil, false, false, err
		}
		for _, r := range page.Recordings {
			if a.o.Gone(r) {
				continue
			}
			if r.Status == media.StatusRecording {
				now, ok := a.o.Running(r.RecordDir)
				if ok {
					r = now
				}
				stale = stale || !ok
			}
			if r.Duration <= 0 || !r.Start.Before(span.To) || !endOf(&r).After(span.From) {
				continue
			}
			if len(found) == most {
				return found, true, stale, nil
			}
			found = append(found, r)
		}
		if q.After = page.Next; q.After == "" {
			return found, false, stale, nil
		}
	}
}

// endOf returns when the media of a recording end. They are as long before the end of
// the recording itself as it took to seal it.
func endOf(r *media.Recording) time.Time { return r.Start.Add(seconds(r.Duration)) }

// seconds returns the duration of so many seconds, to the microsecond: ledgers have three
// digits.
func seconds(s float64) time.Duration { return time.Duration(math.Round(s*1e6)) * time.Microsecond }

// Nearest returns when the media of a stream end that are nearest before a span without
// any, and when those begin that are nearest after it; nil where there are none.
func (a *Archive) Nearest(ctx context.Context, stream string, span media.TimeSpan) (before, after *time.Time, err error) {
	r, err := a.o.Catalogue.Before(ctx, stream, span.From, a.o.Without()...)
	switch {
	case err == nil:
		end := endOf(&r)
		before = &end
	case fault.KindOf(err) != fault.NotFound:
		return nil, nil, err
	}
	// What was sealed after From, and what runs, may have its last media before.
	q := media.OverlapQuery{Stream: stream, From: span.From, To: span.To, Limit: pageSize}
	page, err := a.o.Catalogue.Overlapping(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range page.Recordings {
		if r.Duration <= 0 || a.o.Gone(r) {
			continue
		}
		end, again := around(&r, span)
		if end != nil && (before == nil || end.After(*before)) {
			before = end
		}
		if again != nil && (after == nil || again.Before(*after)) {
			after = again
		}
	}
	r, err = a.o.Catalogue.After(ctx, stream, span.To, a.o.Without()...)
	switch {
	case err == nil && (after == nil || r.Start.Before(*after)):
		after = &r.Start
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return nil, nil, err
	}
	return before, after, nil
}

// NoMedia returns the error for a span without media: a fault.NotFound that says where
// the nearest are.
func (a *Archive) NoMedia(ctx context.Context, stream string, span media.TimeSpan) error {
	before, after, err := a.Nearest(ctx, stream, span)
	if err != nil {
		return err
	}
	const form = "2006-01-02T15:04:05.000Z"
	where := fmt.Sprintf("nothing of stream %q is recorded from %s to %s", stream, span.From.Format(form), span.To.Format(form))
	switch {
	case before == nil && after == nil:
		return fault.Errorf(fault.NotFound, "nothing of stream %q is recorded", stream).Coded("nothing_recorded", "stream", stream)
	case after == nil:
		return fault.Errorf(fault.NotFound, "%s: what is recorded ends at %s", where, before.UTC().Format(form)).Coded("recorded_until", "before", before.UTC())
	case before == nil:
		return fault.Errorf(fault.NotFound, "%s: what is recorded begins at %s", where, after.UTC().Format(form)).Coded("recorded_from", "after", after.UTC())
	}
	return fault.Errorf(fault.NotFound, "%s: what is recorded before ends at %s, what is recorded after begins at %s",
		where, before.UTC().Format(form), after.UTC().Format(form)).Coded("recorded_around", "before", before.UTC(), "after", after.UTC())
}
