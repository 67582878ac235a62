package archive

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// behind is how far what is known of a recording that runs may be behind the clock
// without a gap at its end.
const behind = 30 * time.Second

// Timeline returns a part of the archive of a stream. A stream of which nothing is
// recorded is a fault.NotFound.
func (a *Archive) Timeline(ctx context.Context, q media.TimelineQuery) (media.Timeline, error) {
	span := q.Span
	if span.From.IsZero() {
		var err error
		if span.From, err = a.beginning(ctx, q.Stream, span.To); err != nil {
			return media.Timeline{}, err
		}
	}
	t := media.Timeline{Stream: q.Stream, From: span.From.UTC(), To: span.To.UTC(), Spans: []media.TimelineSpan{}}
	n, err := a.o.Catalogue.Count(ctx, media.OverlapQuery{Stream: q.Stream, From: span.From, To: span.To})
	if err != nil {
		return t, err
	}
	if n > MaxLedgers {
		err = a.outline(ctx, &t, span, q.Buckets)
		return t, err
	}
	recordings, more, err := a.Recordings(ctx, q.Stream, span, MaxLedgers)
	switch {
	case err != nil:
		return t, err
	case more:
		err = a.outline(ctx, &t, span, q.Buckets)
		return t, err
	}
	if t.Recordings = len(recordings); t.Recordings == 0 {
		if t.Before, t.After, err = a.Nearest(ctx, q.Stream, span); err != nil {
			return t, err
		}
	}
	a.tell(&t, Pieces(recordings, span), span, q.Buckets)
	return t, nil
}

// beginning returns when the archive of a stream begins, of which a part until a time is
// asked for.
func (a *Archive) beginning(ctx context.Context, stream string, to time.Time) (time.Time, error) {
	first, err := a.o.Catalogue.After(ctx, stream, time.Unix(0, 0), a.o.Without()...)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return to, fault.Errorf(fault.NotFound, "nothing of stream %q is recorded", stream).Coded("nothing_recorded", "stream", stream)
	case err != nil:
		return to, err
	case !first.Start.Before(to):
		return to, fault.New(fault.Invalid, "to is before the beginning of the archive, "+first.Start.Format(time.RFC3339Nano))
	}
	return first.Start, nil
}

// tell puts the spans of pieces into t, as many as buckets at most, and their sums.
func (a *Archive) tell(t *media.Timeline, pieces []Piece, span media.TimeSpan, buckets int) {
	now, width := a.o.Now(), span.To.Sub(span.From)/time.Duration(buckets)
	t.Resolution = milli(width.Seconds())
	spans := a.spansOf(pieces, span, width, now)
	for _, s := range spans {
		t.Bytes += s.Bytes
		if s.Kind == media.SpanMedia {
			t.MediaSeconds += s.To.Sub(s.From).Seconds()
		}
		for _, m := range s.Missing {
			if m.Kind == "" {
				t.MediaSeconds -= m.Seconds
			}
		}
	}
	t.MediaSeconds = milli(t.MediaSeconds)
	if len(spans) > buckets {
		spans = merge(a.spansOf(pieces, span, 0, now), span, buckets)
	}
	for _, s := range spans {
		t.Spans = append(t.Spans, s.TimelineSpan)
	}
}

// milli rounds seconds to milliseconds.
func milli(s float64) float64 { return math.Round(s*1000) / 1000 }

// part is a span with the piece that it is of.
type part struct {
	media.TimelineSpan
	piece int // -1: of none
}

// spansOf returns all spans of a part of the archive, but holes within recordings that are
// shorter than least.
func (a *Archive) spansOf(pieces []Piece, span media.TimeSpan, least time.Duration, now time.Time) []part {
	var parts []part
	at := span.From
	var before *media.Recording
	for i := range pieces {
		p := &pieces[i]
		if at.Add(seam).Before(p.From) || i == 0 && at.Before(p.From) {
			parts = append(parts, a.between(before, at, p.From))
			at = p.From
		}
		// Without a gap to see, this goes on from where the one before ends.
		parts = append(parts, p.parts(i, at, least)...)
		at, before = p.To, p.Recording
	}
	end := minTime(span.To, now)
	if before != nil && (end.Sub(at) <= seam || before.Status == media.StatusRecording && now.Sub(at) < behind) {
		return parts // what is going on has not been told of yet
	}
	if at.Before(end) {
		parts = append(parts, a.between(before, at, end))
	}
	return parts
}

