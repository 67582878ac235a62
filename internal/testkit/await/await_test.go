package await

import (
	"testing"
	"testing/synctest"
	"time"
)

// failing notes that a test has failed, and does not end it.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Fatalf(string, ...any) { f.failed = true; panic(f) }

// TestWithin: what happens within the limit is waited for, what does not fails the test.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		Within(t, 2*time.Second, "a second", func() bool { return time.Since(began) >= time.Second })
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("a second took %v", took)
		}
		f := &failing{TB: t}
		func() {
			defer func() { _ = recover() }()
			Within(f, time.Second, "nothing", func() bool { return false })
		}()
		if !f.failed {
			t.Error("what did not happen is taken for done")
		}
	})
}
