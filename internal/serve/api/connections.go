package api

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// DefaultRequestsPerAddress is how many requests a second an address may send on
// average; twice as many may come at once.
const DefaultRequestsPerAddress = 500

const (
	// maxConnections bounds the connections where the machine allows any number of
	// descriptors.
	maxConnections = 100_000
	// minConnections are there however few descriptors there are.
	minConnections = 16
	// manyDescriptors is as good as no limit.
	manyDescriptors = 1 << 30
	// addressShare is which part of the connections one address may have.
	addressShare = 4
	// reserveShare is which part of the descriptors is for recording alone, and
	// leastReserve how many at least.
	reserveShare = 4
	leastReserve = 128
	// maxCounted bounds the addresses whose requests are counted apart; those that have
	// sent none lately are forgotten.
	maxCounted = 10_000
	// refusalTimeout is how long a refusal may take to be sent.
	refusalTimeout = time.Second
)

// Connections is how many connections a server has at most, of all and of one address.
// Zero is what the descriptors allow, and a part of that.
type Connections struct {
	Max, PerAddress int
}

// within returns how many there may be where there are so many descriptors. A
// connection takes two: one for itself, one for what is read for it.
func (c Connections) within(descriptors uint64) Connections {
	if c.Max == 0 {
		n := min(descriptors, 4*maxConnections)
		reserve := max(n/reserveShare, min(leastReserve, n/2))
		c.Max = min(max(int(n-reserve)/2, minConnections), maxConnections) //nolint:gosec // bounded above
	}
	if c.PerAddress == 0 {
		c.PerAddress = max(c.Max/addressShare, minConnections)
	}
	return c
}

// connections are those of a server.
type connections struct {
	limit   Connections
	trusts  func(remote string) bool // of proxies, through which many come
	refused func(of, limit string)
	now     func() time.Time

	mu     sync.Mutex
	open   map[net.Conn]*connection
	counts map[string]int // by address
}

type connection struct {
	address string
	idle    time.Time // since when it waits for a request; zero while one is answered
}

// Limit returns a listener for a server of NewServer that takes no more connections
// than c allows, nor as many that recording would lack descriptors. Where there are too
// many, those make room that wait for a request, first of the address that has the most.
func (a *API) Limit(l net.Listener, c Connections) net.Listener {
	a.conns.limit = c.within(descriptors())
	return limited{l, a.conns}
}

func newConnections(a *API) *connections {
	return &connections{
		limit: Connections{maxConnections, maxConnections}, trusts: func(remote string) bool { return a.proxies.trusts(remote) },
		refused: a.refuse, now: a.now, open: make(map[net.Conn]*connection), counts: make(map[string]int),
	}
}

// limited is a listener.
type limited struct {
	net.Listener
	conns *connections
}

// Accept implements net.Listener.
func (l limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		victim, status := l.conns.add(c)
		if victim != nil {
			_ = victim.Close()
		}
		if status == 0 {
			return c, nil
		}
		refuseConn(c, status)
	}
}

