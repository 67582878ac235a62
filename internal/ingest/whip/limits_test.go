package whip

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// viewed is a stream with a publisher, who sends video, and a viewer.
func viewed(t *testing.T) (n *node, video *webrtc.TrackLocalStaticRTP, viewer *peer) {
	t.Helper()
	n = newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video = p.send(h264, "video")
	p.connect("/whip/cam")
	viewer = n.peer(peerOptions{codecs: allCodecs})
	viewer.receive(webrtc.RTPCodecTypeVideo)
	viewer.connect("/whep/cam")
	return n, video, viewer
}

// TestReportsOfManySenders: RTCP that is for nobody reaches no buffer, and the stack
// keeps its senders all the same.
func TestReportsOfManySenders(t *testing.T) {
	n, video, v := viewed(t)
	for i := uint32(1); n.has(v.location); i++ {
		if err := v.pc.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: i}}); err != nil {
			break // the node has closed the session
		}
		if i > 20*maxSenders {
			time.Sleep(time.Millisecond) // the node has had its fill, and waits to be sure
		}
		if i > 100*maxSenders {
			t.Fatal("the viewer's session goes on")
		}
	}
	l := n.listen("cam")
	write(t, video, script(20))
	l.until("media", func() bool { return len(l.packets) == 20 })
}

// TestSenders holds what is let through when the places are taken, by whom it may be.
func TestSenders(t *testing.T) {
	at := time.Unix(1000, 0)
	for name, forged := range map[string]int64{"by the client": 0, "by somebody in its name": maxSenders} {
		t.Run(name, func(t *testing.T) {
			var s senders
			s.admit(7, at)
			for i := range uint32(3 * maxSenders) {
				if ok, tooMany := s.admit(1000+i, at); ok != (i < maxSenders-1) || tooMany {
					t.Fatalf("sender %d: %v %v", i, ok, tooMany)
				}
			}
			if n := len(*s.now.Load()); n != maxSenders {
				t.Errorf("%d senders are kept, want %d", n, maxSenders)
			}
			s.refused.Store(forged)
			if ok, _ := s.admit(7, at); !ok {
				t.Error("a sender that was there before is not let through")
			}
			if ok, tooMany := s.admit(5, at.Add(2*sendersSettle)); ok || tooMany != (forged == 0) {
				t.Errorf("later: %v %v", ok, tooMany)
			}
		})
	}
}

// TestEndedSessionsTakeNothing: what a client goes on to send is not for the stack.
func TestEndedSessionsTakeNothing(t *testing.T) {
	p := newPaths()
	se := new(session)
	at := netip.MustParseAddrPort("192.0.2.1:1")
	p.check(se, at)
	packet := []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	if _, ok := p.arrived(packet, at); !ok {
		t.Error("a packet of a session is dropped")
	}
	se.over.Store(true)
	if _, ok := p.arrived(packet, at); ok {
		t.Error("a packet of a session that has ended is handed on")
	}
}

// TestViewersBuffers: a viewer's RTCP is kept where somebody reads it only.
func TestViewersBuffers(t *testing.T) {
	n, _, v := viewed(t)
	n.whip.mu.Lock()
	var se *session
	for _, other := range n.whip.sessions {
		if strings.HasSuffix(v.location, other.id) {
			se = other
		}
	}
	n.whip.mu.Unlock()
	if len(se.reads) == 0 {
		t.Fatal("nothing is read")
	}
	if _, ok := se.newBuffer(packetio.RTCPBufferPacket, se.reads[0]).(*packetio.Buffer); !ok {
		t.Error("what is read is not kept")
	}
	if _, ok := se.newBuffer(packetio.RTCPBufferPacket, 12345).(*packetio.Buffer); ok {
		t.Error("what nobody reads is kept")
	}
}

// TestClientAtManyAddresses: the stack keeps a candidate for each address of a client,
// so that its session ends when there are too many.
func TestClientAtManyAddresses(t *testing.T) {
	n, _, v := viewed(t)
	check := checkOf(t, v)
	for i := range 2 * maxAddresses {
		conn, err := net.DialUDP("udp4", nil, n.whip.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(check); err != nil {
			t.Fatal(err)
		}
		if i < maxAddresses/2 { // it is answered, and so has been taken
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := conn.Read(make([]byte, 1500)); err != nil {
				t.Fatalf("check %d: %v", i, err)
			}
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	await.Until(t, "the session ends", func() bool { return !n.has(v.location) })
}

// checkOf returns a connectivity check as the peer could send it.
func checkOf(t *testing.T, p *peer) []byte {
	t.Helper()
	value := func(sdp, key string) string {
		_, rest, _ := strings.Cut(sdp, "a="+key+":")
		v, _, _ := strings.Cut(rest, "\r\n")
		return v
	}
	priority := make([]byte, 4)
	binary.BigEndian.PutUint32(priority, 1<<24)
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID,
		stun.NewUsername(value(p.answer, "ice-ufrag")+":"+value(p.pc.LocalDescription().SDP, "ice-ufrag")),
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
		stun.RawAttribute{Type: stun.AttrPriority, Value: priority},
		stun.NewShortTermIntegrity(value(p.answer, "ice-pwd")), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// TestManyRestarts: each costs sockets and candidates.
func TestManyRestarts(t *testing.T) {
	start := time.Unix(1000, 0)
	var passed atomic.Int64
	n := newNode(t, Options{Now: func() time.Time { return start.Add(time.Duration(passed.Load())) }})
	res, text := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
	if res.StatusCode != http.StatusCreated {
		t.Fatal(res.StatusCode, text)
	}
	restart := func(i int) response {
		fragment := fmt.Sprintf("a=ice-ufrag:abcd%d\r\na=ice-pwd:0123456789012345678901\r\n", i)
		res, _ := n.do(http.MethodPatch, res.Header.Get("Location"), typeFragment, fragment, "If-Match", "*")
		return res
	}
	for i := range restartBurst {
		if res := restart(i); res.StatusCode != http.StatusOK {
			t.Fatalf("restart %d: %d", i, res.StatusCode)
		}
	}
	if res := restart(100); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "5" {
		t.Errorf("one more: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	passed.Store(int64(restartInterval))
	if res := restart(101); res.StatusCode != http.StatusOK {
		t.Errorf("later: %d", res.StatusCode)
	}
}

func TestNamesOfLayers(t *testing.T) {
	for rid, ok := range map[string]bool{
		"h": true, "Hi0": true, strings.Repeat("a", maxRID): true,
		"": false, strings.Repeat("a", maxRID+1): false, "../x": false, "a-b": false, "ä": false, "a\u202e": false,
	} {
		if isRID(rid) != ok {
			t.Errorf("isRID(%q) is %v", rid, !ok)
		}
	}
	offer := func(rid, mid string) string {
		text := strings.Replace(goodOffer, "a=mid:0", "a=mid:"+mid, 1)
		text = strings.Replace(text, "BUNDLE 0", "BUNDLE "+mid, 1)
		return crlf(text + "a=rid:" + rid + " send\na=rid:l send\na=simulcast:send " + rid + ";l\n")
	}
	if _, err := parseOffer(offer("h_h", "0"), publishing); err == nil || !strings.Contains(err.Error(), "letters and digits") {
		t.Errorf("a name of a layer with an underscore: %v", err)
	}
	if _, err := parseOffer(offer("h", strings.Repeat("m", maxMID+1)), publishing); err == nil || !strings.Contains(err.Error(), "a=mid") {
		t.Errorf("a long a=mid: %v", err)
	}
}
