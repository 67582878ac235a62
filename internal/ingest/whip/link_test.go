package whip

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// nat forwards between a client and the node, as a NAT does that can give the client
// another port at any time.
type nat struct {
	t      *testing.T
	inside *net.UDPConn // what the client sends to
	node   *net.UDPAddr
	client atomic.Pointer[net.UDPAddr]

	mu      sync.Mutex
	outside *net.UDPConn // what the node sees
	wg      sync.WaitGroup
}

func newNAT(t *testing.T, node *net.UDPAddr) *nat {
	t.Helper()
	n := &nat{t: t, node: node}
	var err error
	if n.inside, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	n.rebind()
	n.wg.Go(n.out)
	t.Cleanup(func() {
		_ = n.inside.Close()
		n.mu.Lock()
		_ = n.outside.Close()
		n.mu.Unlock()
		n.wg.Wait()
	})
	return n
}

// rebind gives the client another port; what is sent to the old one is lost.
func (n *nat) rebind() {
	n.t.Helper()
	next, err := net.DialUDP("udp4", nil, n.node)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	if n.outside != nil {
		_ = n.outside.Close()
	}
	n.outside = next
	n.mu.Unlock()
	n.wg.Go(func() { n.in(next) })
}

func (n *nat) out() {
	buf := make([]byte, 2000)
	for {
		size, from, err := n.inside.ReadFromUDP(buf)
		if err != nil {
			return
		}
		n.client.Store(from)
		n.mu.Lock()
		_, _ = n.outside.Write(buf[:size])
		n.mu.Unlock()
	}
}

func (n *nat) in(from *net.UDPConn) {
	buf := make([]byte, 2000)
	for {
		size, err := from.Read(buf)
		if err != nil {
			return
		}
		if to := n.client.Load(); to != nil {
			_, _ = n.inside.WriteToUDP(buf[:size], to)
		}
	}
}

