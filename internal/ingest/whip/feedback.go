package whip

import (
	"math/rand/v2"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
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
	now   func() time.Time
	start time.Time
	id    uint8 // of the header extension; 0: the client does not take part
	send  func(...rtcp.Packet)

	recorder *twcc.Recorder
	sent     time.Time
}

func newFeedback(now func() time.Time, id uint8, send func(...rtcp.Packet)) *feedback {
	return &feedback{now: now, start: now(), id: id, send: send, recorder: twcc.NewRecorder(rand.Uint32())}
}

// received notes the arrival of a packet and sends a report when one is due.
func (f *feedback) received(h *rtp.Header) {
	if f.id == 0 {
		return
	}
	var sequence rtp.TransportCCExtension
	if sequence.Unmarshal(h.GetExtension(f.id)) != nil {
		return
	}
	now := f.now()
	f.recorder.Record(h.SSRC, sequence.TransportSequence, now.Sub(f.start).Microseconds())
	if f.sent.IsZero() {
		f.sent = now
	}
	if now.Sub(f.sent) < feedbackInterval {
		return
	}
	f.sent = now
	if report := f.recorder.BuildFeedbackPacket(); len(report) > 0 {
		f.send(report...) // the next report makes up for a lost one
	}
}
