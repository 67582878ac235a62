package auth

import (
	"slices"
	"sync"
	"time"
)

// throttle makes those wait who fail again and again. It counts each attempt as
// a failure until it is known to be none, so that many at once gain nothing.
// It is safe for concurrent use.
type throttle struct {
	free    int           // failures before there is a wait
	longest time.Duration // of all waits, which double from a second on
	now     func() time.Time

	mu      sync.Mutex
	failing map[string]*failing // never more than maxFailing
}

// failing is somebody who failed.
type failing struct {
	failures int
	next     time.Time // when the next attempt is let in
}

const (
	// maxFailing bounds the memory of a throttle.
	maxFailing = 10_000
	// forgetAfter is how long after the end of the wait failures count.
	forgetAfter = 15 * time.Minute
)

func newThrottle(free int, longest time.Duration, now func() time.Time) *throttle {
	return &throttle{free: free, longest: longest, now: now, failing: make(map[string]*failing)}
}

// begin lets an attempt in and counts it as failed, or says how long to wait.
func (t *throttle) begin(who string) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	f := t.failing[who]
	if f != nil && now.Before(f.next) {
		return f.next.Sub(now), false
	}
	if f == nil || now.After(f.next.Add(forgetAfter)) {
		if f == nil && len(t.failing) >= maxFailing {
			t.makeRoom(now)
		}
		f = new(failing)
		t.failing[who] = f
	}
	f.failures++
	f.next = now
	if over := f.failures - t.free; over > 0 {
		// A shift that is too far is as good as the longest.
		f.next = now.Add(min(t.longest, time.Second<<min(over-1, 20)))
	}
	return 0, true
}

// makeRoom forgets those whose failures count no longer and, where that is not
// enough, the tenth part that may try again soonest: looking at all is not for
// each attempt.
func (t *throttle) makeRoom(now time.Time) {
	var kept []string
	for who, f := range t.failing {
		if now.After(f.next.Add(forgetAfter)) {
			delete(t.failing, who)
		} else {
			kept = append(kept, who)
		}
	}
	if len(kept) < maxFailing {
		return
	}
	slices.SortFunc(kept, func(a, b string) int { return t.failing[a].next.Compare(t.failing[b].next) })
	for _, who := range kept[:len(kept)/10+1] {
		delete(t.failing, who)
	}
}

// succeeded takes back what begin counted; clear forgets earlier failures too.
func (t *throttle) succeeded(who string, clear bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.failing[who]
	if f == nil {
		return
	}
	if f.failures--; clear || f.failures <= 0 {
		delete(t.failing, who)
	}
}
