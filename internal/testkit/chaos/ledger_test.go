package chaos

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// short is a pause of a sender that need not be told.
	short = time.Second
	// edge is by how much a gap may reach into what was recorded.
	edge = 40 * time.Millisecond
	// hole is how long a time may be of which something was lost, that need not be told.
	hole = 200 * time.Millisecond
	// maxGaps is how many gaps a ledger lists at most.
	maxGaps = 1000
)

// checkGaps holds the gaps of the ledger against what is there.
func (j *judge) checkGaps(l lane, all []placed) {
	for _, r := range j.recordings {
		for _, g := range r.gaps(l) {
			from, to := dur(g.Start), dur(g.Start+g.Duration)
			n := 0
			for _, p := range all {
				if p.rec == r && p.unit != nil && p.start > from+edge && p.start < to-edge {
					n++
				}
			}
			if n > 0 {
				j.fault("false gap", "%s of %s: %d samples that were sent are in the gap of %s from %v to %v", l.id(), r.Dir, n, g.Cause, from, to)
			}
			j.checkCause(l, r, g)
		}
		if tr := r.ledger(l); tr != nil && len(tr.Gaps) < maxGaps && r.Duration > 0 {
			j.checkBooked(l, r, tr, all)
		}
	}
}

// checkBooked finds time without media that no gap tells of.
func (j *judge) checkBooked(l lane, r *recorded, tr *media.RecordingTrack, all []placed) {
	if !tr.Recorded && !slices.ContainsFunc(j.sentWithin(l, r.at, r.until), func(u *unit) bool { return u.whole() == yes }) {
		return
	}
	var booked time.Duration
	for _, g := range tr.Gaps {
		booked += dur(g.Duration)
	}
	if sums := dur(tr.FilledSeconds + tr.GapSeconds); sums-booked > 100*time.Millisecond {
		j.fault("unlisted", "%s of %s (%s): sums tell of %v, gaps of %v", l.id(), r.Dir, r.Info.Status, sums, booked)
		return
	}
	at := time.Duration(0)
	for _, p := range append(slices.Clone(all), placed{rec: r, start: r.Duration, unit: &unit{}}) {
		if p.rec != r || p.unit == nil {
			continue
		}
		open := p.start - at - bookedIn(tr.Gaps, at, p.start)
		if open > short || open > hole && j.lostBetween(l, r.at+at, r.at+p.start) && !j.crashedIn(r.at+at, r.at+p.start) {
			j.fault("no gap", "%s of %s is not what was sent from %v to %v, of which gaps tell of all but %v", l.id(), r.Dir, at, p.start, open)
		}
		at = max(at, p.end)
	}
}

// crashedIn reports whether the node died, or had forgotten, in a time: what was not a pause
// yet dies with it.
func (j *judge) crashedIn(from, to time.Duration) bool {
	return slices.ContainsFunc(j.noted, func(n noted) bool { return n.kind == "crash" && to > j.heldBefore(n) && from < n.to })
}

// bookedIn returns how much of a time gaps tell of.
func bookedIn(gaps []media.Gap, from, to time.Duration) (sum time.Duration) {
	for _, g := range gaps {
		sum += max(0, min(dur(g.Start+g.Duration), to)-max(dur(g.Start), from))
	}
	return sum
}

// lostBetween reports whether something of a lane was sent in a time and is not
// recorded.
func (j *judge) lostBetween(l lane, from, to time.Duration) bool {
	return slices.ContainsFunc(j.sentWithin(l, from+edge, to-edge), func(u *unit) bool { return !u.recorded })
}

// sums holds the sums of the ledger against the duration.
func (j *judge) sums() {
	for _, r := range j.recordings {
		for i := range r.Info.Tracks {
			tr := &r.Info.Tracks[i]
			sum := tr.MediaSeconds + tr.FilledSeconds + tr.GapSeconds
			if off := sum - r.Info.Duration; tr.Recorded && math.Abs(off) > 0.002*float64(max(r.Info.Periods, 1)) {
				j.fault("sum", "%s of %s: %.3f s media, %.3f s filled, %.3f s gap make %+.3f s more than %.3f s",
					laneOf(tr).id(), r.Dir, tr.MediaSeconds, tr.FilledSeconds, tr.GapSeconds, off, r.Info.Duration)
			}
		}
	}
}
