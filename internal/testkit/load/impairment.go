package load

import (
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// fate is what the impairments decide for one packet.
type fate struct {
	lost  bool
	twice bool
	late  time.Duration // beyond the track's delay, media time
}

// impairment decides about the packets of one track. Its decisions depend on
// the options and the packet's number only, not on the time.
type impairment struct {
	opts  *Options
	rng   *rand.Rand
	burst int // packets of the current loss that are still to drop
	count int // packets decided about

	jitter *rand.Rand    // its own, so that jitter does not move the other faults
	last   time.Duration // when the last packet left that jitter made late

	reports *rand.Rand // of the reports' clocks
}

func newImpairment(o *Options, stream uint64) *impairment {
	return &impairment{
		opts: o, rng: rand.New(rand.NewPCG(o.Seed, stream)), jitter: rand.New(rand.NewPCG(o.Seed, stream|1<<32)),
		reports: rand.New(rand.NewPCG(o.Seed, stream|2<<32)),
	}
}

// spared is how many packets of a track nothing happens to: without the first
// no receiver can know that it is missing.
const spared = 3

// next decides about the next packet. It draws the same number of random
// values for every packet, so that one kind of fault does not move the others.
func (m *impairment) next() fate {
	loss, late, twice := m.rng.Float64(), m.rng.Float64(), m.rng.Float64()
	var f fate
	if m.count++; m.count <= spared {
		return f
	}
	if m.burst == 0 && loss < m.opts.Loss {
		m.burst = m.opts.LossBurst
	}
	if m.burst > 0 {
		m.burst--
		f.lost = true
		return f
	}
	if late < m.opts.Reorder {
		f.late = m.opts.ReorderBy
	}
	f.twice = twice < m.opts.Duplicate
	return f
}

// jittered returns when a packet that would leave at time at leaves in spite of
// the jitter: later, but not before the one before it, as in a network's queue.
func (m *impairment) jittered(at time.Duration) time.Duration {
	if m.opts.Jitter == 0 {
		return at
	}
	m.last = max(m.last, at+time.Duration(m.jitter.Int64N(int64(m.opts.Jitter)+1)))
	return m.last
}

// reportLate returns by how much the clock of the next report is late.
func (m *impairment) reportLate() time.Duration {
	late := m.opts.ReportLate
	return late.Min + time.Duration(m.reports.Int64N(int64(late.Max-late.Min)+1))
}

// leaves returns when a packet that would leave at time at leaves in spite of
// the stall.
func (m *impairment) leaves(at time.Duration) time.Duration {
	if end := m.opts.StallAt + m.opts.StallFor; at >= m.opts.StallAt && at < end {
		return end
	}
	return at
}

// held is a packet or a report that waits for its time.
type held struct {
	due   time.Duration // media time
	track *track
	rtp   *rtp.Packet // nil for a report
	fate  fate
	ntp   uint64 // of a report
	ts    uint32
}

// heldQueue is sorted by time; of two with the same time the older is first. It
// is bounded by what the sources yield during the longest delay of the options.
type heldQueue []*held

func (q *heldQueue) add(h *held) {
	i := sort.Search(len(*q), func(i int) bool { return (*q)[i].due > h.due })
	*q = slices.Insert(*q, i, h)
}

func (q *heldQueue) take() *held {
	h := (*q)[0]
	*q = slices.Delete(*q, 0, 1)
	return h
}

// dropper is an interceptor between the NACK responder and the network: it
// swallows packets that were announced to it once. The responder has seen them
// and answers a NACK, as it would after a loss on the way. It also gives packets
// another SSRC than the library knows of.
type dropper struct {
	interceptor.NoOp

	mu      sync.Mutex
	packets map[packetKey]struct{} // announced and not yet written
	names   map[uint32]uint32      // SSRCs, by those that they stand for
}

type packetKey struct {
	ssrc uint32
	seq  uint16
}

func newDropper() *dropper {
	return &dropper{packets: map[packetKey]struct{}{}, names: map[uint32]uint32{}}
}

// NewInterceptor implements interceptor.Factory.
func (d *dropper) NewInterceptor(string) (interceptor.Interceptor, error) { return d, nil }

// drop makes the next packet with this number disappear.
func (d *dropper) drop(ssrc uint32, seq uint16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.packets[packetKey{ssrc, seq}] = struct{}{}
}

// rename sends the packets of an SSRC under another one from now on.
func (d *dropper) rename(ssrc, as uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[ssrc] = as
}

func (d *dropper) name(ssrc uint32) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if as, ok := d.names[ssrc]; ok {
		return as
	}
	return ssrc
}

func (d *dropper) take(h *rtp.Header) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := packetKey{h.SSRC, h.SequenceNumber}
	_, ok := d.packets[key]
	delete(d.packets, key)
	return ok
}

// BindLocalStream implements interceptor.Interceptor.
func (d *dropper) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if d.take(h) {
			return h.MarshalSize() + len(payload), nil
		}
		if as := d.name(h.SSRC); as != h.SSRC {
			renamed := *h // the responder keeps h
			renamed.SSRC = as
			h = &renamed
		}
		return w.Write(h, payload, a)
	})
}
