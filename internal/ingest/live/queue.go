package live

// queue is a ring of items, bounded as follows. Packets: by number and payload
// bytes. Reports, of senders and of what was discarded: by a number of their own, minutes of them, so that a queue full
// of packets still takes them. Joined and Left always get in; they stay bounded because a
// publication that left without a packet in the queue leaves no trace in it.
// The ring grows as it is needed and does not shrink.
type queue struct {
	ring []Item // length is a power of two, or 0
	head int
	len  int

	packets, maxPackets int
	bytes, maxBytes     int
	reports             int
	dropped             int // packets dropped since the last item that got in
}

// maxReports bounds what a sender that floods reports can queue. RFC 3550 6.2
// has one every few seconds, browsers send about one a second.
const maxReports = 1024

// minRing is the first allocation: enough for a reader that keeps up.
const minRing = 64

// push appends item and reports whether it got in.
func (q *queue) push(item Item) bool {
	switch {
	case item.Packet != nil:
		n := len(item.Packet.Payload)
		if q.packets >= q.maxPackets || q.bytes+n > q.maxBytes {
			q.dropped++
			return false
		}
		q.packets++
		q.bytes += n
	case item.isReport():
		if q.reports >= maxReports {
			return false
		}
		q.reports++
	case item.Left && q.cancelJoined():
		return false
	}
	if q.len == len(q.ring) {
		q.grow()
	}
	item.Dropped = q.dropped
	q.dropped = 0
	*q.at(q.len) = item
	q.len++
	return true
}

// cancelJoined removes the last Joined and what follows it, if there is no
// packet behind it, and reports whether it did. The packets that were dropped
// since stay counted.
func (q *queue) cancelJoined() bool {
	n := q.len - 1
	for n >= 0 && q.at(n).Report != nil {
		n--
	}
	if n < 0 || q.at(n).Joined == nil {
		return false
	}
	for q.len > n {
		q.len--
		last := q.at(q.len)
		q.dropped += last.Dropped
		if last.Report != nil {
			q.reports--
		}
		*last = Item{}
	}
	return true
}

// pop moves items to dst and returns how many.
func (q *queue) pop(dst []Item) int {
	n := min(len(dst), q.len)
	for i := range n {
		item := q.at(0)
		dst[i] = *item
		switch {
		case item.Packet != nil:
			q.packets--
			q.bytes -= len(item.Packet.Payload)
		case item.isReport():
			q.reports--
		}
		*item = Item{} // the ring keeps no packet alive
		q.head = (q.head + 1) & (len(q.ring) - 1)
		q.len--
	}
	return n
}

func (q *queue) at(i int) *Item { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) grow() {
	ring := make([]Item, max(minRing, 2*len(q.ring)))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}
