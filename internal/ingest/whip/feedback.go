package whip

import (
	"time"

	"github.com/pion/rtp"
)

// feedbackInterval is how often the sender's bandwidth estimator is fed; libwebrtc
// uses 50 to 250 ms.
const feedbackInterval = 100 * time.Millisecond

// feedback reports the arrival times of packets (transport-wide congestion control);
// without that, browsers stay at their start bitrate. It needs no timer, because while
// packets come, one of them is due to send the report. It has to see every packet, also
// retransmissions and probes.
type feedback struct {
	id   uint8        // of the header extension; 0: the client does not take part
	send func([]byte) // must not keep what it is given

	arrivals arrivals
	start    time.Time
	sent     time.Time
	report   []byte // reused
}

func newFeedback(id uint8, sender uint32, send func([]byte)) *feedback {
	f := &feedback{id: id, send: send}
	f.arrivals.sender = sender
	return f
}

// received notes the arrival of a packet and sends a report when one is due.
func (f *feedback) received(h *rtp.Header, at time.Time) {
	if f.id == 0 {
		return
	}
	sequence := h.GetExtension(f.id)
	if len(sequence) < 2 {
		return
	}
	if f.sent.IsZero() {
		f.start, f.sent = at, at
	}
	f.arrivals.add(h.SSRC, uint16(sequence[0])<<8|uint16(sequence[1]), at.Sub(f.start))
	if at.Sub(f.sent) < feedbackInterval && !f.arrivals.full() {
		return
	}
	f.sent = at
	for more := true; more; { // the next report makes up for a lost one
		f.report, more = f.arrivals.write(f.report[:0])
		if len(f.report) > 0 {
			f.send(f.report)
		}
	}
}
