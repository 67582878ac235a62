package receive

import (
	"net/netip"
	"testing"
)

// BenchmarkTake takes packets of 1100 bytes in batches of 32, as one call of the kernel
// hands them over: authentication, replay window, decryption and parsing.
func BenchmarkTake(b *testing.B) {
	h := newHarness(b)
	rec := new(discard)
	s := h.r.Session(SessionOptions{Remote: remote, Handler: rec})
	b.Cleanup(s.Close)
	c := h.client()
	h.keys(s, c)
	batches := make([][][]byte, 64)
	at, next, packets := h.r.began, len(batches), 0
	b.ReportAllocs()
	for b.Loop() {
		if next == len(batches) {
			b.StopTimer()
			for i := range batches {
				batches[i] = make([][]byte, 32)
				for n := range batches[i] {
					batches[i][n] = c.packet(1100)
				}
			}
			next = 0
			b.StartTimer()
		}
		s.take(batches[next], netip.AddrPort{}, at)
		packets += len(batches[next])
		next++
	}
	if rec.packets != packets {
		b.Fatalf("%d of %d packets were taken", rec.packets, packets)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
}
