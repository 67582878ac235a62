package whip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
)

const (
	// maxSources bounds what is known of a session's SSRCs; the ones that are
	// silent for the longest are forgotten.
	maxSources = 64
	// maxDeclared bounds the SSRCs of an m-line that are looked at.
	maxDeclared = 64
	// sourceSilent is how long the source of a track must be silent before the one that
	// it has replaced may have the track again.
	sourceSilent = time.Second
)

// source is one SSRC of a publisher.
type source struct {
	ssrc  uint32
	line  *line
	track *upstream
	rtx   bool
	of    uint32 // rtx: whose packets it repeats
	stats receiverStats
	nack  nacker
	came  window
	last  time.Time // of its last packet
	// replaced: another source has the track since.
	replaced bool
	left     bool // it has said goodbye (RFC 3550 section 6.6), and sent nothing since
}

// line is an m-line, with what tells its packets from those of others.
type line struct {
	mid      string
	codec    string
	pt, rtx  uint8
	hasRTX   bool
	tracks   []*upstream      // one, or the layers in the order of the offer
	offered  map[uint8]string // names of all payload types
	declared []declared
	midID    uint8 // header extensions; 0 where there is none
	ridID    uint8
	rridID   uint8
}

// declared is an SSRC of the offer.
type declared struct {
	ssrc   uint32
	layer  int    // index in line.tracks
	rtx    bool   // it repeats packets of
	source uint32 // this one
}

func newLine(c *chosen, tracks []upstream) line {
	l := line{
		mid: c.mid, codec: c.row.Name, pt: c.codec.payloadType, rtx: c.codec.rtx, hasRTX: c.codec.hasRTX,
		offered: make(map[uint8]string),
		midID:   c.extension(extensionMID), ridID: c.extension(extensionRID), rridID: c.extension(extensionRepairedRID),
	}
	for i := range tracks {
		if tracks[i].MID == c.mid {
			l.tracks = append(l.tracks, &tracks[i])
		}
	}
	for _, o := range c.codecs {
		l.offered[o.payloadType] = o.name
	}
	l.declared = declaredSSRCs(c, len(l.tracks))
	return l
}

// declaredSSRCs reads the a=ssrc lines of an m-line (RFC 5576): sources in their
// order, which is that of the layers where the offer has one for each, and what
// repeats them by a=ssrc-group:FID.
func declaredSSRCs(c *chosen, layers int) []declared {
	repairs := make(map[uint32]uint32)
	var order []uint32
	for _, a := range c.desc.Attributes {
		fields := strings.Fields(a.Value)
		switch {
		case len(fields) == 0:
		case a.Key == sdp.AttrKeySSRC:
			n, err := strconv.ParseUint(fields[0], 10, 32)
			if err == nil && len(order) < maxDeclared && !slices.Contains(order, uint32(n)) {
				order = append(order, uint32(n))
			}
		case a.Key == sdp.AttrKeySSRCGroup:
			if group := ssrcGroup(a.Value, "FID"); len(group) == 2 && len(repairs) < maxDeclared {
				repairs[group[1]] = group[0]
			}
		}
	}
	order = slices.DeleteFunc(order, func(ssrc uint32) bool { _, ok := repairs[ssrc]; return ok })
	if len(c.sim) > 0 {
		order = c.sim
	}
	if layers > 1 && len(order) != layers { // which is which cannot be told
		return nil
	}
	var out []declared
	for i, ssrc := range order {
		out = append(out, declared{ssrc: ssrc, layer: min(i, layers-1)})
	}
	for _, base := range out {
		for repair, of := range repairs {
			if of == base.ssrc {
				out = append(out, declared{ssrc: repair, layer: base.layer, rtx: true, source: of})
			}
		}
	}
	return out
}

// ssrcGroup reads the sources of an a=ssrc-group (RFC 5576 section 4.2) of the given
// semantics; nil where it is another, or malformed.
func ssrcGroup(value, semantics string) []uint32 {
	fields := strings.Fields(value)
	if len(fields) < 2 || fields[0] != semantics {
		return nil
	}
	var out []uint32
	for _, f := range fields[1:] {
		n, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return nil
		}
		out = append(out, uint32(n))
	}
	return out
}

// extension returns the id of a header extension that is negotiated; 0 where it is
// not.
func (c *chosen) extension(uri string) uint8 {
	for _, a := range c.desc.Attributes {
		fields := strings.Fields(a.Value)
		if a.Key != "extmap" || len(fields) < 2 || fields[1] != uri {
			continue
		}
		id, _, _ := strings.Cut(fields[0], "/")
		if n, err := strconv.ParseUint(id, 10, 8); err == nil {
			return uint8(n)
		}
	}
	return 0
}

// extensionOf returns the id that an extension has in the session: bundled m-lines
// have one (RFC 8843 section 9.1).
func extensionOf(cs []chosen, uri string) uint8 {
	for i := range cs {
		if id := cs[i].extension(uri); id != 0 {
			return id
		}
	}
	return 0
}

func (l *line) carries(pt uint8) bool { return pt == l.pt || l.hasRTX && pt == l.rtx }

func (l *line) find(ssrc uint32) (declared, bool) {
	i := slices.IndexFunc(l.declared, func(d declared) bool { return d.ssrc == ssrc })
	if i < 0 {
		return declared{}, false
	}
	return l.declared[i], true
}

