// Package span has any span of a stream's time as one presentation: which parts of which
// recordings it is made of, and its manifests.
package span

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

// maxRecordings is how many recordings a span may have parts of: their manifests are read
// when it is asked for.
const maxRecordings = 500

// Source has recordings, and what they consist of. Errors have a fault.Kind.
type Source interface {
	// Overlapping returns a page of a stream's recordings of a time, oldest first, with
	// record_dirs that no other recording has.
	Overlapping(ctx context.Context, q media.OverlapQuery) (media.OverlapPage, error)
	// NoMedia returns the error for a span without media: a fault.NotFound that says where
	// the nearest are.
	NoMedia(ctx context.Context, stream string, s media.TimeSpan) error
	// RecordingOf returns the recording that an object belongs to.
	RecordingOf(ctx context.Context, key string) (media.Recording, error)
	// Manifest returns the MPD of a recording as it is now. The error is a fault.NotFound
	// if there is none, and a fault.Unavailable if it cannot be had now.
	Manifest(ctx context.Context, recordDir string) ([]byte, error)
	// Edge returns the chunks at the live edge of a recording, and what is closed when there
	// is more; ok is false where they are not known.
	Edge(recordDir string) (tail manifest.Tail, more <-chan struct{}, ok bool)
	// Await waits until more is closed; came is false if that takes too long.
	Await(ctx context.Context, more <-chan struct{}) (came bool, err error)
	// File answers a GET or HEAD of parts of recordings as one file of that name.
	File(w http.ResponseWriter, r *http.Request, name string, clips []playback.Clip) error
	// Object answers a GET or HEAD of an object for somebody who may have it until then.
	Object(w http.ResponseWriter, r *http.Request, key string, until time.Time) error
}

// Options configure New. Source is needed.
type Options struct {
	Source Source
	// Describe sets headers of an answer by the recordings that it is of. nil: none.
	Describe func(h http.Header, recordings []media.Recording)
	Logger   *slog.Logger // nil means slog.Default()
}

// Library finds out what spans are made of. Safe for concurrent use.
type Library struct {
	source   Source
	describe func(h http.Header, recordings []media.Recording)
	log      *slog.Logger
	parsed   *parsed
}

// New returns a Library.
func New(o Options) (*Library, error) {
	if o.Source == nil {
		return nil, errors.New("span: Source is needed")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Describe == nil {
		o.Describe = func(http.Header, []media.Recording) {}
	}
	return &Library{source: o.Source, describe: o.Describe, log: o.Logger, parsed: newParsed()}, nil
}

// Clip is a part of a recording, which a span has.
type Clip struct {
	Recording media.Recording
	manifest.Clip
}

// Parts is what a span is made of.
type Parts struct {
	Clips []Clip // in the order of time; there is one at least
	// Running says that the last of the recordings goes on, and has not come to the end of
	// the span.
	Running bool
	// Unavailable are the record_dirs of what cannot be had now, and has no copy.
	Unavailable []string
	why         error // of the first of them
}

// Parts returns the parts of recordings that a span of a stream is made of. Where several
// recordings have the same time, it takes the one that lacks the least. The error is a fault.NotFound that says
// where the nearest media is if there is none, and a fault.Invalid if the span is too
// long.
func (l *Library) Parts(ctx context.Context, stream string, s media.TimeSpan) (Parts, error) {
	recordings, err := l.overlapping(ctx, stream, s)
	if err != nil {
		return Parts{}, err
	}
	pieces := choose(recordings, s)
	all, away, err := l.presentations(ctx, pieces)
	if err != nil {
		return Parts{}, err
	}
	wanted := pieces
	if len(away) > 0 { // others may have copies
		recordings = slices.DeleteFunc(recordings, func(r media.Recording) bool { return away[r.RecordDir] != nil })
		pieces = choose(recordings, s)
		var more map[string]error
		if all, more, err = l.presentations(ctx, pieces); err != nil {
			return Parts{}, err
		}
		maps.Copy(away, more)
	}
	p := Parts{Unavailable: without(wanted, pieces, away)}
	if len(p.Unavailable) > 0 {
		p.why = away[p.Unavailable[0]]
	}
	for i, presentation := range all {
		p.add(&pieces[i], presentation)
	}
	switch {
	case len(p.Clips) == 0 && p.why != nil:
		return Parts{}, p.why
	case len(p.Clips) == 0:
		return Parts{}, l.source.NoMedia(ctx, stream, s)
	}
	last := p.Clips[len(p.Clips)-1].Clip
	if p.Running && end(last.Presentation) >= last.To {
		p.Running = false // what comes is not of the span any more
	}
	return p, nil
}

// add adds a piece of a presentation, which is nil where there is none.
func (p *Parts) add(piece *piece, presentation *manifest.Presentation) {
	if piece.runs() && (presentation == nil || presentation.Dynamic) {
		p.Running = true
	}
	if presentation == nil {
		return
	}
	c := piece.clip(presentation)
	if len(manifest.Join("", []manifest.Clip{c.Clip}).Periods) > 0 {
		p.Clips = append(p.Clips, c)
	}
}

// end returns the media time at which all that is listed ends.
func end(p *manifest.Presentation) time.Duration {
	whole := manifest.Join("", []manifest.Clip{{Presentation: p, To: endless}})
	return whole.AvailabilityStart.Sub(p.AvailabilityStart) + whole.Duration
}

// overlapping returns the recordings that may have media of the span.
func (l *Library) overlapping(ctx context.Context, stream string, s media.TimeSpan) (list []media.Recording, err error) {
	q := media.OverlapQuery{Stream: stream, From: s.From, To: s.To, Limit: maxRecordings + 1}
	for {
		page, err := l.source.Overlapping(ctx, q)
		if err != nil {
			return nil, err
		}
		list = append(list, page.Recordings...)
		if len(list) > maxRecordings {
			return nil, fault.Errorf(fault.Invalid, "the span has parts of more than %d recordings: ask for a shorter one", maxRecordings).Coded("span_too_long", "most", maxRecordings)
		}
		if q.After = page.Next; q.After == "" {
			return list, nil
		}
	}
}

// folder returns a record_dir as the beginning of a relative URL, which may stand in a
// template of names (ISO/IEC 23009-1 5.3.9.4.4), and is not taken for a scheme.
func folder(recordDir string) string {
	var b strings.Builder
	for element := range strings.SplitSeq(recordDir, "/") {
		b.WriteString(url.PathEscape(element))
		b.WriteByte('/')
	}
	return strings.NewReplacer("$", "%24", ":", "%3A").Replace(b.String())
}
