package whip

import (
	"math/rand/v2"
	"testing"
)

// TestWindow holds the window against a set of all that came.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var w window
	came := map[int]bool{}
	highest := 60_000 // it wraps
	for i := range 100_000 {
		n := highest + 1 + rng.IntN(3)
		if i%4 == 0 {
			n = highest - rng.IntN(2*nackMaxGap)
		}
		want := came[n] || n <= highest-nackMaxGap
		if got := w.has(uint16(n)); got != want && i > 0 {
			t.Fatalf("packet %d, %d behind: has %v, want %v", n, highest-n, got, want)
		}
		if want && i > 0 {
			continue
		}
		w.add(uint16(n))
		if came[n] = true; n > highest {
			highest = n
		}
	}
	w.add(uint16(highest + 20_000)) // the sender began anew
	if w.has(uint16(highest+20_000-1)) || !w.has(uint16(highest+20_000)) {
		t.Error("what came before is known of the new sender")
	}
}
