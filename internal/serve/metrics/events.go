package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/live777/recorder/internal/serve/events"
)

// eventMetrics are what is told of those who are told of events.
type eventMetrics struct{ waiting, failing, deliveries, dropped *prometheus.Desc }

func newEventMetrics(describe func(name, help string, labels ...string) *prometheus.Desc) eventMetrics {
	return eventMetrics{
		waiting:    describe("events_waiting", "Events that wait for a receiver.", "target"),
		failing:    describe("event_target_failing", "1 while a receiver takes no events.", "target"),
		deliveries: describe("event_deliveries_total", "Attempts to tell an event that the receiver has taken (delivered), those that failed and are tried again (failed), and events that another manager of the same database has told (elsewhere).", "target", "result"),
		dropped:    describe("events_dropped_total", "Events that were not told: they have waited for too long (expired), or there was no room (left_out).", "target", "cause"),
	}
}

var (
	nodeEvents    = newEventMetrics(describe)
	managerEvents = newEventMetrics(describeFleet)
)

func (m eventMetrics) collect(targets []events.Target, out chan<- prometheus.Metric) {
	for _, t := range targets {
		out <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(t.Waiting), t.Name)
		out <- prometheus.MustNewConstMetric(m.failing, prometheus.GaugeValue, number(t.Failing), t.Name)
		count(out, m.deliveries, t.Delivered, t.Name, "delivered")
		count(out, m.deliveries, t.Failed, t.Name, "failed")
		count(out, m.deliveries, t.Elsewhere, t.Name, "elsewhere")
		count(out, m.dropped, t.Expired, t.Name, "expired")
		count(out, m.dropped, t.LeftOut, t.Name, "left_out")
	}
}
