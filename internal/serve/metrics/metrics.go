// Package metrics tells Prometheus what a node does: its streams, its recordings
// and what of them storage has acknowledged, and its spool; and what a manager does.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/storage/spool"
)

// Sources are what is asked at each scrape. Those that are nil have no metrics.
type Sources struct {
	Streams    func() (publishing, watching int) // streams with a publisher, viewers of all
	Traffic    func() (received, sent int64)     // bytes of RTP payload
	PerStream  func() []live.StreamTraffic
	Sessions   func() map[Session]int
	Failures   func() map[string]int64  // sessions that failed, by cause: "ice", "dtls", "lost"
	Recordings func() []media.Recording // that are being recorded
	Failed     func() int64             // recordings that an error has ended, or kept from beginning
	Free       func() map[string]int64  // free bytes of disks, by what they are for
	Spool      func() spool.Status
	Problems   func() []health.Problem        // what is wrong with what the node depends on
	Refused    func() map[quota.Refusal]int64 // by which limits
	Events     func() []events.Target         // who is told of events
	LeftOut    func() int64                   // packets in no recording, because recordings began too often
}

// Session is what sessions are counted by.
type Session struct {
	Side  string // "publisher" or "viewer"
	State string // an RTCPeerConnection.connectionState
}

// Node counts what a node does. Safe for concurrent use.
type Node struct {
	requests
	database
	tally *tally
	ended *prometheus.CounterVec
}

// NewNode returns a Node that has counted nothing.
func NewNode() *Node {
	n := &Node{
		requests: newRequests(prefix), database: newDatabase(prefix), tally: newTally(),
		ended: prometheus.NewCounterVec(endedRecordings, []string{"status", "reason"}),
	}
	// A counter that appears with its first event has had none, for who looks at increases.
	n.ended.WithLabelValues(string(media.StatusComplete), causeNone)
	n.ended.WithLabelValues(string(media.StatusDegraded), causeLoss)
	n.ended.WithLabelValues(string(media.StatusFailed), causeError)
	return n
}

// Ended counts a recording that has ended.
func (n *Node) Ended(r media.Recording) {
	n.ended.WithLabelValues(string(r.Status), causeOf(&r)).Inc()
	n.tally.end(&r)
}

// Handler answers GET /metrics with what was counted and what sources say at that moment,
// in the formats of Prometheus and OpenMetrics, and with the usual metrics of a Go process.
func (n *Node) Handler(s Sources) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		n.answered, n.waited, collector{s, n.tally},
	)
	if s.Recordings != nil {
		registry.MustRegister(n.ended, n.calls, n.errors)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

const prefix = "live777_"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

var (
	publishing = describe("streams_publishing", "Streams that have a publisher.")
	watching   = describe("viewers", "Viewers of all streams.")
	received   = describe("received_bytes_total", "Bytes of RTP payload from publishers.")
	sent       = describe("sent_bytes_total", "Bytes of RTP payload to viewers.")
	recording  = describe("recordings_active", "Recordings that are being written, or wait for their publisher.")
	pausedNow  = describe("recordings_paused", "Recordings that somebody has paused.")

	streamPackets = describe("stream_received_packets_total", "RTP packets from publishers of the stream.", "stream")
	streamBytes   = describe("stream_received_bytes_total", "Bytes of RTP payload from publishers of the stream.", "stream")

	sessions = describe("sessions", "WHIP and WHEP sessions.", "side", "state")
	failures = describe("session_failures_total", "Sessions that did not connect (ice, dtls), or lost their connection (lost).", "cause")

	leftOut = describe("recorder_left_out_packets_total", "RTP packets that are in no recording because recordings of their streams began too often.")

	refused = describe("refused_total", "Sessions and recordings that a limit refused, and publishers that it sent away.", "of", "limit")

	recordingMedia   = describe("recording_media_seconds", "Media that the manifest of the stream's running recording names.", "stream")
	recordingDurable = describe("recording_durable_seconds", "Media time up to which storage has acknowledged everything.", "stream")
	recordingBytes   = describe("recording_bytes", "Bytes that the manifest of the stream's running recording names.", "stream")

	diskFree = describe("disk_free_bytes", "What the process may still write to a disk.", "disk")

	problem = describe("problem", "1 while something is wrong with what the node depends on; GET /api/problems says what.", "place", "severity")

	spoolObjects   = describe("spool_waiting_objects", "Objects that wait for remote storage.")
	spoolWaiting   = describe("spool_waiting_bytes", "Bytes that wait for remote storage.")
	spoolOldest    = describe("spool_oldest_waiting_seconds", "How long the oldest object has been waiting.")
	spoolUsed      = describe("spool_used_bytes", "Bytes of segments in the spool, open ones too: what recorder.spool.max_bytes bounds.")
	spoolMax       = describe("spool_max_bytes", "recorder.spool.max_bytes.")
	spoolUploading = describe("spool_uploading", "Uploads under way.")
	spoolFailing   = describe("spool_failing", "1 while remote storage fails.")
	spoolLost      = describe("spool_lost_objects", "Objects that have vanished from the spool before they were uploaded.")
	spoolConflicts = describe("spool_conflicts", "Objects that remote storage cannot take because it has others of their names.")
	uploads        = describe("uploads_total", "Uploads that remote storage has acknowledged (stored), and those that failed and are tried again (failed).", "result")
	uploadedBytes  = describe("uploaded_bytes_total", "Bytes that remote storage has acknowledged.")
)

// collector asks the sources.
type collector struct {
	s     Sources
	tally *tally
}

// Describe implements prometheus.Collector: what there is depends on the moment.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.collectLive(gauge, out)
	if c.s.Refused != nil {
		for r, n := range c.s.Refused() {
			count(out, refused, n, r.Of, r.Limit)
		}
	}
	if c.s.Recordings != nil {
		active := c.s.Recordings()
		collectRecordings(active, gauge)
		c.tally.collect(active, out)
	}
	if c.s.Failed != nil {
		count(out, recordingFailures, c.s.Failed())
	}
	if c.s.LeftOut != nil {
		count(out, leftOut, c.s.LeftOut())
	}
	if c.s.Problems != nil {
		for _, p := range c.s.Problems() {
			gauge(problem, 1, p.Place, severity(p))
		}
	}
	if c.s.Events != nil {
		nodeEvents.collect(c.s.Events(), out)
	}
	if c.s.Free != nil {
		for disk, free := range c.s.Free() {
			gauge(diskFree, float64(free), disk)
		}
	}
	if c.s.Spool != nil {
		collectSpool(c.s.Spool(), gauge, out)
	}
}

