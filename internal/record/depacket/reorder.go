package depacket

import (
	"math/bits"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// maxJump is the largest step of the sequence number that is believed to
	// be a loss (MAX_DROPOUT of RFC 3550 A.1).
	maxJump = 3000
	// historySize is how many past sequence numbers are remembered, to tell a
	// duplicate from a packet that comes too late. A power of two above maxJump.
	historySize = 4096
	// leastOutage is by how much timestamps must have gone on for a jump of the
	// sequence numbers to be a loss: nobody sends maxJump packets in less.
	leastOutage = 100 * time.Millisecond
	// minRing is the first size of the buffer. A power of two.
	minRing = 64
)

// reorderer hands on packets in the order of their sequence numbers. These are
// unwrapped to 64 bits, seeded by the first packet.
type reorderer struct {
	rate  uint32 // clock rate of the timestamps
	delay time.Duration
	max   int64
	stats *Stats

	started bool
	ssrc    uint32
	first   int64  // not taken yet; what comes before is
	high    int64  // highest received ...
	highTS  uint32 // ... and its timestamp

	// ring has the packets from first to high by sequence number; its length
	// is a power of two. It grows when something is missing only: max + maxJump
	// bounds it.
	ring     []*media.Packet
	buffered int
	gapSince time.Time // when first was noticed to be missing, if it is
	awake    time.Time // when the process last went on after it stood still

	received [historySize / 64]uint64 // bit set of the taken

	stray *media.Packet // a packet from nowhere: the first of a new stream if the next follows it

	oldSSRC uint32 // the stream before this one ...
	oldTill time.Time
}

// insert takes p into the buffer. An error says that p belongs to a new
// stream: what is buffered must be drained and restart be called with p.
func (r *reorderer) insert(p *media.Packet) error {
	switch {
	case !r.started:
		r.begin(p)
	case p.SSRC != r.ssrc && p.SSRC == r.oldSSRC && p.Arrival.Before(r.oldTill):
		r.stats.PacketsDiscarded++ // overtaken by the new stream
		return nil
	case p.SSRC != r.ssrc:
		return ErrSSRC
	}
	seq := r.high + int64(int16(p.Seq-uint16(r.high)))
	if seq > r.high+maxJump || seq < min(r.high-maxJump, r.first) {
		return r.strays(p)
	}
	r.dropStray()
	if seq < r.first {
		if r.wasReceived(seq) {
			r.stats.PacketsDuplicate++
		} else {
			r.stats.PacketsDiscarded++
		}
		return nil
	}
	r.grow(seq)
	slot := &r.ring[seq&int64(len(r.ring)-1)]
	if *slot != nil {
		r.stats.PacketsDuplicate++
		return nil
	}
	if r.buffered == 0 {
		r.gapSince = p.Arrival
	}
	*slot = r.inTime(seq, p)
	r.buffered++
	r.stats.PacketsReceived++
	if seq < r.high {
		r.stats.PacketsLate++
	}
	if seq >= r.high {
		r.high, r.highTS = seq, p.Timestamp
	}
	return nil
}

// inTime returns p, or where it was overtaken a copy that arrived with the packet that is
// behind it now: clocks are told by arrivals, and it was sent before that.
func (r *reorderer) inTime(seq int64, p *media.Packet) *media.Packet {
	for s := seq + 1; s <= r.high && r.buffered > 0; s++ {
		if behind := r.ring[s&int64(len(r.ring)-1)]; behind != nil {
			if behind.Arrival.Before(p.Arrival) {
				q := *p
				q.Arrival = behind.Arrival
				return &q
			}
			break
		}
	}
	return p
}

// begin starts the stream of which p is the first packet.
func (r *reorderer) begin(p *media.Packet) {
	r.started, r.ssrc = true, p.SSRC
	r.first, r.high = int64(p.Seq), int64(p.Seq)
}

// strays keeps p, whose sequence number is far off. Only a second packet that
// follows it makes a new stream: one alone is an accident (RFC 3550 A.1).
func (r *reorderer) strays(p *media.Packet) error {
	if r.stray != nil && p.Seq == r.stray.Seq+1 {
		return ErrSequence
	}
	r.dropStray()
	r.stray = p
	return nil
}

