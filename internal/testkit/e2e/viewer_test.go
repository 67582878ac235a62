package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/await"
)

// viewer watches a stream by WHEP, and notes how long it has to wait for packets.
type viewer struct {
	mu      sync.Mutex
	last    time.Time
	packets int
	longest time.Duration // between two packets, since the last call of gap
}

// watch connects a viewer to a stream that is being published.
func (s *server) watch(stream string) *viewer {
	s.t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pc.GracefulClose() })
	v := &viewer{}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if track.Kind() != webrtc.RTPCodecTypeVideo {
			return
		}
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			v.arrived(time.Now())
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		o := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := pc.AddTransceiverFromKind(kind, o); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := negotiate(pc, s.url+"/whep/"+stream); err != nil {
		s.t.Fatal(err)
	}
	return v
}

// negotiate has a WHEP endpoint answer the peer's offer.
func negotiate(pc *webrtc.PeerConnection, url string) error {
	gathered := webrtc.GatheringCompletePromise(pc)
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		return err
	}
	<-gathered
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("POST %s: %s %s %w", url, resp.Status, answer, err)
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

func (v *viewer) arrived(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.packets > 0 {
		v.longest = max(v.longest, now.Sub(v.last))
	}
	v.packets++
	v.last = now
}

// gap returns the longest wait for a packet since the last call, the one that
// goes on now included.
func (v *viewer) gap() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	longest := max(v.longest, time.Since(v.last))
	v.longest = 0
	return longest
}

// await waits until the viewer has media.
func (v *viewer) await(t *testing.T) {
	t.Helper()
	await.Until(t, "media at the viewer", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.packets > 0
	})
	v.gap()
}

// pulse is what a viewer would see that sits in this process: how long the machine
// keeps it waiting.
func pulse(t *testing.T) *viewer {
	t.Helper()
	v := &viewer{}
	v.arrived(time.Now())
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				v.arrived(time.Now())
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return v
}
