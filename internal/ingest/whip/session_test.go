package whip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// pump writes packets until the test or stop ends, so that something flows.
func pump(t *testing.T, track *webrtc.TrackLocalStaticRTP) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
			err := track.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(i), Timestamp: uint32(i * 3000), Marker: true},
				Payload: fmt.Appendf(nil, "packet %d", i),
			})
			if err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("write: %v", err)
				return
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(done); <-stopped }) }
	t.Cleanup(stop)
	return stop
}

// watch returns the packets that a viewer receives.
func watch(p *peer) <-chan *rtp.Packet {
	c := make(chan *rtp.Packet, 10000)
	p.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			pkt, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			select {
			case c <- pkt:
			default:
			}
		}
	})
	return c
}

func next(t *testing.T, c <-chan *rtp.Packet) *rtp.Packet {
	t.Helper()
	select {
	case p := <-c:
		return p
	case <-time.After(patience):
		t.Fatal("the viewer receives nothing")
		return nil
	}
}

// keyFrameRequests counts the PLIs that a publisher gets. It replaces the
// reader that send starts.
type keyFrameRequests struct {
	interceptor.NoOp
	c chan struct{}
}

func (k *keyFrameRequests) NewInterceptor(string) (interceptor.Interceptor, error) { return k, nil }

func (k *keyFrameRequests) BindRTCPReader(r interceptor.RTCPReader) interceptor.RTCPReader {
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := r.Read(b, a)
		if err == nil {
			pkts, _ := rtcp.Unmarshal(b[:n])
			for _, p := range pkts {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					k.c <- struct{}{}
				}
			}
		}
		return n, a, err
	})
}

func TestViewer(t *testing.T) {
	n := newNode(t, Options{})
	requests := &keyFrameRequests{c: make(chan struct{}, 1000)}
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, opus}, interceptors: []interceptor.Factory{requests}})
	video := p.send(h264, "video")
	p.send(opus, "audio")
	p.connect("/whip/cam")
	stop := pump(t, video)
	l := n.listen("cam")
	l.until("media", func() bool { return len(l.packets) > 0 })

	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	v.receive(webrtc.RTPCodecTypeAudio)
	got := watch(v)
	v.connect("/whep/cam")
	select {
	case <-requests.c:
	case <-time.After(patience):
		t.Fatal("no key frame was asked for")
	}
	first := next(t, got)
	for i := range 50 {
		pkt := next(t, got)
		if want := first.SequenceNumber + uint16(i) + 1; pkt.SequenceNumber != want {
			t.Fatalf("sequence number %d, want %d", pkt.SequenceNumber, want)
		}
		if !bytes.HasPrefix(pkt.Payload, []byte("packet ")) {
			t.Fatalf("payload %q", pkt.Payload)
		}
	}
	st, err := n.streams.Get("cam")
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Info().Subscribe.Sessions; len(s) != 1 || s[0].State != "connected" {
		t.Errorf("viewers %+v", s)
	}

	for len(requests.c) > 0 {
		<-requests.c
	}
	ssrc := uint32(v.pc.GetReceivers()[0].Track().SSRC())
	if err := v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-requests.c:
	case <-time.After(patience):
		t.Error("the viewer's PLI did not reach the publisher")
	}

	stop()
	if res, _ := n.do(http.MethodDelete, v.location, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d", res.StatusCode)
	}
	if s := st.Info().Subscribe.Sessions; len(s) != 0 {
		t.Errorf("viewers after DELETE: %+v", s)
	}
}

