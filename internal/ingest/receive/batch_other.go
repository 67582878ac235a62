//go:build !linux

package receive

import (
	"net"
	"net/netip"
)

// batch reads one message at a time, where the kernel has no other way.
type batch struct {
	conn   *net.UDPConn
	buffer [maxPacket]byte
	n      int
	from   netip.AddrPort
}

func newBatch(conn *net.UDPConn, _ int) (*batch, error) { return &batch{conn: conn}, nil }

// read waits for a message.
func (b *batch) read() (int, error) {
	n, from, err := b.conn.ReadFromUDPAddrPort(b.buffer[:])
	if err != nil {
		return 0, err
	}
	b.n, b.from = n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	return 1, nil
}

// message returns the message that was read, which is one packet.
func (b *batch) message(int) (data []byte, segment int, from netip.AddrPort) {
	return b.buffer[:b.n], 0, b.from
}
