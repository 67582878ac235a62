package load

import "encoding/binary"

// Packetization is how a sender puts NAL units into packets (RFC 6184).
type Packetization int

// The ways of known senders.
const (
	PacketizeBrowser   Packetization = iota // parameter sets together, in front of what follows; all else alone
	PacketizeSingle                         // each NAL unit alone: OBS
	PacketizeAggregate                      // as many as fit into a packet: ffmpeg
)

const (
	stapA       = 24
	fuA         = 28
	fuHeader    = 2
	stapLength  = 2
	refIDC      = 0x60
	fuStart     = 0x80
	fuEnd       = 0x40
	nalTypeMask = 0x1f
)

// nalPayloader packetizes an access unit by itself: the state of the library's
// payloader, which moves parameter sets, would not let them arrive as they are.
type nalPayloader struct{ aggregate bool }

// Payload implements rtp.Payloader.
func (p *nalPayloader) Payload(mtu uint16, unit []byte) [][]byte {
	var payloads, small [][]byte
	size := 1 // of the small ones as one packet
	flush := func() {
		if len(small) > 0 {
			payloads = append(payloads, aggregate(small))
		}
		small, size = nil, 1
	}
	for _, nal := range splitNALs(unit) {
		whole := stapLength + len(nal)
		if !p.aggregate || size+whole > int(mtu) {
			flush()
		}
		if len(nal) > int(mtu) {
			payloads = append(payloads, fragment(nal, int(mtu))...)
			continue
		}
		small, size = append(small, nal), size+whole
	}
	flush()
	return payloads
}

// aggregate returns one payload with all NAL units (RFC 6184 5.7.1), or the only one.
func aggregate(nals [][]byte) []byte {
	if len(nals) == 1 {
		return nals[0]
	}
	payload := []byte{stapA}
	for _, nal := range nals {
		payload[0] = max(payload[0]&refIDC, nal[0]&refIDC) | stapA
		payload = binary.BigEndian.AppendUint16(payload, uint16(len(nal)))
		payload = append(payload, nal...)
	}
	return payload
}

// fragment returns the payloads of a NAL unit that is too big for one (RFC 6184 5.8).
func fragment(nal []byte, mtu int) [][]byte {
	var payloads [][]byte
	header, rest := nal[0], nal[1:]
	first := byte(fuStart)
	for len(rest) > 0 {
		n := min(len(rest), mtu-fuHeader)
		last := byte(0)
		if n == len(rest) {
			last = fuEnd
		}
		payload := append([]byte{header&^nalTypeMask | fuA, header&nalTypeMask | first | last}, rest[:n]...)
		payloads = append(payloads, payload)
		rest, first = rest[n:], 0
	}
	return payloads
}
