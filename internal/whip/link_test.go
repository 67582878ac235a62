package whip

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
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
	if status := p.post("/whip/cam"); status != 201 {
		t.Fatal(status)
	}
	_, inside, _ := net.SplitHostPort(nat.inside.LocalAddr().String())
	answer := strings.ReplaceAll(p.answer, " "+n.port()+" typ host", " "+inside+" typ host")
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	p.wait(webrtc.PeerConnectionStateConnected)
	pump(t, video)
	l := n.listen("cam")
	for range 2 {
		l.mu.Lock()
		l.packets = nil
		l.mu.Unlock()
		l.until("media", func() bool { return len(l.packets) > 20 })
		nat.rebind()
		l.mu.Lock()
		l.packets = nil
		l.mu.Unlock()
		l.until("media by the new port", func() bool { return len(l.packets) > 20 })
		for len(requests.c) > 0 {
			<-requests.c
		}
		eventually(t, "a key frame request by the new port", func() bool {
			l.sub.RequestKeyFrame(0)
			return len(requests.c) > 0
		})
	}
	if l.left != 0 {
		t.Error("the session ended")
	}
}
