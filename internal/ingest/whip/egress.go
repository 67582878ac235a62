package whip

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// egress is a viewer's session.
type egress struct {
	*session
	from *live.Stream
	sub  *live.Subscription
	outs []*output // at most one for each kind
}

// output is one track that the viewer receives. It belongs to the goroutine
// that forwards, but for what is marked.
type output struct {
	kind   media.Kind
	codec  string
	fmtp   string // of the publisher's track when the session was made
	local  *webrtc.TrackLocalStaticRTP
	sender *webrtc.RTPSender

	rewriter rewriter
	layers   layers
	joined   bool
	lastTS   uint32 // of the publisher's packets that were forwarded
	// untold says that the viewer may lack the parameter sets that came before it;
	// any goroutine may set it.
	untold atomic.Bool
}

// mediaStreamID is what a viewer's tracks have in common in a=msid. It is not the
// stream's id, which may have spaces and be long: RFC 8830 allows a token of up to 64
// characters, and browsers refuse an answer with anything else.
const mediaStreamID = "live777"

// newEgress adds a local track for each m-line that gets media: of a simulcast the
// biggest layer, or the smallest. It has to come before setOffer, in which the
// PeerConnection pairs them.
func newEgress(se *session, from *live.Stream, cs []chosen, tracks []media.Track, smallest bool) (*egress, error) {
	out := &egress{session: se, from: from}
	for _, c := range cs {
		if c.inactive {
			continue
		}
		local, err := webrtc.NewTrackLocalStaticRTP(c.capability(), c.kind.String(), mediaStreamID)
		if err != nil {
			return nil, err
		}
		sender, err := se.pc.AddTrack(local)
		if err != nil {
			return nil, err
		}
		for _, e := range sender.GetParameters().Encodings {
			se.reads = append(se.reads, uint32(e.SSRC), uint32(e.RTX.SSRC), uint32(e.FEC.SSRC))
		}
		t := tracks[slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == c.kind })]
		out.outs = append(out.outs, &output{
			kind: c.kind, codec: c.row.Name, fmtp: t.Fmtp, local: local, sender: sender,
			rewriter: rewriter{clockRate: c.row.ClockRate}, layers: layers{smallest: smallest},
		})
	}
	se.pc.OnConnectionStateChange(out.stateChanged)
	return out, nil
}

func (e *egress) stateChanged(state webrtc.PeerConnectionState) {
	e.session.stateChanged(state)
	if state == webrtc.PeerConnectionStateConnected { // what was sent before is lost
		for _, o := range e.outs {
			o.untold.Store(true)
		}
		e.requestKeyFrames()
	}
}

// requestKeyFrames asks for a key frame of every video track of the stream:
// which layer the viewer gets may just be changing.
func (e *egress) requestKeyFrames() {
	pub, ok := e.from.Publication()
	if !ok {
		return
	}
	for _, t := range pub.Tracks() {
		if t.Kind == media.Video {
			e.sub.RequestKeyFrame(t.ID)
		}
	}
}

// start runs the goroutines of the session. The subscription must be set.
func (e *egress) start() {
	e.spawn(e.forward)
	for _, o := range e.outs {
		e.spawn(func() { e.readRTCP(o) })
	}
}

// forward moves the stream's packets to the viewer until one of them ends.
func (e *egress) forward() {
	items := make([]live.Item, 128)
	for {
		n, err := e.sub.Read(e.ctx, items)
		if err != nil {
			if errors.Is(err, io.EOF) {
				e.end("the stream ended")
			}
			return
		}
		for _, it := range items[:n] {
			if !e.handle(it) {
				return
			}
		}
		clear(items[:n])
	}
}

// handle reports whether the session goes on.
func (e *egress) handle(it live.Item) bool {
	if it.Dropped > 0 {
		e.requestKeyFrames()
	}
	switch {
	case it.Joined != nil:
		if !e.join(it.Joined.Tracks()) {
			e.end("the publisher came back with another codec")
			return false
		}
		e.requestKeyFrames()
	case it.Packet != nil:
		e.write(it.Packet)
	}
	return true
}

// join takes over the tracks of a publication. It is false if the viewer cannot go on
// with them, because only a new session can tell a player of another codec.
func (e *egress) join(tracks []media.Track) bool {
	for _, o := range e.outs {
		o.layers.reset()
		for _, t := range tracks {
			if t.Kind != o.kind {
				continue
			}
			if t.Codec != o.codec || !sameProfile(t.Codec, t.Fmtp, o.fmtp) {
				return false
			}
			o.layers.add(t.ID)
		}
		if o.joined {
			o.rewriter.restart()
		}
		o.joined = true
		o.untold.Store(true)
	}
	return true
}

