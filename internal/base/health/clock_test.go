package health

import (
	"testing"
	"time"
)

// A clock that was never set is serious, one that is set is told for a while, and one
// that is slewed is neither.
func TestClock(t *testing.T) {
	wall, running := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
	c := clock{now: func() (time.Time, time.Duration) { return wall, running }}
	look := func(passed, stepped time.Duration, wrong, grave bool) {
		t.Helper()
		running, wall = running+passed, wall.Add(passed+stepped)
		err := c.look(t.Context())
		if (err != nil) != wrong || wrong && serious(err) != grave {
			t.Errorf("after %v and a step of %v: %v", passed, stepped, err)
		}
	}
	look(0, 0, false, false)
	look(2*time.Second, 10*time.Millisecond, false, false)
	look(2*time.Second, -3*time.Second, true, false)
	look(clockTold-time.Second, 0, true, false)
	look(time.Second, 0, false, false)
	look(time.Second, -24*1000*time.Hour, true, true)
	if err := Clock()(t.Context()); err != nil {
		t.Errorf("this machine: %v", err)
	}
}
