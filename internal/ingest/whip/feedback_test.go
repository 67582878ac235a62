package whip

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Reports name every packet once, lost ones as lost, over all streams.
func TestFeedback(t *testing.T) {
	now := time.Unix(1000, 0)
	received, lost := 0, 0
	f := newFeedback(3, 7, func(b []byte) {
		var report rtcp.TransportLayerCC
		if err := report.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		received += len(report.RecvDeltas)
		lost += int(report.PacketStatusCount) - len(report.RecvDeltas)
	})
	for i := range 1001 {
		now = now.Add(time.Millisecond)
		if i%100 == 50 {
			continue // lost
		}
		h := rtp.Header{Version: 2, SSRC: uint32(1 + i%2)}
		ext, err := rtp.TransportCCExtension{TransportSequence: uint16(65000 + i)}.Marshal()
		if err == nil {
			err = h.SetExtension(3, ext)
		}
		if err != nil {
			t.Fatal(err)
		}
		f.received(&h, now)
	}
	if received != 991 || lost != 10 {
		t.Errorf("%d received and %d lost are reported, want 991 and 10", received, lost)
	}
	f.received(&rtp.Header{Version: 2}, now) // without the extension
}