// A sender that sends its parameter sets once is watched by who comes later.
func TestViewerIsToldParameterSets(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, opus}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	sets := [][]byte{{0x67, 66, 0xc0, 10, 0xda, 0x79}, {0x68, 0xc0}}
	l := n.listen("cam")
	for i, set := range sets {
		if err := video.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 65500 + uint16(i)}, Payload: set}); err != nil {
			t.Fatal(err)
		}
	}
	l.until("the sets", func() bool { return len(l.packets) >= len(sets) })
	pump(t, video)

	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	got := watch(v)
	v.connect("/whep/cam")
	var told []*rtp.Packet
	last := next(t, got)
	for range 200 {
		if last.Payload[0]&0x1f == 7 || last.Payload[0]&0x1f == 8 {
			told = append(told, last)
		}
		pkt := next(t, got)
		if want := last.SequenceNumber + 1; pkt.SequenceNumber != want {
			t.Fatalf("sequence number %d, want %d", pkt.SequenceNumber, want)
		}
		if len(told) > 0 && last == told[len(told)-1] && pkt.Timestamp != last.Timestamp {
			t.Errorf("a parameter set has timestamp %d, what follows it %d", last.Timestamp, pkt.Timestamp)
		}
		last = pkt
	}
	if len(told) < 2 || !bytes.Equal(told[0].Payload, sets[0]) || !bytes.Equal(told[1].Payload, sets[1]) {
		t.Errorf("the viewer was told %d sets", len(told))
	}
}

func TestAnswerOfAnyStreamID(t *testing.T) {
	msid := regexp.MustCompile(`^(a=ssrc:\d+ |a=)msid:[\w-]{1,64} [\w-]{1,64}\r?\n$`) // RFC 8830 section 2
	for _, id := range []string{"cam", "front door", "m=video", "门口", strings.Repeat("x", 100)} {
		n := newNode(t, Options{})
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, opus}})
		p.send(h264, "video")
		p.send(opus, "audio")
		p.connect("/whip/" + url.PathEscape(id))
		v := n.peer(peerOptions{codecs: allCodecs})
		v.receive(webrtc.RTPCodecTypeVideo)
		v.receive(webrtc.RTPCodecTypeAudio)
		if status := v.post("/whep/" + url.PathEscape(id)); status != http.StatusCreated {
			t.Fatalf("stream %q: status %d: %s", id, status, v.answer)
		}
		found := 0
		for line := range strings.Lines(v.answer) {
			if !strings.Contains(line, "msid:") {
				continue
			}
			found++
			if !msid.MatchString(line) {
				t.Errorf("stream %q: %q is refused by browsers", id, line)
			}
		}
		if found < 2 {
			t.Errorf("stream %q: %d tracks are named", id, found)
		}
	}
}

func TestViewerSeesOneStreamOverReconnects(t *testing.T) {
	n := newNode(t, Options{})
	publish := func() (*peer, func()) {
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
		video := p.send(h264, "video")
		p.connect("/whip/cam")
		return p, pump(t, video)
	}
	p, stop := publish()
	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	v.receive(webrtc.RTPCodecTypeAudio) // not there: inactive
	got := watch(v)
	v.connect("/whep/cam")
	if audio := sectionOf(v.answer, "audio"); !strings.Contains(audio, "a=inactive") {
		t.Errorf("audio without a track: %s", audio)
	}
	last := next(t, got)
	stop()
	n.do(http.MethodDelete, p.location, "", "")
	_, stop = publish()
	for restarted := false; !restarted; {
		pkt := next(t, got)
		if pkt.SequenceNumber != last.SequenceNumber+1 || int32(pkt.Timestamp-last.Timestamp) <= 0 || pkt.SSRC != last.SSRC {
			t.Fatalf("packet %d at %d of %d after %d at %d of %d", pkt.SequenceNumber, pkt.Timestamp, pkt.SSRC, last.SequenceNumber, last.Timestamp, last.SSRC)
		}
		restarted = string(pkt.Payload) == "packet 50" && last.SequenceNumber > 60
		last = pkt
		if len(got) == cap(got) {
			t.Fatal("the second publisher is not seen")
		}
	}
	stop()

	// Another codec: the player has to come again.
	st, err := n.streams.Get("cam")
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := st.Publication()
	n.do(http.MethodDelete, "/session/cam/"+pub.Session().ID, "", "")
	p2 := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{vp9}})
	p2.send(vp9, "video")
	p2.connect("/whip/cam")
	await.Until(t, "the viewer is sent away", func() bool { return len(st.Info().Subscribe.Sessions) == 0 })
}

func TestDeletedStreamEndsItsSessions(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	p.send(h264, "video")
	p.connect("/whip/cam")
	v := n.peer(peerOptions{codecs: allCodecs})
	v.receive(webrtc.RTPCodecTypeVideo)
	v.connect("/whep/cam")
	if err := n.streams.Delete("cam"); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{p.location, v.location} {
		await.Until(t, "the session is gone", func() bool { return !n.has(location) })
	}
}

