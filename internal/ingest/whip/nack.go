package whip

import "time"

// How missing packets are asked for again. A recorder waits for a packet up to
// two seconds, so that a request that gets lost itself is worth repeating.
const (
	nackDelay    = 10 * time.Millisecond // reordering is put right by itself
	nackInterval = 60 * time.Millisecond // about one round trip over the internet
	nackTries    = 16
	// nackPoll is how often what is missing is looked at when no packets come.
	nackPoll = 20 * time.Millisecond
	// nackMaxGap is the longest gap, in packets, that is taken for a loss; a
	// longer one is a sender that started anew.
	nackMaxGap = 1024
	// nackMaxMissing bounds the memory; the oldest are given up first.
	nackMaxMissing = 2048
)

// nacker tracks the sequence numbers of one SSRC and tells which to ask for
// again (RFC 4585 section 6.2.1). It sees recovered packets as well, so that
// what was retransmitted is not asked for again. Packets drive the repeats, and
// while something is missing its owner calls due as well: a sender of few
// frames, or one that pauses, may send nothing for longer than the recorder
// waits for a packet.
type nacker struct {
	started bool
	highest uint16
	missing []missing // ascending by seq; few
	asks    []uint16  // reused result
}

type missing struct {
	seq   uint16
	next  time.Time
	tries int
}

// received notes a packet and returns the sequence numbers to ask for now. The
// result is valid until the next call.
func (n *nacker) received(seq uint16, now time.Time) []uint16 {
	diff := int16(seq - n.highest)
	switch {
	case !n.started || diff > nackMaxGap || diff < -nackMaxGap:
		n.started = true
		n.highest = seq
		n.missing = n.missing[:0]
	case diff > 0:
		for s := n.highest + 1; s != seq; s++ {
			n.missing = append(n.missing, missing{seq: s, next: now.Add(nackDelay)})
		}
		n.highest = seq
		if over := len(n.missing) - nackMaxMissing; over > 0 {
			n.missing = append(n.missing[:0], n.missing[over:]...)
		}
	case diff < 0:
		n.found(seq)
	}
	return n.due(now)
}

// pending reports whether something is still to be asked for.
func (n *nacker) pending() bool { return len(n.missing) > 0 }

// near reports whether a packet of this number may have been sent lately.
func (n *nacker) near(seq uint16) bool {
	diff := int16(seq - n.highest)
	return n.started && -nackMaxGap <= diff && diff <= nackMaxGap
}

func (n *nacker) found(seq uint16) {
	for i := range n.missing {
		if n.missing[i].seq == seq {
			n.missing = append(n.missing[:i], n.missing[i+1:]...)
			return
		}
	}
}

// due returns what to ask for now, as received does, and forgets what was asked
// for often enough.
func (n *nacker) due(now time.Time) []uint16 {
	if len(n.missing) == 0 {
		return nil
	}
	n.asks = n.asks[:0]
	keep := n.missing[:0]
	for _, m := range n.missing {
		if !now.Before(m.next) {
			n.asks = append(n.asks, m.seq)
			m.tries++
			m.next = now.Add(nackInterval)
		}
		if m.tries < nackTries {
			keep = append(keep, m)
		}
	}
	n.missing = keep
	return n.asks
}
