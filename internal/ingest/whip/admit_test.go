package whip

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/testkit/await"
)

// offerFrom posts an offer as a client at an address, with credentials.
func (n *node) offerFrom(path, address, owner string) error {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(crlf(goodOffer)))
	r.Header.Set("Content-Type", typeSDP)
	r.RemoteAddr = address + ":1"
	r = r.WithContext(live.WithClient(r.Context(), live.Client{Owner: owner}))
	r.SetPathValue("stream", strings.TrimPrefix(path, "/whip/"))
	return n.whip.Publish(httptest.NewRecorder(), r)
}

// TestUnconnectedSessions: a thousand offers of somebody who never connects take no
// place from those who do.
func TestUnconnectedSessions(t *testing.T) {
	var passed atomic.Int64
	start := time.Now()
	n := newNode(t, Options{
		MaxSessions: 2, MaxUnconnected: 4, addresses: machine(),
		Now: func() time.Time { return start.Add(time.Duration(passed.Load())) },
	})
	flood := func() (refused int) {
		for i := range 20 {
			if err := n.offerFrom("/whip/flood"+strconv.Itoa(i)+"-"+strconv.Itoa(int(passed.Load())), "192.0.2.1", ""); err != nil {
				if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "4 sessions that are not connected") {
					t.Fatal(err)
				}
				refused++
			}
		}
		return refused
	}
	if got := flood(); got != 16 {
		t.Errorf("%d offers are refused, want 16", got)
	}
	for i := range 2 { // others have their turn, again and again
		if err := n.offerFrom("/whip/other"+strconv.Itoa(i), "192.0.2."+strconv.Itoa(2+i), ""); err != nil {
			t.Errorf("from another address: %v", err)
		}
		flood()
	}
	passed.Store(int64(evictAfter) + 1)
	for _, name := range []string{"/whip/a", "/whip/b"} {
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
		p.send(h264, "video")
		p.connect(name) // while the others are there
	}
	await.Until(t, "the node knows that both are connected", func() bool {
		n.whip.mu.Lock()
		defer n.whip.mu.Unlock()
		connected, _ := n.whip.count()
		return connected == 2
	})
	if err := n.offerFrom("/whip/c", "192.0.2.9", ""); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "limit of 2 sessions") {
		t.Errorf("more than are to be connected: %v", err)
	}
}

// TestTooManyConnected: who was let in while there was room may come too late.
func TestTooManyConnected(t *testing.T) {
	n := newNode(t, Options{MaxSessions: 1})
	var peers []*peer
	for _, name := range []string{"/whip/a", "/whip/b"} {
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
		p.send(h264, "video")
		if status := p.post(name); status != http.StatusCreated {
			t.Fatal(status)
		}
		peers = append(peers, p)
	}
	for i, p := range peers {
		if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.answer}); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the other may be sent away before it is connected on its side
			p.wait(webrtc.PeerConnectionStateConnected)
		}
	}
	await.Until(t, "one of them ends", func() bool { return n.has(peers[0].location) != n.has(peers[1].location) })
}

// TestQuotas: sessions count among those of their owner until they have ended.
func TestQuotas(t *testing.T) {
	n := newNode(t, Options{Quotas: quota.New(quota.Options{Each: quota.Limits{Count: quota.Counts{quota.Publishers: 1}}})})
	for range 2 {
		if err := n.offerFrom("/whip/a", "192.0.2.1", "token 1"); err != nil {
			t.Fatal(err)
		}
		if err := n.offerFrom("/whip/b", "192.0.2.1", "token 1"); fault.KindOf(err) != fault.TooMany {
			t.Errorf("one more: %v", err)
		}
		if err := n.offerFrom("/whip/c", "192.0.2.1", "token 2"); err != nil {
			t.Errorf("of another: %v", err)
		}
		n.whip.mu.Lock()
		var all []*session
		for _, se := range n.whip.sessions {
			all = append(all, se)
		}
		n.whip.mu.Unlock()
		for _, se := range all {
			n.do(http.MethodDelete, "/session/"+se.stream+"/"+se.id, "", "")
		}
	}
}

// TestBitrateLimit: who sends too much is sent away.
func TestBitrateLimit(t *testing.T) {
	var calls atomic.Int64
	start := time.Now()
	now := func() time.Time { return start.Add(time.Duration(calls.Add(1)) * 10 * time.Second) } // each look is a span later
	n := newNode(t, Options{Quotas: quota.New(quota.Options{All: quota.Limits{StreamBitrate: 1}, Now: now})})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	write(t, video, script(200))
	await.Until(t, "the session ends", func() bool { return !n.has(p.location) })
}
