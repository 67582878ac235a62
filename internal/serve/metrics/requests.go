package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// secondsBuckets are for what takes from a millisecond to half a minute.
var secondsBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// requests counts what a server of the API answers. Safe for concurrent use.
type requests struct {
	answered *prometheus.CounterVec
	waited   *prometheus.HistogramVec
}

func newRequests(prefix string) requests {
	return requests{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "requests_total", Help: "HTTP requests that were answered.",
		}, []string{"route", "method", "code"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "answer_seconds", Help: "How long requests wait for their answers to begin.", Buckets: secondsBuckets,
		}, []string{"route"}),
	}
}

// Request counts a request whose answer begins after some time. The route is the
// pattern of http.ServeMux that it matched, or "" where it matched none.
func (r requests) Request(route, method string, status int, after time.Duration) {
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	} else if route == "" || method != http.MethodGet && method != http.MethodHead {
		method = "" // whatever a client has made up: each would be counted for ever
	}
	r.answered.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	r.waited.WithLabelValues(route).Observe(after.Seconds())
}

// database counts uses of one. It implements catalogue.Meter.
type database struct {
	calls  prometheus.Histogram
	errors prometheus.Counter
}

func newDatabase(prefix string) database {
	return database{
		calls: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "database_seconds", Help: "How long uses of the catalogue's database take.", Buckets: secondsBuckets,
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "database_errors_total", Help: "Errors of the database."}),
	}
}

// Call implements catalogue.Meter.
func (d database) Call(took time.Duration) { d.calls.Observe(took.Seconds()) }

// Failed implements catalogue.Meter.
func (d database) Failed() { d.errors.Inc() }
