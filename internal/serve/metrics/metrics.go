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
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/spool"
)

// Sources are what is asked at each scrape. Those that are nil have no metrics.
type Sources struct {
	Streams    func() (publishing, watching int) // streams with a publisher, viewers of all
	Traffic    func() (received, sent int64)     // bytes of RTP payload
	Recordings func() []media.Recording          // that are being recorded
	Spool      func() spool.Status
	Problems   func() []health.Problem        // what is wrong with what the node depends on
	Refused    func() map[quota.Refusal]int64 // by which limits
	LeftOut    func() int64                   // packets in no recording, because recordings began too often
}

// Handler answers GET /metrics with what sources say at that moment, in the
// formats of Prometheus and OpenMetrics, and with the usual metrics of a Go process.
func Handler(s Sources) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{s},
	)
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
	recording  = describe("recordings", "Recordings that are being written, or wait for their publisher.")
	pausedNow  = describe("recordings_paused", "Recordings that somebody has paused.")

	leftOut = describe("recorder_left_out_packets_total", "RTP packets that are in no recording because recordings of their streams began too often.")

	refused = describe("refused_total", "Sessions and recordings that a limit refused, and publishers that it sent away.", "of", "limit")

	recordingMedia   = describe("recording_media_seconds", "Media that the manifest of a running recording names.", "stream", "record_dir")
	recordingDurable = describe("recording_durable_seconds", "Media time up to which storage has acknowledged everything.", "stream", "record_dir")
	recordingBytes   = describe("recording_bytes", "Bytes that the manifest of a running recording names.", "stream", "record_dir")
	recordingLost    = describe("recording_packets_lost", "RTP packets that never came, or too late.", "stream", "record_dir", "kind", "layer")
	recordingDropped = describe("recording_frames_dropped", "Frames left out because they, or what they depend on, are broken.", "stream", "record_dir", "kind", "layer")
	recordingOverrun = describe("recording_packets_overrun", "RTP packets dropped because storage was too slow.", "stream", "record_dir")

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
	spoolRetries   = describe("spool_retries_total", "Uploads that failed.")
	spoolUploaded  = describe("spool_uploaded_objects_total", "Objects that remote storage has acknowledged.")
	spoolBytes     = describe("spool_uploaded_bytes_total", "Bytes that remote storage has acknowledged.")
)

// collector asks the sources.
type collector struct{ s Sources }

// Describe implements prometheus.Collector: what there is depends on the moment.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if c.s.Streams != nil {
		p, w := c.s.Streams()
		gauge(publishing, float64(p))
		gauge(watching, float64(w))
	}
	if c.s.Traffic != nil {
		in, away := c.s.Traffic()
		out <- prometheus.MustNewConstMetric(received, prometheus.CounterValue, float64(in))
		out <- prometheus.MustNewConstMetric(sent, prometheus.CounterValue, float64(away))
	}
	if c.s.Refused != nil {
		for r, n := range c.s.Refused() {
			out <- prometheus.MustNewConstMetric(refused, prometheus.CounterValue, float64(n), r.Of, r.Limit)
		}
	}
	if c.s.Recordings != nil {
		collectRecordings(c.s.Recordings(), gauge)
	}
	if c.s.LeftOut != nil {
		out <- prometheus.MustNewConstMetric(leftOut, prometheus.CounterValue, float64(c.s.LeftOut()))
	}
	if c.s.Problems != nil {
		for _, p := range c.s.Problems() {
			gauge(problem, 1, p.Place, severity(p))
		}
	}
	if c.s.Spool != nil {
		collectSpool(c.s.Spool(), gauge, out)
	}
}

func collectRecordings(recordings []media.Recording, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(recording, float64(len(recordings)))
	paused := 0
	for _, r := range recordings {
		if r.PausedSince != nil {
			paused++
		}
		gauge(recordingMedia, r.Duration, r.Stream, r.RecordDir)
		gauge(recordingDurable, r.DurableThrough, r.Stream, r.RecordDir)
		gauge(recordingBytes, float64(r.Bytes), r.Stream, r.RecordDir)
		gauge(recordingOverrun, float64(r.PacketsOverrun), r.Stream, r.RecordDir)
		for _, t := range r.Tracks {
			labels := []string{r.Stream, r.RecordDir, t.Kind, string(rune('0' + t.Layer%10))}
			gauge(recordingLost, float64(t.PacketsLost), labels...)
			gauge(recordingDropped, float64(t.FramesDropped), labels...)
		}
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
	for d, v := range map[*prometheus.Desc]int64{
		spoolRetries: s.Retries, spoolUploaded: s.UploadedObjects, spoolBytes: s.UploadedBytes,
	} {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
}

func severity(p health.Problem) string {
	if p.Serious {
		return "serious"
	}
	return "minor"
}
