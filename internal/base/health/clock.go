package health

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// clockStep is how far the wall clock may go apart from the monotonic one between
	// two looks. A clock that is disciplined by NTP goes 1 ms apart in 2 s at most.
	clockStep = 500 * time.Millisecond
	// clockTold is how long it is told that the clock was set.
	clockTold = 10 * time.Minute
)

// clockEpoch is before any time at which this program can run: a machine whose clock
// says less has not been told the time since it was switched on.
var clockEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Clock returns a look at the clock of the machine. Names of recordings and their
// times come from it.
func Clock() func(context.Context) error {
	c := clock{now: func() (wall time.Time, running time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(processStart)
	}}
	return c.look
}

var processStart = time.Now()

// clock compares the wall clock with one that only runs.
type clock struct {
	now     func() (wall time.Time, running time.Duration)
	wall    time.Time // at the last look
	running time.Duration
	step    time.Duration // the last one
	at      time.Duration // when it was found
}

func (c *clock) look(context.Context) error {
	wall, running := c.now()
	if !c.wall.IsZero() {
		if step := wall.Sub(c.wall) - (running - c.running); step.Abs() > clockStep {
			c.step, c.at = step, running
		}
	}
	c.wall, c.running = wall, running
	switch {
	case wall.Before(clockEpoch):
		return fault.Errorf(fault.Unavailable, "the clock of the machine says %s: recordings get wrong times until it is set", wall.UTC().Format(time.DateOnly)).Coded("clock_wrong", "date", wall.UTC().Format(time.DateOnly))
	case c.step != 0 && running-c.at < clockTold:
		return Minor(fault.Errorf(fault.Unavailable, "the clock of the machine was set by %v, or the machine slept: recordings that ran have a step in their times",
			c.step.Round(time.Millisecond)).Coded("clock_set"))
	}
	return nil
}
