package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/testkit/load"
)

// mediaAdversaries have sessions and keys, and send in them what is not what it says.
var mediaAdversaries = []adversary{
	{"mutated media", mutatedMedia},
	{"a viewer's mutated reports", mutatedReports},
}

// maxPayload is what the adversaries put into a packet at most.
const maxPayload = 1150

// mutator changes packets after they were made and before they are encrypted: they
// have the right keys.
type mutator struct {
	interceptor.NoOp
	rng   *rand.Rand
	types []uint8 // payload types that were offered
}

func (m *mutator) NewInterceptor(string) (interceptor.Interceptor, error) { return m, nil }

func (m *mutator) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, attributes interceptor.Attributes) (int, error) {
		header, payload := h.Clone(), slices.Clone(payload)
		for m.rng.IntN(8) == 0 { // most pass as they are, so that there are pictures that the others break
			header, payload = m.mutate(header, payload)
		}
		if header.Padding { // its length is written up to 255 bytes behind, where there has to be room
			payload = payload[:min(len(payload), maxPayload-256)]
		}
		n, err := w.Write(&header, payload, attributes)
		if err != nil {
			return n, fmt.Errorf("send: %w", err)
		}
		return n, nil
	})
}

func (m *mutator) mutate(h rtp.Header, payload []byte) (rtp.Header, []byte) {
	switch m.rng.IntN(10) {
	case 0: // cut
		payload = payload[:m.rng.IntN(len(payload)+1)]
	case 1: // longer than it was
		payload = append(payload, fillRandom(m.rng, make([]byte, m.rng.IntN(max(1, maxPayload-len(payload)))))...)
	case 2, 3: // other bytes, most of all in what says lengths and types
		for range 1 + m.rng.IntN(8) {
			if n := min(len(payload), []int{4, len(payload)}[m.rng.IntN(2)]); n > 0 {
				payload[m.rng.IntN(n)] = byte(m.rng.IntN(256))
			}
		}
	case 4: // more padding than there are bytes, or none
		h.Padding = true
		if len(payload) > 0 {
			payload[len(payload)-1] = byte(m.rng.IntN(256))
		}
	case 5: // extensions whose elements end behind their header, or are longer than they may be
		h.Extension, h.Extensions = false, nil
		if err := h.SetExtension(uint8(1+m.rng.IntN(14)), fillRandom(m.rng, make([]byte, 4*m.rng.IntN(40)))); err == nil {
			h.ExtensionProfile = []uint16{0xbede, 0x1000, uint16(m.rng.Uint32())}[m.rng.IntN(3)]
		}
	case 6: // sources that nobody has heard of
		h.CSRC = make([]uint32, m.rng.IntN(16))
		for i := range h.CSRC {
			h.CSRC[i] = m.rng.Uint32()
		}
	case 7: // of another codec
		h.PayloadType = m.types[m.rng.IntN(len(m.types))]
	case 8: // of another time, and place
		h.Timestamp, h.SequenceNumber = m.rng.Uint32(), h.SequenceNumber+uint16(m.rng.IntN(4000))
	default:
		h.Marker = !h.Marker
	}
	return h, payload
}

// payloads are units of media as they come in packets.
type payloads [][][]byte

// attackMedia returns the packets of the units of a file.
func attackMedia(s *load.Source, payloader rtp.Payloader) (list payloads) {
	for _, u := range s.Units {
		list = append(list, payloader.Payload(maxPayload, u.Data))
	}
	return list
}

// mutatedMedia publishes H264 and Opus, of which some packets are changed, and
// reports on them, changed too.
func mutatedMedia(ctx context.Context, a *attack) (int, error) {
	kinds := []webrtc.RTPCodecCapability{
		{MimeType: webrtc.MimeTypeH264, ClockRate: 90_000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
		{MimeType: webrtc.MimeTypeOpus, ClockRate: 48_000, Channels: 2},
	}
	units := []payloads{attackMedia(a.video, &codecs.H264Payloader{}), attackMedia(a.audio, &codecs.OpusPayloader{})}
	return a.again(ctx, func(rng *rand.Rand) (n int, err error) {
		pc, err := newMutating(rng)
		if err != nil {
			return 0, err
		}
		defer func() { _ = pc.Close() }()
		tracks := make([]*webrtc.TrackLocalStaticRTP, len(kinds))
		senders := make([]*webrtc.RTPSender, len(kinds))
		for i, kind := range kinds {
			if tracks[i], err = webrtc.NewTrackLocalStaticRTP(kind, kind.MimeType[:5], "attack"); err != nil {
				return 0, fmt.Errorf("make a session: %w", err)
			}
			if senders[i], err = pc.AddTrack(tracks[i]); err != nil {
				return 0, fmt.Errorf("make a session: %w", err)
			}
		}
		if err := a.connect(ctx, pc, fmt.Sprintf("/whip/prey-media-%d", rng.Uint32()), a.publisher); err != nil {
			return 0, err
		}
		packets := make([]rtp.Packet, len(kinds))
		for unit := 0; unit < 500 && pc.ConnectionState() == webrtc.PeerConnectionStateConnected && pauseFor(ctx, 20*time.Millisecond); unit++ {
			for i, track := range tracks {
				p := &packets[i]
				p.Version, p.Timestamp = 2, p.Timestamp+kinds[i].ClockRate/50
				list := units[i][unit%len(units[i])]
				for j, payload := range list {
					p.SequenceNumber++
					p.Payload, p.Marker = payload, i == 0 && j == len(list)-1
					if err := track.WriteRTP(p); err != nil {
						return n, nil // the session is over
					}
					n++
				}
			}
			if unit%5 == 0 {
				ssrc := uint32(senders[unit/5%len(senders)].GetParameters().Encodings[0].SSRC)
				if err := pc.WriteRTCP([]rtcp.Packet{mutatedCompound(rng, ssrc, rng.Uint32())}); err != nil {
					return n, nil
				}
			}
		}
		return n, nil
	})
}

// newMutating makes a client whose packets are changed.
func newMutating(rng *rand.Rand) (*webrtc.PeerConnection, error) {
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return nil, fmt.Errorf("make a session: %w", err)
	}
	registry.Add(&mutator{rng: rng, types: []uint8{96, 98, 100, 102, 106, 108, 112, 116, 45, 111, 9, 0, 8, 50, 127}})
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("make a session: %w", err)
	}
	return pc, nil
}

