package whip

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/live777/recorder/internal/media"
)

// reportInterval is how often a sender hears how its packets arrive.
const reportInterval = time.Second

// maxReports is how many sources a receiver report may have (RFC 3550 section
// 6.4.1).
const maxReports = 31

// receiverStats is what a reception report says of one source (RFC 3550 sections
// 6.4.1 and A.3).
type receiverStats struct {
	clockRate uint32

	started  bool
	base     uint32 // first extended sequence number
	highest  uint32 // extended
	count    uint32
	transit  int64   // of the last packet, in ticks of the clock
	jitter   float64 // in ticks
	start    time.Time
	expected uint32 // when the last report was made
	counted  uint32

	senderReport uint32 // the middle of its NTP time
	reportedAt   time.Time
}

// received notes a packet.
func (r *receiverStats) received(seq uint16, ts uint32, arrival time.Time) {
	r.count++
	if !r.started {
		r.started, r.start = true, arrival
		r.base, r.highest = 1<<16|uint32(seq), 1<<16|uint32(seq) // so that none is before 0
		r.transit = -int64(ts)
		return
	}
	if diff := int16(seq - uint16(r.highest)); diff > 0 {
		r.highest += uint32(diff)
	}
	transit := int64(media.TicksOf(arrival.Sub(r.start), r.clockRate)) - int64(ts)
	d := int64(int32(transit - r.transit)) // timestamps wrap
	r.transit = transit
	r.jitter += (float64(max(d, -d)) - r.jitter) / 16
}

// reported notes a sender report.
func (r *receiverStats) reported(ntp uint64, arrival time.Time) {
	r.senderReport, r.reportedAt = uint32(ntp>>16), arrival
}

// report makes the next report.
func (r *receiverStats) report(ssrc uint32, now time.Time) rtcp.ReceptionReport {
	expected := r.highest - r.base + 1
	lost := max(int64(expected)-int64(r.count), 0) // repeated packets count, too
	out := rtcp.ReceptionReport{
		SSRC: ssrc, LastSequenceNumber: r.highest - 1<<16, TotalLost: uint32(min(lost, 1<<23-1)), Jitter: uint32(r.jitter),
	}
	if due, came := expected-r.expected, r.count-r.counted; due > came && due < 1<<16 {
		out.FractionLost = uint8(min((due-came)<<8/due, 255))
	}
	r.expected, r.counted = expected, r.count
	if !r.reportedAt.IsZero() {
		out.LastSenderReport = r.senderReport
		out.Delay = uint32(now.Sub(r.reportedAt).Seconds() * 65536)
	}
	return out
}

// report tells the sender how its packets arrive.
func (in *ingest) report() {
	now := in.server.o.Now()
	in.mu.Lock()
	var reports []rtcp.ReceptionReport
	for _, s := range in.sources {
		if now.Sub(s.last) < 5*reportInterval && len(reports) < maxReports {
			reports = append(reports, s.stats.report(s.ssrc, now))
		}
	}
	in.mu.Unlock()
	if len(reports) > 0 {
		in.sendRTCP(&rtcp.ReceiverReport{SSRC: in.ssrc, Reports: reports})
	}
}
