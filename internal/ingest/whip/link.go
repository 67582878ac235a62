package whip

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// pathSilent is how long the way that a client chose may be silent before another way,
// from which its checks come, is used. Browsers also check ways that they do not use.
// All ways lead to the client.
const pathSilent = time.Second

// endAddresses is the end of a session whose client makes the node keep too much.
const endAddresses = "the client's address has changed too often"

// link is what a session knows of its way to the client.
type link struct {
	now    func() time.Time
	began  time.Time
	heard  atomic.Int64 // when the last packet of any kind came, after began
	media  atomic.Int64 // when the last one of media came
	checks atomic.Int64 // connectivity checks of the client with the right password
	// current is the client's address on the way that is in use; of the goroutine of
	// the ICE agent.
	current ice.Candidate

	remote    atomic.Pointer[netip.AddrPort] // the address of current
	addresses []netip.AddrPort               // all, guarded by paths.mu
	trial     atomic.Pointer[trial]
	tries     atomic.Int64 // in trySecond
	trySecond atomic.Int64
	changes   sparse
}

// checked is called for each valid connectivity check, on the goroutine of the ICE
// agent. It reports whether the pair is used from now on although the client has not
// nominated it. Behind a NAT that gives it another port a client may not notice, and
// goes on sending as before.
func (se *session) checked(m *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) (use bool) {
	l := &se.link
	l.checks.Add(1)
	l.hear(false)
	address := addressOf(remote)
	moved, room := se.server.sockets.paths.check(se, address)
	if !room {
		se.end(endAddresses)
		return false
	}
	switch {
	case m.Contains(stun.AttrUseCandidate):
	case moved:
		use = true
	case l.current != nil && l.current != remote && time.Since(l.current.LastReceived()) > pathSilent:
		se.log.Log(se.ctx, l.changes.level(), "the client sends from another address", "from", addressOf(l.current).String(), "to", address.String())
		use = true
	default:
		return false
	}
	l.current = remote
	l.remote.Store(&address)
	return use
}

// hear notes that a packet came.
func (l *link) hear(media bool) { l.hearAt(l.now(), media) }

// hearAt is hear of a packet that came at a time.
func (l *link) hearAt(at time.Time, media bool) {
	after := int64(at.Sub(l.began))
	l.heard.Store(after)
	if media {
		l.media.Store(after)
	}
}

// silence returns for how long nothing has come, and whether media flowed until then.
func (l *link) silence() (d time.Duration, flowed bool) {
	heard, media := time.Duration(l.heard.Load()), time.Duration(l.media.Load())
	return l.now().Sub(l.began) - heard, media > 0 && heard-media < flowing
}

func addressOf(c ice.Candidate) netip.AddrPort {
	a, _ := netip.ParseAddr(c.Address())                      // what a check came from is an address
	return canonical(netip.AddrPortFrom(a, uint16(c.Port()))) //nolint:gosec // and a port
}

// whyNot says, to an operator, why a session has not connected.
func (se *session) whyNot() string {
	m := se.server.Media()
	switch {
	case se.iceIsUp():
		return "ICE is up, but the DTLS handshake with the client has not ended"
	case se.link.checks.Load() > 0:
		return fmt.Sprintf("%d connectivity checks came from the client, but it chose no pair: "+
			"the answers may not reach it, as with a firewall that lets UDP in only", se.link.checks.Load())
	case m.Lacks() != "":
		return "no connectivity check came from the client to UDP " + m.addresses() + ": " + m.Lacks()
	case m.Local:
		return "no connectivity check came from the client to UDP " + m.addresses() +
			": media are taken from this machine only; for clients on others set webrtc.listen, such as to \":7777\""
	}
	return "no connectivity check came from the client to UDP " + m.Listen.String() +
		": it must get through firewalls, and behind a NAT webrtc.public_ips must be the address that clients reach"
}
