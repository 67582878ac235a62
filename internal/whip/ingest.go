package whip

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/live"
	"github.com/live777/recorder/internal/media"
)

// Packets are read into slabs that they share, so that there is one allocation
// for some forty of them; the packets' structs come in blocks likewise. A slab
// is freed with the last packet in it.
const (
	slabSize    = 64 << 10
	packetBlock = 32
)

// rtpHeader is the least length of an RTP header, in bytes (RFC 3550 section 5.1).
const rtpHeader = 12

// maxReadErrors is how many packets in a row may be unreadable before the track
// is given up: an error that does not pass must not become a busy loop.
const maxReadErrors = 1000

// ingest is a publisher's session.
type ingest struct {
	*session
	pub    *live.Publication
	tracks []upstream
	ssrc   uint32 // of the RTCP that the node sends
}

// upstream is what a track needs besides its description.
type upstream struct {
	media.Track
	payloadType uint8
	nack        bool
	fir         bool // picture loss indication is not understood, full intra request is

	mu     sync.Mutex
	source uint32 // SSRC; valid if active
	active bool
	wanted bool // a key frame was asked for before the first packet
	firSeq uint8
}

func newIngest(se *session, cs []chosen) *ingest {
	in := &ingest{session: se, ssrc: rand.Uint32()}
	tracks := tracksOf(cs)
	in.tracks = make([]upstream, len(tracks)) // never moved: it holds mutexes
	for i, t := range tracks {
		c := &cs[slices.IndexFunc(cs, func(c chosen) bool { return c.mid == t.MID })]
		up := &in.tracks[i]
		up.Track = t
		up.payloadType = c.codec.payloadType
		up.nack = c.has("nack")
		up.fir = !c.has("nack pli") && c.has("ccm fir")
	}
	se.pc.OnTrack(in.onTrack)
	return in
}

// Close implements live.Publisher.
func (in *ingest) Close() { in.end("the stream was deleted") }

// RequestKeyFrame implements live.Publisher. It sends a picture loss indication
// (RFC 4585 section 6.3.1), or a full intra request (RFC 5104 section 4.3.1)
// where the publisher understands that only.
func (in *ingest) RequestKeyFrame(id media.TrackID) {
	t := &in.tracks[id]
	t.mu.Lock()
	source := t.source
	if !t.active {
		t.wanted = true
		t.mu.Unlock()
		return
	}
	t.firSeq++
	firSeq := t.firSeq
	t.mu.Unlock()
	var pkt rtcp.Packet = &rtcp.PictureLossIndication{SenderSSRC: in.ssrc, MediaSSRC: source}
	if t.fir {
		pkt = &rtcp.FullIntraRequest{
			SenderSSRC: in.ssrc,
			MediaSSRC:  source,
			FIR:        []rtcp.FIREntry{{SSRC: source, SequenceNumber: firSeq}},
		}
	}
	in.sendRTCP(pkt)
}

func (in *ingest) sendRTCP(pkt rtcp.Packet) {
	if err := in.pc.WriteRTCP([]rtcp.Packet{pkt}); err != nil {
		in.log.Debug("feedback was not sent", "error", err)
	}
}

// onTrack is called by the PeerConnection when a track's SSRC is known: from the
// offer, before any packet, or with the first packet of a layer.
func (in *ingest) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	kind := media.Video
	if remote.Kind() == webrtc.RTPCodecTypeAudio {
		kind = media.Audio
	}
	t := in.track(kind, remote.RID())
	if t == nil {
		in.log.Warn("media of a track that was not negotiated is ignored", "kind", kind.String(), "rid", remote.RID())
		return
	}
	in.spawn(func() { in.readRTP(remote, t) })
	in.spawn(func() { in.readRTCP(receiver, t) })
}

// activate notes the SSRC of a track with its first packet, and asks for the key
// frame that was asked for before: a sender that sends nothing makes none.
func (in *ingest) activate(t *upstream, source uint32) {
	t.mu.Lock()
	t.source, t.active = source, true
	wanted := t.wanted
	t.wanted = false
	t.mu.Unlock()
	if wanted {
		in.RequestKeyFrame(t.ID)
	}
}

// track finds a track; it is nil where there is none. An offer has one m-line
// of a kind.
func (in *ingest) track(kind media.Kind, rid string) *upstream {
	for i := range in.tracks {
		if t := &in.tracks[i]; t.Kind == kind && t.RID == rid {
			return t
		}
	}
	return nil
}

