package live

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/live777/recorder/internal/media"
)

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

// StreamTraffic is what the publishers of a stream have sent since it came.
type StreamTraffic struct {
	Stream         string
	Packets, Bytes int64 // of RTP, and of its payload
}

// TrafficOfStreams returns what the publishers of each stream have sent, in no order.
func (s *Streams) TrafficOfStreams() []StreamTraffic {
	s.mu.Lock()
	streams := slices.Collect(maps.Values(s.streams))
	s.mu.Unlock()
	all := make([]StreamTraffic, len(streams))
	for i, st := range streams {
		all[i] = StreamTraffic{Stream: st.id, Packets: st.packets.Load(), Bytes: st.bytes.Load()}
	}
	return all
}

// countReceived counts packets of the stream's publisher.
func (st *Stream) countReceived(pkts []*media.Packet) {
	bytes := 0
	for _, p := range pkts {
		bytes += len(p.Payload)
	}
	st.packets.Add(int64(len(pkts)))
	st.bytes.Add(int64(bytes))
	st.streams.traffic.received.Add(int64(bytes))
}
