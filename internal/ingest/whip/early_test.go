package whip

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// held is a log that holds up the WebRTC stack of a server between the end of
// the DTLS handshake and the start of its receivers, as a busy machine does.
type held struct {
	slog.Handler
	release chan struct{}
}

func (h held) Enabled(context.Context, slog.Level) bool { return true }
func (h held) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h held) WithGroup(string) slog.Handler            { return h }

func (h held) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.HasSuffix(a.Value.String(), "peer connection state changed: connected") {
			<-h.release
		}
		return true
	})
	return nil
}

// early repeats packets as retransmissions before anything else is sent.
type early struct {
	interceptor.NoOp
	info   *interceptor.StreamInfo
	writer interceptor.RTPWriter
}

func (e *early) NewInterceptor(string) (interceptor.Interceptor, error) { return e, nil }

func (e *early) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	e.info, e.writer = info, w
	return w
}

// resend sends p as a retransmission (RFC 4588 section 4).
func (e *early) resend(t *testing.T, n uint16, p sent) {
	t.Helper()
	h := &rtp.Header{
		Version: 2, SSRC: e.info.SSRCRetransmission, PayloadType: e.info.PayloadTypeRetransmission,
		SequenceNumber: n, Timestamp: p.ts, Marker: p.marker,
	}
	payload := append([]byte{byte(p.seq >> 8), byte(p.seq)}, p.payload...)
	if _, err := e.writer.Write(h, payload, nil); err != nil {
		t.Fatal(err)
	}
}

// Browsers probe for bandwidth with retransmissions of their first packets,
// right after these. A node that is late may see the probes first, when it does
// not know the payload type of the track yet.
func TestRetransmissionsBeforeMedia(t *testing.T) {
	for range 12 {
		release := make(chan struct{})
		n := newNode(t, Options{Logger: slog.New(held{release: release})})
		e := &early{}
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, h264RTX}, interceptors: []interceptor.Factory{e}})
		video := p.send(h264, "video")
		p.connect("/whip/cam")
		l := n.listen("cam")
		packets := script(30)
		for i := range uint16(3) {
			e.resend(t, i, packets[i])
		}
		write(t, video, packets)
		close(release)
		l.until("media", func() bool { return len(l.packets) >= len(packets) })
	}
}
