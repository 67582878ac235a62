package auth

import (
	"slices"
	"sync"
	"time"
)

// throttle lets those wait who fail again and again. It counts each attempt as a
// failure until it has succeeded, so that many attempts at once gain nothing. Safe for
// concurrent use.
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
	at       time.Time // of the last attempt that counts
}

// next returns when the next attempt is let in.
func (t *throttle) next(f *failing) time.Time {
	over := f.failures - t.free
	if over <= 0 {
		return f.at
	}
	// A shift that is too far is as good as the longest.
	return f.at.Add(min(t.longest, time.Second<<min(over-1, 20)))
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
	if wait := t.waitOf(who, now); wait > 0 {
		return wait, false
	}
	f := t.failing[who]
	if f == nil || now.After(t.next(f).Add(forgetAfter)) {
		if f == nil && len(t.failing) >= maxFailing {
			t.makeRoom(now)
		}
		f = new(failing)
		t.failing[who] = f
	}
	f.failures++
	f.at = now
	return 0, true
}

// wait returns how long who has to wait; 0: not at all. It counts nothing.
func (t *throttle) wait(who string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waitOf(who, t.now())
}

func (t *throttle) waitOf(who string, now time.Time) time.Duration {
	f := t.failing[who]
	if f == nil {
		return 0
	}
	return max(0, t.next(f).Sub(now))
}

// makeRoom forgets those whose failures do not count any more. If that is not enough,
// it forgets the tenth part that may try again soonest, because it must not look at all
// of them for each attempt.
func (t *throttle) makeRoom(now time.Time) {
	var kept []string
	for who, f := range t.failing {
		if now.After(t.next(f).Add(forgetAfter)) {
			delete(t.failing, who)
		} else {
			kept = append(kept, who)
		}
	}
	if len(kept) < maxFailing {
		return
	}
	slices.SortFunc(kept, func(a, b string) int { return t.next(t.failing[a]).Compare(t.next(t.failing[b])) })
	for _, who := range kept[:len(kept)/10+1] {
		delete(t.failing, who)
	}
}

// giveBack takes back what begin counted, and the wait that came of it; clear forgets
// earlier failures too.
func (t *throttle) giveBack(who string, clear bool) {
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
