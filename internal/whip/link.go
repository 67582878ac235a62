package whip

import (
	"fmt"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// link is what a session knows of its way to the client.
type link struct {
	checks atomic.Int64 // connectivity checks of the client with the right password
}

// checked is called for each valid connectivity check. It reports whether the pair
// is to be used from now on although the client has not nominated it.
func (l *link) checked(_ *stun.Message, _, _ ice.Candidate, _ *ice.CandidatePair) (use bool) {
	l.checks.Add(1)
	return false
}

// whyNot says, to an operator, why a session has not connected.
func (se *session) whyNot() string {
	m := se.server.Media()
	switch state := se.pc.ICEConnectionState(); {
	case se.link.checks.Load() > 0 && (state == webrtc.ICEConnectionStateConnected || state == webrtc.ICEConnectionStateCompleted):
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