// route finds the source of a packet, or makes a new one: senders change their SSRC
// when they start their encoder again, or after a collision (RFC 3550 section 8.2). It
// returns nil for a packet of no track, and the cause, if something is lost with it.
func (in *ingest) route(h *rtp.Header, payload []byte) (*source, string) {
	l := in.line(h)
	if l == nil {
		return nil, in.otherPayloadType(h.PayloadType)
	}
	rtx := h.PayloadType != l.pt
	if s := in.sources[h.SSRC]; s != nil && s.rtx == rtx && s.line == l {
		return s, ""
	}
	if len(payload) == 0 {
		return nil, "" // a probe for bandwidth, of a source that has sent nothing yet
	}
	t := l.layer(h, rtx)
	if t == nil {
		return nil, causeLayer
	}
	s := &source{ssrc: h.SSRC, line: l, track: t, rtx: rtx, stats: receiverStats{clockRate: t.ClockRate}}
	if d, ok := l.find(h.SSRC); ok && d.rtx {
		s.of = d.source
	} else if rtx && t.current != nil {
		s.of = t.current.ssrc
	}
	in.makeRoom()
	in.sources[s.ssrc] = s
	in.conn.source(s.ssrc, true)
	return s, ""
}

// line finds the m-line of a packet: by its payload type, and where several have
// that by its MID or its SSRC (RFC 8843 section 9.2).
func (in *ingest) line(h *rtp.Header) *line {
	var best *line
	for i := range in.lines {
		l := &in.lines[i]
		if !l.carries(h.PayloadType) {
			continue
		}
		if l.midID != 0 && string(h.GetExtension(l.midID)) == l.mid {
			return l
		}
		if _, ok := l.find(h.SSRC); ok || best == nil {
			best = l
		}
	}
	if s := in.sources[h.SSRC]; s != nil && s.line.carries(h.PayloadType) {
		return s.line
	}
	return best
}

// layer finds the track of a packet of a new source.
func (l *line) layer(h *rtp.Header, rtx bool) *upstream {
	if len(l.tracks) == 1 {
		return l.tracks[0]
	}
	ids := []uint8{l.ridID}
	if rtx {
		ids = []uint8{l.rridID, l.ridID} // some repeat the whole header
	}
	for _, id := range ids {
		if t := l.named(string(h.GetExtension(id))); t != nil {
			return t
		}
	}
	if d, ok := l.find(h.SSRC); ok && d.layer < len(l.tracks) {
		return l.tracks[d.layer]
	}
	return nil
}

// named returns the layer of that name.
func (l *line) named(rid string) *upstream {
	for _, t := range l.tracks {
		if rid != "" && t.RID == rid {
			return t
		}
	}
	return nil
}

// otherPayloadType words that a packet has a payload type that was not negotiated.
func (in *ingest) otherPayloadType(pt uint8) string {
	var negotiated []string
	for i := range in.lines {
		l := &in.lines[i]
		if name, ok := l.offered[pt]; ok {
			return fmt.Sprintf("payload type %d (%s) came, %d (%s) was negotiated", pt, printable(name), l.pt, l.codec)
		}
		negotiated = append(negotiated, strconv.Itoa(int(l.pt)))
	}
	return fmt.Sprintf("payload type %d came, %s was negotiated", pt, strings.Join(negotiated, " and "))
}

// printable shortens a name that a client chose.
func printable(name string) string {
	return strings.Trim(strconv.QuoteToASCII(name[:min(len(name), 20)]), `"`)
}

// makeRoom forgets the source that has been silent for the longest, if there are too
// many.
func (in *ingest) makeRoom() {
	if len(in.sources) < maxSources {
		return
	}
	var oldest *source
	for _, s := range in.sources {
		if s.track.current != s && (oldest == nil || s.last.Before(oldest.last)) {
			oldest = s
		}
	}
	if oldest != nil {
		delete(in.sources, oldest.ssrc)
		in.conn.source(oldest.ssrc, false)
	}
}

// isCurrent reports whether a packet belongs to the track. A new source has the track
// from its first packet on; otherwise the beginning of its first picture would be
// missing. A source that was replaced gets it back only when the newer one is silent.
func (in *ingest) isCurrent(s *source, payload []byte, arrival time.Time) bool {
	t := s.track
	switch {
	case t.current == s:
		return true
	case len(payload) == 0:
		return false
	case s.replaced && arrival.Sub(t.current.last) < sourceSilent:
		in.discarded.count(causeReplaced)
		return false
	}
	if t.current != nil {
		t.current.replaced = true
		in.log.Log(in.ctx, in.renamed.level(), "the publisher goes on with another SSRC", "track", int(t.ID), "from", t.current.ssrc, "to", s.ssrc)
	}
	s.replaced = false
	in.activate(t, s)
	return true
}

// takeRetransmission makes the packet that a retransmission repeats (RFC 4588
// section 4).
func (in *ingest) takeRetransmission(s *source, h *rtp.Header, payload []byte, arrival time.Time) {
	current := s.track.current
	switch {
	case len(payload) == 0, current == nil:
		return // a probe for bandwidth; before the first packet nothing can have been lost
	case len(payload) < 2:
		in.discarded.count(causeRetransmission)
		return
	}
	seq := uint16(payload[0])<<8 | uint16(payload[1])
	if s.of != current.ssrc {
		if !current.nack.near(seq) { // of the source before
			in.discarded.count(causeReplaced)
			return
		}
		s.of = current.ssrc
	}
	if current.came.has(seq) {
		return // a probe, too
	}
	in.hand(current, seq, h.Timestamp, h.Marker, payload[2:], arrival)
}
