package whip

// window knows which of the newest sequence numbers of an SSRC have come. Senders
// repeat packets that have arrived to find out what the network carries (libwebrtc
// does, as retransmissions). Somebody who joins the stream then must not take such a
// packet for the newest.
type window struct {
	started bool
	highest uint16
	bits    [nackMaxGap / 64]uint64 // of the numbers up to highest
}

// has reports whether a packet has come. What is older than the window has.
func (w *window) has(seq uint16) bool {
	diff := int16(seq - w.highest)
	switch {
	case !w.started || diff > 0:
		return false
	case diff <= -nackMaxGap:
		return true
	}
	i := seq % nackMaxGap
	return w.bits[i/64]>>(i%64)&1 != 0
}

// add notes a packet. One from far away is of a sender that began anew.
func (w *window) add(seq uint16) {
	diff := int16(seq - w.highest)
	switch {
	case !w.started || diff >= nackMaxGap || diff <= -nackMaxGap:
		*w = window{started: true, highest: seq}
	case diff > 0:
		for s := w.highest + 1; s != seq; s++ {
			w.set(s, false)
		}
		w.highest = seq
	}
	w.set(seq, true)
}

func (w *window) set(seq uint16, has bool) {
	i := seq % nackMaxGap
	w.bits[i/64] &^= 1 << (i % 64)
	if has {
		w.bits[i/64] |= 1 << (i % 64)
	}
}