// between returns the gap after a recording, which is nil before the first.
func (a *Archive) between(before *media.Recording, from, to time.Time) part {
	g := part{media.TimelineSpan{From: from.UTC(), To: to.UTC(), Kind: media.SpanGap, Cause: media.CauseNone}, -1}
	if before != nil {
		switch {
		case before.Status == media.StatusFailed:
			g.Cause = media.CauseFailed
		case before.Status == media.StatusRecording && a.o.Dead(*before):
			g.Cause = media.CauseNode
		case before.Recovered > 0 && before.End != nil && before.End.Sub(endOf(before)) < seam:
			g.Cause = media.CauseNode // after a crash a recording ends with its media
		}
	}
	return g
}

// changesOf returns when tracks of a recording go on in another format, by time.
func changesOf(r *media.Recording) (times []time.Time) {
	for i := range r.Tracks {
		for _, f := range r.Tracks[i].Formats {
			if f.Start > 0 {
				times = append(times, r.Start.Add(seconds(f.Start)))
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

// parts returns the spans of a piece, the first from a time on. Holes that are shorter
// than least are told in the sums of the span that they are in.
func (p *Piece) parts(index int, at time.Time, least time.Duration) (parts []part) {
	var short []media.MissingMedia
	changes := changesOf(p.Recording)
	upTo := func(to time.Time) {
		for at.Before(to) {
			for len(changes) > 0 && !changes[0].After(at) {
				changes = changes[1:]
			}
			end := to
			if len(changes) > 0 {
				end = minTime(end, changes[0])
			}
			s := p.part(index, at, end)
			s.Missing = short
			parts, short, at = append(parts, s), nil, end
		}
	}
	i, _ := slices.BinarySearchFunc(p.holes, at, func(h hole, t time.Time) int { return h.to.Compare(t) })
	for ; i < len(p.holes) && p.holes[i].from.Before(p.To); i++ {
		h := p.holes[i]
		long := h.to.Sub(h.from)
		h.from, h.to = maxTime(h.from, at), minTime(h.to, p.To)
		switch {
		case !h.from.Before(h.to):
			continue
		case long < least:
			if i := slices.IndexFunc(changes, h.from.Before); i > 0 {
				upTo(changes[i-1])
			} else if i < 0 && len(changes) > 0 {
				upTo(changes[len(changes)-1])
			}
			short = lack(short, h)
			continue
		}
		upTo(h.from)
		s := p.part(index, h.from, h.to)
		if h.kind == "" {
			s.TimelineSpan = media.TimelineSpan{From: s.From, To: s.To, Kind: media.SpanGap, Cause: h.cause, RecordDir: s.RecordDir, Node: s.Node, Copies: s.Copies}
		} else {
			s.Missing = lack(nil, h)
		}
		parts, at = append(parts, s), h.to
	}
	upTo(p.To)
	return parts
}

// lack adds a hole to what is missing.
func lack(missing []media.MissingMedia, h hole) []media.MissingMedia {
	i := slices.IndexFunc(missing, func(m media.MissingMedia) bool { return m.Kind == h.kind && m.Cause == h.cause })
	if i < 0 {
		i = len(missing)
		missing = append(missing, media.MissingMedia{Kind: h.kind, Cause: h.cause})
	}
	missing[i].Seconds = milli(missing[i].Seconds + h.to.Sub(h.from).Seconds())
	missing[i].Count++
	return missing
}

// part returns a span of media of a piece.
func (p *Piece) part(index int, from, to time.Time) part {
	r := p.Recording
	s := media.TimelineSpan{
		From: from.UTC(), To: to.UTC(), Kind: media.SpanMedia, RecordDir: r.RecordDir, Node: r.Node, Recordings: 1,
		Status: r.Status, Running: r.Status == media.StatusRecording, Tracks: tracksOf(r, from),
		Bytes: int64(float64(r.Bytes) * to.Sub(from).Seconds() / r.Duration),
	}
	if p.Copies > 1 {
		s.Copies = p.Copies
	}
	return part{s, index}
}

// tracksOf returns the tracks of a recording that have media, as they are at a time.
func tracksOf(r *media.Recording, at time.Time) []media.TimelineTrack {
	tracks := make([]media.TimelineTrack, 0, len(r.Tracks))
	for i := range r.Tracks {
		t := &r.Tracks[i]
		if !t.Recorded {
			continue
		}
		f := media.TrackFormat{Codec: t.Codec, RFC6381: t.RFC6381, Width: t.Width, Height: t.Height}
		for _, other := range t.Formats {
			if other.Start == 0 || !r.Start.Add(seconds(other.Start)).After(at) {
				f = other
			}
		}
		tracks = append(tracks, media.TimelineTrack{Kind: t.Kind, Layer: t.Layer, Codec: f.Codec, Codecs: f.RFC6381, Width: f.Width, Height: f.Height})
	}
	return tracks
}

// bucket is what is of one stretch of a timeline.
type bucket struct {
	part
	last int // piece
	long time.Duration
}

// merge makes spans that are no more than buckets.
func merge(parts []part, span media.TimeSpan, buckets int) []part {
	width := span.To.Sub(span.From) / time.Duration(buckets)
	all := make([]bucket, 0, buckets)
	for i := range buckets {
		from := span.From.Add(time.Duration(i) * width)
		to := from.Add(width)
		if i == buckets-1 {
			to = span.To
		}
		to = minTime(to, parts[len(parts)-1].To)
		if !from.Before(to) {
			break
		}
		for len(parts) > 1 && !parts[0].To.After(from) {
			parts = parts[1:]
		}
		all = append(all, sum(parts, from, to))
	}
	return joined(all)
}

// sum returns what parts, by time, have from one time to another.
func sum(parts []part, from, to time.Time) bucket {
	b := bucket{part: part{media.TimelineSpan{From: from.UTC(), To: to.UTC(), Kind: media.SpanGap}, -1}, last: -1}
	lacks := map[[2]string]*media.MissingMedia{}
	add := func(kind, cause string, long time.Duration) {
		m := lacks[[2]string{kind, cause}]
		if m == nil {
			m = &media.MissingMedia{Kind: kind, Cause: cause}
			lacks[[2]string{kind, cause}] = m
		}
		m.Seconds += long.Seconds()
		m.Count++
	}
	for i := range parts {
		p := &parts[i]
		if !p.From.Before(to) {
			break
		}
		long := minTime(p.To, to).Sub(maxTime(p.From, from))
		if long <= 0 {
			continue
		}
		if p.Kind == media.SpanGap {
			add("", p.Cause, long)
			continue
		}
		b.add(p, long)
		for _, m := range p.Missing {
			add(m.Kind, m.Cause, long)
		}
	}
	for _, m := range lacks {
		m.Seconds = milli(m.Seconds)
		b.Missing = append(b.Missing, *m)
	}
	slices.SortFunc(b.Missing, func(x, y media.MissingMedia) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(rank(x.Cause), rank(y.Cause)), cmp.Compare(x.Cause, y.Cause))
	})
	if b.Kind == media.SpanGap {
		b.gap()
	}
	return b
}

// gap makes a bucket without media a gap, for the cause that lasts longest.
func (b *bucket) gap() {
	longest := 0.0
	for _, m := range b.Missing {
		if m.Seconds > longest {
			longest, b.Cause = m.Seconds, m.Cause
		}
	}
	b.Missing = nil
}

// add adds so much of a span of media.
func (b *bucket) add(p *part, long time.Duration) {
	b.Bytes += int64(float64(p.Bytes) * float64(long) / float64(p.To.Sub(p.From)))
	b.Copies = max(b.Copies, p.Copies)
	b.Running = b.Running || p.Running
	if b.Kind == media.SpanGap {
		b.Kind, b.RecordDir, b.Node, b.Status, b.Recordings, b.piece = p.Kind, p.RecordDir, p.Node, p.Status, 1, p.piece
	} else if p.piece != b.last {
		b.Recordings++
	}
	if grade(p.Status) > grade(b.Status) {
		b.Status = p.Status
	}
	if long > b.long { // of several kinds of recordings that which most is of
		b.long, b.Tracks = long, p.Tracks
	}
	b.last = p.piece
}

// joined makes one span of those that follow one another and are alike, where nothing
// is missing.
func joined(all []bucket) []part {
	var parts []part
	last := -1 // piece of the span before
	for _, b := range all {
		if n := len(parts); n > 0 && alike(&parts[n-1], &b.part) {
			s := &parts[n-1]
			s.To = b.To
			s.Bytes += b.Bytes
			s.Recordings += b.Recordings
			if b.piece == last && b.Recordings > 0 {
				s.Recordings--
			}
			s.Copies, s.Running = max(s.Copies, b.Copies), s.Running || b.Running
		} else {
			parts = append(parts, b.part)
		}
		last = b.last
	}
	return parts
}

// alike reports whether two spans can be one.
func alike(a, b *part) bool {
	return a.Kind == b.Kind && a.Cause == b.Cause && a.Missing == nil && b.Missing == nil && a.Node == b.Node &&
		a.Status == b.Status && slices.Equal(a.Tracks, b.Tracks)
}
