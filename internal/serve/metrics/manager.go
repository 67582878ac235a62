package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/serve/events"
)

// FleetSources are what a manager is asked at each scrape.
type FleetSources struct {
	Nodes   func() []NodeState
	Streams func() int // of all nodes, each once
	// Recordings is how many the catalogue has; ok is false while its database
	// cannot be used.
	Recordings func() (count int, ok bool)
	// Problems is what is wrong with what the manager depends on.
	Problems func() []health.Problem
	// Events is who is told of events.
	Events func() []events.Target
}

// NodeState is what a manager knows of a node.
type NodeState struct {
	Alias string
	State string // "connecting", "up" or "down"

	Streams, Publishers, Viewers, Recordings int

	Latency time.Duration // of its last answer
	// FeedLag is how long ago the catalogue was last known to have all of the
	// node's recordings; negative: not yet.
	FeedLag time.Duration
}

// Manager counts what a manager does. Safe for concurrent use.
type Manager struct {
	requests
	database
	registry   *prometheus.Registry
	refused    *prometheus.CounterVec
	relayBytes *prometheus.CounterVec
	relayFails *prometheus.CounterVec
}

const managerPrefix = "liveman_"

// NewManager returns a Manager that has counted nothing.
func NewManager(s FleetSources) *Manager {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: managerPrefix + name, Help: help}, labels)
	}
	m := &Manager{
		registry:   prometheus.NewRegistry(),
		requests:   newRequests(managerPrefix),
		database:   newDatabase(managerPrefix),
		refused:    counter("refused_total", "Connections and requests that a limit refused.", "of", "limit"),
		relayBytes: counter("relay_bytes_total", "Bytes of objects that were relayed from a node.", "node"),
		relayFails: counter("relay_errors_total", "Objects that could not be relayed from a node, or not to their end.", "node"),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.answered, m.waited, m.refused, m.relayBytes, m.relayFails, m.calls, m.errors, fleetCollector{s},
	)
	return m
}

// Handler answers GET /metrics, as the function of this name does for a node.
func (m *Manager) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Refused counts what a limit has refused, as quota.Refusal.
func (m *Manager) Refused(of, limit string) { m.refused.WithLabelValues(of, limit).Inc() }

// Relayed counts what was relayed of an object of a node, and whether that failed.
func (m *Manager) Relayed(node string, bytes int64, failed bool) {
	m.relayBytes.WithLabelValues(node).Add(float64(bytes))
	if failed {
		m.relayFails.WithLabelValues(node).Inc()
	}
}

func describeFleet(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(managerPrefix+name, help, labels, nil)
}

var (
	fleetNodes      = describeFleet("nodes", "Nodes by state.", "state")
	fleetStreams    = describeFleet("streams", "Streams of all nodes, each once.")
	fleetRecordings = describeFleet("catalogue_recordings", "Recordings in the catalogue.")
	fleetProblem    = describeFleet("problem", "1 while something is wrong with what the manager depends on; GET /api/problems says what.", "place", "severity")
	fleetDatabase   = describeFleet("database_up", "1 while the database answers.")

	nodeUp         = describeFleet("node_up", "1 while the node is up.", "node")
	nodeStreams    = describeFleet("node_streams", "Streams of the node.", "node")
	nodePublishers = describeFleet("node_publishers", "Publishers of the node.", "node")
	nodeViewers    = describeFleet("node_viewers", "Viewers of the node.", "node")
	nodeRecordings = describeFleet("node_recordings", "Recordings that run on the node.", "node")
	nodeLatency    = describeFleet("node_latency_seconds", "How long the node's last answer took.", "node")
	nodeFeedLag    = describeFleet("node_feed_lag_seconds", "How long ago the catalogue was last known to have all recordings of the node.", "node")
)

// fleetCollector asks the sources.
type fleetCollector struct{ s FleetSources }

// Describe implements prometheus.Collector: what there is depends on the moment.
func (fleetCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c fleetCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	states := map[string]int{"connecting": 0, "up": 0, "down": 0}
	for _, n := range c.s.Nodes() {
		states[n.State]++
		gauge(nodeUp, number(n.State == "up"), n.Alias)
		gauge(nodeStreams, float64(n.Streams), n.Alias)
		gauge(nodePublishers, float64(n.Publishers), n.Alias)
		gauge(nodeViewers, float64(n.Viewers), n.Alias)
		gauge(nodeRecordings, float64(n.Recordings), n.Alias)
		gauge(nodeLatency, n.Latency.Seconds(), n.Alias)
		if n.FeedLag >= 0 {
			gauge(nodeFeedLag, n.FeedLag.Seconds(), n.Alias)
		}
	}
	for state, n := range states {
		gauge(fleetNodes, float64(n), state)
	}
	gauge(fleetStreams, float64(c.s.Streams()))
	if c.s.Problems != nil {
		for _, p := range c.s.Problems() {
			gauge(fleetProblem, 1, p.Place, severity(p))
		}
	}
	if c.s.Events != nil {
		managerEvents.collect(c.s.Events(), out)
	}
	count, ok := c.s.Recordings()
	gauge(fleetDatabase, number(ok))
	if ok {
		gauge(fleetRecordings, float64(count))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