func TestClientThatClosesEndsItsSession(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264}})
	p.send(h264, "video")
	p.connect("/whip/cam")
	if err := p.pc.Close(); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the stream is gone", func() bool { return len(n.streams.List()) == 0 })
	if res, _ := n.do(http.MethodDelete, p.location, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("DELETE after its end: %d, want 200", res.StatusCode)
	}
}

// mute drops what a client sends, as a cable that is pulled.
type mute struct {
	net.PacketConn
	mu  sync.Mutex
	off bool
}

func (m *mute) WriteTo(b []byte, a net.Addr) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return len(b), nil
	}
	return m.PacketConn.WriteTo(b, a)
}

func TestSilentClientIsReaped(t *testing.T) {
	n := newNode(t, Options{})
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") //nolint:noctx // a local socket
	if err != nil {
		t.Fatal(err)
	}
	cable := &mute{PacketConn: conn}
	mux := webrtc.NewICEUDPMux(nil, cable)
	defer mux.Close()
	p := n.peer(peerOptions{
		codecs:   []webrtc.RTPCodecParameters{h264},
		settings: func(se *webrtc.SettingEngine) { se.SetICEUDPMux(mux) },
	})
	p.send(h264, "video")
	p.connect("/whip/cam")
	cable.mu.Lock()
	cable.off = true
	cable.mu.Unlock()
	start := time.Now()
	await.Until(t, "the stream is gone", func() bool { return len(n.streams.List()) == 0 })
	if d := time.Since(start); d < iceDisconnected {
		t.Errorf("it took %v, want about %v", d, iceDisconnected+iceFailed)
	}
}

func TestICERestart(t *testing.T) {
	n := newNode(t, Options{})
	p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, opus}})
	video := p.send(h264, "video")
	p.connect("/whip/cam")
	pump(t, video)
	l := n.listen("cam")
	l.until("media before", func() bool { return len(l.packets) > 20 })

	for round := range 2 {
		offer, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
		if err == nil {
			err = p.pc.SetLocalDescription(offer)
		}
		if err != nil {
			t.Fatal(err)
		}
		var local sdp.SessionDescription
		if err := local.UnmarshalString(offer.SDP); err != nil {
			t.Fatal(err)
		}
		ufrag, _ := local.MediaDescriptions[0].Attribute("ice-ufrag")
		password, _ := local.MediaDescriptions[0].Attribute("ice-pwd")
		tag := "*"
		if round == 1 {
			tag = p.etag
		}
		res, body := n.do(http.MethodPatch, p.location, typeFragment,
			"a=ice-ufrag:"+ufrag+"\r\na=ice-pwd:"+password+"\r\n", "If-Match", tag)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != typeFragment {
			t.Fatalf("PATCH: %d %s", res.StatusCode, body)
		}
		if etag := res.Header.Get("ETag"); etag == "" || etag == p.etag {
			t.Errorf("ETag %q after %q", etag, p.etag)
		}
		old := p.etag
		p.etag = res.Header.Get("ETag")
		if res, _ := n.do(http.MethodPatch, p.location, typeFragment, "", "If-Match", old); res.StatusCode != http.StatusPreconditionFailed {
			t.Errorf("old tag: %d, want 412", res.StatusCode)
		}
		p.applyRestart(body)
		p.waitPair(body)
		l.mu.Lock()
		before := len(l.packets)
		l.mu.Unlock()
		l.until("media after the restart", func() bool { return len(l.packets) > before+100 })
	}
	if l.left != 0 || len(l.joined) != 1 {
		t.Errorf("the publication did not go on: joined %d, left %d", len(l.joined), l.left)
	}
}

