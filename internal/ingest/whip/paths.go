package whip

import (
	"encoding/binary"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
)

const (
	// rtpHeader is the least length of an RTP header, in bytes (RFC 3550 section 5.1).
	rtpHeader = 12
	// maxTries is how many packets a second of an unknown address are tried with a
	// session's keys.
	maxTries = 100
)

// paths knows the addresses from which the packets of sessions come. A client whose NAT
// gives it another port goes on sending media, and checks the connection only seconds
// later. Until then the WebRTC stack would drop what comes, because it takes media only
// from addresses of checks. So such a packet is shown to the stack as one of the
// session that has its SSRC. If the stack can decrypt it, the address is the client's
// from then on, also for what is sent to it, until its check makes the address known to
// the stack.
type paths struct {
	// now is replaced and never changed, so that the goroutine that reads the socket
	// waits for nobody. Otherwise the kernel would drop packets meanwhile.
	now atomic.Pointer[table]
	mu  sync.Mutex // of those who replace it
}

// table is what paths knows at a time.
type table struct {
	checked map[netip.AddrPort]*session       // addresses of clients' connectivity checks
	moved   map[netip.AddrPort]netip.AddrPort // new address of a client: the one that the stack knows
	sendTo  map[netip.AddrPort]netip.AddrPort // the reverse
	sources map[uint32]*session               // nil: several have that SSRC
}

func newPaths() *paths {
	p := new(paths)
	p.now.Store(&table{
		checked: make(map[netip.AddrPort]*session), moved: make(map[netip.AddrPort]netip.AddrPort),
		sendTo: make(map[netip.AddrPort]netip.AddrPort), sources: make(map[uint32]*session),
	})
	return p
}

// change replaces the table by a changed one.
func (p *paths) change(f func(t *table)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.now.Load()
	next := &table{
		checked: maps.Clone(old.checked), moved: maps.Clone(old.moved), sendTo: maps.Clone(old.sendTo), sources: maps.Clone(old.sources),
	}
	f(next)
	p.now.Store(next)
}

// arrived returns the address under which the stack is to see the sender of a packet.
// ok is false for a packet that the stack is not to see.
func (p *paths) arrived(b []byte, from netip.AddrPort) (as netip.AddrPort, ok bool) {
	if len(b) < 8 || b[0]>>6 != 2 {
		return from, true // not RTP or RTCP (RFC 7983)
	}
	control := isRTCP(b)
	if !control && len(b) < rtpHeader {
		return from, true
	}
	t, at := p.now.Load(), canonical(from)
	if se, known := t.checked[at]; known {
		return from, t.admits(se, control, b)
	}
	if old, moved := t.moved[at]; moved {
		return old, t.admits(t.checked[old], control, b)
	}
	if se := t.sources[ssrcOf(b)]; se != nil {
		return se.link.try(b, at), true
	}
	return from, true
}

// admits reports whether a packet of a client may go on to the stack.
func (t *table) admits(se *session, control bool, b []byte) bool {
	switch {
	case se == nil:
		return true
	case se.over.Load():
		return false
	case !control:
		return true
	}
	ssrc := ssrcOf(b)
	if t.sources[ssrc] == se {
		return true
	}
	ok, tooMany := se.senders.admit(ssrc, se.link.now())
	if tooMany {
		go se.end(endSSRCs) // not here: whoever reads the socket waits for nobody
	}
	return ok
}

// isRTCP tells RTCP from RTP (RFC 5761 section 4).
func isRTCP(b []byte) bool { return 192 <= b[1] && b[1] <= 223 }

// ssrcOf returns the SSRC of an RTP packet, or of an RTCP packet's sender (RFC 5761
// section 4).
func ssrcOf(b []byte) uint32 {
	if isRTCP(b) {
		return binary.BigEndian.Uint32(b[4:])
	}
	return binary.BigEndian.Uint32(b[8:])
}

// destination returns where a packet for to is to be sent.
func (p *paths) destination(to netip.AddrPort) netip.AddrPort {
	t := p.now.Load()
	if len(t.sendTo) == 0 {
		return to
	}
	if now, ok := t.sendTo[canonical(to)]; ok {
		return now
	}
	return to
}

// check notes an address from which a connectivity check of se came: the stack knows
// it. It reports whether media have come from there before, and whether the session may
// have one more: none is forgotten that the stack knows, or what comes from there would
// be looked at by nobody else.
func (p *paths) check(se *session, from netip.AddrPort) (moved, room bool) {
	t := p.now.Load()
	if _, moved = t.moved[from]; t.checked[from] == se && !moved {
		return false, true
	}
	p.change(func(t *table) {
		if t.checked[from] == se || t.add(se, from) {
			room = true
			t.checked[from] = se
		}
		if old, ok := t.moved[from]; ok {
			delete(t.moved, from)
			delete(t.sendTo, old)
		}
	})
	return moved, room
}

