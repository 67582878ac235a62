package archive_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/media"
)

// zero is when the clock of the tests begins; times are written in seconds from it.
var zero = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }

func span(from, to float64) media.TimeSpan { return media.TimeSpan{From: at(from), To: at(to)} }

// recording returns one of video and audio, which is complete.
func recording(name string, from, to float64) media.Recording {
	end := at(to + 2)
	return media.Recording{
		Stream: "camera", RecordDir: "camera/" + name, Start: at(from), End: &end, Duration: to - from, Bytes: int64(to-from) * 1000, Status: media.StatusComplete,
		Tracks: []media.RecordingTrack{{Kind: "video", Codec: "H264", Recorded: true}, {Kind: "audio", Codec: "opus", Recorded: true}},
	}
}

// lacks returns r with a gap at a time, of one of its tracks, or of both.
func lacks(r media.Recording, kind, cause string, from, to float64) media.Recording {
	r.Tracks = slices.Clone(r.Tracks)
	for i := range r.Tracks {
		if t := &r.Tracks[i]; kind == "" || t.Kind == kind {
			start := at(from).Sub(r.Start).Seconds()
			t.Gaps = append(slices.Clone(t.Gaps), media.Gap{Start: start, Duration: to - from, Cause: cause})
		}
	}
	r.Status = media.StatusDegraded
	return r
}

// catalogue is a archive.Catalogue in memory.
type catalogue []media.Recording

func (c catalogue) Overlapping(_ context.Context, q media.OverlapQuery) (media.OverlapPage, error) {
	var p media.OverlapPage
	for _, r := range c {
		if r.RecordDir > q.After && r.Start.Before(q.To) && (r.End == nil || r.End.After(q.From)) {
			if len(p.Recordings) == q.Limit {
				p.Next = p.Recordings[q.Limit-1].RecordDir
				break
			}
			p.Recordings = append(p.Recordings, r)
		}
	}
	return p, nil
}

var errNone = fault.New(fault.NotFound, "none")

func (c catalogue) Before(_ context.Context, _ string, t time.Time, _ ...string) (media.Recording, error) {
	for _, r := range slices.Backward(c) {
		if r.End != nil && !r.End.After(t) {
			return r, nil
		}
	}
	return media.Recording{}, errNone
}

func (c catalogue) After(_ context.Context, _ string, t time.Time, _ ...string) (media.Recording, error) {
	for _, r := range c {
		if !r.Start.Before(t) {
			return r, nil
		}
	}
	return media.Recording{}, errNone
}

func (c catalogue) Count(ctx context.Context, q media.OverlapQuery) (int, error) {
	q.Limit = len(c)
	page, err := c.Overlapping(ctx, q)
	return len(page.Recordings), err
}

func (c catalogue) Outline(_ context.Context, q media.OutlineQuery) (media.Outline, error) {
	var o media.Outline
	width := q.To.Sub(q.From) / time.Duration(q.Buckets)
	for i := range q.Buckets {
		from := q.From.Add(time.Duration(i) * width)
		b := media.OutlineBucket{From: from, To: from.Add(width)}
		for _, r := range c {
			begin, end := r.Start, q.To
			if r.End != nil {
				end = *r.End
			}
			if i == 0 && begin.Before(from) && end.After(from) {
				o.Open++
			}
			if !begin.Before(from) && begin.Before(b.To) {
				b.Recordings++
				if r.Status == media.StatusDegraded {
					b.Degraded++
				}
			}
			if begin.Before(from) {
				begin = from
			}
			if end.After(b.To) {
				end = b.To
			}
			b.Media += max(end.Sub(begin), 0)
		}
		o.Buckets = append(o.Buckets, b)
	}
	return o, nil
}

func (catalogue) Archives(context.Context, media.StreamQuery) ([]media.ArchiveStream, error) {
	return nil, nil
}

// newArchive returns an archive whose clock is far behind all recordings, unless change
// says otherwise.
func newArchive(t *testing.T, c catalogue, change func(*archive.Options)) *archive.Archive {
	t.Helper()
	o := archive.Options{Catalogue: c, Now: func() time.Time { return at(1e7) }}
	if change != nil {
		change(&o)
	}
	a, err := archive.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// show returns a timeline as text: "0-10 a 10-20 none 20-30 b video:loss", with times in
// seconds, media by their recording, and gaps by their cause.
func show(line media.Timeline) string {
	var words []string
	for _, s := range line.Spans {
		word := fmt.Sprintf("%g-%g ", s.From.Sub(zero).Seconds(), s.To.Sub(zero).Seconds())
		if s.Kind == media.SpanGap {
			word += s.Cause
		} else {
			word += strings.TrimPrefix(s.RecordDir, "camera/")
			if s.Recordings > 1 {
				word += fmt.Sprintf("*%d", s.Recordings)
			}
		}
		for _, m := range s.Missing {
			word += fmt.Sprintf(" %s:%s:%g", m.Kind, m.Cause, m.Seconds)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func timeline(t *testing.T, a *archive.Archive, s media.TimeSpan, buckets int) media.Timeline {
	t.Helper()
	line, err := a.Timeline(t.Context(), media.TimelineQuery{Stream: "camera", Span: s, Buckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	return line
}
