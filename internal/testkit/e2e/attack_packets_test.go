package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// packetAdversaries attack the port for media.
var packetAdversaries = []adversary{
	{"garbage", garbage},
	{"checks with wrong passwords", wrongChecks},
	{"handshakes without end", handshakes},
	{"packets of no session", strangers},
	{"a viewer's reports of many senders", manyReporters},
	{"a publisher of many sources", manySources},
}

var (
	candidate = regexp.MustCompile(`a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host`)
	ufrag     = regexp.MustCompile(`a=ice-ufrag:(\S+)`)
)

// door opens a session that never connects and returns the address for its media and
// its user name.
func (a *attack) door(ctx context.Context) (address, user string, err error) {
	sdp, err := offer(webrtc.RTPTransceiverDirectionRecvonly)
	if err != nil {
		return "", "", err
	}
	for {
		code, answer, err := a.do(ctx, http.MethodPost, "/whep/prey", a.viewer, sdp, sdpHeader...)
		if err != nil {
			return "", "", err
		}
		at, name := candidate.FindStringSubmatch(answer), ufrag.FindStringSubmatch(answer)
		if code == http.StatusCreated && at != nil && name != nil {
			return net.JoinHostPort(at[1], at[2]), name[1], nil
		}
		if !pauseFor(ctx, 100*time.Millisecond) { // the others have taken all sessions
			return "", "", ctx.Err()
		}
	}
}

// flood sends packets that make makes, from many ports.
func (a *attack) flood(ctx context.Context, packets func(rng *rand.Rand, user string) ([]byte, error)) (n int, err error) {
	address, user, err := a.door(ctx)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	conns := make([]net.Conn, 32)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	for ; pauseFor(ctx, 2*time.Millisecond); n++ {
		i := rng.IntN(len(conns))
		if conns[i] == nil || rng.IntN(64) == 0 {
			if conns[i] != nil {
				_ = conns[i].Close()
			}
			var d net.Dialer
			if conns[i], err = d.DialContext(ctx, "udp", address); err != nil {
				return n, fmt.Errorf("open a socket: %w", err)
			}
		}
		data, err := packets(rng, user)
		if err != nil {
			return n, err
		}
		_, _ = conns[i].Write(data) // what was sent before may be answered with "no such port"
	}
	return n, nil
}

func fillRandom(rng *rand.Rand, b []byte) []byte {
	for i := range b {
		b[i] = byte(rng.IntN(256))
	}
	return b
}

func garbage(ctx context.Context, a *attack) (int, error) {
	return a.flood(ctx, func(rng *rand.Rand, _ string) ([]byte, error) {
		return fillRandom(rng, make([]byte, rng.IntN(1500))), nil
	})
}

// wrongChecks sends checks of ICE, for a session that is there and for others.
func wrongChecks(ctx context.Context, a *attack) (int, error) {
	return a.flood(ctx, func(rng *rand.Rand, user string) ([]byte, error) {
		if rng.IntN(2) == 0 {
			user = fmt.Sprintf("user%d", rng.IntN(1<<30))
		}
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user+":guess"),
			stun.NewShortTermIntegrity(fmt.Sprintf("password%d", rng.IntN(1<<30))), stun.Fingerprint)
		if err != nil {
			return nil, fmt.Errorf("make a check: %w", err)
		}
		return m.Raw, nil
	})
}

// handshakes sends what looks like the beginning of DTLS handshakes.
func handshakes(ctx context.Context, a *attack) (int, error) {
	return a.flood(ctx, func(rng *rand.Rand, _ string) ([]byte, error) {
		b := fillRandom(rng, make([]byte, 200))
		copy(b, []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, byte(rng.IntN(256)), 0, 187, 1, 0, 0, 175, 0, 0, 0, 0, 0, 0, 0, 175, 254, 253})
		return b, nil
	})
}

// strangers sends media and reports that belong to no session.
func strangers(ctx context.Context, a *attack) (int, error) {
	return a.flood(ctx, func(rng *rand.Rand, _ string) ([]byte, error) {
		if rng.IntN(2) == 0 {
			data, err := (&rtcp.ReceiverReport{SSRC: rng.Uint32()}).Marshal()
			if err != nil {
				return nil, fmt.Errorf("make a report: %w", err)
			}
			return data, nil
		}
		p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(rng.Uint32()), SSRC: rng.Uint32()}, Payload: fillRandom(rng, make([]byte, 1000))}
		data, err := p.Marshal()
		if err != nil {
			return nil, fmt.Errorf("make a packet: %w", err)
		}
		return data, nil
	})
}

