package whip

import (
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// Reports name every packet once, lost ones as lost, over all streams.
func TestFeedback(t *testing.T) {
	now := time.Unix(1000, 0)
	f, err := feedbackFactory{func() time.Time { return now }}.NewInterceptor("")
	if err != nil {
		t.Fatal(err)
	}
	received, lost := 0, 0
	f.BindRTCPWriter(interceptor.RTCPWriterFunc(func(pkts []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		for _, p := range pkts {
			report, ok := p.(*rtcp.TransportLayerCC)
			if !ok {
				t.Fatalf("report %T", p)
			}
			received += len(report.RecvDeltas)
			lost += int(report.PacketStatusCount) - len(report.RecvDeltas)
		}
		return 0, nil
	}))
	var in []byte
	source := interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		return copy(b, in), a, nil
	})
	extensions := []interceptor.RTPHeaderExtension{{URI: extensionTWCC, ID: 3}}
	streams := []interceptor.RTPReader{
		f.BindRemoteStream(&interceptor.StreamInfo{SSRC: 1, RTPHeaderExtensions: extensions}, source),
		f.BindRemoteStream(&interceptor.StreamInfo{SSRC: 2, RTPHeaderExtensions: extensions}, source),
	}
	buf := make([]byte, 1500)
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
		if err == nil {
			in, err = h.Marshal()
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := streams[i%2].Read(buf, nil); n != len(in) || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
	}
	if received != 991 || lost != 10 {
		t.Errorf("%d received and %d lost are reported, want 991 and 10", received, lost)
	}
	in = []byte{0x90, 0} // garbage passes
	if n, _, err := streams[0].Read(buf, nil); n != 2 || err != nil {
		t.Errorf("Read of garbage = %d, %v", n, err)
	}
}
