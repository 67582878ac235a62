package chaos

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/load"
)

const (
	mtu       = 600 // small, so that frames have several packets
	spared    = 3   // packets of a track that nothing happens to: they tell where it begins
	latency   = 5 * time.Millisecond
	farewell  = 150 * time.Millisecond // from the last packet to the end of the session
	reordered = 300 * time.Millisecond // the most by which a packet is late that comes out of order
	resent    = 700 * time.Millisecond // the most by which a packet is late that is sent again
	jittery   = 38 * time.Millisecond  // by how much a report of "jitter" is wrong
	doubtful  = time.Second            // a packet that comes so late may be too late, or not
)

// sender is a life's publication.
type sender struct {
	w      *world
	life   *Life
	node   *node // that it has connected to: another one does not know its session
	began  time.Duration
	pub    *live.Publication
	tracks []*track
	ntp    time.Duration // by which its clock is ahead
	over   bool          // sends nothing more
	closed bool          // the node has taken its leave
	number int
}

// track is what a sender sends of one source.
type track struct {
	*sender
	media.Track
	index     int
	src       *load.Source
	packetize rtp.Payloader
	truth     *trackTruth
	unit      int           // of the source, next
	next      time.Duration // when it is captured, since the sender began
	ssrc      uint32
	seq       uint16
	ts        int64
	burst     int
	queue     time.Duration // when the last packet arrives that jitter has made late
	reported  time.Duration
	wanted    atomic.Bool // a key frame
	posted    int
	off       bool
}

// begin has a life begin at its time, or when there is a node.
func (w *world) begin(l *Life) {
	end := l.At + l.For
	var try func()
	try = func() {
		switch {
		case w.age() >= end || w.frozen:
		case w.node == nil:
			w.net(w.age()+500*time.Millisecond, try)
		default:
			w.publish(l, try)
		}
	}
	w.at(l.At, try)
}

// publish begins a sender. again is called when the node has died.
func (w *world) publish(l *Life, again func()) {
	s := &sender{w: w, life: l, node: w.node, began: w.age(), ntp: time.Duration(w.dice.Int64N(int64(1000 * time.Hour))), number: len(w.truth.senders)}
	w.truth.senders = append(w.truth.senders, &senderTruth{life: l, began: s.began})
	base := int64(w.dice.Uint32())
	for i, name := range append(append([]string(nil), l.Video...), audioOf(l)...) {
		s.add(i, source(w.t, name), base)
	}
	pub, err := w.node.streams.Publish(stream, live.SessionInfo{ID: fmt.Sprint(s.number), CreatedAt: w.now(), State: "connected"}, s.list(), s)
	if err != nil {
		w.net(w.age()+500*time.Millisecond, again) // the one before has not been missed yet
		w.truth.senders = w.truth.senders[:s.number]
		return
	}
	s.pub = pub
	for _, tr := range s.tracks {
		w.truth.senders[s.number].tracks = append(w.truth.senders[s.number].tracks, tr.truth)
		w.net(s.began, tr.produce)
	}
	for _, turn := range l.Turns {
		w.net(max(s.began, l.At+turn.At), func() { s.turn(turn) })
	}
	w.net(l.At+l.For, s.leave)
	var watch func()
	watch = func() {
		switch {
		case s.over:
		case w.node != s.node:
			s.end()
			again()
		default:
			w.net(w.age()+500*time.Millisecond, watch)
		}
	}
	watch()
}

func audioOf(l *Life) []string {
	if l.Audio == "" {
		return nil
	}
	return []string{l.Audio}
}

func (s *sender) list() (tracks []media.Track) {
	for _, tr := range s.tracks {
		tracks = append(tracks, tr.Track)
	}
	return tracks
}

