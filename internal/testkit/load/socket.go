package load

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// socket is the UDP socket of a publisher whose network changes: it moves to
// another port, or is gone, without anybody being told.
type socket struct {
	host    net.IP
	address net.Addr // of the first port, which is the one that was offered

	mu   sync.Mutex
	conn net.PacketConn
	old  net.PacketConn // before it moved
	gone bool           // nothing leaves any more
	over bool           // closed
}

// newSocket returns nil where the options need no socket of their own.
func newSocket(o *Options) (*socket, error) {
	if o.RebindAt == 0 && !o.Vanish {
		return nil, nil
	}
	s := &socket{host: net.IPv4zero}
	if isLoopback(o.URL) {
		s.host = net.IPv4(127, 0, 0, 1)
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.host})
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	s.conn, s.address = conn, conn.LocalAddr()
	return s, nil
}

func (s *socket) current() (conn net.PacketConn, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, s.gone
}

// rebind moves the socket to another port, once. What is sent to the first one
// is lost from then on, as behind a NAT.
func (s *socket) rebind() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.old != nil {
		return nil
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: s.host})
	if err != nil {
		return fmt.Errorf("move socket: %w", err)
	}
	s.old, s.conn = s.conn, conn
	return s.old.Close()
}

// vanish makes everything that is sent from now on disappear.
func (s *socket) vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		conn, _ := s.current()
		n, addr, err := conn.ReadFrom(b)
		if err == nil {
			return n, addr, nil
		}
		s.mu.Lock()
		moved, over := s.conn != conn, s.over
		s.mu.Unlock()
		switch {
		case over:
			return 0, nil, io.EOF // which the library does not take for an error
		case !moved:
			return 0, nil, err
		}
	}
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	conn, gone := s.current()
	if gone {
		return len(b), nil
	}
	return conn.WriteTo(b, to)
}

// Close implements net.PacketConn; a nil socket has nothing to close. The
// library closes it too.
func (s *socket) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	s.over = true
	return s.conn.Close()
}

// LocalAddr implements net.PacketConn: the port that was offered.
func (s *socket) LocalAddr() net.Addr { return s.address }

// SetDeadline implements net.PacketConn.
func (s *socket) SetDeadline(t time.Time) error { conn, _ := s.current(); return conn.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *socket) SetReadDeadline(t time.Time) error {
	conn, _ := s.current()
	return conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.PacketConn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	conn, _ := s.current()
	return conn.SetWriteDeadline(t)
}
