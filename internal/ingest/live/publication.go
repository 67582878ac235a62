package live

import (
	"slices"
	"sync/atomic"

	"github.com/live777/recorder/internal/media"
)

// Publisher is the session behind a publication. Its methods may be called from
// any goroutine and must not block.
type Publisher interface {
	// RequestKeyFrame asks the sender for a key frame of a video track. It must
	// not call back into this package.
	RequestKeyFrame(media.TrackID)
	// Close ends the session. It is called when the stream is deleted or the
	// node ends, and it may call Publication.Close.
	Close()
}

// Publication is what one publisher sends, from its coming to its going. It is
// safe for concurrent use; packets of one track must be written by one
// goroutine at a time to keep their order.
type Publication struct {
	stream    *Stream
	publisher Publisher
	tracks    []media.Track
	keepers   []Keeper    // by track; nil for those without
	session   SessionInfo // without State
	state     atomic.Pointer[string]
	keyFrames keyFrames
}

func newPublication(st *Stream, session SessionInfo, tracks []media.Track, p Publisher) *Publication {
	pub := &Publication{stream: st, publisher: p, tracks: slices.Clone(tracks), session: session}
	pub.state.Store(&session.State)
	for _, t := range pub.tracks {
		pub.keepers = append(pub.keepers, st.streams.keeper(t))
	}
	pub.keyFrames.init(pub.tracks, st.streams.keyFrameInterval, st.streams.now, p.RequestKeyFrame)
	return pub
}

// Tracks returns the tracks, as they were negotiated; a track's ID is its index.
// They have the parameter sets that came until now.
func (p *Publication) Tracks() []media.Track {
	tracks := slices.Clone(p.tracks)
	for i, k := range p.keepers {
		if k != nil {
			tracks[i].Parameters = k.Kept()
		}
	}
	return tracks
}

// Session describes the publisher's session.
func (p *Publication) Session() SessionInfo {
	s := p.session
	s.State = *p.state.Load()
	return s
}

// WritePacket hands pkt to all subscribers. It never blocks: a subscriber whose
// queue is full loses the packet and is told. The packet must not be changed
// afterwards. After Close it does nothing.
func (p *Publication) WritePacket(pkt *media.Packet) {
	one := [...]*media.Packet{pkt}
	p.WritePackets(one[:])
}

// WritePackets is WritePacket of packets that came together: each subscriber gets them
// in one go. The slice is not kept.
func (p *Publication) WritePackets(pkts []*media.Packet) {
	for _, pkt := range pkts {
		if id := int(pkt.Track); id < len(p.keepers) && p.keepers[id] != nil {
			p.keepers[id].Observe(pkt.Payload) // before anybody can have the packet, and join right after it
		}
	}
	p.stream.forwardPackets(p, pkts)
}

// WriteReport hands a sender report to all subscribers, as WritePacket does.
func (p *Publication) WriteReport(r *media.SenderReport) { p.stream.forward(p, Item{Report: r}) }

// WriteDiscard tells all subscribers of packets that are no part of a track, as
// WritePacket does.
func (p *Publication) WriteDiscard(d *media.Discard) { p.stream.forward(p, Item{Discarded: d}) }

// SetState notes the state of the publisher's connection, an
// RTCPeerConnection.connectionState.
func (p *Publication) SetState(state string) {
	if old := p.state.Swap(&state); *old != state {
		p.stream.streams.watches.notify()
	}
}

// Close ends the publication: subscribers get Left, and the stream goes too if
// nothing else holds it. It does not call Publisher.Close. Further calls do
// nothing.
func (p *Publication) Close() {
	p.keyFrames.close()
	if !p.stream.leave(p) {
		return
	}
	streams := p.stream.streams
	streams.removeIdle(p.stream)
	streams.watches.notify()
	streams.log.Info("publisher left", "stream", p.stream.id, "session", p.session.ID)
}
