//go:build !race

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestChaos lets scenarios happen: the first seeds, and those that were mended. CHAOS_SEED names one, CHAOS_FOR goes
// on for a time, CHAOS_FROM is its first seed, and CHAOS_SHRINK takes out of a scenario
// with findings what they do not need.
func TestChaos(t *testing.T) {
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
		one(t, seed)
		return
	}
	if text := os.Getenv("CHAOS_FOR"); text != "" {
		long(t, text)
		return
	}
	for seed := range uint64(fixed) {
		one(t, seed)
	}
	for _, seed := range mended {
		one(t, seed)
	}
}

// long runs for a time, and counts what it finds.
func long(t *testing.T, text string) {
	limit, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHAOS_FOR: %v", err)
	}
	seed := rand.Uint64()
	if from := os.Getenv("CHAOS_FROM"); from != "" {
		if seed, err = strconv.ParseUint(from, 10, 64); err != nil {
			t.Fatalf("CHAOS_FROM: %v", err)
		}
	}
	n, bad := 0, 0
	for began := time.Now(); time.Since(began) < limit; n, seed = n+1, seed+1 {
		if !one(t, seed) {
			bad++
		}
	}
	fmt.Printf("%d runs, %d with findings\n", n, bad)
}
