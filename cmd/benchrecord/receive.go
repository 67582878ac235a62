package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

const maxOffer = 1 << 20

// receive is a WHIP server that throws everything away: what pion needs for receiving
// alone, with its default interceptors and one UDP port. It writes its URL to a file.
func receive(ctx context.Context, file string) error {
	api, closeAPI, err := newAPI()
	if err != nil {
		return err
	}
	defer closeAPI()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return // a session that ends: the process does not live long
		}
		text, err := answer(api, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", r.URL.Path+"/session")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, text)
	})}
	// Renamed, so that whoever waits for the file finds it whole.
	if err := os.WriteFile(file+".new", []byte("http://"+listener.Addr().String()), 0o600); err != nil {
		return fmt.Errorf("tell the address: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("tell the address: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// newAPI returns pion as it comes, behind one UDP port on loopback.
func newAPI() (api *webrtc.API, closeAPI func(), err error) {
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return nil, nil, fmt.Errorf("register codecs: %w", err)
	}
	if err := webrtc.RegisterDefaultInterceptors(engine, registry); err != nil {
		return nil, nil, fmt.Errorf("register interceptors: %w", err)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	_ = conn.SetReadBuffer(8 << 20) // as the node has it, where the kernel allows it
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)),
		func() { _ = conn.Close() }, nil
}

// answer makes a session whose media is read and dropped.
func answer(api *webrtc.API, body io.Reader) (string, error) {
	var offer strings.Builder
	if _, err := io.Copy(&offer, io.LimitReader(body, maxOffer)); err != nil {
		return "", err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for buf := make([]byte, 1500); ; {
			if _, _, err := track.Read(buf); err != nil {
				return
			}
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.String()}); err != nil {
		return "", err
	}
	text, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(text); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}
