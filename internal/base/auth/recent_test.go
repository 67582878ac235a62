package auth

import (
	"strconv"
	"testing"
)

// TestRecent: memory is bounded, and what is used is remembered.
func TestRecent(t *testing.T) {
	r := newRecent(100)
	r.add("used")
	r.add("forgotten")
	for i := range 1000 {
		r.add(strconv.Itoa(i))
		if i%20 == 0 && !r.has("used") {
			t.Fatalf("after %d others what is used is forgotten", i)
		}
		if len(r.young)+len(r.old) > 100 {
			t.Fatalf("%d are remembered", len(r.young)+len(r.old))
		}
	}
	if r.has("forgotten") || r.has("never") || !r.has("999") {
		t.Error("what is remembered is not the latest")
	}
}