// refuseConn answers a connection before it has asked. What is written fits into the
// buffer of a new socket.
func refuseConn(c net.Conn, status int) {
	_ = c.SetDeadline(time.Now().Add(refusalTimeout))
	_, _ = io.WriteString(c, "HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status)+
		"\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	_ = c.Close()
}

// add counts a connection. It may take the place of one that is to be closed; status
// is why there is no place.
func (c *connections) add(nc net.Conn) (victim net.Conn, status int) {
	remote := nc.RemoteAddr().String()
	address, proxy := addressOf(remote), c.trusts(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !proxy && c.counts[address] >= c.limit.PerAddress:
		if victim = c.waiting(address); victim == nil {
			c.refused("address", "connections")
			return nil, http.StatusTooManyRequests
		}
	case len(c.open) >= c.limit.Max:
		if victim = c.waiting(c.crowd()); victim == nil {
			victim = c.waiting("")
		}
		if victim == nil {
			c.refused("node", "connections")
			return nil, http.StatusServiceUnavailable
		}
	}
	c.remove(victim)
	c.open[nc] = &connection{address: address, idle: c.now()}
	c.counts[address]++
	return victim, 0
}

// crowd returns the address that has the most. It is called with mu held.
func (c *connections) crowd() (address string) {
	for a, n := range c.counts {
		if n > c.counts[address] {
			address = a
		}
	}
	return address
}

// waiting returns the connection of an address, or of any, that has waited for a request
// for the longest; nil if none does. It is called with mu held.
func (c *connections) waiting(address string) (oldest net.Conn) {
	var since time.Time
	for nc, info := range c.open {
		if info.idle.IsZero() || address != "" && info.address != address {
			continue
		}
		if oldest == nil || info.idle.Before(since) {
			oldest, since = nc, info.idle
		}
	}
	return oldest
}

func (c *connections) remove(nc net.Conn) {
	info := c.open[nc]
	if info == nil {
		return
	}
	delete(c.open, nc)
	if c.counts[info.address]--; c.counts[info.address] == 0 {
		delete(c.counts, info.address)
	}
}

// state is http.Server.ConnState.
func (c *connections) state(nc net.Conn, state http.ConnState) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	info := c.open[nc]
	switch {
	case info == nil:
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(nc)
	case state == http.StateActive:
		info.idle = time.Time{}
	case state == http.StateIdle:
		info.idle = c.now()
	}
}

// addressOf returns what counts as one address: of IPv6 the network that one customer
// has.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, _ := a.WithZone("").Prefix(64) // such a length is possible
	return p.String()
}

// pace counts the requests of addresses.
type pace struct {
	rate int // a second; 0: any

	mu        sync.Mutex
	addresses map[string]*allowance
	others    allowance // of all that find no place
}

// allowance is what an address may send.
type allowance struct {
	left float64
	at   time.Time
}

// take reports whether an address may send a request, or else after how long.
func (p *pace) take(address string, now time.Time) (wait time.Duration, ok bool) {
	if p.rate == 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	al := p.addresses[address]
	if al == nil {
		if len(p.addresses) >= maxCounted {
			p.tidy(now)
		}
		if al = &p.others; len(p.addresses) < maxCounted {
			al = new(allowance)
			if p.addresses == nil {
				p.addresses = make(map[string]*allowance)
			}
			p.addresses[address] = al
		}
	}
	most := float64(2 * p.rate)
	if al.at.IsZero() {
		al.left = most
	} else {
		al.left = min(most, al.left+now.Sub(al.at).Seconds()*float64(p.rate))
	}
	al.at = now
	if al.left < 1 {
		return time.Duration((1 - al.left) / float64(p.rate) * float64(time.Second)), false
	}
	al.left--
	return 0, true
}

// tidy forgets who has sent nothing for so long that they may send all again.
func (p *pace) tidy(now time.Time) {
	for address, al := range p.addresses {
		if now.Sub(al.at) >= 2*time.Second {
			delete(p.addresses, address)
		}
	}
}

// checkPace refuses a request of an address that sends too many. What comes from a proxy
// itself is not known to be of anybody.
func (a *API) checkPace(w http.ResponseWriter, r *http.Request) error {
	if a.proxies.trusts(r.RemoteAddr) {
		return nil
	}
	wait, ok := a.pace.take(addressOf(r.RemoteAddr), a.now())
	if ok {
		return nil
	}
	a.refuse("address", "requests")
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	return fault.Errorf(fault.TooMany, "this address sends more than %d requests a second: try again later", a.pace.rate).Coded("too_many_requests", "most", a.pace.rate)
}

// refuse has a refusal counted.
func (a *API) refuse(of, limit string) {
	if a.o.Refused != nil {
		a.o.Refused(of, limit)
	}
}
