package archive

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// hole is a time in which a recording lacks one kind of media, or all: of it nothing
// was sent or kept, whatever stands there in its place.
type hole struct {
	from, to time.Time
	kind     string // empty: all that the recording has
	cause    string
}

// holesOf returns what a recording lacks, by time: first of each kind, of which another
// layer may have what one lacks, then of all kinds together. No two holes overlap.
func holesOf(r *media.Recording) []hole {
	var kinds [][]hole
	for _, kind := range []string{"video", "audio"} {
		var layers [][]hole
		for i := range r.Tracks {
			if t := &r.Tracks[i]; t.Kind == kind && t.Recorded {
				layers = append(layers, gapsOf(r, t))
			}
		}
		if layers != nil {
			kinds = append(kinds, common(layers, kind))
		}
	}
	if kinds == nil {
		return nil
	}
	all := common(kinds, "")
	if len(kinds) == 1 {
		return all
	}
	holes := slices.Clone(all)
	for _, k := range kinds {
		holes = append(holes, without(k, all)...)
	}
	slices.SortStableFunc(holes, func(a, b hole) int { return a.from.Compare(b.from) })
	return holes
}

// gapsOf returns the gaps of a track, by time, as they do not overlap.
func gapsOf(r *media.Recording, t *media.RecordingTrack) []hole {
	end := endOf(r)
	holes := make([]hole, 0, len(t.Gaps))
	for _, g := range t.Gaps {
		from := r.Start.Add(seconds(g.Start))
		h := hole{from, minTime(from.Add(seconds(g.Duration)), end), t.Kind, g.Cause}
		if n := len(holes); n > 0 {
			h.from = maxTime(h.from, holes[n-1].to)
		}
		if h.from.Before(h.to) {
			holes = append(holes, h)
		}
	}
	return holes
}

// around returns when the media of a recording end before a span, and when they begin after
// it; nil where it has none there. Of the span itself the recording has nothing.
func around(r *media.Recording, span media.TimeSpan) (before, after *time.Time) {
	if end := endOf(r); !end.After(span.From) {
		return &end, nil
	}
	for _, h := range holesOf(r) {
		if h.kind != "" || !h.from.Before(span.To) || !h.to.After(span.From) {
			continue
		}
		if h.from.After(r.Start) && !h.from.After(span.From) {
			before = &h.from
		}
		if h.to.Before(endOf(r)) && !h.to.Before(span.To) {
			after = &h.to
		}
	}
	return before, after
}

// common returns the times that are holes in all lists, with the gravest of the causes.
func common(lists [][]hole, kind string) []hole {
	holes := make([]hole, len(lists[0]))
	for i, h := range lists[0] {
		h.kind = kind
		holes[i] = h
	}
	for _, other := range lists[1:] {
		var both []hole
		i := 0
		for _, h := range holes {
			for i < len(other) && !other[i].to.After(h.from) {
				i++
			}
			for j := i; j < len(other) && other[j].from.Before(h.to); j++ {
				cause := h.cause
				if rank(other[j].cause) < rank(cause) {
					cause = other[j].cause
				}
				both = append(both, hole{maxTime(h.from, other[j].from), minTime(h.to, other[j].to), kind, cause})
			}
		}
		holes = both
	}
	return holes
}

// without returns the parts of holes that are not in others.
func without(holes, others []hole) (left []hole) {
	i := 0
	for _, h := range holes {
		for i < len(others) && !others[i].to.After(h.from) {
			i++
		}
		for j := i; j < len(others) && others[j].from.Before(h.to); j++ {
			if h.from.Before(others[j].from) {
				left = append(left, hole{h.from, others[j].from, h.kind, h.cause})
			}
			h.from = others[j].to
		}
		if h.from.Before(h.to) {
			left = append(left, h)
		}
	}
	return left
}

// causes are those of gaps, the gravest first: where one kind lacks media for one cause,
// and another for another, that one tells more.
var causes = []string{"storage", "node", "overrun", "loss", "limit", "reconnect", "paused", "pause", "layer", "absent"}

// rank returns the place of a cause in causes; others come last.
func rank(cause string) int {
	if i := slices.Index(causes, cause); i >= 0 {
		return i
	}
	return len(causes)
}

// lacking returns for how long a recording lacks media in a time, each kind for itself.
// holes are those of the recording.
func lacking(holes []hole, from, to time.Time) (sum time.Duration) {
	i, _ := slices.BinarySearchFunc(holes, from, func(h hole, t time.Time) int { return cmp.Compare(h.to.UnixNano(), t.UnixNano()) })
	for ; i < len(holes) && holes[i].from.Before(to); i++ {
		h := holes[i]
		if d := minTime(h.to, to).Sub(maxTime(h.from, from)); d > 0 {
			if h.kind == "" {
				d *= 2
			}
			sum += d
		}
	}
	return sum
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