// TestRebindingNAT: the session of a client that gets another port, and neither knows
// nor nominates, goes on, and what the node sends takes the new way.
func TestRebindingNAT(t *testing.T) {
	n := newNode(t, Options{addresses: machine()})
	nat := newNAT(t, n.whip.Addr())
	requests := &keyFrameRequests{c: make(chan struct{}, 1000)}
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}, interceptors: []interceptor.Factory{requests}})
	video := p.send(h264, "video")
	p.connectBehind(nat, "/whip/cam")
	pump(t, video)
	l := n.listen("cam")
	for range 3 {
		l.mu.Lock()
		before := len(l.packets)
		l.mu.Unlock()
		l.until("media", func() bool { return len(l.packets) > before+20 })
		nat.rebind()
		l.until("media by the new port", func() bool { return len(l.packets) > before+50 })
		for len(requests.c) > 0 {
			<-requests.c
		}
		await.Until(t, "a key frame request by the new port", func() bool {
			l.sub.RequestKeyFrame(0)
			return len(requests.c) > 0
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := uint16(0)
	for i := 1; i < len(l.packets); i++ {
		lost += l.packets[i].Seq - l.packets[i-1].Seq - 1
	}
	if l.left != 0 || lost > 30 { // of some that were on their way
		t.Errorf("the session ended %d times, %d packets are missing", l.left, lost)
	}
	if len(l.discards) > 0 {
		t.Errorf("discarded: %+v", *l.discards[0])
	}
}

// TestRebindingViewer: a viewer that gets another port sends nothing but reports and
// checks, and goes on to see the stream once one of its checks has come by the new way.
func TestRebindingViewer(t *testing.T) {
	n := newNode(t, Options{addresses: machine()})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	pump(t, video)
	nat := newNAT(t, n.whip.Addr())
	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	got := watch(v)
	v.connectBehind(nat, "/whep/cam")
	for range 2 {
		next(t, got)
		nat.rebind()
		for len(got) > 0 {
			<-got
		}
		for range 200 { // more than was on its way
			next(t, got)
		}
	}
	st, err := n.streams.Get("cam")
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Info().Subscribe.Sessions; len(s) != 1 {
		t.Errorf("viewers %+v", s)
	}
}

// connectBehind is connect for a client behind a NAT.
func (p *peer) connectBehind(nat *nat, path string) {
	p.n.t.Helper()
	if status := p.post(path); status != http.StatusCreated {
		p.n.t.Fatalf("POST %s = %d: %s", path, status, p.answer)
	}
	_, inside, _ := net.SplitHostPort(nat.inside.LocalAddr().String())
	answer := strings.ReplaceAll(p.answer, " "+p.n.port()+" typ host", " "+inside+" typ host")
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		p.n.t.Fatal(err)
	}
	p.wait(webrtc.PeerConnectionStateConnected)
}

// TestStrangerWithTheSSRC: who knows a client's SSRC and not its keys gets nowhere, and
// leaves no trace in what is told of the client's packets.
func TestStrangerWithTheSSRC(t *testing.T) {
	n := newNode(t, Options{addresses: machine()})
	requests := &keyFrameRequests{c: make(chan struct{}, 1000)}
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}, interceptors: []interceptor.Factory{requests}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	l := n.listen("cam")
	write(t, video, script(20))
	l.until("media", func() bool { return len(l.packets) == 20 })
	stranger := dialFrom(t, "127.0.0.1", n.whip.Addr())
	for i := range 3 * maxTries {
		h := rtp.Header{Version: 2, SSRC: l.packets[0].SSRC, PayloadType: 102, SequenceNumber: uint16(i)}
		b, err := h.Marshal()
		if err == nil {
			_, err = stranger.Write(append(b, make([]byte, 100)...))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, video, []sent{{seq: 65520, payload: []byte("after")}})
	l.until("media", func() bool { return len(l.packets) == 21 })
	await.Until(t, "a key frame request to the client", func() bool {
		l.sub.RequestKeyFrame(0)
		return len(requests.c) > 0
	})
	if len(n.whip.sockets.paths.now.Load().sendTo) > 0 {
		t.Error("the stranger was taken for the client")
	}
	n.do("DELETE", p.location, "", "")
	l.until("the end", func() bool { return l.left == 1 })
	if len(l.discards) > 0 {
		t.Errorf("discarded: %+v", *l.discards[0])
	}
}

// TestPathsAreForgotten: nothing stays of a session, and an SSRC that two have tells
// nothing.
func TestPathsAreForgotten(t *testing.T) {
	p := newPaths()
	a, b := new(session), new(session)
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port) }
	for _, se := range []*session{a, b} {
		old := at(1)
		se.link.remote.Store(&old)
	}
	packet := []byte{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	p.check(a, at(1))
	if got, _ := p.arrived(packet, at(2)); got != at(2) {
		t.Errorf("an unknown SSRC comes from %v", got)
	}
	p.register(7, a)
	if got, _ := p.arrived(packet, at(2)); got != at(1) {
		t.Errorf("a packet of the session comes from %v, want its address", got)
	}
	p.move(a, at(1), at(2))
	if got := p.destination(at(1)); got != at(2) {
		t.Errorf("sent to %v, want the new address", got)
	}
	p.register(7, b)
	if got, _ := p.arrived(packet, at(3)); got != at(3) {
		t.Errorf("an SSRC of two comes from %v", got)
	}
	p.register(8, a)
	for i := range uint16(3 * maxAddresses) {
		if _, room := p.check(a, at(100+i)); room != (len(a.link.addresses) < maxAddresses || p.now.Load().checked[at(100+i)] == a) {
			t.Fatalf("address %d: room is %v", i, room)
		}
	}
	if got := len(p.now.Load().checked) + len(p.now.Load().moved); len(a.link.addresses) != maxAddresses || got != maxAddresses {
		t.Errorf("%d addresses are kept, want %d", got, maxAddresses)
	}
	p.forget(a)
	if now := p.now.Load(); len(now.checked)+len(now.moved)+len(now.sendTo)+len(now.sources) > 0 {
		t.Errorf("left: %+v", now)
	}
}
