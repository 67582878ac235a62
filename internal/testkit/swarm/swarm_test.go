package swarm

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// receiver is a WHIP server by pion that notes what comes.
type receiver struct {
	t       *testing.T
	mu      sync.Mutex
	packets map[uint32][]rtp.Packet // by SSRC
	deleted int
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodDelete {
		r.mu.Lock()
		r.deleted++
		r.mu.Unlock()
		return
	}
	offer, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
		return
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		r.t.Error(err)
		return
	}
	r.t.Cleanup(func() { _ = pc.Close() })
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.packets[p.SSRC] = append(r.packets[p.SSRC], *p)
			r.mu.Unlock()
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		r.t.Errorf("%v in the offer\n%s", err, offer)
		return
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		r.t.Error(err)
		return
	}
	<-gathered
	w.Header().Set("Location", "/session"+req.URL.Path)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, pc.LocalDescription().SDP)
}

// count is how many packets have come, and of how many tracks.
func (r *receiver) count() (packets int64, tracks int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.packets {
		packets += int64(len(of))
	}
	return packets, len(r.packets)
}

// TestSwarm: two streams arrive whole at a receiver that is not ours, in two runs of
// which the second goes on where the first ended.
func TestSwarm(t *testing.T) {
	r := &receiver{t: t, packets: map[uint32][]rtp.Packet{}}
	server := httptest.NewServer(r)
	defer server.Close()
	w, err := Connect(t.Context(), Options{URL: server.URL + "/{n}", Streams: 2, Media: clip(t)})
	if err != nil {
		t.Fatal(err)
	}
	var sent int64
	for range 2 {
		stats, err := w.Run(t.Context(), 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		sent += stats.Packets
	}
	await.Until(t, "all packets have come", func() bool { got, _ := r.count(); return got >= sent })
	if got, tracks := r.count(); got != sent || tracks != 4 {
		t.Errorf("%d packets of %d tracks came, %d of 4 were sent", got, tracks, sent)
	}
	r.mu.Lock()
	for ssrc, packets := range r.packets {
		for i := 1; i < len(packets); i++ {
			if packets[i].SequenceNumber != packets[i-1].SequenceNumber+1 {
				t.Errorf("SSRC %d: packet %d follows %d", ssrc, packets[i].SequenceNumber, packets[i-1].SequenceNumber)
			}
		}
	}
	r.mu.Unlock()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if r.deleted != 2 {
		t.Errorf("%d sessions were ended", r.deleted)
	}
}

// clip is a little video and audio.
func clip(t *testing.T) *Media {
	t.Helper()
	var sources []*load.Source
	for _, name := range []string{"h264_small.h264", "opus_stereo.ogg"} {
		s, err := load.Open(filepath.Join("..", "..", "..", "testdata", "media", name))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	return NewMedia(sources[0], sources[1])
}

// TestConnectFails: a server that refuses a stream is told of in its words.
func TestConnectFails(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no more publishers", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	_, err := Connect(t.Context(), Options{URL: server.URL, Streams: 1, Media: clip(t)})
	if err == nil || !strings.Contains(err.Error(), "no more publishers") {
		t.Errorf("%v", err)
	}
}

func TestParseAnswer(t *testing.T) {
	const credentials = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:active\r\n"
	for name, test := range map[string]struct{ text, address string }{
		"one":              {credentials + "a=candidate:1 1 udp 1 192.0.2.1 7777 typ host\r\n", "192.0.2.1:7777"},
		"loopback first":   {credentials + "a=candidate:1 1 UDP 1 127.0.0.1 7 typ host\r\na=candidate:2 1 udp 1 192.0.2.1 7777 typ host\r\n", "127.0.0.1:7"},
		"loopback later":   {credentials + "a=candidate:2 1 udp 1 192.0.2.1 7777 typ host\r\na=candidate:1 1 udp 1 127.0.0.1 7 typ host\r\n", "127.0.0.1:7"},
		"no candidate":     {credentials, ""},
		"TCP and IPv6":     {credentials + "a=candidate:1 1 tcp 1 192.0.2.1 7777 typ host\r\na=candidate:1 1 udp 1 2001:db8::1 7777 typ host\r\n", ""},
		"no credentials":   {"a=candidate:1 1 udp 1 192.0.2.1 7777 typ host\r\n", ""},
		"half a candidate": {credentials + "a=candidate:1 1 udp\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := parseAnswer(test.text)
			if (err == nil) != (test.address != "") || err == nil && (a.address.String() != test.address || !a.active) {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}
