package whip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"

	"github.com/live777/recorder/internal/ingest/receive"
)

// socketBuffer is what is asked of the kernel for each UDP socket, in bytes: a
// key frame of each of some hundred streams may arrive at once.
const socketBuffer = 8 << 20

// maxLocal bounds the addresses of this machine that are offered beside a
// loopback address, for each of IPv4 and IPv6: one is enough for a client, and
// each costs it checks.
const maxLocal = 4

// refreshAfter is how long the addresses of this machine are taken for known when
// a packet comes from another.
const refreshAfter = time.Second

// sockets are the UDP sockets that all sessions share: the one of Options.Listen,
// and where that is on loopback one on each other address of this machine, which
// takes packets from this machine only. Firefox and libnice (GStreamer) never pair
// a loopback candidate: without the others they could not reach a node that is
// meant for their own machine.
type sockets struct {
	log       *slog.Logger
	listen    netip.AddrPort
	main      *ice.UDPMuxDefault
	local     bool // for clients on this machine only
	addresses addressLister
	own       ownAddresses
	paths     *paths
	receiver  *receive.Receiver // has the first look at what comes; may be nil

	mu      sync.Mutex
	extra   map[netip.Addr]*ice.UDPMuxDefault
	offered []netip.Addr        // those of extra that the machine has now, in its order
	failed  map[netip.Addr]bool // could not be opened; logged
}

// openSockets opens the sockets. others says whether there may be some beside the
// one of listen.
func openSockets(listen string, others bool, addresses addressLister, receiver *receive.Receiver, log *slog.Logger) (*sockets, error) {
	addr, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("resolve media address %q: %w", listen, err)
	}
	if addresses == nil {
		addresses = machineAddresses
	}
	s := &sockets{
		log: log, addresses: addresses, own: ownAddresses{addresses: addresses}, receiver: receiver,
		paths: newPaths(), extra: make(map[netip.Addr]*ice.UDPMuxDefault), failed: make(map[netip.Addr]bool),
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for media: %w", err)
	}
	s.listen = addrPortOf(conn)
	s.local = others && s.listen.Addr().IsLoopback()
	s.setBuffers(conn)
	if s.main, err = s.newMux(conn, false); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.refresh()
	return s, nil
}

func addrPortOf(conn *net.UDPConn) netip.AddrPort {
	addr, _ := conn.LocalAddr().(*net.UDPAddr) // a UDPConn has no other
	a := addr.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// setBuffers asks the kernel for big buffers. It caps the size by itself; a smaller
// buffer works, with less room for bursts.
func (s *sockets) setBuffers(conn *net.UDPConn) {
	if err := errors.Join(conn.SetReadBuffer(socketBuffer), conn.SetWriteBuffer(socketBuffer)); err != nil {
		s.log.Warn("media socket keeps its default buffers", "error", err)
	}
}

// refresh opens sockets on addresses that the machine did not have before: networks
// come and go while the node runs.
func (s *sockets) refresh() {
	if !s.local {
		return
	}
	addrs, err := s.addresses()
	if err != nil {
		s.log.Warn("addresses of this machine cannot be listed", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = s.offered[:0]
	for _, a := range selectLocal(addrs) {
		if s.openLocked(a) {
			s.offered = append(s.offered, a)
		}
	}
}

// openLocked makes sure that there is a socket on a.
func (s *sockets) openLocked(a netip.Addr) bool {
	if _, ok := s.extra[a]; ok {
		return true
	}
	at := netip.AddrPortFrom(a, s.listen.Port())
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		if !s.failed[a] {
			s.failed[a] = true
			s.log.Warn("media cannot be taken on this address: Firefox and GStreamer on this machine may not connect", "address", at.String(), "error", err)
		}
		return false
	}
	s.setBuffers(conn)
	mux, err := s.newMux(conn, true)
	if err != nil {
		s.log.Warn("media cannot be taken on this address", "address", at.String(), "error", err)
		_ = conn.Close()
		return false
	}
	delete(s.failed, a)
	s.extra[a] = mux
	return true
}

// newMux lets the WebRTC stack read a socket: all of it, or what the receiver leaves. own
// says that packets of this machine are taken only.
func (s *sockets) newMux(conn *net.UDPConn, own bool) (*ice.UDPMuxDefault, error) {
	guard := &ownConn{UDPConn: conn, own: &s.own, log: s.log}
	var from addrConn = rawConn{conn}
	switch {
	case s.receiver != nil:
		o := receive.SocketOptions{Few: own}
		if own {
			o.Accept = guard.accepts
		}
		socket, err := s.receiver.Open(conn, o)
		if err != nil {
			return nil, err
		}
		from = restConn{socket.Rest()}
	case own:
		from = guard
	}
	return ice.NewUDPMuxDefault(ice.UDPMuxParams{
		UDPConn: pathConn{from, s.paths}, Logger: pionLogs{s.log}.NewLogger("ice"),
	}), nil
}

// reachable lists the addresses that clients can send to, the nearest first.
func (s *sockets) reachable() []netip.Addr {
	s.refresh()
	if !s.listen.Addr().IsUnspecified() {
		s.mu.Lock()
		defer s.mu.Unlock()
		return append([]netip.Addr{s.listen.Addr()}, s.offered...)
	}
	all, err := s.addresses()
	if err != nil {
		s.log.Warn("addresses of this machine cannot be listed", "error", err)
		return nil
	}
	loopback := len(selectLocal(all)) == 0 // a machine that has nothing else
	var out []netip.Addr
	for _, l := range all {
		a := l.prefix.Addr().WithZone("")
		switch {
		case l.loopback != loopback, a.IsLinkLocalUnicast(), a.Is6() && s.listen.Addr().Is4(), slices.Contains(out, a):
		default:
			out = append(out, a)
		}
	}
	return out
}

// selectLocal picks the addresses to offer.
func selectLocal(addrs []localAddr) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, l := range addrs {
		switch a := l.prefix.Addr(); {
		case l.loopback, a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(), slices.Contains(v4, a), slices.Contains(v6, a):
		case a.Is4() && len(v4) < maxLocal:
			v4 = append(v4, a)
		case a.Is6() && len(v6) < maxLocal:
			v6 = append(v6, a)
		}
	}
	return append(v4, v6...)
}

// mux returns what a new session gathers its candidates from.
func (s *sockets) mux() ice.UDPMux {
	s.refresh()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offered) == 0 {
		return s.main
	}
	muxes := []ice.UDPMux{s.main}
	for _, a := range s.offered {
		muxes = append(muxes, s.extra[a])
	}
	return ice.NewMultiUDPMuxDefault(muxes...)
}