// TestICERestartCanBeRepeated: a client that has not got the answer asks again.
func TestICERestartCanBeRepeated(t *testing.T) {
	n := newNode(t, Options{})
	res, _ := n.do(http.MethodPost, "/whip/cam", typeSDP, crlf(goodOffer))
	location, old := res.Header.Get("Location"), res.Header.Get("ETag")
	const fragment = "a=ice-ufrag:newufrag\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"

	// The client is gone before the node has its answer.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodPatch, location, strings.NewReader(fragment)).WithContext(ctx)
	r.Header.Set("Content-Type", typeFragment)
	r.Header.Set("If-Match", "*")
	first := httptest.NewRecorder()
	routes(n.whip).ServeHTTP(first, r)
	if first.Code != http.StatusOK {
		t.Fatalf("restart: %d %s", first.Code, first.Body)
	}
	etag := first.Header().Get("ETag")
	for range 2 {
		res, body := n.do(http.MethodPatch, location, typeFragment, fragment, "If-Match", "*")
		if res.StatusCode != http.StatusOK || body != first.Body.String() || res.Header.Get("ETag") != etag {
			t.Errorf("again: %d, ETag %q after %q, %q", res.StatusCode, res.Header.Get("ETag"), etag, body)
		}
	}
	if etag == old || !strings.Contains(first.Body.String(), "a=ice-ufrag:") {
		t.Errorf("ETag %q after %q, %q", etag, old, first.Body)
	}
	// Trickle ICE names the credentials too; who knows the tag has the answer.
	if res, body := n.do(http.MethodPatch, location, typeFragment, fragment, "If-Match", etag); res.StatusCode != http.StatusNoContent {
		t.Errorf("trickle: %d %s", res.StatusCode, body)
	}
}

// applyRestart puts the credentials and candidates of a fragment in the answer.
func (p *peer) applyRestart(fragment string) {
	p.n.t.Helper()
	value := func(key string) string {
		_, v, ok := strings.Cut(fragment, "a="+key+":")
		if !ok {
			p.n.t.Fatalf("the fragment lacks %s:\n%s", key, fragment)
		}
		v, _, _ = strings.Cut(v, "\r\n")
		return v
	}
	if !strings.Contains(fragment, "a=ice-lite\r\n") || !strings.Contains(fragment, "a=candidate:") {
		p.n.t.Errorf("fragment:\n%s", fragment)
	}
	var b strings.Builder
	for line := range strings.Lines(p.answer) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			line = "a=ice-ufrag:" + value("ice-ufrag") + "\r\n"
		case strings.HasPrefix(line, "a=ice-pwd:"):
			line = "a=ice-pwd:" + value("ice-pwd") + "\r\n"
		}
		b.WriteString(line)
	}
	p.answer = b.String()
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.answer})
	if err != nil {
		p.n.t.Fatal(err)
	}
}

// waitPair waits until the client uses the node's new credentials.
func (p *peer) waitPair(fragment string) {
	p.n.t.Helper()
	await.Until(p.n.t, "the client is connected anew", func() bool {
		params, err := p.pc.SCTP().Transport().ICETransport().GetRemoteParameters()
		return err == nil && strings.Contains(fragment, "a=ice-ufrag:"+params.UsernameFragment+"\r\n") &&
			p.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected
	})
}

func TestCloseLeavesNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		n := newNode(t, Options{})
		p := n.peer(peerOptions{codecs: []webrtc.RTPCodecParameters{h264, opus}})
		video := p.send(h264, "video")
		p.connect("/whip/cam")
		v := n.peer(peerOptions{codecs: allCodecs})
		v.receive(webrtc.RTPCodecTypeVideo)
		got := watch(v)
		v.connect("/whep/cam")
		stop := pump(t, video)
		next(t, got)
		n.do(http.MethodPost, "/whip/pending", "application/sdp", crlf(goodOffer)) // never connects
		stop()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := n.whip.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if res, _ := n.do(http.MethodPost, "/whip/late", "application/sdp", crlf(goodOffer)); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("POST after Close: %d, want 503", res.StatusCode)
		}
		for _, c := range []*peer{p, v} {
			if err := c.pc.GracefulClose(); err != nil {
				t.Error(err)
			}
		}
		n.http.Close()
		http.DefaultClient.CloseIdleConnections()
	}()
	await.Until(t, "all goroutines end", func() bool {
		if runtime.NumGoroutine() <= before {
			return true
		}
		runtime.Gosched()
		return false
	})
}
