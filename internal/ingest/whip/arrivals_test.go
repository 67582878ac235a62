package whip

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/live777/recorder/internal/ingest/receive"
	"github.com/live777/recorder/internal/media"
)

// reported reads reports as a sender does: when the packet of each number came, by the
// distance from the first.
func reported(t *testing.T, reports [][]byte) (came map[uint16]time.Duration, lost int) {
	t.Helper()
	came = make(map[uint16]time.Duration)
	for _, b := range reports {
		var r rtcp.TransportLayerCC
		if err := r.Unmarshal(b); err != nil {
			t.Fatalf("%v in %x", err, b)
		}
		at, seq, deltas := time.Duration(r.ReferenceTime)*referenceUnit, r.BaseSequenceNumber, r.RecvDeltas
		for _, symbol := range symbolsOf(&r) {
			if symbol == rtcp.TypeTCCPacketNotReceived {
				lost++
			} else {
				at += time.Duration(deltas[0].Delta) * time.Microsecond
				came[seq], deltas = at, deltas[1:]
			}
			seq++
		}
	}
	return came, lost
}

func symbolsOf(r *rtcp.TransportLayerCC) []uint16 {
	var out []uint16
	for _, c := range r.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				out = append(out, c.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			out = append(out, c.SymbolList...)
		}
	}
	return out[:min(len(out), int(r.PacketStatusCount))]
}

// FuzzArrivals: whatever the order and the times of packets, reports tell what came and
// when, and a sender can read them. Each byte is a packet: its distance from the one
// before, and the time since.
func FuzzArrivals(f *testing.F) {
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 33, 1, 1, 1})
	f.Add([]byte{1, 4, 31, 250, 1, 1, 17, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 240, 1})
	f.Add([]byte{255, 1, 1, 250, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		a := new(arrivals)
		var reports [][]byte
		report := func() {
			for more := true; more; {
				var b []byte
				if b, more = a.write(nil); len(b) > 0 {
					reports = append(reports, b)
				}
			}
		}
		want, seq, at := make(map[uint16]time.Duration), uint16(65500), time.Duration(0)
		for _, b := range in[:min(len(in), 1000)] {
			seq += uint16(b&15) - 2
			at += time.Duration(b>>4) * time.Duration(b>>4) * time.Duration(b>>4) * 3 * time.Millisecond // up to 10 s
			a.add(7, seq, at)
			want[seq] = at
			if b == 33 || a.full() {
				report()
			}
		}
		report()
		got, _ := reported(t, reports)
		for n, at := range want {
			if d := got[n] - at; d > 0 || d <= -deltaUnit {
				t.Errorf("packet %d came at %v, and %v is reported", n, at, got[n])
			}
		}
	})
}

// TestArrivalsCostNothing: neither a packet nor a report allocates.
func TestArrivalsCostNothing(t *testing.T) {
	a, out, n := new(arrivals), make([]byte, 0, 2000), 0
	if allocs := testing.AllocsPerRun(100, func() {
		for range 30 {
			a.add(7, uint16(n), time.Duration(n)*time.Millisecond)
			n++
		}
		out, _ = a.write(out[:0])
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestBatchesCostNothing: in steady state a packet costs no allocation but its share of
// a block, from the receiver to the subscribers.
func TestBatchesCostNothing(t *testing.T) {
	in, items := newTestIngest(t, testLine{kind: media.Video, pt: 96, lines: "extmap:3 " + extensionTWCC})
	in.feedback.send = func([]byte) {}
	const size = 32
	batch, at, n := make([]receive.Packet, size), time.Now(), uint16(0)
	for i := range batch {
		batch[i].Header = rtp.Header{Version: 2, SSRC: 1, PayloadType: 96}
		if err := batch[i].Header.SetExtension(3, []byte{0, 0}); err != nil {
			t.Fatal(err)
		}
		batch[i].Payload = make([]byte, 1000)
	}
	allocs := testing.AllocsPerRun(50, func() {
		for i := range batch {
			n++
			h := &batch[i].Header
			h.SequenceNumber, h.Timestamp = n, uint32(n)*300
			sequence := h.GetExtension(3)
			sequence[0], sequence[1] = byte(n>>8), byte(n)
		}
		at = at.Add(10 * time.Millisecond)
		in.takeBatch(batch, at)
	})
	if perPacket := allocs / size; perPacket > 0.05 {
		t.Errorf("%.3f allocations a packet", perPacket)
	}
	if got := len(items()); got == 0 {
		t.Error("the subscribers got nothing")
	}
}
