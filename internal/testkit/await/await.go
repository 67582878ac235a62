// Package await waits in tests for what nothing signals.
package await

import (
	"testing"
	"time"
)

// patience is how long a test waits: far longer than anything takes on a busy machine, so
// that only what never comes fails.
const patience = 2 * time.Minute

// Until waits until ok reports true. It ends the test, which it says what it waited for,
// after two minutes. ok is called by the test's goroutine, at first every millisecond and
// then less often.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Within(t, patience, what, ok)
}

// Within is Until with another time limit, for what has to happen within it.
func Within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}
