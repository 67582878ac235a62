package whip

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

const (
	// maxArrivals is how many packets are known of at once; a report is due before.
	maxArrivals = 512
	// deltaUnit is the unit of the times in a report, and referenceUnit that of its first.
	deltaUnit     = 250 * time.Microsecond
	referenceUnit = 64 * time.Millisecond
	// vectorSymbols is how many packets a status vector chunk of two bits each has, and
	// maxRun how many a run length chunk.
	vectorSymbols = 7
	maxRun        = 1<<13 - 1
)

// arrivals has when the newest packets of a session came, by their transport-wide
// sequence numbers, and writes reports of it: transport-wide congestion control,
// draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1. It allocates nothing.
type arrivals struct {
	sender uint32

	started bool
	media   uint32 // SSRC of the last packet
	first   int64  // the first number that is to be reported
	next    int64  // after the last one
	reports uint8
	known   [maxArrivals]arrival // of the number modulo its length
	symbols [maxArrivals]uint8   // of a report
}

// arrival is when the packet of a number came.
type arrival struct {
	number int64
	ticks  int64 // of deltaUnit
}

// Symbols of a report.
const (
	notReceived = iota
	smallDelta
	largeDelta
)

// add notes the arrival of a packet.
func (a *arrivals) add(ssrc uint32, sequence uint16, at time.Duration) {
	if !a.started { // numbers are unwrapped from a number far above zero
		a.started = true
		a.first = 1<<32 | int64(sequence)
		a.next = a.first
	}
	a.media = ssrc
	number := a.next + int64(int16(sequence-uint16(a.next)))
	a.next = max(a.next, number+1)
	if number <= a.next-maxArrivals { // too old to be told from others
		return
	}
	a.known[number%maxArrivals] = arrival{number, int64(at / deltaUnit)}
	a.first = max(min(a.first, number), a.next-maxArrivals)
}

// full reports that a report is due whatever the time.
func (a *arrivals) full() bool { return a.next-a.first >= maxArrivals/2 }

// has returns when the packet of a number came.
func (a *arrivals) has(number int64) (ticks int64, ok bool) {
	k := &a.known[number%maxArrivals]
	return k.ticks, k.number == number
}

// write appends a report of what has not been reported. It is empty if there is nothing.
// more says that it ends before, because of a time that cannot be told in it.
func (a *arrivals) write(out []byte) (report []byte, more bool) {
	for a.first < a.next { // a report begins with a packet that came
		if _, ok := a.has(a.first); ok {
			break
		}
		a.first++
	}
	if a.first == a.next {
		return out, false
	}
	ticks, _ := a.has(a.first)
	reference := ticks / int64(referenceUnit/deltaUnit)
	base, count := a.first, a.classify(reference)
	out = a.writeHeader(out, base, count, reference)
	out = writeChunks(out, a.symbols[:count])
	out = a.writeDeltas(out, base, count, reference)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)/4-1))
	a.first = base + int64(count)
	a.reports++
	return out, a.first < a.next
}

// classify fills symbols and returns of how many packets.
func (a *arrivals) classify(reference int64) int {
	last, count := reference*int64(referenceUnit/deltaUnit), 0
	for number := a.first; number < a.next; number++ {
		symbol := uint8(notReceived)
		if ticks, ok := a.has(number); ok {
			delta := ticks - last
			if int64(int16(delta)) != delta {
				break
			}
			symbol, last = largeDelta, ticks
			if 0 <= delta && delta <= 0xff {
				symbol = smallDelta
			}
		}
		a.symbols[count] = symbol
		count++
	}
	return count
}

func (a *arrivals) writeHeader(out []byte, base int64, count int, reference int64) []byte {
	out = append(out, 2<<6|rtcp.FormatTCC, byte(rtcp.TypeTransportSpecificFeedback), 0, 0)
	out = binary.BigEndian.AppendUint32(out, a.sender)
	out = binary.BigEndian.AppendUint32(out, a.media)
	out = binary.BigEndian.AppendUint16(out, uint16(base))
	out = binary.BigEndian.AppendUint16(out, uint16(count))
	return binary.BigEndian.AppendUint32(out, uint32(reference)<<8|uint32(a.reports))
}

// writeChunks writes runs where they are long, and else vectors.
func writeChunks(out []byte, symbols []uint8) []byte {
	for len(symbols) > 0 {
		run := 1
		for run < len(symbols) && run < maxRun && symbols[run] == symbols[0] {
			run++
		}
		if run >= vectorSymbols || run == len(symbols) {
			out = binary.BigEndian.AppendUint16(out, uint16(symbols[0])<<13|uint16(run))
			symbols = symbols[run:]
			continue
		}
		n := min(len(symbols), vectorSymbols)
		chunk := uint16(0b11 << 14)
		for i, s := range symbols[:n] {
			chunk |= uint16(s) << (12 - 2*i)
		}
		out = binary.BigEndian.AppendUint16(out, chunk)
		symbols = symbols[n:]
	}
	return out
}

func (a *arrivals) writeDeltas(out []byte, base int64, count int, reference int64) []byte {
	last := reference * int64(referenceUnit/deltaUnit)
	for i, symbol := range a.symbols[:count] {
		if symbol == notReceived {
			continue
		}
		ticks, _ := a.has(base + int64(i))
		if symbol == smallDelta {
			out = append(out, byte(ticks-last))
		} else {
			out = binary.BigEndian.AppendUint16(out, uint16(ticks-last))
		}
		last = ticks
	}
	return out
}
