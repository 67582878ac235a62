package whip

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// lossy drops the first transmission of some packets of the client's media.
type lossy struct {
	interceptor.NoOp
	drop func(seq uint16) bool
}

func (l *lossy) NewInterceptor(string) (interceptor.Interceptor, error) { return l, nil }

func (l *lossy) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	var mu sync.Mutex
	seen := make(map[uint16]bool)
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		mu.Lock()
		first := h.SSRC == info.SSRC && !seen[h.SequenceNumber]
		seen[h.SequenceNumber] = true
		mu.Unlock()
		if first && l.drop(h.SequenceNumber) {
			return len(payload), nil
		}
		return w.Write(h, payload, a)
	})
}

func TestLostPacketsAreRecovered(t *testing.T) {
	tests := map[string][]webrtc.RTPCodecParameters{
		"by RTX":               {h264, h264RTX},
		"on the stream itself": {h264},
	}
	for name, codecs := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, Options{})
			responder, err := nack.NewResponderInterceptor()
			if err != nil {
				t.Fatal(err)
			}
			drop := func(seq uint16) bool { return seq%10 == 3 || seq >= 65530 }
			p := n.peer(peerOptions{codecs: codecs, interceptors: []interceptor.Factory{&lossy{drop: drop}, responder}})
			video := p.send(h264, "video")
			p.connect("/whip/cam")
			l := n.listen("cam")
			want := script(400)
			for drop(want[len(want)-1].seq) {
				want = want[:len(want)-1] // nothing follows that would show its loss
			}
			write(t, video, want)
			got := make(map[uint16][]byte)
			l.until("all packets", func() bool {
				for _, p := range l.packets {
					got[p.Seq] = p.Payload
				}
				return len(got) == len(want)
			})
			for _, w := range want {
				if payload, ok := got[w.seq]; ok && !bytes.Equal(payload, w.payload) {
					t.Errorf("packet %d has changed", w.seq)
				}
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			ssrc := l.packets[0].SSRC
			for _, p := range l.packets {
				if p.SSRC != ssrc {
					t.Fatalf("packet %d of SSRC %d, want %d", p.Seq, p.SSRC, ssrc)
				}
			}
			if len(l.packets) > len(want)+len(want)/10 {
				t.Errorf("%d packets for %d: recovered ones were asked for again", len(l.packets), len(want))
			}
		})
	}
}

// garbageSeq is the first of the sequence numbers that writeGarbage uses.
const garbageSeq = 65520

// mistyped sends some packets with a payload type that was not negotiated.
type mistyped struct{ interceptor.NoOp }

func (m *mistyped) NewInterceptor(string) (interceptor.Interceptor, error) { return m, nil }

func (m *mistyped) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if h.SequenceNumber >= garbageSeq && h.SequenceNumber < garbageSeq+4 {
			h.PayloadType = 50
		}
		return w.Write(h, payload, a)
	})
}

