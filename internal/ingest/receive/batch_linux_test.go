package receive

import (
	"syscall"
	"testing"
)

// TestCoalesced: packets that the kernel hands over as one message are taken apart.
func TestCoalesced(t *testing.T) {
	const udpSegment = 103 // UDP_SEGMENT: the kernel sends a buffer as packets of this length
	h := newHarness(t)
	c := h.client()
	raw, err := c.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	if err := raw.Control(func(fd uintptr) { refused = syscall.SetsockoptInt(int(fd), solUDP, udpSegment, 100) }); err != nil {
		t.Fatal(err)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	b := make([]byte, 950)
	for i := range b {
		b[i] = 255 // of no session
	}
	c.send(b)
	for i := range 10 {
		want := 100
		if i == 9 {
			want = 50
		}
		if got := <-h.received; len(got) != want {
			t.Errorf("packet %d has %d bytes, want %d", i, len(got), want)
		}
	}
}
