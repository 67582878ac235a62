package node

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/live777/recorder/internal/serve/api"
)

// placeStorage names storage among problems.
const placeStorage = "storage"

const (
	// loadEvery is how often the load is looked at, and loadSpan how many looks back
	// rates are over.
	loadEvery = time.Second
	loadSpan  = 5
)

// sample is what has added up until a moment.
type sample struct {
	at             time.Time
	received, sent int64         // bytes
	cpu            time.Duration // of this process
}

// gauge tells rates of what adds up. Safe for concurrent use.
type gauge struct {
	look func() sample

	mu      sync.Mutex
	samples []sample // the newest last, at most loadSpan+1
}

func newGauge(look func() sample) *gauge { return &gauge{look: look, samples: []sample{look()}} }

// run looks until ctx ends.
func (g *gauge) run(ctx context.Context) {
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.add(g.look())
		case <-ctx.Done():
			return
		}
	}
}

func (g *gauge) add(s sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.samples = append(g.samples, s)
	if extra := len(g.samples) - loadSpan - 1; extra > 0 {
		g.samples = append(g.samples[:0], g.samples[extra:]...)
	}
}

// rates returns bits per second in and out, and how many CPUs were busy.
func (g *gauge) rates() (in, out int64, cpus float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first, last := g.samples[0], g.samples[len(g.samples)-1]
	span := last.at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0, 0, 0
	}
	bits := func(bytes int64) int64 { return int64(float64(8*bytes) / span) }
	return bits(last.received - first.received), bits(last.sent - first.sent), (last.cpu - first.cpu).Seconds() / span
}

// look is of the whole node.
func (n *Node) look() sample {
	received, sent := n.streams.Traffic()
	used, _ := cpuTime() // where it is not known the process is left out
	return sample{at: time.Now(), received: received, sent: sent, cpu: used}
}

// load returns how much the node has to do.
func (n *Node) load() api.NodeLoad {
	in, out, cpus := n.gauge.rates()
	l := api.NodeLoad{
		Time: time.Now().UTC(), Traffic: &api.TrafficLoad{ReceivedBPS: in, SentBPS: out},
		Draining: n.whip.Draining(), MaxSessions: n.cfg.Limits.Sessions, Labels: n.cfg.Manager.Labels,
	}
	rec, _ := n.recorder.api()
	for _, st := range n.streams.List() {
		l.Streams++
		l.Publishers += len(st.Publish.Sessions)
		l.Viewers += len(st.Subscribe.Sessions)
		if rec != nil && rec.Recording(st.ID) {
			l.Recordings++
		}
	}
	if _, known := cpuTime(); known {
		l.Process = &api.ProcessLoad{CPU: cpus, CPUs: runtime.GOMAXPROCS(0), MemoryBytes: memory()}
	}
	n.recorder.load(&l)
	for _, p := range n.health.Problems() {
		if p.Place == placeStorage && p.Serious && l.Storage != nil {
			l.Storage.Failing = true
		}
	}
	return l
}
