package archive

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/media"
)

// outline puts into t what is known of a time with more recordings than their ledgers
// can be looked at: when there were any, and their verdicts.
func (a *Archive) outline(ctx context.Context, t *media.Timeline, span media.TimeSpan, buckets int) error {
	now := a.o.Now()
	end := minTime(span.To, now)
	t.Outline = true
	if !span.From.Before(end) {
		return nil
	}
	width := end.Sub(span.From) / time.Duration(buckets)
	if short := width % time.Millisecond; short > 0 || width == 0 {
		width += time.Millisecond - short // all of the time is in buckets
	}
	q := media.OverlapQuery{Stream: t.Stream, From: span.From, To: span.From.Add(time.Millisecond), Limit: pageSize}
	page, err := a.o.Catalogue.Overlapping(ctx, q)
	if err != nil {
		return err
	}
	until := span.From // what is recorded so far
	for _, r := range page.Recordings {
		if last := endOf(&r); !a.o.Gone(r) && r.Start.Before(span.From) && last.After(span.From) {
			until = maxTime(until, last)
			t.Recordings++
		}
	}
	sums, err := a.o.Catalogue.Outline(ctx, t.Stream, span.From, width, buckets, now, a.o.Without()...)
	if err != nil {
		return err
	}
	t.Resolution = milli(width.Seconds())
	var all []bucket
	for i, sum := range sums {
		from := span.From.Add(time.Duration(i) * width)
		if !from.Before(end) {
			break
		}
		b, seconds := outlined(sum, from, minTime(from.Add(width), end), until)
		if sum.Recordings > 0 {
			until = maxTime(until, sum.Last)
		}
		t.Recordings += sum.Recordings
		t.MediaSeconds += seconds
		all = append(all, b)
	}
	t.MediaSeconds = milli(t.MediaSeconds)
	for _, p := range joined(all) {
		t.Spans = append(t.Spans, p.TimelineSpan)
	}
	return nil
}

// outlined returns the span of a bucket, and for how many seconds of it there is media.
// until is when the last of the recordings ends that began before it.
func outlined(sum media.OutlineBucket, from, to, until time.Time) (b bucket, seconds float64) {
	width := to.Sub(from)
	own := sum.Length
	if sum.Last.After(to) {
		own = max(own-sum.Last.Sub(to), 0)
	}
	long := min(max(until.Sub(from), 0)+own, width)
	b = bucket{part: part{media.TimelineSpan{From: from.UTC(), To: to.UTC(), Kind: media.SpanMedia, Recordings: sum.Recordings, Status: media.StatusComplete}, -1}, last: -2}
	switch {
	case long <= 0:
		b.TimelineSpan = media.TimelineSpan{From: from.UTC(), To: to.UTC(), Kind: media.SpanGap, Cause: media.CauseNone}
		return b, 0
	case sum.Failed > 0:
		b.Status = media.StatusFailed
	case sum.Degraded > 0:
		b.Status = media.StatusDegraded
	}
	if lost := width - long; lost > seam*time.Duration(sum.Recordings+1) {
		b.Missing = []media.MissingMedia{{Cause: media.CauseNone, Seconds: milli(lost.Seconds()), Count: 1}}
	}
	return b, long.Seconds()
}
