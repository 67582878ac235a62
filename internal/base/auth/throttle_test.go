package auth

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	at := now
	th := newThrottle(2, 4*time.Second, func() time.Time { return at })
	for i, want := range []time.Duration{0, 0, 1 * time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second} {
		if wait, ok := th.begin("a"); !ok {
			t.Fatalf("attempt %d has to wait %v", i, wait)
		}
		if want == 0 {
			continue
		}
		if wait, ok := th.begin("a"); ok || wait != want {
			t.Fatalf("after attempt %d: wait %v, %v; want %v", i, wait, ok, want)
		}
		at = at.Add(want)
	}
	if _, ok := th.begin("b"); !ok {
		t.Error("somebody else has to wait")
	}
	th.giveBack("a", true)
	for range 2 {
		if _, ok := th.begin("a"); !ok {
			t.Error("a success does not clear the failures")
		}
	}
	th.begin("a")
	at = at.Add(forgetAfter + 5*time.Second)
	for range 2 {
		if _, ok := th.begin("a"); !ok {
			t.Error("failures are never forgotten")
		}
	}
}

// What is given back makes nobody wait.
func TestThrottleGivesBack(t *testing.T) {
	th := newThrottle(2, time.Minute, clock)
	for i := range 20 {
		if wait := th.wait("a"); wait > 0 {
			t.Fatalf("attempt %d has to wait %v", i, wait)
		}
		if _, ok := th.begin("a"); !ok {
			t.Fatalf("attempt %d is not let in", i)
		}
		if i > 1 { // two have failed
			th.giveBack("a", false)
		}
	}
	th.begin("a")
	if wait := th.wait("a"); wait != time.Second {
		t.Errorf("the third failure makes for a wait of %v", wait)
	}
	th.giveBack("b", true)
}

// Many at once gain nothing: each counts before it is known to have failed.
func TestThrottleAtOnce(t *testing.T) {
	th := newThrottle(5, time.Minute, clock)
	var let sync.Map
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, ok := th.begin("a"); ok {
				let.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	let.Range(func(any, any) bool { n++; return true })
	if n != 6 { // the sixth makes for the first wait
		t.Errorf("%d were let in", n)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	at := now
	th := newThrottle(0, time.Hour, func() time.Time { return at })
	for range 5 {
		for {
			wait, ok := th.begin("worst")
			if ok {
				break
			}
			at = at.Add(wait)
		}
	}
	for i := range 2 * maxFailing {
		th.begin(strconv.Itoa(i))
		if len(th.failing) > maxFailing {
			t.Fatalf("%d are remembered", len(th.failing))
		}
	}
	if _, ok := th.begin("worst"); ok {
		t.Error("who failed most was forgotten first")
	}
	at = at.Add(2 * time.Hour)
	for i := range maxFailing {
		th.begin("later " + strconv.Itoa(i))
	}
	if th.failing["worst"] != nil || len(th.failing) > maxFailing {
		t.Errorf("%d are remembered, some whose failures count no longer", len(th.failing))
	}
}
