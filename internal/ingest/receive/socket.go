package receive

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// batchSize is how many messages are read at once. A message has several packets of
	// one sender where the kernel coalesces them.
	batchSize = 64
	// smallBatch is the same for sockets that few use.
	smallBatch = 8
	// pause is how long packets may gather before they are read: a wake-up for each
	// packet costs more than the packet. Timers are late by up to a third of it, and a
	// viewer should not wait for longer than 2 ms.
	pause = 1500 * time.Microsecond
	// idle is how long a socket has to be silent for its next packet to be read at once.
	idle = 5 * time.Millisecond
)

// Socket is a UDP socket whose packets go to sessions, and all others to its Rest.
type Socket struct {
	r      *Receiver
	conn   *net.UDPConn
	accept func(netip.Addr) bool
	batch  *batch
	rest   *Rest
	groups []group // of the batch; reused
	checks checker
	wg     sync.WaitGroup
}

// group is what a batch has of one session, from one address.
type group struct {
	s       *Session
	from    netip.AddrPort
	packets [][]byte
}

// SocketOptions configures Open.
type SocketOptions struct {
	// Accept says whether packets of an address are looked at; nil means all.
	Accept func(netip.Addr) bool
	// Few says that few use the socket, so that it should take little memory.
	Few bool
}

// Open begins to read conn, which Rest.Close closes.
func (r *Receiver) Open(conn *net.UDPConn, o SocketOptions) (*Socket, error) {
	size := batchSize
	if o.Few {
		size = smallBatch
	}
	b, err := newBatch(conn, size)
	if err != nil {
		return nil, fmt.Errorf("prepare to read batches: %w", err)
	}
	s := &Socket{r: r, conn: conn, accept: o.Accept, batch: b}
	s.rest = newRest(s)
	s.wg.Go(s.run)
	return s, nil
}

// Rest returns what reads the packets that belong to no session.
func (s *Socket) Rest() *Rest { return s.rest }

// run reads until the socket is closed.
func (s *Socket) run() {
	defer s.rest.end()
	last := time.Time{}
	for {
		n, err := s.batch.read()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.r.o.Logger.Debug("media socket cannot be read", "error", err)
			time.Sleep(pause)
			continue
		}
		now := time.Now()
		s.take(n, s.r.o.Now())
		// Where packets come more often than a pause, they are read together.
		if n > 1 || now.Sub(last) < idle {
			time.Sleep(pause)
		}
		last = now
	}
}

// take hands on a batch of n messages.
func (s *Socket) take(n int, at time.Time) {
	t := s.r.now.Load()
	for i := range n {
		data, segment, from := s.batch.message(i)
		session := t.addresses[from]
		for len(data) > 0 {
			b := data
			if segment > 0 && segment < len(data) {
				b = data[:segment]
			}
			data = data[len(b):]
			s.sort(t, session, b, from, at)
		}
	}
	for i := range s.groups {
		g := &s.groups[i]
		g.s.take(g.packets, g.from, at)
		clear(g.packets)
		g.s, g.packets = nil, g.packets[:0]
	}
	s.groups = s.groups[:0]
}

// sort finds out what a packet is (RFC 7983) and whose.
func (s *Socket) sort(t *table, session *Session, b []byte, from netip.AddrPort, at time.Time) {
	if session == nil && s.accept != nil && !s.accept(from.Addr()) {
		return
	}
	switch {
	case b[0] <= 3:
		if !s.check(t, b, from, at) {
			s.rest.push(b, from, at)
		}
	case session != nil && b[0] >= 128 && b[0] <= 191:
		s.add(session, b, from)
	case session != nil && b[0] >= 20 && b[0] <= 63:
		session.records.push(b)
	case session != nil:
		// nothing that a client sends
	case b[0] >= 128 && b[0] <= 191 && len(b) >= rtpHeader && t.sources[ssrcOf(b)] != nil:
		t.sources[ssrcOf(b)].try(b, path{s, from}, at)
	default:
		s.rest.push(b, from, at)
	}
}

// add notes a packet of a session, until the whole batch is sorted.
func (s *Socket) add(session *Session, b []byte, from netip.AddrPort) {
	for i := len(s.groups) - 1; i >= 0; i-- {
		if g := &s.groups[i]; g.s == session && g.from == from {
			g.packets = append(g.packets, b)
			return
		}
	}
	if len(s.groups) < cap(s.groups) {
		s.groups = s.groups[:len(s.groups)+1]
	} else {
		s.groups = append(s.groups, group{})
	}
	g := &s.groups[len(s.groups)-1]
	g.s, g.from, g.packets = session, from, append(g.packets[:0], b)
}

// send sends a packet.
func (s *Socket) send(b []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteToUDPAddrPort(b, to)
	return err
}
