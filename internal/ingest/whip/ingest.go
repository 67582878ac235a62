package whip

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/ingest/receive"
	"github.com/live777/recorder/internal/media"
)

// Payloads are copied into shared slabs, so that there is one allocation for some forty
// of them. The packets' structs come in blocks for the same reason. A slab is freed
// with the last packet in it.
const (
	slabSize    = 64 << 10
	packetBlock = 64
)

// goodbyeAfter is how long after its goodbye a silent client counts as gone. It is
// longer than browsers wait between two connectivity checks.
const goodbyeAfter = 4 * time.Second

// ingest is a publisher's session. It takes the packets of all tracks right after they
// are decrypted, before the WebRTC stack assigns them. The stack knows only the sources
// of the offer, and drops all others without a word.
type ingest struct {
	*session
	pub       *live.Publication
	tracks    []upstream
	lines     []line
	ssrc      uint32 // of the RTCP that the node sends
	feedback  *feedback
	discarded *discards
	renamed   sparse
	bytes     atomic.Int64  // that came since watch has told of them
	wake      chan struct{} // a packet is missing: watch is to ask again

	// mu guards what follows: packets come on one goroutine, watch is another.
	mu      sync.Mutex
	sources map[uint32]*source
	header  rtp.Header
	slab    []byte
	block   []media.Packet
	batch   []*media.Packet // not handed on yet; reused
}

// upstream is what a track needs besides its description.
type upstream struct {
	media.Track
	nack bool
	fir  bool // picture loss indication is not understood, full intra request is

	current *source // whose packets the track has; guarded by ingest.mu

	mu     sync.Mutex
	source uint32 // SSRC of current; valid if active
	active bool
	wanted bool // a key frame was asked for before the first packet
	firSeq uint8
}

func newIngest(se *session, cs []chosen) *ingest {
	in := &ingest{
		session: se, ssrc: rand.Uint32(), sources: make(map[uint32]*source), wake: make(chan struct{}, 1),
	}
	in.feedback = newFeedback(extensionOf(cs, extensionTWCC), in.ssrc, func(b []byte) {
		if err := in.conn.writeRaw(b); err != nil {
			in.log.Debug("feedback was not sent", "error", err)
		}
	})
	in.discarded = newDiscards(in.server.o.Now, se.log, func(d *media.Discard) {
		if in.pub != nil {
			in.pub.WriteDiscard(d)
		}
	})
	tracks := tracksOf(cs)
	in.tracks = make([]upstream, len(tracks)) // never moved: it holds mutexes
	for i, t := range tracks {
		c := &cs[slices.IndexFunc(cs, func(c chosen) bool { return c.mid == t.MID })]
		up := &in.tracks[i]
		up.Track = t
		up.nack = c.has("nack")
		up.fir = !c.has("nack pli") && c.has("ccm fir")
	}
	for i := range cs {
		in.lines = append(in.lines, newLine(&cs[i], in.tracks))
	}
	se.taker = in
	if d, ok := se.conn.(*direct); ok {
		d.in = in
	}
	return in
}

// start begins what goes on beside the packets.
func (in *ingest) start() { in.spawn(in.watch) }

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

func (in *ingest) sendRTCP(pkts ...rtcp.Packet) {
	if err := in.conn.writeRTCP(pkts...); err != nil {
		in.log.Debug("feedback was not sent", "error", err)
	}
}

// activate notes the SSRC of a track. If a key frame was asked for before its first
// packet, it asks again, because a sender that sends nothing makes none.
func (in *ingest) activate(t *upstream, s *source) {
	t.current = s
	t.mu.Lock()
	t.source, t.active = s.ssrc, true
	wanted := t.wanted
	t.wanted = false
	t.mu.Unlock()
	if wanted {
		in.RequestKeyFrame(t.ID)
	}
}

// takeRTP takes a packet from the WebRTC stack. b is not kept.
func (in *ingest) takeRTP(b []byte) {
	arrival := in.server.o.Now()
	in.link.hear(true)
	in.bytes.Add(int64(len(b)))
	in.mu.Lock()
	defer in.mu.Unlock()
	h := &in.header
	n, err := h.Unmarshal(b)
	if err != nil {
		in.discarded.count(causeHeader)
		return
	}
	if t, ok := in.link.decrypted(h.SSRC, h.SequenceNumber); ok {
		in.log.Log(in.ctx, in.link.changes.level(), "the client sends from another address", "from", t.old.String(), "to", t.from.String())
		in.server.sockets.paths.move(in.session, t.old, t.from)
	}
	in.take(h, in.keep(b[n:]), arrival)
	in.handOn()
}

// keep copies what is not kept by the stack.
func (in *ingest) keep(payload []byte) []byte {
	if len(in.slab) < len(payload) {
		in.slab = make([]byte, slabSize)
	}
	n := copy(in.slab, payload)
	out := in.slab[:n:n]
	in.slab = in.slab[n:]
	return out
}

// takeBatch takes what came together through the node's own receiver.
func (in *ingest) takeBatch(packets []receive.Packet, arrival time.Time) {
	in.link.hearAt(arrival, true)
	bytes := 0
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range packets {
		p := &packets[i]
		bytes += len(p.Payload)
		in.take(&p.Header, p.Payload, arrival)
	}
	in.bytes.Add(int64(bytes))
	in.handOn()
}