func (r *reorderer) dropStray() {
	if r.stray != nil {
		r.stats.PacketsDiscarded++
		r.stray = nil
	}
}

// restart begins a new stream with p, for which insert returned an error, and
// with the stray before it.
func (r *reorderer) restart(p *media.Packet) {
	stray, ssrc := r.stray, r.ssrc
	if p.SSRC != ssrc {
		r.dropStray()
		stray = nil
	} else {
		r.stats.PacketsLost += r.missing(stray)
	}
	r.clear()
	if p.SSRC != ssrc {
		r.oldSSRC, r.oldTill = ssrc, p.Arrival.Add(r.delay)
	}
	// Neither can fail: the first packet of a stream is always accepted, and
	// p has the number after the stray's.
	if stray != nil {
		_ = r.insert(stray)
	}
	_ = r.insert(p)
}

// missing returns how many packets are lost before p, whose sequence number has jumped:
// if it did so ahead and the timestamps went along, the network had an outage, or this
// process stood still. Else the sender numbers its packets anew.
func (r *reorderer) missing(p *media.Packet) int64 {
	n := int16(p.Seq-uint16(r.high)) - 1
	sent := media.Ticks(int32(p.Timestamp - r.highTS)).Duration(r.rate)
	if n <= 0 || sent < leastOutage {
		return 0
	}
	return int64(n)
}

// clear forgets the stream. The buffer must be drained.
func (r *reorderer) clear() {
	*r = reorderer{rate: r.rate, delay: r.delay, max: r.max, stats: r.stats, ring: r.ring}
}

// grow makes room in the ring for seq.
func (r *reorderer) grow(seq int64) {
	span := seq - r.first + 1
	if span <= int64(len(r.ring)) {
		return
	}
	ring := make([]*media.Packet, max(minRing, 1<<bits.Len64(uint64(span-1))))
	for s := r.first; s <= r.high && r.buffered > 0; s++ {
		ring[s&int64(len(ring)-1)] = r.ring[s&int64(len(r.ring)-1)]
	}
	r.ring = ring
}

// next returns the next packet in order, nil if there is none now. lost says
// that packets before it were given up: those that have been missing for the
// delay at now, those that hold up too many others, and every missing one with
// all.
func (r *reorderer) next(now time.Time, all bool) (p *media.Packet, lost bool) {
	if r.buffered == 0 {
		return nil, false
	}
	mask := int64(len(r.ring) - 1)
	if r.ring[r.first&mask] == nil {
		if !all && r.high-r.first < r.max && now.Sub(r.gapSince) < r.delay {
			return nil, false
		}
		for ; r.ring[r.first&mask] == nil; r.first++ {
			r.setReceived(r.first, false)
			r.stats.PacketsLost++
		}
		lost = true
	}
	p = r.ring[r.first&mask]
	r.ring[r.first&mask] = nil
	r.buffered--
	r.setReceived(r.first, true)
	r.first++
	if r.buffered > 0 && r.ring[r.first&mask] == nil {
		r.gapSince = media.Later(r.earliest(), r.awake)
	}
	return p, lost
}

// earliest returns the first arrival among the buffered packets: when the gap
// before all of them was noticed.
func (r *reorderer) earliest() (t time.Time) {
	for s := r.first; s <= r.high; s++ {
		if p := r.ring[s&int64(len(r.ring)-1)]; p != nil && (t.IsZero() || p.Arrival.Before(t)) {
			t = p.Arrival
		}
	}
	return t
}

func (r *reorderer) setReceived(seq int64, received bool) {
	word, bit := &r.received[seq>>6&(historySize/64-1)], uint64(1)<<(seq&63)
	if received {
		*word |= bit
	} else {
		*word &^= bit
	}
}

func (r *reorderer) wasReceived(seq int64) bool {
	return r.received[seq>>6&(historySize/64-1)]>>(seq&63)&1 != 0
}