func (s *sender) add(i int, src *load.Source, base int64) {
	d := s.w.dice
	tr := &track{
		sender: s, index: i, src: src, ssrc: d.Uint32(), seq: uint16(d.Uint32()), ts: int64(d.Uint32()), reported: -time.Hour,
		Track: media.Track{
			ID: media.TrackID(i), Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, Channels: src.Channels, Fmtp: src.Fmtp, MID: src.Kind.String(),
		},
		truth: &trackTruth{lane: lane{src.Kind, i}, sender: s.w.truth.senders[s.number]},
	}
	if src.Kind == media.Video && len(s.life.Video) > 1 {
		tr.RID = fmt.Sprint(i)
		if s.life.EqualTS {
			tr.ts = base
		}
	}
	if src.Kind == media.Audio {
		tr.truth.layer = 0
	}
	tr.packetize = payloader(src.Codec)
	s.tracks = append(s.tracks, tr)
}

func payloader(codec string) rtp.Payloader {
	switch codec {
	case "H264":
		return &codecs.H264Payloader{}
	case "H265":
		return &codecs.H265Payloader{}
	case "AV1":
		return &codecs.AV1Payloader{}
	case "VP9":
		return &codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return 7 }}
	case "VP8":
		return &codecs.VP8Payloader{}
	}
	return &codecs.OpusPayloader{}
}

// RequestKeyFrame implements live.Publisher.
func (s *sender) RequestKeyFrame(id media.TrackID) { s.tracks[id].wanted.Store(true) }

// Close implements live.Publisher.
func (s *sender) Close() {}

// leave ends the life.
func (s *sender) leave() {
	if s.over {
		return
	}
	s.end()
	after := farewell
	if s.life.Vanish {
		after = vanishAfter
	}
	s.w.at(s.w.age()+after, func() {
		s.closed = true
		if s.w.node == s.node {
			s.pub.Close()
		}
	})
}

func (s *sender) end() {
	s.over = true
	s.w.truth.senders[s.number].ended = s.began + s.tracks[0].next
}

func (s *sender) turn(t Turn) {
	if s.over {
		return
	}
	for _, tr := range s.tracks {
		if t.SSRC || t.Seq > 0 {
			tr.truth.confuse(s.w.age(), &s.life.Net)
		}
		if t.Seq > 0 {
			tr.truth.renumbered = append(tr.truth.renumbered, s.w.age())
		}
		tr.seq += t.Seq
		tr.ts += int64(media.TicksOf(t.Stamp, tr.ClockRate))
		if t.SSRC {
			d := s.w.dice
			tr.ssrc, tr.seq, tr.ts = d.Uint32(), uint16(d.Uint32()), int64(d.Uint32())
		}
		if t.SSRC || t.Seq > 0 {
			tr.seek()
		}
	}
	if t.SSRC && s.life.EqualTS {
		for _, tr := range s.tracks[1:] {
			if tr.Kind == media.Video {
				tr.ts = s.tracks[0].ts
			}
		}
	}
}

// seek goes to the next key frame of the source.
func (tr *track) seek() {
	for !tr.src.Units[tr.unit%len(tr.src.Units)].Key {
		tr.unit++
	}
}

// produce captures a unit and sends it.
func (tr *track) produce() {
	if tr.over {
		return
	}
	if tr.isOff() {
		tr.off = true
	} else {
		tr.send()
	}
	u := &tr.src.Units[tr.unit%len(tr.src.Units)]
	if !tr.off {
		tr.unit++
	}
	d := u.Duration.Duration(tr.ClockRate)
	if tr.Kind == media.Audio {
		d += time.Duration(float64(d) * tr.life.Clock.PPM / 1e6)
	}
	tr.ts += int64(u.Duration)
	tr.next += d
	tr.w.net(tr.began+tr.next, tr.produce)
}

func (tr *track) isOff() bool {
	at := tr.began + tr.next - tr.life.At
	for _, o := range tr.life.Off {
		if o.Track == tr.index && at >= o.At && at < o.At+o.For {
			return true
		}
	}
	return false
}

// comesBack says whether a track that was off goes on with a key frame.
func (tr *track) comesBack() {
	if !tr.off {
		return
	}
	tr.off = false
	at := tr.began + tr.next - tr.life.At
	for _, o := range tr.life.Off {
		if o.Track == tr.index && at >= o.At+o.For && o.Key {
			tr.seek()
		}
	}
}