// take takes a packet, whose payload is kept.
func (in *ingest) take(h *rtp.Header, payload []byte, arrival time.Time) {
	in.feedback.received(h, arrival)
	if n := len(payload); h.Padding && n > 0 {
		if int(payload[n-1]) > n {
			in.discarded.count(causePadding)
			return
		}
		payload = payload[:n-int(payload[n-1])]
	}
	s, cause := in.route(h, payload)
	if s == nil {
		if cause != "" {
			in.discarded.count(cause)
		}
		return
	}
	s.last, s.left = arrival, false
	s.stats.received(h.SequenceNumber, h.Timestamp, arrival)
	if s.rtx {
		in.takeRetransmission(s, h, payload, arrival)
	} else if in.isCurrent(s, payload, arrival) {
		in.hand(s, h.SequenceNumber, h.Timestamp, h.Marker, payload, arrival)
	}
}

// hand notes a packet of a track for the subscribers, and asks for missing packets
// before it.
func (in *ingest) hand(s *source, seq uint16, ts uint32, marker bool, payload []byte, arrival time.Time) {
	if len(in.block) == 0 {
		in.block = make([]media.Packet, packetBlock)
	}
	pkt := &in.block[0]
	*pkt = media.Packet{
		Track: s.track.ID, SSRC: s.ssrc, Seq: seq, Timestamp: ts, Marker: marker, Payload: payload, Arrival: arrival,
	}
	in.block = in.block[1:]
	in.batch = append(in.batch, pkt)
	s.came.add(seq)
	if !s.track.nack {
		return
	}
	in.askAgain(s.ssrc, s.nack.received(seq, arrival))
	if s.nack.pending() {
		select {
		case in.wake <- struct{}{}:
		default:
		}
	}
}

// handOn gives the subscribers what has been noted for them.
func (in *ingest) handOn() {
	if len(in.batch) == 0 {
		return
	}
	in.pub.WritePackets(in.batch)
	in.received.Add(int64(len(in.batch)))
	clear(in.batch)
	in.batch = in.batch[:0]
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

// watch does what is due when no packet comes: it asks again for what is missing,
// reports to the sender, and tells what was discarded.
func (in *ingest) watch() {
	report := time.NewTicker(reportInterval)
	defer report.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	waits := true // again is set
	for {
		select {
		case <-in.ctx.Done():
			return
		case <-report.C:
			in.report()
			in.discarded.tell(false)
			if why := in.ticket.Received(in.bytes.Swap(0)); why != "" {
				in.end(why)
			}
			if in.hasLeft() {
				in.end("the client said goodbye")
			}
		case <-in.wake:
			if !waits {
				again.Reset(nackPoll)
				waits = true
			}
		case <-again.C:
			if waits = in.askPending(); waits {
				again.Reset(nackPoll)
			}
		}
	}
}

// askPending asks again for what is due, and reports whether something is missing
// still.
func (in *ingest) askPending() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := in.server.o.Now()
	pending := false
	for i := range in.tracks {
		s := in.tracks[i].current
		if s == nil || !s.nack.pending() {
			continue
		}
		in.askAgain(s.ssrc, s.nack.due(now))
		pending = pending || s.nack.pending()
	}
	return pending
}

// takeRTCP takes a control packet of the source ssrc from the WebRTC stack.
func (in *ingest) takeRTCP(ssrc uint32, b []byte) {
	in.link.hear(false)
	in.takeControl(ssrc, b, in.server.o.Now())
}

// takeControl takes a control packet of the source ssrc. b is not kept.
func (in *ingest) takeControl(ssrc uint32, b []byte, arrival time.Time) {
	pkts, err := rtcp.Unmarshal(b)
	if err != nil {
		return // garbage from the client: nothing to answer
	}
	for _, p := range pkts {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if p.SSRC == ssrc { // it comes for the sources that it reports on, too
				in.takeReport(p, arrival)
			}
		case *rtcp.Goodbye:
			in.takeGoodbye(p)
		}
	}
}

func (in *ingest) takeReport(sr *rtcp.SenderReport, arrival time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.sources[sr.SSRC]
	if s == nil {
		return
	}
	s.stats.reported(sr.NTPTime, arrival)
	if s.rtx || s.track.current != s {
		return
	}
	in.pub.WriteReport(&media.SenderReport{
		Track: s.track.ID, SSRC: sr.SSRC, NTP: sr.NTPTime, RTP: sr.RTPTime, Arrival: arrival,
	})
}

func (in *ingest) takeGoodbye(p *rtcp.Goodbye) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ssrc := range p.Sources {
		if s := in.sources[ssrc]; s != nil {
			s.left = true
		}
	}
}

// hasLeft reports whether the client is gone without having closed its session: all
// that it sent has said goodbye, and nothing has come since, no connectivity check
// either. A browser also says goodbye for a camera that is turned off, but goes on with
// the checks.
func (in *ingest) hasLeft() bool {
	if silent, _ := in.link.silence(); silent < goodbyeAfter {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	sent := false
	for i := range in.tracks {
		s := in.tracks[i].current
		if s != nil && !s.left {
			return false
		}
		sent = sent || s != nil
	}
	return sent
}

// publication is what ends with a publisher's session.
type publication struct {
	*live.Publication
	discarded *discards
}

// Close implements attachment: what was discarded is told before the end.
func (p publication) Close() {
	p.discarded.tell(true)
	p.Publication.Close()
}

// discard counts a packet that the WebRTC stack refused.
func (in *ingest) discard(cause string) {
	if cause == causeDecryption && in.link.trying() {
		return // of an address that is not the client's
	}
	in.discarded.count(cause)
}
