package verify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// ledgerError is by how much the ledger's times may differ from those of the
// media: it has them as floating point seconds.
const ledgerError = time.Millisecond

// readInfo reads recording.json. That there is none is for others to judge: a
// recording can be read without.
func (r *reader) readInfo() error {
	data, err := r.read(media.InfoName)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	info, _, err := media.DecodeRecording(data, r.rec.Dir)
	if err != nil {
		return nil //nolint:nilerr // whoever needs a recording.json says what is wrong with it
	}
	r.rec.Info = &info
	return nil
}

// ledger returns what recording.json says of a track.
func (r *Recording) ledger(t *Track) (*media.RecordingTrack, bool) {
	if r.Info == nil {
		return nil, false
	}
	for i := range r.Info.Tracks {
		l := &r.Info.Tracks[i]
		if l.Kind == t.Kind.String() && l.Layer == t.layer() {
			return l, true
		}
	}
	return nil, false
}

// layer returns which of a simulcast publisher's encodings the track is: its
// Representations are called video, video-2, video-3.
func (t *Track) layer() int {
	_, number, _ := strings.Cut(t.ID, "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n - 1
}

// Filled returns the spans of a track that the ledger calls filled.
func (r *Recording) Filled(t *Track) Spans {
	l, ok := r.ledger(t)
	if !ok {
		return nil
	}
	return spansOf(l.Gaps, func(g media.Gap) bool { return g.Filled })
}

// IsFilled reports whether the ledger calls all of a track filled: its lane was there,
// and nobody sent to it.
func (r *Recording) IsFilled(t *Track) bool {
	filled := r.Filled(t)
	return !slices.ContainsFunc(t.Samples, func(s Sample) bool { return !filled.Has(s.Time.Duration(t.Timescale)) })
}

// Span is a part of the media timeline.
type Span struct{ Start, End time.Duration }

// Spans are spans in the order of time that do not touch.
type Spans []Span

// spansOf returns the spans of some of the gaps.
func spansOf(gaps []media.Gap, some func(media.Gap) bool) Spans {
	var all Spans
	for _, g := range gaps {
		if some(g) {
			all = append(all, Span{seconds(g.Start), seconds(g.Start + g.Duration)})
		}
	}
	return all.merge()
}

// merge returns the same spans, those that touch as one.
func (s Spans) merge() Spans { return s.mergeWithin(ledgerError) }

// mergeWithin does the same with those that are a little apart.
func (s Spans) mergeWithin(apart time.Duration) Spans {
	slices.SortFunc(s, func(a, b Span) int { return cmp.Compare(a.Start, b.Start) })
	var merged Spans
	for _, p := range s {
		if n := len(merged); n > 0 && p.Start <= merged[n-1].End+apart {
			merged[n-1].End = max(merged[n-1].End, p.End)
		} else {
			merged = append(merged, p)
		}
	}
	return merged
}

// Has reports whether a sample that begins at a time begins in one of the spans.
func (s Spans) Has(at time.Duration) bool {
	i := s.endingFrom(at - ledgerError)
	return i < len(s) && at >= s[i].Start-ledgerError
}

// endingFrom returns the index of the first span that ends at a time or later.
func (s Spans) endingFrom(at time.Duration) int {
	return sort.Search(len(s), func(i int) bool { return s[i].End >= at })
}

// EndsAt reports whether one of the spans ends at a time: what begins there may
// be the first that is not filled.
func (s Spans) EndsAt(at time.Duration) bool {
	i := s.endingFrom(at - ledgerError)
	return i < len(s) && s[i].End <= at+ledgerError
}

// sum returns how long the spans are together.
func (s Spans) sum() (sum time.Duration) {
	for _, p := range s {
		sum += p.End - p.Start
	}
	return sum
}

// Within returns how much of the time between two instants the spans are.
func (s Spans) Within(from, to time.Duration) (sum time.Duration) {
	for _, p := range s[s.endingFrom(from):] {
		if p.Start >= to {
			break
		}
		sum += max(0, min(p.End, to)-max(p.Start, from))
	}
	return sum
}

// seconds converts seconds to a duration, to the nanosecond.
func seconds(s float64) time.Duration { return time.Duration(s*float64(time.Second) + 0.5) }

// cut returns what of the spans is between two instants.
func (s Spans) cut(from, to time.Duration) (part Spans) {
	for _, p := range s {
		if p = (Span{max(p.Start, from), min(p.End, to)}); p.Start < p.End {
			part = append(part, p)
		}
	}
	return part
}

// reach lets spans that begin and end a little within two instants reach them.
func (s Spans) reach(from, to, slack time.Duration) Spans {
	if len(s) == 0 {
		return nil
	}
	s = slices.Clone(s)
	if first := &s[0]; first.Start-from <= slack {
		first.Start = min(first.Start, from)
	}
	if last := &s[len(s)-1]; to-last.End <= slack {
		last.End = max(last.End, to)
	}
	return s
}

// and returns what the spans have in common with others.
func (s Spans) and(t Spans) (both Spans) {
	for _, p := range s {
		both = append(both, t.cut(p.Start, p.End)...)
	}
	return both
}
