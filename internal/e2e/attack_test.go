package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/auth"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/verify"
)

const (
	attackToken  = "administrators-token-of-the-attack" //nolint:gosec // of a test
	attackSecret = "secret-of-the-attack-on-the-node"   //nolint:gosec // of a test
)

// attackFor is how long the adversaries are at it: a moment in every test run, and
// as long as ATTACK_FOR says for make attack.
func attackFor(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("ATTACK_FOR")
	if s == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("ATTACK_FOR: %v; say how long, as in 30m", err)
	}
	return d
}

// Everything that somebody with few rights can send to a node, all at once, costs
// those who use it nothing: the stream beside it is recorded whole, and memory,
// goroutines and descriptors are what they were before.
func TestAttack(t *testing.T) {
	d := attackFor(t)
	s := start(t, fmt.Sprintf("[auth]\ntokens = [%q]\nsecret = %q\n[recorder]\nauto_streams = [\"bystander\", \"prey\"]\nsegment_seconds = 2\n", attackToken, attackSecret))
	s.token = attackToken
	warm := s.publish("warm-up", 2*time.Second)
	<-warm.done
	before := s.settled(t, usage{})
	bystander := s.publish("bystander", 0)
	dir := s.await("the bystander's recording", "bystander", func(st status) bool { return st.Recording && st.Duration > 0 }).RecordDir
	prey := s.publish("prey", 0)

	a := &attack{server: s, viewer: rights(t, auth.Subscribe), publisher: rights(t, auth.Publish, auth.Subscribe)}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var peak usage
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			peak = peak.max(s.usage(t))
			pauseFor(ctx, time.Second)
		}
	})
	for _, adversary := range adversaries {
		wg.Go(func() {
			n, err := adversary.run(ctx, a)
			if err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", adversary.name, err)
			}
			if n == 0 {
				t.Errorf("%s did nothing", adversary.name)
			}
			t.Logf("%s: %d", adversary.name, n)
		})
	}
	wg.Wait()

	prey.end()
	bystander.end()
	s.await("the end", "bystander", func(st status) bool { return !st.Recording })
	rec := read(t, s.root, dir)
	if info := ledger(t, s, dir); info.Status != media.StatusComplete {
		t.Errorf("the bystander's recording is %s: %s", info.Status, info.Reason)
	}
	if err := verify.Compare(bystander.log, rec, verify.CompareOptions{TailUnits: -1}).Err(); err != nil {
		t.Errorf("the bystander's recording: %v", err)
	}
	after := s.settled(t, before)
	t.Logf("before %v, at most %v, after %v", before, peak, after)
	if over := after.over(before); over != "" {
		t.Errorf("after the attack %s: before %v, after %v", over, before, after)
	}
	if strings.Contains(s.log.String(), "panic") {
		t.Error("the log tells of a panic")
	}
	if n := strings.Count(s.log.String(), "\n"); float64(n) > 1000+50*d.Seconds() {
		t.Errorf("%d lines of log in %v", n, d)
	}
}

// rights returns a token for the stream "prey" alone.
func rights(t *testing.T, rights ...auth.Right) string {
	t.Helper()
	token, err := auth.Sign(attackSecret, time.Now().Add(2*time.Hour), []string{"prey", "prey-*"}, rights...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// usage is what a server uses.
type usage struct{ Heap, Goroutines, Descriptors float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.1f MB, %.0f goroutines, %.0f descriptors", u.Heap/1e6, u.Goroutines, u.Descriptors)
}

func (u usage) max(v usage) usage {
	return usage{max(u.Heap, v.Heap), max(u.Goroutines, v.Goroutines), max(u.Descriptors, v.Descriptors)}
}

// over says what is more than it was.
func (u usage) over(before usage) string {
	switch {
	case u.Heap > before.Heap+20e6:
		return "there is more in memory"
	case u.Goroutines > before.Goroutines+20:
		return "more goroutines run"
	case u.Descriptors > before.Descriptors+20:
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
		case "go_goroutines":
			u.Goroutines = v
		case "process_open_fds":
			u.Descriptors = v
		}
	}
	if u.Heap == 0 {
		t.Errorf("the metrics do not tell of the memory: %s", body)
	}
	return u
}

// settled returns the least that a server uses while it is asked for a while, until
// that is no more than before: sessions end in their time, and memory is free when
// the garbage was collected, which asking brings about.
func (s *server) settled(t *testing.T, before usage) usage {
	t.Helper()
	least := usage{math.Inf(1), math.Inf(1), math.Inf(1)}
	first := before == usage{}
	for i := range 4000 {
		u := s.usage(t)
		least = usage{min(least.Heap, u.Heap), min(least.Goroutines, u.Goroutines), min(least.Descriptors, u.Descriptors)}
		if first && i == 300 || !first && least.over(before) == "" {
			break
		}
		time.Sleep(10 * time.Millisecond) // nothing tells when a session has ended
	}
	return least
}

// pauseFor waits; it is false when the time of the attack is over.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// adversaries are those who attack, each in its own way. What they return is how
// often they did what they do.
var adversaries = slices.Concat(packetAdversaries, requestAdversaries)

type adversary struct {
	name string
	run  func(context.Context, *attack) (int, error)
}

// attack is what adversaries know: the node, and tokens for one stream of it.
type attack struct {
	server            *server
	viewer, publisher string
}
