package arrange

import (
	"math"
	"time"
)

const (
	// pausesKept bounds the pauses that are remembered for layers that have not come
	// since.
	pausesKept = 100
	// pauseSlack is how much longer than a lane's last sample a pause may begin later and
	// still follow on it: clocks of arrivals and of the media differ.
	pauseSlack = time.Second
)

// paused is a span of session time in which nothing was to be recorded.
type paused struct {
	from, to time.Duration
	sent     bool // there was a publisher when it began
}

// untilMedia is the end of a pause that lasts until a publisher that was there when it
// ended has a key frame.
const untilMedia = time.Duration(math.MaxInt64)

// Pause ends the Period for all lanes at once. Nothing is recorded until Resume. Frames
// that come meanwhile are for Watch: what is known of the publisher's clocks stays true,
// and so the next Period will be where it belongs.
func (a *Arranger) Pause(now time.Time) {
	if a.paused {
		return
	}
	a.advance(now)
	a.finish()
	a.paused, a.afresh = true, true
	from := a.Ended()
	if a.pub == nil && !a.zero.IsZero() {
		from = max(from, a.clock())
	}
	if len(a.pauses) == pausesKept {
		a.pauses = append(a.pauses[:0], a.pauses[1:]...)
	}
	a.pauses = append(a.pauses, paused{from: from, to: untilMedia, sent: a.pub != nil})
	if a.pub == nil {
		return
	}
	a.pub.lead = nil
	for _, s := range a.pub.sources {
		s.rest()
	}
}

// Resume goes on after Pause. The recording goes on with a new Period, which begins with
// the next key frame.
func (a *Arranger) Resume(now time.Time) {
	if !a.paused {
		return
	}
	a.advance(now)
	a.paused = false
	if a.pub == nil {
		a.endPause(a.clock())
		return
	}
	for _, s := range a.pub.videos {
		a.wantKey(s)
	}
}

// rest forgets where a source's frames go, and keeps what is known of its clock.
func (s *source) rest() {
	s.joined, s.placed, s.held, s.pair = nil, false, nil, nil
	s.missing, s.lost = "", ""
	s.before, s.keyCame, s.earlyTold, s.keyWanted = nil, false, time.Time{}, false
}

// endPause ends the last pause, if it lasts until there is media, at a session time.
func (a *Arranger) endPause(at time.Duration) {
	a.afresh = a.paused
	if n := len(a.pauses); n > 0 && !a.paused && a.pauses[n-1].to == untilMedia {
		a.pauses[n-1].to = max(at, a.pauses[n-1].from)
	}
}

// overdue reports whether the recording has reached its limit in a pause, at the session
// time at which the next Period begins.
func (a *Arranger) overdue(at time.Duration) bool {
	n := len(a.pauses)
	return a.afresh && n > 0 && a.kinds != nil && a.rotateAt > 0 && at >= a.rotateAt-rotateSlack
}

// absent notes why a lane had nothing in a span of session time from where it ended: it
// was paused, and otherwise the cause.
func (a *Arranger) absent(l *lane, to time.Duration, cause string) {
	from := l.duration(l.ended)
	gap := func(end time.Duration, cause string) {
		if end = min(end, to); end > from {
			a.out.Gap(l.Lane, Gap{Start: from, End: end, Cause: cause})
			from = end
			l.ended = l.ticks(end) // else these would be noted again
		}
	}
	for _, p := range a.pauses {
		if p.to <= from {
			continue
		}
		if p.from-from > pauseSlack {
			before := CauseReconnect
			if p.sent {
				before = CauseLayer // others were there
			}
			gap(p.from, before)
		}
		end := p.to
		if to-end < pauseSlack {
			end = to // its first frame has come
		}
		gap(end, CausePaused)
	}
	if to > from {
		a.out.Gap(l.Lane, Gap{Start: from, End: to, Cause: cause})
	}
}
