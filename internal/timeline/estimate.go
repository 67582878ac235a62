package timeline

import "time"

const (
	// longTime is the time over which the least transit time is looked for. A
	// transit that stays longer for that long is the clocks' skew, not
	// congestion. shortTime is the same for what must be noticed soon: that a clock
	// has stood still.
	longTime  = 10 * time.Minute
	shortTime = 5 * time.Second
	// slew bounds how fast the transit estimate follows the window: 1 ms per second.
	slew = 1000
)

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

// shift moves all that was measured by d.
func (e *estimate) shift(d int64) {
	e.cur += d
	e.prev += d
	e.value += d
}
