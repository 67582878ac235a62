package receive

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// maxRest bounds the packets of a socket that wait to be read by others.
	maxRest = 512
	// maxPacket is the longest of them, in bytes.
	maxPacket = 2048
	// logDropsEvery is how often drops are logged.
	logDropsEvery = time.Minute
)

// Rest is the part of a socket that belongs to no session. It is a net.PacketConn
// without deadlines.
type Rest struct {
	socket  *Socket
	packets chan restPacket
	free    chan []byte
	dropped atomic.Int64
	logged  time.Time // when drops were last logged; of the socket's goroutine
}

type restPacket struct {
	b    []byte
	from netip.AddrPort
}

func newRest(s *Socket) *Rest {
	return &Rest{socket: s, packets: make(chan restPacket, maxRest), free: make(chan []byte, maxRest)}
}

// Dropped returns how many packets were dropped because too many waited.
func (r *Rest) Dropped() int64 { return r.dropped.Load() }

// push gives a packet to the reader. It is dropped if too many wait.
func (r *Rest) push(b []byte, from netip.AddrPort, at time.Time) {
	if len(b) > maxPacket {
		return
	}
	var own []byte
	select {
	case own = <-r.free:
	default:
		own = make([]byte, 0, maxPacket)
	}
	select {
	case r.packets <- restPacket{append(own[:0], b...), from}:
	default:
		r.drop(at)
	}
}

// drop counts a packet that does not fit, and logs that from time to time.
func (r *Rest) drop(at time.Time) {
	n := r.dropped.Add(1)
	if r.logged.IsZero() || at.Sub(r.logged) >= logDropsEvery {
		r.logged = at
		r.socket.r.o.Logger.Warn("packets for viewers were dropped: more came than the WebRTC stack reads", "packets", n)
	}
}

// end tells the reader that nothing comes any more.
func (r *Rest) end() { close(r.packets) }

// ReadFromAddrPort returns the next packet.
func (r *Rest) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	p, ok := <-r.packets
	if !ok {
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	n := copy(b, p.b)
	select {
	case r.free <- p.b:
	default:
	}
	return n, p.from, nil
}

// ReadFrom implements net.PacketConn.
func (r *Rest) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := r.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// WriteToAddrPort sends a packet.
func (r *Rest) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return r.socket.conn.WriteToUDPAddrPort(b, to)
}

// WriteTo implements net.PacketConn.
func (r *Rest) WriteTo(b []byte, to net.Addr) (int, error) { return r.socket.conn.WriteTo(b, to) }

// LocalAddr implements net.PacketConn.
func (r *Rest) LocalAddr() net.Addr { return r.socket.conn.LocalAddr() }

// Close closes the socket and waits until it is read no more.
func (r *Rest) Close() error {
	err := r.socket.conn.Close()
	r.socket.wg.Wait()
	return err
}

// SetDeadline implements net.PacketConn.
func (r *Rest) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (r *Rest) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (r *Rest) SetWriteDeadline(time.Time) error { return nil }