// mutatedReports watches, and asks for everything again, for key frames and for
// other bit rates, all the time and in packets that are broken.
func mutatedReports(ctx context.Context, a *attack) (int, error) {
	return a.again(ctx, func(rng *rand.Rand) (n int, err error) {
		pc, err := newViewer()
		if err != nil {
			return 0, err
		}
		defer func() { _ = pc.Close() }()
		media := make(chan uint32, 1)
		pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { media <- uint32(track.SSRC()) })
		if err := a.connect(ctx, pc, "/whep/prey", a.viewer); err != nil {
			return 0, err
		}
		var about uint32
		own := rng.Uint32()
		for n < 5000 && pc.ConnectionState() == webrtc.PeerConnectionStateConnected && pauseFor(ctx, 2*time.Millisecond) {
			select {
			case about = <-media:
			default:
			}
			if err := pc.WriteRTCP([]rtcp.Packet{mutatedCompound(rng, own, about)}); err != nil {
				break // the session is over
			}
			n++
		}
		return n, nil
	})
}

// mutatedCompound returns RTCP of everything that there is, of which something is
// changed but its beginning: what that says has to be right to be encrypted.
func mutatedCompound(rng *rand.Rand, own, about uint32) rtcp.Packet {
	var data []byte
	for range 1 + rng.IntN(5) {
		data = append(data, someRTCP(rng, own, about)...)
	}
	for range rng.IntN(4) {
		switch at := 8 + rng.IntN(max(1, len(data)-8)); {
		case at+2 > len(data):
		case rng.IntN(2) == 0:
			data[at] = byte(rng.IntN(256))
		default:
			data = data[:at] // which may be no end of a packet
		}
	}
	if rng.IntN(4) == 0 { // more, or less, than there is
		binary.BigEndian.PutUint16(data[2:], uint16(rng.Uint32()))
	}
	raw := rtcp.RawPacket(data[:min(len(data), maxPayload)])
	return &raw
}

// someRTCP returns one packet, whole or of its own kind of wrong.
func someRTCP(rng *rand.Rand, own, about uint32) []byte {
	pairs := make([]rtcp.NackPair, 1+rng.IntN(60))
	for i := range pairs {
		pairs[i] = rtcp.NackPair{PacketID: uint16(rng.Uint32()), LostPackets: 0xffff}
	}
	list := []rtcp.Packet{
		&rtcp.TransportLayerNack{SenderSSRC: own, MediaSSRC: about, Nacks: pairs},
		&rtcp.PictureLossIndication{SenderSSRC: own, MediaSSRC: about},
		&rtcp.FullIntraRequest{SenderSSRC: own, MediaSSRC: about, FIR: []rtcp.FIREntry{{SSRC: about, SequenceNumber: byte(rng.IntN(256))}, {SSRC: rng.Uint32()}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: own, Bitrate: float32(rng.Uint32()), SSRCs: []uint32{about, rng.Uint32()}},
		&rtcp.SenderReport{SSRC: own, NTPTime: rng.Uint64(), RTPTime: rng.Uint32(), PacketCount: rng.Uint32(), OctetCount: rng.Uint32()},
		&rtcp.ReceiverReport{SSRC: own, Reports: []rtcp.ReceptionReport{{SSRC: about, TotalLost: rng.Uint32() >> 8, Jitter: rng.Uint32(), LastSenderReport: rng.Uint32(), Delay: rng.Uint32()}}},
		rtcp.NewCNAMESourceDescription(own, string(fillRandom(rng, make([]byte, rng.IntN(255))))),
		&rtcp.Goodbye{Sources: []uint32{own, about}, Reason: "because"},
	}
	if i := rng.IntN(len(list) + 1); i < len(list) {
		if data, err := list[i].Marshal(); err == nil {
			return data
		}
	}
	// Any type with any count: feedback of transport, blocks of extended reports,
	// what an application means.
	data := fillRandom(rng, make([]byte, 8+4*rng.IntN(30)))
	data[0], data[1] = 2<<6|byte(rng.IntN(32)), byte(200+rng.IntN(8))
	binary.BigEndian.PutUint16(data[2:], uint16(len(data)/4-1))
	binary.BigEndian.PutUint32(data[4:], own)
	return data
}
