package node

import (
	"testing"
	"time"
)

// Rates are over the last seconds.
func TestGauge(t *testing.T) {
	at := time.Unix(1000, 0)
	now := sample{at: at}
	g := newGauge(func() sample { return now })
	if in, out, cpus := g.rates(); in != 0 || out != 0 || cpus != 0 {
		t.Errorf("at the start: %d %d %v", in, out, cpus)
	}
	for second := range 60 {
		now.at = at.Add(time.Duration(second+1) * time.Second)
		now.received += int64(1000 * second)
		now.sent += 500
		now.cpu += 250 * time.Millisecond
		g.add(g.look())
	}
	// The last five seconds have 55 to 59 times 1000 bytes.
	if in, out, cpus := g.rates(); in != 8*57000 || out != 4000 || cpus != 0.25 {
		t.Errorf("%d bit/s in, %d out, %v CPUs", in, out, cpus)
	}
	if len(g.samples) != loadSpan+1 {
		t.Errorf("%d samples are kept", len(g.samples))
	}
}

func TestMemory(t *testing.T) {
	if m := memory(); m < 1<<20 || m > 1<<40 {
		t.Errorf("%d bytes", m)
	}
}