// collectLive tells of streams and sessions.
func (c collector) collectLive(gauge func(*prometheus.Desc, float64, ...string), out chan<- prometheus.Metric) {
	if c.s.Streams != nil {
		p, w := c.s.Streams()
		gauge(publishing, float64(p))
		gauge(watching, float64(w))
	}
	if c.s.Traffic != nil {
		in, away := c.s.Traffic()
		count(out, received, in)
		count(out, sent, away)
	}
	if c.s.PerStream != nil {
		for _, s := range c.s.PerStream() {
			count(out, streamPackets, s.Packets, s.Stream)
			count(out, streamBytes, s.Bytes, s.Stream)
		}
	}
	if c.s.Sessions != nil {
		for s, n := range c.s.Sessions() {
			gauge(sessions, float64(n), s.Side, s.State)
		}
	}
	if c.s.Failures != nil {
		for cause, n := range c.s.Failures() {
			count(out, failures, n, cause)
		}
	}
}

// collectRecordings tells of the newest recording of each stream: while one follows
// another, both are there.
func collectRecordings(recordings []media.Recording, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(recording, float64(len(recordings)))
	paused := 0
	newest := map[string]media.Recording{}
	for _, r := range recordings {
		if r.PausedSince != nil {
			paused++
		}
		if old, ok := newest[r.Stream]; !ok || r.Start.After(old.Start) {
			newest[r.Stream] = r
		}
	}
	for stream, r := range newest {
		gauge(recordingMedia, r.Duration, stream)
		gauge(recordingDurable, r.DurableThrough, stream)
		gauge(recordingBytes, float64(r.Bytes), stream)
	}
	gauge(pausedNow, float64(paused))
}

func collectSpool(s spool.Status, gauge func(*prometheus.Desc, float64, ...string), out chan<- prometheus.Metric) {
	gauge(spoolObjects, float64(s.WaitingObjects))
	gauge(spoolWaiting, float64(s.WaitingBytes))
	gauge(spoolOldest, s.OldestWaiting.Seconds())
	gauge(spoolUsed, float64(s.UsedBytes))
	gauge(spoolMax, float64(s.MaxBytes))
	gauge(spoolUploading, float64(s.Uploading))
	gauge(spoolFailing, number(s.Failing))
	gauge(spoolConflicts, float64(s.Conflicts))
	gauge(spoolLost, float64(s.Lost))
	count(out, uploads, s.UploadedObjects, "stored")
	count(out, uploads, s.Retries, "failed")
	count(out, uploadedBytes, s.UploadedBytes)
}

func severity(p health.Problem) string {
	if p.Serious {
		return "serious"
	}
	return "minor"
}
