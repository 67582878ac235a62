package metrics

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/live777/recorder/internal/media"
)

const (
	// maxTallied bounds the streams that are counted apart: their names are made up by
	// clients, and each takes memory here and in Prometheus.
	maxTallied = 10_000
	// forgetAfter is how long a stream is counted that is not recorded any more.
	forgetAfter = time.Hour
)

// counts is what the ledgers of recordings have added up to for one track.
type counts struct{ received, lost, recovered, frames, dropped, segments int64 }

func (c *counts) add(t *media.RecordingTrack) {
	c.received += t.PacketsReceived
	c.lost += t.PacketsLost
	c.recovered += t.PacketsRecovered
	c.frames += t.Frames
	c.dropped += t.FramesDropped
	c.segments += int64(t.Segments)
}

// raise keeps a counter from going back: while a recording ends it is, for a moment, in
// neither list or in both, and its last ledger leaves out what was not stored.
func (c *counts) raise(to counts) {
	c.received = max(c.received, to.received)
	c.lost = max(c.lost, to.lost)
	c.recovered = max(c.recovered, to.recovered)
	c.frames = max(c.frames, to.frames)
	c.dropped = max(c.dropped, to.dropped)
	c.segments = max(c.segments, to.segments)
}

// track is one of a stream: layers are told apart, recordings are not.
type track struct {
	kind  string
	layer int
}

// tallied is what is known of a stream.
type tallied struct {
	ended   map[track]counts // recordings that have ended
	shown   map[track]counts // what was told last
	overrun int64            // of those that have ended
	last    time.Time        // when there was a recording
}

// tally adds up the ledgers of all recordings of a stream, one after the other. Safe
// for concurrent use.
type tally struct {
	now func() time.Time

	mu      sync.Mutex
	streams map[string]*tallied
}

func newTally() *tally { return &tally{now: time.Now, streams: map[string]*tallied{}} }

// of returns what is known of a stream; nil where there is no room. Called with mu held.
func (t *tally) of(stream string) *tallied {
	s := t.streams[stream]
	if s == nil && len(t.streams) < maxTallied {
		s = &tallied{ended: map[track]counts{}, shown: map[track]counts{}}
		t.streams[stream] = s
	}
	if s != nil {
		s.last = t.now()
	}
	return s
}

// end counts a recording that has ended.
func (t *tally) end(r *media.Recording) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.of(r.Stream); s != nil {
		addAll(s.ended, r)
		s.overrun += r.PacketsOverrun
	}
}

func addAll(to map[track]counts, r *media.Recording) {
	for i := range r.Tracks {
		k := track{r.Tracks[i].Kind, r.Tracks[i].Layer}
		c := to[k]
		c.add(&r.Tracks[i])
		to[k] = c
	}
}

var (
	recordedPackets   = describe("stream_recorded_packets_total", "RTP packets of the stream's tracks that recordings were sent.", "stream", "kind", "layer")
	lostPackets       = describe("stream_lost_packets_total", "RTP packets that recordings lack: they never came, or too late.", "stream", "kind", "layer")
	recoveredPackets  = describe("stream_recovered_packets_total", "RTP packets that came late, by retransmission or out of order, and are in recordings.", "stream", "kind", "layer")
	recordedFrames    = describe("stream_recorded_frames_total", "Frames in recordings.", "stream", "kind", "layer")
	droppedFrames     = describe("stream_dropped_frames_total", "Frames left out of recordings because they, or what they depend on, are broken.", "stream", "kind", "layer")
	recordedSegments  = describe("stream_segments_total", "Segments of recordings.", "stream", "kind", "layer")
	overrunPackets    = describe("stream_overrun_packets_total", "RTP packets left out of recordings because storage was too slow.", "stream")
	endedRecordings   = prometheus.CounterOpts{Name: prefix + "recordings_total", Help: "Recordings that have ended, by their verdict and its main cause."}
	recordingFailures = describe("recording_failures_total", "Recordings that an error has ended, or kept from beginning.")
)

// collect tells of what has ended and of the recordings that run.
func (t *tally) collect(active []media.Recording, out chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	running, overrun := map[string]map[track]counts{}, map[string]int64{}
	for i := range active {
		r := &active[i]
		if t.of(r.Stream) == nil {
			continue
		}
		if running[r.Stream] == nil {
			running[r.Stream] = map[track]counts{}
		}
		addAll(running[r.Stream], r)
		overrun[r.Stream] += r.PacketsOverrun
	}
	for stream, s := range t.streams {
		if t.now().Sub(s.last) > forgetAfter {
			delete(t.streams, stream)
			continue
		}
		s.tell(stream, running[stream], out)
		count(out, overrunPackets, s.overrun+overrun[stream], stream)
	}
}

// tell tells of a stream's tracks.
func (s *tallied) tell(stream string, running map[track]counts, out chan<- prometheus.Metric) {
	sums := map[track]counts{}
	for k := range s.ended {
		sums[k] = s.ended[k]
	}
	for k, c := range running {
		sum := sums[k]
		sum.received, sum.lost, sum.recovered = sum.received+c.received, sum.lost+c.lost, sum.recovered+c.recovered
		sum.frames, sum.dropped, sum.segments = sum.frames+c.frames, sum.dropped+c.dropped, sum.segments+c.segments
		sums[k] = sum
	}
	for k, sum := range sums {
		c := s.shown[k]
		c.raise(sum)
		s.shown[k] = c
	}
	for k, c := range s.shown {
		labels := []string{stream, k.kind, string(rune('0' + k.layer%10))}
		count(out, recordedPackets, c.received, labels...)
		count(out, lostPackets, c.lost, labels...)
		count(out, recoveredPackets, c.recovered, labels...)
		count(out, recordedFrames, c.frames, labels...)
		count(out, droppedFrames, c.dropped, labels...)
		count(out, recordedSegments, c.segments, labels...)
	}
}

func count(out chan<- prometheus.Metric, d *prometheus.Desc, n int64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// The causes of verdicts, beside those of gaps.
const (
	causeNone  = "none"
	causeError = "error"
	causeLoss  = "loss"
	causeOther = "other"
)

// gapCauses are what a media.Gap may have; others are causeOther, for a label takes
// few values.
var gapCauses = []string{causeLoss, "pause", "reconnect", "overrun", "layer", "absent", "node", "limit", "storage"}

// causeOf returns the main cause of a recording's verdict in one word: of what is
// missing the one that it lacks the most time by.
func causeOf(r *media.Recording) string {
	switch r.Status {
	case media.StatusComplete:
		return causeNone
	case media.StatusFailed:
		return causeError
	}
	lack, lost := map[string]float64{}, int64(0)
	for _, t := range r.Tracks {
		lost += t.PacketsLost
		for _, g := range t.Gaps {
			if slices.Contains(gapCauses, g.Cause) {
				lack[g.Cause] += g.Duration
			}
		}
	}
	switch {
	case len(lack) > 0:
		return slices.MaxFunc(gapCauses, func(a, b string) int { return cmp.Compare(lack[a], lack[b]) })
	case lost > 0:
		return causeLoss
	case r.PacketsOverrun > 0:
		return "overrun"
	}
	return causeOther
}
