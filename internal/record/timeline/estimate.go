package timeline

import (
	"math"
	"time"
)

const (
	// longTime is the time over which the least transit time is searched. A transit
	// that stays longer for that long is skew of the clocks, not congestion. shortTime
	// is the same for what has to be noticed soon, such as a clock that has stood
	// still.
	longTime  = 10 * time.Minute
	shortTime = 5 * time.Second
	// slew bounds how fast the transit estimate follows the window: 1 ms per second.
	slew = 1000
)

// nearTime is how long a measurement counts as recent, and nowTime how long it counts
// as of now.
const (
	nearTime = time.Second
	nowTime  = 250 * time.Millisecond
	// busyLate is how late everything may be within a moment on a busy machine.
	busyLate = 30 * time.Millisecond
	// minLengths is how many of them tell how much they vary.
	minLengths = 4
)

// recent is the minimum over the last one or two periods of a length.
type recent struct {
	length    time.Duration
	have      bool
	cur, prev extent
	started   int64
	full      bool // a whole length is over

	// Of the lengths before these: how many there were, the bounds of their minima, and
	// how far the values in the one with the least variation were apart.
	n      int
	lo, hi int64
	jitter int64
}

// extent is the least and the most of some values.
type extent struct{ lo, hi int64 }

func (r *recent) add(at, v int64) {
	one := extent{lo: v, hi: v}
	switch {
	case !r.have, at-r.started >= 2*int64(r.length): // nothing came for long
		*r = recent{length: r.length, have: true, cur: one, prev: one, started: at, n: r.n, lo: r.lo, hi: r.hi, jitter: r.jitter}
	case at-r.started >= int64(r.length):
		if r.full {
			r.remember(r.prev)
		}
		r.cur, r.prev, r.started, r.full = one, r.cur, at, true
	default:
		r.cur = extent{lo: min(r.cur.lo, v), hi: max(r.cur.hi, v)}
	}
}

func (r *recent) remember(e extent) {
	if r.n++; r.n == 1 {
		r.lo, r.hi, r.jitter = e.lo, e.lo, e.hi-e.lo
	}
	r.lo, r.hi, r.jitter = min(r.lo, e.lo), max(r.hi, e.lo), min(r.jitter, e.hi-e.lo)
}

// restart forgets the values, which are counted otherwise by d from now on. How much they
// vary is still known.
func (r *recent) restart(d int64) {
	*r = recent{length: r.length, n: r.n, lo: r.lo + d, hi: r.hi + d, jitter: r.jitter}
}

// rebase moves the minima of before to about v.
func (r *recent) rebase(v int64) {
	if d := v - (r.lo+r.hi)/2; r.n > 0 {
		r.lo, r.hi = r.lo+d, r.hi+d
	}
}

// above returns how far the minimum is above what it was before, beyond how much that
// has varied.
func (r *recent) above() int64 {
	if !r.full || r.n < minLengths {
		return 0
	}
	return r.least() - r.hi - (r.hi - r.lo)
}

// least returns the minimum; the least of all values if there are too few to tell.
func (r *recent) least() int64 {
	if !r.full {
		return math.MinInt64
	}
	return min(r.cur.lo, r.prev.lo)
}

// estimate is a running minimum over a sliding window of two halves, and a
// value that takes it over at once (follow false) or at a bounded rate.
type estimate struct {
	window    time.Duration
	have      bool
	cur, prev int64 // minima of the running and the previous half window
	started   int64 // when the running half began
	value     int64
	at        int64 // of the last add
	follow    bool
}

// add takes v, measured at instant at, in.
func (e *estimate) add(at, v int64) {
	switch {
	case !e.have:
		e.have, e.cur, e.prev, e.started, e.value = true, v, v, at, v
	case at-e.started >= int64(e.window/2):
		e.prev, e.cur, e.started = e.cur, v, at
	default:
		e.cur = min(e.cur, v)
	}
	target := e.least()
	if step := max(at-e.at, 0) / slew; e.follow {
		target = min(max(target, e.value-step), e.value+step)
	}
	e.value, e.at = target, max(at, e.at)
}

// least returns the minimum over the window.
func (e *estimate) least() int64 { return min(e.cur, e.prev) }

// restart begins the minimum again with the next value. Until then it stays as it was.
func (e *estimate) restart() { e.have = false }

// shift moves everything that was measured by d.
func (e *estimate) shift(d int64) {
	e.cur += d
	e.prev += d
	e.value += d
}