// move makes an address the one of a client that the stack knows by another.
func (p *paths) move(se *session, old, from netip.AddrPort) {
	p.change(func(t *table) {
		if t.add(se, from) {
			t.moved[from], t.sendTo[old] = old, from
		}
	})
}

// add notes an address of a session, if it may have one more.
func (t *table) add(se *session, a netip.AddrPort) bool {
	switch {
	case slices.Contains(se.link.addresses, a):
	case len(se.link.addresses) == maxAddresses:
		return false
	default:
		se.link.addresses = append(se.link.addresses, a)
	}
	return true
}

func (t *table) remove(se *session, a netip.AddrPort) {
	if t.checked[a] == se {
		delete(t.checked, a)
	}
	if old, ok := t.moved[a]; ok {
		delete(t.moved, a)
		delete(t.sendTo, old)
	}
	delete(t.sendTo, a)
}

// register notes that a session has a source.
func (p *paths) register(ssrc uint32, se *session) {
	p.change(func(t *table) {
		if other, ok := t.sources[ssrc]; ok && other != se {
			se = nil // cannot be told
		}
		t.sources[ssrc] = se
	})
}

// forgetSource notes that a session has a source no more.
func (p *paths) forgetSource(ssrc uint32, se *session) {
	p.change(func(t *table) {
		if t.sources[ssrc] == se {
			delete(t.sources, ssrc)
		}
	})
}

// forget removes what is known of a session.
func (p *paths) forget(se *session) {
	p.change(func(t *table) {
		for _, a := range se.link.addresses {
			t.remove(se, a)
		}
		// An SSRC that several have is forgotten, too: of what is not known nothing is made.
		maps.DeleteFunc(t.sources, func(_ uint32, other *session) bool { return other == se || other == nil })
	})
}

// canonical is the form in which addresses are compared.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// trial is a packet of an unknown address that is being tried with a session's keys.
type trial struct {
	from netip.AddrPort
	ssrc uint32
	seq  uint16
	old  netip.AddrPort
}

// try shows a packet of an unknown address to the stack as one of the session. It tries
// only some, because each costs a decryption.
func (l *link) try(b []byte, from netip.AddrPort) netip.AddrPort {
	old := l.remote.Load()
	if old != nil && *old == from {
		return from
	}
	now := time.Now()
	if second := now.Unix(); l.trySecond.Swap(second) != second {
		l.tries.Store(0)
	}
	if old == nil || l.tries.Add(1) > maxTries {
		return from // the stack drops it
	}
	if !isRTCP(b) { // RTCP that can be decrypted goes with the next media
		l.trial.Store(&trial{from, ssrcOf(b), binary.BigEndian.Uint16(b[2:]), *old})
	}
	return *old
}

// decrypted is told of each packet of media. It reports that the client has another
// address, if this is the packet that was tried.
func (l *link) decrypted(ssrc uint32, seq uint16) (t *trial, ok bool) {
	t = l.trial.Load()
	if t == nil || t.ssrc != ssrc || t.seq != seq {
		return nil, false
	}
	l.trial.Store(nil)
	return t, true
}

// trying reports that packets were tried lately: nothing is lost with one that cannot
// be decrypted.
func (l *link) trying() bool { return time.Now().Unix()-l.trySecond.Load() <= 1 }

// addrConn is a socket that pion reads without an allocation for each address.
type addrConn interface {
	net.PacketConn
	ice.AddrPortReaderWriter
}

// rawConn is a UDPConn as addrConn.
type rawConn struct{ *net.UDPConn }

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c rawConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.ReadFromUDPAddrPort(b)
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c rawConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, to)
}

// pathConn is a socket whose packets go and come by paths.
type pathConn struct {
	addrConn
	paths *paths
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c pathConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.addrConn.ReadFromAddrPort(b)
		if err != nil {
			return n, from, err
		}
		if from, ok := c.paths.arrived(b[:n], from); ok {
			return n, from, nil
		}
	}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c pathConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.addrConn.WriteToAddrPort(b, c.paths.destination(to))
}

// WriteTo implements net.PacketConn.
func (c pathConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if a, ok := to.(*net.UDPAddr); ok {
		return c.WriteToAddrPort(b, a.AddrPort())
	}
	return c.addrConn.WriteTo(b, to)
}

// ReadFrom implements net.PacketConn.
func (c pathConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// SetWriteDeadline implements net.PacketConn. It sets none: when a session ends while
// another one writes, the stack stops that write by a deadline in the past, which the socket
// has for all. What the others send meanwhile would be lost, their goodbyes among it. A
// write to a UDP socket does not wait for long.
func (c pathConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.PacketConn, by the same rule.
func (c pathConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
