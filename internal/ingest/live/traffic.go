package live

import "sync/atomic"

// traffic counts bytes of RTP payload, from the start on.
type traffic struct{ received, sent atomic.Int64 }

// Traffic returns how many bytes of RTP payload publishers have sent to the node,
// and how many viewers have taken from it, since New.
func (s *Streams) Traffic() (received, sent int64) {
	return s.traffic.received.Load(), s.traffic.sent.Load()
}

// countSent counts what a viewer takes.
func (s *Subscription) countSent(items []Item) {
	bytes := 0
	for _, item := range items {
		if item.Packet != nil {
			bytes += len(item.Packet.Payload)
		}
	}
	s.stream.streams.traffic.sent.Add(int64(bytes))
}