// readRTP moves the packets of a track to the publication until the session ends.
func (in *ingest) readRTP(remote *webrtc.TrackRemote, t *upstream) {
	var (
		slab   []byte
		block  []media.Packet
		header rtp.Header
		nack   nacker
		source = uint32(remote.SSRC())
		begun  bool // there was a packet
		polls  bool // reads have a deadline
		failed int
		logged bool
	)
	for {
		if len(slab) < receiveMTU {
			slab = make([]byte, slabSize)
		}
		if len(block) == 0 {
			block = make([]media.Packet, packetBlock)
		}
		if polls || nack.pending() {
			polls = in.poll(remote, nack.pending())
		}
		pkt := &block[0]
		n, err := readPacket(remote, slab[:receiveMTU], &header, t, begun, pkt)
		arrival := in.server.o.Now()
		switch {
		case polls && isTimeout(err):
			in.askAgain(source, nack.due(arrival))
			continue
		case errors.Is(err, errProbe):
			continue
		case err != nil:
			if in.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return
			}
			if n == 0 {
				failed++
			}
			if failed > maxReadErrors {
				in.end("its packets cannot be read")
				return
			}
			if !logged {
				logged = true
				in.log.Warn("packets of the publisher are ignored", "track", t.ID, "error", err)
			}
			continue
		}
		failed = 0
		pkt.Arrival = arrival
		slab = slab[n:]
		block = block[1:]
		if !begun {
			begun = true
			in.activate(t, source)
		}
		in.pub.WritePacket(pkt)
		in.received.Add(1)
		if t.nack {
			in.askAgain(source, nack.received(pkt.Seq, arrival))
		}
	}
}

// poll sets, or takes away, the deadline of the next read of a track, and
// returns whether there is one.
func (in *ingest) poll(remote *webrtc.TrackRemote, on bool) bool {
	var deadline time.Time
	if on {
		deadline = time.Now().Add(nackPoll) // of the network, whatever clock the node has
	}
	return remote.SetReadDeadline(deadline) == nil && on // it fails when the track has ended: the read says so
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func (in *ingest) askAgain(source uint32, seqs []uint16) {
	if len(seqs) == 0 {
		return
	}
	in.sendRTCP(&rtcp.TransportLayerNack{
		SenderSSRC: in.ssrc,
		MediaSSRC:  source,
		Nacks:      rtcp.NackPairsFromSequenceNumbers(seqs),
	})
}

var (
	errPayloadType = errors.New("the payload type is not the negotiated one")
	errPadding     = errors.New("the padding is longer than the packet")
	errProbe       = errors.New("a retransmission came before anything can have been lost")
)

// readPacket reads the next packet of a track: into buf, of which it takes n
// bytes, and its description into pkt. begun says that it is not the first. Of
// a retransmission (RFC 4588 section 4) the WebRTC stack makes a packet with the
// payload type and the SSRC that it knew of the track when it came: before the
// track's first packet it knows none.
func readPacket(remote *webrtc.TrackRemote, buf []byte, header *rtp.Header, t *upstream, begun bool, pkt *media.Packet) (n int, err error) {
	n, attributes, err := remote.Read(buf)
	if err != nil {
		return n, err
	}
	if attributes.Get(webrtc.AttributeRtxSsrc) != nil && n >= rtpHeader {
		if !begun {
			return n, errProbe // for bandwidth
		}
		buf[1] = buf[1]&0x80 | t.payloadType
		binary.BigEndian.PutUint32(buf[8:], uint32(remote.SSRC()))
	}
	return n, parsePacket(buf[:n:n], header, t, pkt)
}

// parsePacket reads an RTP packet (RFC 3550 section 5.1) into pkt; the payload
// stays in buf. header is scratch space.
func parsePacket(buf []byte, header *rtp.Header, t *upstream, pkt *media.Packet) error {
	n, err := header.Unmarshal(buf)
	if err != nil {
		return err
	}
	if header.PayloadType != t.payloadType {
		return errPayloadType
	}
	end := len(buf)
	if header.Padding && end > n {
		end -= int(buf[end-1])
	}
	if end < n {
		return errPadding
	}
	*pkt = media.Packet{
		Track:     t.ID,
		SSRC:      header.SSRC,
		Seq:       header.SequenceNumber,
		Timestamp: header.Timestamp,
		Marker:    header.Marker,
		Payload:   buf[n:end:end],
	}
	return nil
}

// readRTCP hands the sender reports of a track on. Reading also lets the
// interceptors see them, which the receiver reports need.
func (in *ingest) readRTCP(receiver *webrtc.RTPReceiver, t *upstream) {
	buf := make([]byte, receiveMTU)
	for failed := 0; failed < maxReadErrors; failed++ {
		var n int
		var err error
		if t.RID == "" {
			n, _, err = receiver.Read(buf)
		} else {
			n, _, err = receiver.ReadSimulcast(buf, t.RID)
		}
		if in.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		if err != nil {
			continue
		}
		failed = 0
		arrival := in.server.o.Now()
		pkts, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue // garbage from the client: nothing to answer
		}
		for _, p := range pkts {
			sr, ok := p.(*rtcp.SenderReport)
			if !ok || !t.isSource(sr.SSRC) {
				continue
			}
			in.pub.WriteReport(&media.SenderReport{
				Track: t.ID, SSRC: sr.SSRC, NTP: sr.NTPTime, RTP: sr.RTPTime, Arrival: arrival,
			})
		}
	}
}

func (t *upstream) isSource(ssrc uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.active && t.source == ssrc
}