func TestGarbage(t *testing.T) {
	var log bytes.Buffer
	n := newNode(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, vp9, opus}, interceptors: []interceptor.Factory{&mistyped{}}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	conn, err := net.DialUDP("udp", nil, n.whip.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range 300 {
		junk := bytes.Repeat([]byte{byte(i)}, i)
		if _, err := conn.Write(junk); err != nil {
			t.Fatal(err)
		}
	}
	l := n.listen("cam")
	good := script(10)
	write(t, video, good[:5])
	l.until("media", func() bool { return len(l.packets) == 5 })
	writeGarbage(t, video)
	write(t, video, good[5:])
	l.until("media after the garbage", func() bool {
		last := l.packets[len(l.packets)-1]
		return last.Seq == good[9].seq && bytes.Equal(last.Payload, good[9].payload)
	})
	for _, pkt := range l.packets {
		if pkt.Track != 0 || pkt.Seq >= garbageSeq && pkt.Seq < garbageSeq+4 {
			t.Errorf("packet %d of track %d", pkt.Seq, pkt.Track)
		}
	}
	n.do(http.MethodDelete, p.location, "", "")
	n.close() // the log is complete
	if c := strings.Count(log.String(), "payload type 50 came, 102 was negotiated"); c != 1 {
		t.Errorf("%d log lines about ignored packets, want 1:\n%s", c, log.String())
	}
	if sum := l.discarded("payload type 50"); sum != 4 {
		t.Errorf("%d packets of payload type 50 are told, want 4", sum)
	}
}

// spoiler damages every tenth packet of media on its way.
type spoiler struct {
	net.PacketConn
	n, spoiled atomic.Int64
}

func (s *spoiler) WriteTo(b []byte, a net.Addr) (int, error) {
	if b[0] >= 128 && b[0] < 192 && b[1]&0x7f >= 96 && s.n.Add(1)%10 == 0 {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		s.spoiled.Add(1)
	}
	return s.PacketConn.WriteTo(b, a)
}

// TestDamagedPacketsAreCounted holds what is made of the messages of the WebRTC
// stack, which says only there that it cannot decrypt a packet.
func TestDamagedPacketsAreCounted(t *testing.T) {
	n := newNode(t, Options{})
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") //nolint:noctx // a local socket
	if err != nil {
		t.Fatal(err)
	}
	s := &spoiler{PacketConn: conn}
	mux := webrtc.NewICEUDPMux(nil, s)
	defer mux.Close()
	p := n.peer(peerOptions{
		codecs:   []webrtc.RTPCodecParameters{vp8}, // payload type 96
		settings: func(se *webrtc.SettingEngine) { se.SetICEUDPMux(mux) },
	})
	video := p.send(vp8, "video")
	p.connect("/whip/cam")
	l := n.listen("cam")
	write(t, video, script(400))
	l.until("media", func() bool { return len(l.packets) >= 300 })
	if res, _ := n.do(http.MethodDelete, p.location, "", ""); res.StatusCode != http.StatusOK {
		t.Fatal(res.StatusCode)
	}
	l.until("the end", func() bool { return l.left == 1 })
	if got, want := l.discarded(causeDecryption), s.spoiled.Load(); got != want || want == 0 {
		t.Errorf("%d damaged packets are counted, want %d", got, want)
	}
}

// writeGarbage sends, through the encrypted session, packets that lie about
// their padding and RTCP that is none.
func writeGarbage(t *testing.T, track *webrtc.TrackLocalStaticRTP) {
	t.Helper()
	seq := uint16(garbageSeq) // none twice: the replay protection would drop it
	for _, h := range []rtp.Header{
		{Version: 2},
		{Version: 2, Padding: true, PaddingSize: 200},
		{Version: 2, Extension: true, ExtensionProfile: 0xBEDE},
	} {
		for _, payload := range [][]byte{nil, {0}, {0xff}, bytes.Repeat([]byte{0xff}, 1000)} {
			h.SequenceNumber = seq
			seq++
			if err := track.WriteRTP(&rtp.Packet{Header: h, Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// renamed sends with another SSRC from some packet on, as an encoder that was started
// anew.
type renamed struct {
	interceptor.NoOp
	from int
	ssrc uint32
}

func (r *renamed) NewInterceptor(string) (interceptor.Interceptor, error) { return r, nil }

func (r *renamed) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	n := 0
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if n++; n > r.from {
			h.SSRC = r.ssrc
		}
		return w.Write(h, payload, a)
	})
}

// TestAnotherSSRCOnTheWire: packets of an SSRC that the offer does not name reach the
// subscribers, and its sender hears of key frames and losses.
func TestAnotherSSRCOnTheWire(t *testing.T) {
	for name, codecs := range map[string][]webrtc.RTPCodecParameters{
		"one m-line":  {h264, h264RTX},
		"two m-lines": {h264, h264RTX, opus},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, Options{})
			p := n.peer(peerOptions{codecs: codecs, interceptors: []interceptor.Factory{&renamed{from: 50, ssrc: 4242}}})
			video := p.send(h264, "video")
			if len(codecs) > 2 {
				p.send(opus, "audio")
			}
			p.connect("/whip/cam")
			l := n.listen("cam")
			want := script(100)
			write(t, video, want)
			l.until("all packets", func() bool { return len(l.packets) == len(want) })
			if err := same(l.packets, want); err != nil {
				t.Error(err)
			}
			if first, last := l.packets[49].SSRC, l.packets[50].SSRC; first == 4242 || last != 4242 {
				t.Errorf("SSRCs %d and %d, want another and 4242", first, last)
			}
			if len(l.discards) > 0 {
				t.Errorf("discarded: %+v", l.discards[0])
			}
		})
	}
}

// TestViewerWithManySSRCs: a viewer whose reports are of ever new sources costs little
// before its session ends, and disturbs nobody.
func TestViewerWithManySSRCs(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	v.connect("/whep/cam")
	for i := range uint32(10 * maxViewerBuffers) {
		report := &rtcp.ReceiverReport{SSRC: i, Reports: []rtcp.ReceptionReport{{SSRC: 1<<20 + i}}}
		if err := v.pc.WriteRTCP([]rtcp.Packet{report}); err != nil {
			break // the node has closed the session
		}
	}
	await.Until(t, "the viewer's session ends", func() bool { return !n.has(v.location) })
	l := n.listen("cam")
	write(t, video, script(20))
	l.until("media", func() bool { return len(l.packets) == 20 })
}

// TestOverrunsAreCounted: what the WebRTC stack drops because the node does not keep up
// is counted, too.
func TestOverrunsAreCounted(t *testing.T) {
	if *useDirect {
		return // nothing waits between the socket and the ingest
	}
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	l := n.listen("cam")
	write(t, video, script(10))
	l.until("media", func() bool { return len(l.packets) == 10 })
	n.whip.mu.Lock()
	var in *ingest
	for _, se := range n.whip.sessions {
		in, _ = se.taker.(*ingest)
	}
	n.whip.mu.Unlock()
	in.mu.Lock() // it takes no packet
	payload := make([]byte, 1100)
	overrun := func() bool {
		in.discarded.mu.Lock()
		defer in.discarded.mu.Unlock()
		return in.discarded.causes[causeOverrun] != nil
	}
	for i := 0; !overrun() && i < 20000; i++ {
		if err := video.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(100 + i)}, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 {
			time.Sleep(time.Millisecond)
		}
	}
	in.mu.Unlock()
	l.until("what was dropped is told", func() bool { return len(l.discards) > 0 })
	if got := l.discarded(causeOverrun); got == 0 {
		t.Errorf("discarded: %+v", *l.discards[0])
	}
}
