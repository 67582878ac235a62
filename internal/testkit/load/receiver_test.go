package load

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/media"
)

// receiver is a minimal WHIP endpoint that keeps everything it receives.
type receiver struct {
	t     *testing.T
	url   string
	nacks bool // ask for lost packets
	video webrtc.RTPCodecCapability

	onPacket func(pc *webrtc.PeerConnection, kind media.Kind, n int, p *rtp.Packet) // may be nil

	mu      sync.Mutex
	pc      *webrtc.PeerConnection
	tokens  []string // Authorization of the requests
	packets map[media.Kind][]arrival
	reports map[media.Kind][]*rtcp.SenderReport
	deleted bool
	readers sync.WaitGroup
}

type arrival struct {
	rtp.Packet
	at time.Time
}

// newReceiver starts an endpoint that takes the codec of src for video.
func newReceiver(t *testing.T, nacks bool, src *Source) *receiver {
	t.Helper()
	r := &receiver{
		t: t, nacks: nacks,
		packets: map[media.Kind][]arrival{}, reports: map[media.Kind][]*rtcp.SenderReport{},
	}
	if src != nil {
		r.video = capabilities(src)[0]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whip/test", r.post)
	mux.HandleFunc("DELETE /session/1", r.delete)
	server := httptest.NewServer(mux)
	r.url = server.URL + "/whip/test"
	t.Cleanup(func() {
		server.Close()
		r.close()
	})
	return r
}

func (r *receiver) api() (*webrtc.API, error) {
	engine := &webrtc.MediaEngine{}
	var feedback []webrtc.RTCPFeedback
	if r.nacks {
		feedback = []webrtc.RTCPFeedback{{Type: "nack"}}
	}
	opus := webrtc.RTPCodecCapability{MimeType: "audio/opus", ClockRate: 48000, Channels: 2, RTCPFeedback: feedback}
	codecs := []webrtc.RTPCodecParameters{{RTPCodecCapability: opus, PayloadType: 111}}
	if r.video.MimeType != "" {
		video := r.video
		video.RTCPFeedback = append([]webrtc.RTCPFeedback{{Type: "nack", Parameter: "pli"}}, feedback...)
		rtx := webrtc.RTPCodecCapability{MimeType: "video/rtx", ClockRate: 90000, SDPFmtpLine: "apt=96"}
		codecs = append(codecs, webrtc.RTPCodecParameters{RTPCodecCapability: video, PayloadType: 96},
			webrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: 97})
	}
	for i, c := range codecs {
		kind := webrtc.RTPCodecTypeVideo
		if i == 0 {
			kind = webrtc.RTPCodecTypeAudio
		}
		if err := engine.RegisterCodec(c, kind); err != nil {
			return nil, err
		}
	}
	registry := &interceptor.Registry{}
	if r.nacks {
		generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(10 * time.Millisecond))
		if err != nil {
			return nil, err
		}
		registry.Add(generator)
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.DisableSRTPReplayProtection(true) // or it would hide duplicates
	settings.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings)), nil
}

func (r *receiver) post(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.tokens = append(r.tokens, req.Header.Get("Authorization"))
	r.mu.Unlock()
	offer, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := r.answer(string(offer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Location", "/session/1")
	w.Header().Set("Content-Type", "application/sdp")
	w.WriteHeader(http.StatusCreated)
	if _, err := io.WriteString(w, answer); err != nil {
		r.t.Errorf("write answer: %v", err)
	}
}

func (r *receiver) answer(offer string) (string, error) {
	api, err := r.api()
	if err != nil {
		return "", err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	r.pc = pc
	r.mu.Unlock()
	pc.OnTrack(func(track *webrtc.TrackRemote, rtpReceiver *webrtc.RTPReceiver) {
		r.readers.Go(func() { r.readReports(track, rtpReceiver) })
		r.readPackets(pc, track)
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

func kindOf(track *webrtc.TrackRemote) media.Kind {
	if track.Kind() == webrtc.RTPCodecTypeVideo {
		return media.Video
	}
	return media.Audio
}

func (r *receiver) readPackets(pc *webrtc.PeerConnection, track *webrtc.TrackRemote) {
	kind := kindOf(track)
	r.readers.Add(1)
	defer r.readers.Done()
	for n := 1; ; n++ {
		// A retransmission is seen when a read begins, so that none may wait for
		// the next packet of the track: after the last there is none.
		if err := track.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return
		}
		p, _, err := track.ReadRTP()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			n--
			continue
		}
		if err != nil {
			return
		}
		r.mu.Lock()
		r.packets[kind] = append(r.packets[kind], arrival{*p, time.Now()})
		r.mu.Unlock()
		if r.onPacket != nil {
			r.onPacket(pc, kind, n, p)
		}
	}
}

func (r *receiver) readReports(track *webrtc.TrackRemote, rtpReceiver *webrtc.RTPReceiver) {
	for {
		packets, _, err := rtpReceiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == uint32(track.SSRC()) {
				r.mu.Lock()
				r.reports[kindOf(track)] = append(r.reports[kindOf(track)], sr)
				r.mu.Unlock()
			}
		}
	}
}

func (r *receiver) delete(_ http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.deleted = true
	r.tokens = append(r.tokens, req.Header.Get("Authorization"))
	r.mu.Unlock()
	r.close()
}

// close ends the session and waits until everything that arrived is kept.
func (r *receiver) close() {
	r.mu.Lock()
	pc := r.pc
	r.pc = nil
	r.mu.Unlock()
	if pc == nil {
		return
	}
	if err := pc.GracefulClose(); err != nil {
		r.t.Errorf("close receiver: %v", err)
	}
	r.readers.Wait()
}

// publish runs a publisher against r and returns its log.
func (r *receiver) publish(ctx context.Context, o Options) *Log {
	r.t.Helper()
	o.URL = r.url
	if o.Drain == 0 {
		o.Drain = time.Second
	}
	p, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the publisher did not end by itself"))
	defer cancel()
	log, err := p.Run(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if context.Cause(ctx) != nil && ctx.Err() == context.DeadlineExceeded {
		r.t.Fatal(context.Cause(ctx))
	}
	return log
}

// bySequence returns the packets of a track in sequence order, each once, and
// the number of duplicates and of packets that arrived after a later one.
func (r *receiver) bySequence(kind media.Kind) (packets []arrival, duplicates, late int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[uint16]bool{}
	for i, p := range r.packets[kind] {
		if seen[p.SequenceNumber] {
			duplicates++
			continue
		}
		seen[p.SequenceNumber] = true
		if i > 0 && int16(p.SequenceNumber-r.packets[kind][i-1].SequenceNumber) < 0 {
			late++
		}
		packets = append(packets, p)
	}
	first := packets[0].SequenceNumber
	sort.SliceStable(packets, func(i, j int) bool {
		return int16(packets[i].SequenceNumber-first) < int16(packets[j].SequenceNumber-first)
	})
	return packets, duplicates, late
}