// send sends the unit that is due.
func (tr *track) send() {
	tr.comesBack()
	if tr.wanted.Swap(false) && tr.life.Obeys && tr.Kind == media.Video {
		tr.seek()
	}
	u := &tr.src.Units[tr.unit%len(tr.src.Units)]
	captured := tr.began + tr.next
	sent := captured
	if d := tr.life.Clock.Delay; d > 0 {
		sent += tr.w.dice.between(0, d)
	}
	sent = max(sent, tr.truth.sent) // one after the other
	tr.truth.sent = sent
	tr.report(captured, sent)
	payloads := tr.packetize.Payload(mtu, u.Data)
	unit := tr.truth.add(u, captured, len(payloads))
	for i, p := range payloads {
		tr.seq++
		tr.post(unit, sent, &media.Packet{
			Track: tr.ID, SSRC: tr.ssrc, Seq: tr.seq, Timestamp: uint32(tr.ts), Marker: i == len(payloads)-1, Payload: p,
		})
	}
}

// post gives a packet to the network.
func (tr *track) post(u *unit, sent time.Duration, p *media.Packet) {
	d, n := tr.w.dice, &tr.life.Net
	if tr.posted++; tr.posted <= spared {
		n = &Net{}
	}
	lost, again, late, twice := d.Float64(), d.Float64(), d.Float64(), d.Float64()
	if tr.burst == 0 && lost < n.Loss {
		tr.burst = max(n.Burst, 1)
	}
	for _, o := range n.Outages {
		if o.has(sent - tr.life.At) {
			u.lost(sent)
			return
		}
	}
	arrives := sent + latency
	if n.Jitter > 0 {
		tr.queue = max(tr.queue, arrives+d.between(0, n.Jitter))
		arrives = tr.queue
	}
	if tr.burst > 0 {
		if tr.burst--; again >= n.Again {
			u.lost(sent)
			return
		}
		arrives += d.between(30*time.Millisecond, resent)
	} else if late < n.Reorder {
		arrives += d.between(5*time.Millisecond, reordered)
	}
	c := &copies{left: 1}
	if twice < n.Duplicate {
		c.left++
		tr.deliver(u, c, arrives+d.between(0, 100*time.Millisecond), sent, p)
	}
	tr.deliver(u, c, arrives, sent, p)
}

// copies are of one packet: it has arrived when one of them has.
type copies struct {
	left           int
	taken, arrived bool
}

// deliver has a copy of a packet arrive.
func (tr *track) deliver(u *unit, c *copies, at, sent time.Duration, p *media.Packet) {
	pub := tr.pub
	tr.w.net(at, func() {
		ok := tr.w.node == tr.node && !tr.closed && tr.w.arrive(len(p.Payload)+60, func() {
			q := *p
			q.Arrival = tr.w.now()
			pub.WritePacket(&q)
			if !c.arrived {
				c.arrived = true
				u.arrived(tr.w.age(), at-sent > doubtful)
			}
		})
		c.taken = c.taken || ok
		if c.left--; !c.taken && c.left == 0 {
			u.lost(at)
		}
	})
}

// report sends a sender report, when it is time.
func (tr *track) report(captured, sent time.Duration) {
	kind := tr.life.Clock.Reports
	if kind == "" || captured-tr.reported < time.Second {
		return
	}
	tr.reported = captured
	d := tr.w.dice
	at := tr.w.wall(captured).Add(tr.ntp)
	switch kind {
	case "sent":
		at = tr.w.wall(sent).Add(tr.ntp)
	case "jitter":
		at = at.Add(d.between(1-jittery, jittery))
	case "whole":
		at = at.Truncate(time.Second)
	}
	for _, o := range tr.life.Net.Outages {
		if o.has(sent - tr.life.At) {
			return // it goes the way of the packets
		}
	}
	r := media.SenderReport{Track: tr.ID, SSRC: tr.ssrc, NTP: media.NTP(at), RTP: uint32(tr.ts)}
	pub := tr.pub
	tr.w.net(sent+latency, func() {
		if tr.w.node != tr.node {
			return
		}
		tr.w.arrive(100, func() {
			q := r
			q.Arrival = tr.w.now()
			pub.WriteReport(&q)
		})
	})
}
