package whip

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

// rewriter gives a viewer one continuous RTP stream. Sequence numbers and timestamps go
// on when a publisher comes back or the simulcast layer changes. Losses stay visible as
// gaps.
type rewriter struct {
	clockRate uint32

	started   bool
	switched  bool   // the next packet is of another source
	ssrc      uint32 // source of what is forwarded
	seqOffset uint16
	tsOffset  uint32

	inserted uint16 // packets that were put in before the one with number before
	before   uint16

	lastSeq uint16 // highest that was sent
	lastTS  uint32
	lastAt  time.Time // arrival of the packet with lastSeq
}

// rewrite returns the sequence number and timestamp to send p with. A packet
// from another source than the last follows it directly, and its timestamp is
// later by as much as it arrived later.
func (r *rewriter) rewrite(p *media.Packet) (seq uint16, ts uint32) {
	switch {
	case !r.started:
		r.started = true
		r.ssrc = p.SSRC
		r.lastSeq = p.Seq - 1
	case p.SSRC != r.ssrc, r.switched:
		r.ssrc, r.inserted = p.SSRC, 0
		passed := media.TicksOf(p.Arrival.Sub(r.lastAt), r.clockRate)
		r.seqOffset = r.lastSeq + 1 - p.Seq
		r.tsOffset = r.lastTS + uint32(max(passed, 1)) - p.Timestamp
	}
	r.switched = false
	seq, ts = p.Seq+r.seqOffset, p.Timestamp+r.tsOffset
	if r.inserted > 0 {
		switch after := int16(p.Seq - r.before); {
		case after < 0: // late: it was counted without them
			seq -= r.inserted
		case after > maxLate:
			r.inserted = 0
		}
	}
	if int16(seq-r.lastSeq) > 0 {
		r.lastSeq, r.lastTS, r.lastAt = seq, ts, p.Arrival
	}
	return seq, ts
}

// maxLate is how far behind others a packet may come, in packets.
const maxLate = 1000

// insert makes room for n packets before p, which has not been rewritten. It returns
// the number of the first and the timestamp of all.
func (r *rewriter) insert(p *media.Packet, n uint16) (seq uint16, ts uint32) {
	r.inserted = 0
	seq, ts = r.rewrite(p)
	r.seqOffset += n
	r.inserted, r.before = n, p.Seq
	return seq, ts
}

// restart makes the next packet count as one from another source, also where
// its SSRC is the same by chance.
func (r *rewriter) restart() { r.switched = true }