// errRefused is what a session that the node does not take ends with.
var errRefused = errors.New("the node takes no further session")

// connect opens a session that does connect.
func (a *attack) connect(ctx context.Context, pc *webrtc.PeerConnection, path, token string) error {
	connected, ended := make(chan struct{}), make(chan struct{})
	var came, went sync.Once // a connection comes back, and ends after it has failed
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			came.Do(func() { close(connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			went.Do(func() { close(ended) })
		}
	})
	o, err := pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("make an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(o); err != nil {
		return fmt.Errorf("make an offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	code, answer, err := a.do(ctx, http.MethodPost, path, token, pc.LocalDescription().SDP, sdpHeader...)
	if err != nil {
		return err
	}
	if code != http.StatusCreated {
		return errRefused
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("take the answer: %w", err)
	}
	select {
	case <-connected:
		return nil
	case <-ended:
		return errRefused
	case <-ctx.Done():
		return ctx.Err()
	}
}

// again runs sessions one after the other: the node ends those of an attacker, and
// refuses them while it has no room.
func (a *attack) again(ctx context.Context, session func(rng *rand.Rand) (int, error)) (n int, err error) {
	rng := rand.New(rand.NewPCG(5, 6))
	for ctx.Err() == nil {
		m, err := session(rng)
		n += m
		if err != nil && !errors.Is(err, errRefused) {
			return n, err
		}
		pauseFor(ctx, 50*time.Millisecond)
	}
	return n, nil
}

// newViewer makes a client that is to watch.
func newViewer() (*webrtc.PeerConnection, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("make a session: %w", err)
	}
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return nil, errors.Join(fmt.Errorf("make a session: %w", err), pc.Close())
	}
	return pc, nil
}

// manyReporters watches, and reports as if it were a new client each time.
func manyReporters(ctx context.Context, a *attack) (int, error) {
	return a.again(ctx, func(rng *rand.Rand) (n int, err error) {
		pc, err := newViewer()
		if err != nil {
			return 0, err
		}
		defer func() { _ = pc.Close() }()
		if err := a.connect(ctx, pc, "/whep/prey", a.viewer); err != nil {
			return 0, err
		}
		for pc.ConnectionState() == webrtc.PeerConnectionStateConnected && pauseFor(ctx, 2*time.Millisecond) {
			reports := make([]rtcp.Packet, 100)
			for i := range reports {
				reports[i] = &rtcp.ReceiverReport{SSRC: rng.Uint32()}
			}
			if err := pc.WriteRTCP(reports); err != nil {
				break // the session is over
			}
			n += len(reports)
		}
		return n, nil
	})
}

// disguise gives each packet another SSRC.
type disguise struct {
	interceptor.NoOp
	rng *rand.Rand
}

func (d *disguise) NewInterceptor(string) (interceptor.Interceptor, error) { return d, nil }

func (d *disguise) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		h.SSRC = d.rng.Uint32()
		n, err := w.Write(h, payload, attributes)
		if err != nil {
			return n, fmt.Errorf("send: %w", err)
		}
		return n, nil
	})
}

// manySources publishes, each packet as if it were of another sender.
func manySources(ctx context.Context, a *attack) (int, error) {
	return a.again(ctx, func(rng *rand.Rand) (n int, err error) {
		engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
		if err := engine.RegisterDefaultCodecs(); err != nil {
			return 0, fmt.Errorf("make a session: %w", err)
		}
		registry.Add(&disguise{rng: rng})
		pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry)).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			return 0, fmt.Errorf("make a session: %w", err)
		}
		defer func() { _ = pc.Close() }()
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "attack")
		if err != nil {
			return 0, fmt.Errorf("make a session: %w", err)
		}
		if _, err := pc.AddTrack(track); err != nil {
			return 0, fmt.Errorf("make a session: %w", err)
		}
		if err := a.connect(ctx, pc, fmt.Sprintf("/whip/prey-sources-%d", rng.Uint32()), a.publisher); err != nil {
			return 0, err
		}
		p := rtp.Packet{Header: rtp.Header{Version: 2}, Payload: fillRandom(rng, make([]byte, 200))}
		for pc.ConnectionState() == webrtc.PeerConnectionStateConnected && pauseFor(ctx, time.Millisecond) {
			p.SequenceNumber++
			if err := track.WriteRTP(&p); err != nil {
				break // the session is over
			}
			n++
		}
		return n, nil
	})
}
