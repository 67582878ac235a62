package chaos

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// causeNear is how far from a gap its cause may be: what was lost is known with the next
	// key frame only.
	causeNear = 2 * time.Second
	// quiet is a time without media that may be called a pause.
	quiet = 200 * time.Millisecond
)

// checkCause looks for what the ledger says is the cause of a gap.
func (j *judge) checkCause(l lane, r *recorded, g media.Gap) {
	from, to := r.at+dur(g.Start), r.at+dur(g.Start+g.Duration)
	if g.Cause == "pause" && j.followed(l, from, to) {
		return
	}
	if !j.happened(g.Cause, l, r, from-causeNear, to+causeNear) {
		j.fault("cause", "%s of %s: nothing of the kind happened at the gap of %s from %v to %v", l.id(), r.Dir, g.Cause, from-r.at, to-r.at)
	}
}

// happened reports whether something that the ledger calls so happened between two instants.
func (j *judge) happened(cause string, l lane, r *recorded, from, to time.Duration) bool {
	noted := func(kinds ...string) bool {
		return slices.ContainsFunc(j.noted, func(n noted) bool { return slices.Contains(kinds, n.kind) && n.from < to && n.to > from })
	}
	switch cause {
	case "loss":
		from = j.lastCame(l, from)
		return j.turnedIn(l, from, to) || slices.ContainsFunc(j.sentWithin(l, from, to), func(u *unit) bool { return u.whole() != yes || u.decodable != yes })
	case "pause":
		return j.quietIn(l, r, from, to)
	case "absent":
		return !slices.ContainsFunc(j.sentWithin(l, from+causeNear, to-causeNear-short), func(u *unit) bool { return u.decodable == yes && r.couldBegin(u) })
	case "reconnect":
		return slices.ContainsFunc(j.senders, func(s *senderTruth) bool {
			return s.began > from && s.began < to || r.brokenOff() && s.ended > from && s.ended < to // what is left of it
		})
	case "overrun":
		return noted("storage fails", "storage is slow", "standstill")
	case "node":
		return noted("crash", "standstill", "storage fails") || r.brokenOff()
	case "layer":
		return r.layered()
	}
	return false
}

// lastCame returns when the last unit of a lane was captured, before a time, of which something
// came. What is lost of a silence is known behind it, and not where it was in it.
func (j *judge) lastCame(l lane, before time.Duration) time.Duration {
	for _, u := range slices.Backward(j.sent(l)) {
		if u.captured < before && u.missing < u.packets {
			return u.captured
		}
	}
	return before
}

// turnedIn reports whether a publisher has gone on with other numbers between two instants,
// which are seen with the next that comes to a lane: what it had lost nobody knows.
func (j *judge) turnedIn(l lane, from, to time.Duration) bool {
	return slices.ContainsFunc(j.tracks(), func(tr *trackTruth) bool {
		life := tr.sender.life
		return tr.lane == l && slices.ContainsFunc(life.Turns, func(t Turn) bool {
			at := life.At + t.At
			i := slices.IndexFunc(tr.units, func(u *unit) bool { return u.captured > at })
			return at < to && (at > from || i >= 0 && tr.units[i].captured > from)
		})
	})
}

// quietIn reports whether nothing came to a lane for a while between two instants, before
// a recording ended.
func (j *judge) quietIn(l lane, r *recorded, from, to time.Duration) bool {
	at := from
	for _, u := range j.sentWithin(l, from, to) {
		if u.whole() == no || u.at > j.sealed[r.Dir] {
			continue
		}
		if u.captured-at > quiet {
			return true
		}
		at = u.captured
	}
	return to-at > quiet
}

// followed reports whether a gap is silence with which sound follows its clock, which the
// ledger calls a pause: that of a sender of which it is not exactly known, or of one that
// went on with others.
func (j *judge) followed(l lane, from, to time.Duration) bool {
	return l.kind == media.Audio && to-from < short/2 && (j.turnedIn(l, from-causeNear, to+causeNear) ||
		slices.ContainsFunc(j.sentWithin(l, from-short, to+short), func(u *unit) bool {
			s := u.of.sender.life
			return s.Net.Jitter > 0 || s.Clock.Reports != "exact" || s.Clock.PPM != 0
		}))
}
