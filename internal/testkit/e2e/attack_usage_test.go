package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// maxLeft is what may be left in a program's memory of an attack, in bytes, and
	// maxLeftOver how many goroutines and descriptors.
	maxLeft     = 20e6
	maxLeftOver = 20
	// patience is how long sessions may take to end, and the runtime to give memory
	// back: it collects garbage every two minutes at least, and returns what is free
	// bit by bit.
	patience = 4 * time.Minute
)

// usage is what a server uses.
type usage struct{ Heap, Resident, Goroutines, Descriptors float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB (%.1f MB resident), %.0f goroutines, %.0f descriptors", u.Heap/1e6, u.Resident/1e6, u.Goroutines, u.Descriptors)
}

// with applies f to each of two.
func (u usage) with(v usage, f func(x, y float64) float64) usage {
	return usage{f(u.Heap, v.Heap), f(u.Resident, v.Resident), f(u.Goroutines, v.Goroutines), f(u.Descriptors, v.Descriptors)}
}

// over says what is more than it was.
func (u usage) over(before usage) string {
	switch {
	case u.Heap > before.Heap+maxLeft:
		return "there is more in memory"
	case u.Resident > before.Resident+maxLeft:
		return "more memory is resident"
	case u.Goroutines > before.Goroutines+maxLeftOver:
		return "more goroutines run"
	case u.Descriptors > before.Descriptors+maxLeftOver:
		return "more descriptors are open"
	}
	return ""
}

// usage asks a server for its metrics.
func (s *server) usage(t *testing.T) (u usage) {
	t.Helper()
	_, body := s.request(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch name {
		case "go_memstats_alloc_bytes":
			u.Heap = v
		case "process_resident_memory_bytes":
			u.Resident = v
		case "go_goroutines":
			u.Goroutines = v
		case "process_open_fds":
			u.Descriptors = v
		}
	}
	if u.Heap == 0 || u.Resident == 0 {
		t.Errorf("the metrics do not tell of the memory: %s", body)
	}
	return u
}

// settled returns the least that a server uses while it is asked for a while, until
// that is no more than before: sessions end in their time, and memory is free when
// the garbage was collected, which asking brings about.
func (s *server) settled(t *testing.T, before usage) usage {
	t.Helper()
	inf := math.Inf(1)
	least := usage{inf, inf, inf, inf}
	for begin := time.Now(); time.Since(begin) < patience; {
		least = least.with(s.usage(t), math.Min)
		if least.over(before) == "" {
			break
		}
		time.Sleep(20 * time.Millisecond) // nothing tells when a session has ended
	}
	return least
}

// idle returns what a server uses that has nothing to do.
func (s *server) idle(t *testing.T) usage {
	t.Helper()
	inf := math.Inf(1)
	least := usage{inf, inf, inf, inf}
	for range 150 {
		least = least.with(s.usage(t), math.Min)
		time.Sleep(10 * time.Millisecond) // garbage is to be collected
	}
	return least
}

// besieged is a program under attack, with what it uses.
type besieged struct {
	*server
	name string
	most float64 // what may be resident at its worst, in bytes
	// before is before everything, running with the bystanders, rested after a first
	// attack: the runtime has what it keeps of any load then, and the program all of
	// its own code.
	before, running, rested, peak usage
}

// watch notes the peak until ctx ends.
func (b *besieged) watch(ctx context.Context, t *testing.T) {
	t.Helper()
	for ctx.Err() == nil {
		b.peak = b.peak.with(b.usage(t), math.Max)
		pauseFor(ctx, time.Second)
	}
}

// rest waits until a first attack is over.
func (b *besieged) rest(t *testing.T) {
	t.Helper()
	running := b.running
	running.Resident = math.Inf(1)
	b.settled(t, running)
	b.rested = b.server.idle(t)
}

// recovers checks that everything is given back.
func (b *besieged) recovers(t *testing.T) {
	t.Helper()
	was := b.before
	was.Resident = b.rested.Resident
	begin := time.Now()
	after := b.settled(t, was)
	t.Logf("%s: before %v, after a first attack %v, at most %v, %v later %v", b.name, b.before, b.rested, b.peak, time.Since(begin).Round(time.Second), after)
	if over := after.over(was); over != "" {
		t.Errorf("%s: after the attack %s: %v, before %v", b.name, over, after, was)
	}
	if b.peak.Resident > b.most {
		t.Errorf("%s: %.1f MB were resident, and may be %.1f", b.name, b.peak.Resident/1e6, b.most/1e6)
	}
}
