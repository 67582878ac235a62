package archive

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/media"
)

// outline puts into t what is known of a time with more recordings than their ledgers
// can be looked at: when there were any, and their verdicts.
func (a *Archive) outline(ctx context.Context, t *media.Timeline, span media.TimeSpan, buckets int) error {
	end := minTime(span.To, a.o.Now())
	t.Outline = true
	if !span.From.Before(end) {
		return nil
	}
	o, err := a.o.Catalogue.Outline(ctx, media.OutlineQuery{Stream: t.Stream, From: span.From, To: end, Buckets: buckets, Without: a.o.Without()})
	if err != nil {
		return err
	}
	t.Recordings = o.Open
	var all []bucket
	for i := range o.Buckets {
		sum := &o.Buckets[i]
		sum.From, sum.To = maxTime(sum.From, span.From), minTime(sum.To, end) // not to the millisecond
		b, seconds := outlined(sum)
		t.Recordings += sum.Recordings
		t.MediaSeconds += seconds
		t.Resolution = max(t.Resolution, milli(sum.To.Sub(sum.From).Seconds()))
		all = append(all, b)
	}
	t.MediaSeconds = milli(t.MediaSeconds)
	for _, p := range joined(all) {
		t.Spans = append(t.Spans, p.TimelineSpan)
	}
	return nil
}

// outlined returns the span of a bucket, and for how many seconds of it there is media.
func outlined(sum *media.OutlineBucket) (b bucket, seconds float64) {
	width := sum.To.Sub(sum.From)
	long := min(sum.Media, width)
	b = bucket{part: part{media.TimelineSpan{From: sum.From.UTC(), To: sum.To.UTC(), Kind: media.SpanMedia, Recordings: sum.Recordings, Status: media.StatusComplete}, -1}, last: -2}
	switch {
	case long <= 0:
		b.TimelineSpan = media.TimelineSpan{From: b.From, To: b.To, Kind: media.SpanGap, Cause: media.CauseNone}
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