// loopback tells whether loopback candidates are offered: where the node listens on
// loopback, or everywhere on a machine that has nothing else.
func (s *sockets) loopback() bool {
	if !s.listen.Addr().IsUnspecified() {
		return s.listen.Addr().IsLoopback()
	}
	addrs, err := s.addresses()
	return err == nil && len(selectLocal(addrs)) == 0
}

// media describes the sockets.
func (s *sockets) media() Media {
	m := Media{Listen: s.listen, Local: s.local}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.offered {
		m.Extra = append(m.Extra, netip.AddrPortFrom(a, s.listen.Port()))
	}
	return m
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.main.Close()}
	for _, m := range s.extra {
		errs = append(errs, m.Close())
	}
	if err := errors.Join(errs...); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("media sockets did not close", "error", err)
	}
}

// Media tells where a Server takes media.
type Media struct {
	Listen netip.AddrPort   // Options.Listen, with the port that it got
	Extra  []netip.AddrPort // other addresses of this machine, for clients on it
	Local  bool             // clients on other machines are refused
}

// String is for people: the banner.
func (m Media) String() string {
	if !m.Local {
		return m.Listen.String()
	}
	if len(m.Extra) == 0 {
		return m.Listen.String() + ", from this machine only: " + m.Lacks()
	}
	return m.addresses() + ", from this machine only (webrtc.listen)"
}

// addresses lists all.
func (m Media) addresses() string {
	all := []string{m.Listen.String()}
	for _, a := range m.Extra {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

// Lacks says what some clients would need, and is empty where nothing is missing.
func (m Media) Lacks() string {
	if !m.Local || len(m.Extra) > 0 {
		return ""
	}
	return "Firefox and GStreamer cannot connect over loopback and this machine has no other address: give it one " +
		"(a network, or: ip link add dummy0 type dummy; ip addr add 192.0.2.1/32 dev dummy0; ip link set dummy0 up), " +
		"or set media.peerconnection.ice.loopback to true in Firefox's about:config"
}

// localAddr is an address of this machine.
type localAddr struct {
	prefix   netip.Prefix
	loopback bool
}

// addressLister returns the addresses of this machine.
type addressLister func() ([]localAddr, error)

// machineAddresses returns the addresses of the interfaces that are up.
func machineAddresses() ([]localAddr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []localAddr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // the interface went meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, localAddr{prefix: p, loopback: i.Flags&net.FlagLoopback != 0})
			}
		}
	}
	return out, nil
}

// ownAddresses tells the addresses of this machine from others.
type ownAddresses struct {
	addresses addressLister

	mu      sync.Mutex
	known   []localAddr
	fetched time.Time
}

// has reports whether a is an address of this machine. One that is not known may be
// new: they are then listed again, but not for each packet of a flood.
func (o *ownAddresses) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.contains(a) {
		return true
	}
	if time.Since(o.fetched) < refreshAfter {
		return false
	}
	o.fetched = time.Now()
	if known, err := o.addresses(); err == nil {
		o.known = known
	}
	return o.contains(a)
}

func (o *ownAddresses) contains(a netip.Addr) bool {
	return slices.ContainsFunc(o.known, func(l localAddr) bool {
		return l.prefix.Addr() == a || l.loopback && l.prefix.Contains(a) // all of 127.0.0.0/8
	})
}

// ownConn takes packets from this machine only.
type ownConn struct {
	*net.UDPConn
	own     *ownAddresses
	log     *slog.Logger
	refused sync.Once
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (c *ownConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil || c.accepts(from.Addr()) {
			return n, from, err
		}
	}
}

// accepts reports whether packets of an address are taken.
func (c *ownConn) accepts(from netip.Addr) bool {
	if c.own.has(from) {
		return true
	}
	c.refused.Do(func() {
		c.log.Warn("media from another machine are refused: set webrtc.listen to an address that it reaches, such as \":7777\"",
			"from", from.String())
	})
	return false
}

// WriteToAddrPort implements ice.AddrPortReaderWriter.
func (c *ownConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(b, to)
}

// ReadFrom implements net.PacketConn, by the same rule.
func (c *ownConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	return n, net.UDPAddrFromAddrPort(from), err
}

// restConn is what the receiver leaves of a socket, as addrConn.
type restConn struct{ *receive.Rest }
