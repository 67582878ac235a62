package whip

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// feedbackInterval is how often the sender's bandwidth estimator is fed; libwebrtc
// uses 50 to 250 ms.
const feedbackInterval = 100 * time.Millisecond

// feedbackFactory makes one feedback for each PeerConnection.
type feedbackFactory struct{ now func() time.Time }

// NewInterceptor implements interceptor.Factory.
func (f feedbackFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &feedback{now: f.now, start: f.now(), recorder: twcc.NewRecorder(rand.Uint32())}, nil
}

// feedback reports the arrival times of packets (transport-wide congestion
// control), without which browsers stay at their start bitrate. It works on the
// goroutines that read, and it needs no timer: as long as packets come, one of
// them is due to send the report. Streams of retransmissions and probes pass
// through it as well.
type feedback struct {
	interceptor.NoOp
	now   func() time.Time
	start time.Time

	mu       sync.Mutex
	writer   interceptor.RTCPWriter
	recorder *twcc.Recorder
	sent     time.Time
}

// BindRTCPWriter implements interceptor.Interceptor.
func (f *feedback) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writer = w
	return w
}

// BindRemoteStream implements interceptor.Interceptor.
func (f *feedback) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	var id uint8
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == extensionTWCC {
			id = uint8(e.ID)
		}
	}
	if id == 0 {
		return r
	}
	var header rtp.Header // one goroutine reads a stream
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := r.Read(b, a)
		if err != nil {
			return n, a, err
		}
		var sequence rtp.TransportCCExtension
		if _, err := header.Unmarshal(b[:n]); err == nil && sequence.Unmarshal(header.GetExtension(id)) == nil {
			f.record(header.SSRC, sequence.TransportSequence)
		}
		return n, a, nil
	})
}

// record notes the arrival of a packet and sends a report when one is due.
func (f *feedback) record(ssrc uint32, sequence uint16) {
	now := f.now()
	f.mu.Lock()
	f.recorder.Record(ssrc, sequence, now.Sub(f.start).Microseconds())
	var report []rtcp.Packet
	if f.sent.IsZero() {
		f.sent = now
	}
	if now.Sub(f.sent) >= feedbackInterval {
		report, f.sent = f.recorder.BuildFeedbackPacket(), now
	}
	writer := f.writer
	f.mu.Unlock()
	if len(report) > 0 && writer != nil {
		_, _ = writer.Write(report, nil) // the next report makes up for a lost one
	}
}
