package whip

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// patience bounds every wait of a test.
const patience = time.Minute

// useDirect lets the tests run with the node's own receiver.
var useDirect = flag.Bool("direct", false, "publish through the node's own receiver")

// node is a server under test, with its HTTP side.
type node struct {
	t       *testing.T
	streams *live.Streams
	whip    *Server
	http    *httptest.Server
}

func newNode(t *testing.T, o Options) *node {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	streams := live.New(live.Options{Logger: quiet, KeyFrameInterval: 50 * time.Millisecond, Keeper: keeper})
	o.Streams = streams
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	o.Direct = o.Direct || *useDirect
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, streams: streams, whip: s, http: httptest.NewServer(routes(s))}
	t.Cleanup(n.close)
	return n
}

// keeper is what a node gives to live.
func keeper(t media.Track) live.Keeper {
	if k := codec.NewKeeper(t); k != nil {
		return k
	}
	return nil
}

func (n *node) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.whip.Close(ctx); err != nil {
		n.t.Errorf("Close: %v", err)
	}
	n.streams.Close()
	n.http.Close()
}

// routes mounts the handlers and maps the errors that they return.
func routes(s *Server) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				http.Error(w, err.Error(), statusOf(err))
			}
		})
	}
	handle("POST /whip/{stream}", s.Publish)
	handle("OPTIONS /whip/{stream}", s.Options)
	handle("POST /whep/{stream}", s.Subscribe)
	handle("OPTIONS /session/{stream}/{session}", s.Options)
	handle("PATCH /session/{stream}/{session}", s.PatchSession)
	handle("DELETE /session/{stream}/{session}", s.DeleteSession)
	return mux
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.PreconditionFailed:
		return http.StatusPreconditionFailed
	case fault.PreconditionMissing:
		return http.StatusPreconditionRequired
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.UnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case fault.Unprocessable:
		return http.StatusUnprocessableEntity
	case fault.TooMany:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// response is what matters of an HTTP response.
type response struct {
	StatusCode int
	Header     http.Header
}

// do sends a request and returns the response and its body.
func (n *node) do(method, path, contentType, body string, headers ...string) (response, string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.http.URL+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return response{res.StatusCode, res.Header}, string(text)
}

// peer is a WebRTC client.
type peer struct {
	n        *node
	pc       *webrtc.PeerConnection
	location string
	etag     string
	answer   string
	states   chan webrtc.PeerConnectionState
}

// peerOptions makes a client's codecs and interceptors.
type peerOptions struct {
	codecs       []webrtc.RTPCodecParameters
	interceptors []interceptor.Factory
	settings     func(*webrtc.SettingEngine)
	extensions   []string
}

var (
	videoFB = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}, {Type: "transport-cc"}}
	h264    = webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000, RTCPFeedback: videoFB,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		}, PayloadType: 102,
	}
	h264RTX = webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=102"}, PayloadType: 103,
	}
	vp9 = webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, RTCPFeedback: videoFB, SDPFmtpLine: "profile-id=0"},
		PayloadType:        98,
	}
	vp8 = webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: videoFB},
		PayloadType:        96,
	}
	opus = webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
		}, PayloadType: 111,
	}
	allCodecs = []webrtc.RTPCodecParameters{vp8, vp9, h264, h264RTX, opus}
)

func (n *node) peer(o peerOptions) *peer {
	n.t.Helper()
	m := new(webrtc.MediaEngine)
	for _, c := range o.codecs {
		kind := webrtc.RTPCodecTypeVideo
		if strings.HasPrefix(c.MimeType, "audio/") {
			kind = webrtc.RTPCodecTypeAudio
		}
		if err := m.RegisterCodec(c, kind); err != nil {
			n.t.Fatal(err)
		}
	}
	for _, uri := range o.extensions {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo); err != nil {
			n.t.Fatal(err)
		}
	}
	registry := new(interceptor.Registry)
	for _, f := range o.interceptors {
		registry.Add(f)
	}
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.LoggerFactory = pionLogs{slog.New(slog.DiscardHandler)}
	if o.settings != nil {
		o.settings(&se)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(se)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		n.t.Fatal(err)
	}
	p := &peer{n: n, pc: pc, states: make(chan webrtc.PeerConnectionState, 16)}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { p.states <- s })
	n.t.Cleanup(func() { _ = pc.GracefulClose() })
	return p
}

// send adds a track that the peer publishes.
func (p *peer) send(c webrtc.RTPCodecParameters, id string) *webrtc.TrackLocalStaticRTP {
	p.n.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(c.RTPCodecCapability, id, "stream")
	if err != nil {
		p.n.t.Fatal(err)
	}
	sender, err := p.pc.AddTrack(track)
	if err != nil {
		p.n.t.Fatal(err)
	}
	go func() { // lets the interceptors see NACKs
		buf := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buf); err != nil {
				return
			}
		}
	}()
	return track
}

// receive adds a transceiver for a viewer.
func (p *peer) receive(kind webrtc.RTPCodecType) {
	p.n.t.Helper()
	_, err := p.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		p.n.t.Fatal(err)
	}
}

// offer returns the peer's offer with all candidates.
func (p *peer) offer() string {
	p.n.t.Helper()
	gathered := webrtc.GatheringCompletePromise(p.pc)
	o, err := p.pc.CreateOffer(nil)
	if err == nil {
		err = p.pc.SetLocalDescription(o)
	}
	if err != nil {
		p.n.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

// post sends the offer and returns the status.
func (p *peer) post(path string) int {
	p.n.t.Helper()
	res, body := p.n.do(http.MethodPost, path, "application/sdp", p.offer())
	p.location, p.etag, p.answer = res.Header.Get("Location"), res.Header.Get("ETag"), body
	return res.StatusCode
}

// connect posts the offer, applies the answer and waits for the connection.
func (p *peer) connect(path string) {
	p.n.t.Helper()
	if status := p.post(path); status != http.StatusCreated {
		p.n.t.Fatalf("POST %s = %d: %s", path, status, p.answer)
	}
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.answer})
	if err != nil {
		p.n.t.Fatal(err)
	}
	p.wait(webrtc.PeerConnectionStateConnected)
}

func (p *peer) wait(want webrtc.PeerConnectionState) {
	p.n.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-p.states:
			if s == want {
				return
			}
		case <-timeout:
			p.n.t.Fatalf("the client did not become %s", want)
		}
	}
}

// port returns the media port.
func (n *node) port() string { return strconv.Itoa(n.whip.Addr().Port) }