func (e *egress) write(p *media.Packet) {
	for _, o := range e.outs {
		forward, switched := o.layers.choose(p)
		if switched {
			o.rewriter.restart()
			e.sub.RequestKeyFrame(p.Track)
		}
		if !forward {
			continue
		}
		if switched {
			o.untold.Store(true)
		}
		if p.Timestamp != o.lastTS && o.untold.CompareAndSwap(true, false) {
			e.tell(o, p)
		}
		o.lastTS = p.Timestamp
		seq, ts := o.rewriter.rewrite(p)
		e.send(o, rtp.Header{Version: 2, Marker: p.Marker, SequenceNumber: seq, Timestamp: ts}, p.Payload)
		return
	}
}

func (e *egress) send(o *output, h rtp.Header, payload []byte) {
	if err := o.local.WriteRTP(&rtp.Packet{Header: h, Payload: payload}); err != nil {
		e.log.Debug("packet was not sent", "error", err)
	}
}

// tell sends the parameter sets that the sender has sent so far, before p, with which
// an access unit begins, because the sender may not send them again. AV1 is left out:
// browsers do not expect a sequence header in a packet of its own before a frame that
// is no key frame.
func (e *egress) tell(o *output, p *media.Packet) {
	pub, ok := e.from.Publication()
	if !ok || o.codec != "H264" && o.codec != "H265" {
		return
	}
	tracks := pub.Tracks()
	if int(p.Track) >= len(tracks) {
		return
	}
	sets := tracks[p.Track].Parameters
	if len(sets) == 0 {
		return
	}
	seq, ts := o.rewriter.insert(p, uint16(len(sets)))
	for i, set := range sets {
		e.send(o, rtp.Header{Version: 2, SequenceNumber: seq + uint16(i), Timestamp: ts}, set)
	}
}

// maxReadErrors is how many reads in a row may fail before a viewer is not read any
// more. An error that does not pass must not become a busy loop.
const maxReadErrors = 1000

// readRTCP listens for the viewer's requests for key frames. Reading also lets
// the interceptors see its NACKs.
func (e *egress) readRTCP(o *output) {
	buf := make([]byte, receiveMTU)
	for failed := 0; failed < maxReadErrors; failed++ {
		n, _, err := o.sender.Read(buf)
		if e.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		if err != nil {
			continue
		}
		failed = 0
		pkts, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			continue // garbage from the client: nothing to answer
		}
		for _, p := range pkts {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				e.requestKeyFrames()
			}
		}
	}
}

// layerWindow is how long the layers of a simulcast are measured before one is
// chosen, and how long an active one may be silent.
const layerWindow = time.Second

// layers chooses one of the tracks of a kind: the only one, or the simulcast
// layer that carries the most bytes, or the least. The names of layers tell nothing of
// their size.
type layers struct {
	smallest bool
	tracks   []layer
	current  int // index in tracks; -1 before the first packet
	since    time.Time
}

type layer struct {
	id    media.TrackID
	bytes int
}

func (l *layers) reset() {
	l.tracks = l.tracks[:0]
	l.current = -1
	l.since = time.Time{}
}

func (l *layers) add(id media.TrackID) { l.tracks = append(l.tracks, layer{id: id}) }

// choose reports whether p is of the chosen layer, and whether the choice
// changed with it.
func (l *layers) choose(p *media.Packet) (forward, switched bool) {
	i := slices.IndexFunc(l.tracks, func(t layer) bool { return t.id == p.Track })
	if i < 0 {
		return false, false
	}
	if len(l.tracks) == 1 {
		return true, false
	}
	l.tracks[i].bytes += len(p.Payload)
	if l.current < 0 {
		l.current, l.since = i, p.Arrival
		return true, false
	}
	if p.Arrival.Sub(l.since) < layerWindow {
		return i == l.current, false
	}
	best := l.best()
	if best == i && best != l.current { // switch with a packet of the new layer in hand
		l.current, switched = best, true
	}
	if best == l.current {
		l.since = p.Arrival
		for j := range l.tracks {
			l.tracks[j].bytes = 0
		}
	}
	return i == l.current, switched
}

// best keeps the current layer unless another is clearly bigger, or smaller.
func (l *layers) best() int {
	best := l.current
	for j := range l.tracks {
		a, b := l.tracks[j].bytes, l.tracks[best].bytes
		if !l.smallest && a > b*5/4 || l.smallest && a > 0 && (b == 0 || a < b*4/5) {
			best = j
		}
	}
	return best
}
