package archive

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// seam is how far a recording may begin from the end of the one that it goes on
	// from: the catalogue has times to the millisecond, and a frame may be in between.
	seam = 100 * time.Millisecond
	// worthIt is how long the chosen copy has to lack media before another is looked
	// at: each change of copies is one of Periods for the player.
	worthIt = time.Second
)

// Piece is a time with the recording that is chosen for it.
type Piece struct {
	Recording *media.Recording
	From, To  time.Time
	// Copies is how many recordings there are of some of it, this one included.
	Copies int

	holes []hole // of the recording
}

// candidate is a recording in the choice.
type candidate struct {
	r        *media.Recording
	from, to time.Time // in the span
	holes    []hole
}

// Pieces returns what to play of a span: pieces by time that do not overlap, each of one
// of the recordings, which are of one stream and by their Start. Where there are several
// of a time it is the one that lacks least of it: within a time for which another is
// better for a second or more, the other is chosen. Where all are as good, it is the one
// before, or else the one of the better verdict.
func Pieces(recordings []media.Recording, span media.TimeSpan) []Piece {
	candidates := make([]candidate, 0, len(recordings))
	for i := range recordings {
		r := &recordings[i]
		c := candidate{r, maxTime(r.Start, span.From), minTime(endOf(r), span.To), nil}
		if c.from.Before(c.to) {
			c.holes = holesOf(r)
			candidates = append(candidates, c)
		}
	}
	var pieces []Piece
	for len(candidates) > 0 {
		n, end := 1, candidates[0].to
		for n < len(candidates) && candidates[n].from.Before(end) {
			end = maxTime(end, candidates[n].to)
			n++
		}
		pieces = choose(pieces, candidates[:n])
		candidates = candidates[n:]
	}
	return pieces
}

// choose adds the pieces of candidates that overlap.
func choose(pieces []Piece, candidates []candidate) []Piece {
	times := edges(candidates)
	next := 0 // of the candidates that have not begun
	var active []*candidate
	for i, from := range times[:len(times)-1] {
		active = slices.DeleteFunc(active, func(c *candidate) bool { return !c.to.After(from) })
		for ; next < len(candidates) && !candidates[next].from.After(from); next++ {
			active = append(active, &candidates[next])
		}
		var last *media.Recording
		if len(pieces) > 0 {
			last = pieces[len(pieces)-1].Recording
		}
		to := times[i+1]
		c := best(active, last, from, to)
		copies := len(active)
		if to.Sub(from) < worthIt {
			copies = 1 // where one recording goes on from another
		}
		if n := len(pieces); last == c.r && pieces[n-1].To.Equal(from) {
			pieces[n-1].To, pieces[n-1].Copies = to, max(pieces[n-1].Copies, copies)
			continue
		}
		pieces = append(pieces, Piece{c.r, from, to, copies, c.holes})
	}
	return pieces
}

// edges returns the times at which the choice may change: where candidates begin and end,
// and where one lacks media for long enough.
func edges(candidates []candidate) []time.Time {
	var times []time.Time
	for _, c := range candidates {
		times = append(times, c.from, c.to)
		for _, h := range c.holes {
			if len(candidates) > 1 && h.to.Sub(h.from) >= worthIt {
				times = append(times, maxTime(minTime(h.from, c.to), c.from), maxTime(minTime(h.to, c.to), c.from))
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}

// best returns the candidate that lacks least from one time to another. last is the
// recording before.
func best(active []*candidate, last *media.Recording, from, to time.Time) *candidate {
	if len(active) == 1 {
		return active[0]
	}
	var chosen *candidate
	var least time.Duration
	for _, c := range active {
		lacks := lacking(c.holes, from, to)
		if chosen == nil || lacks < least || lacks == least && chosen.r != last && (c.r == last || verdict(c.r) < verdict(chosen.r)) {
			chosen, least = c, lacks
		}
	}
	return chosen
}

// verdict returns the place of a recording's status among all, the best first.
func verdict(r *media.Recording) int { return grade(r.Status) }

// grade returns the place of a status among all, the best first.
func grade(s media.Status) int {
	return slices.Index([]media.Status{media.StatusComplete, media.StatusRecording, media.StatusDegraded, media.StatusFailed}, s)
}
