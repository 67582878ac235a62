package receive

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

// credentials are a pair of ICE username fragments and passwords.
type credentials struct {
	local, remote Credentials
	username      string // of the client's checks (RFC 8445 section 7.2.2)
}

// Credentials are what a=ice-ufrag and a=ice-pwd say.
type Credentials struct{ Ufrag, Password string }

// keepAlive is what a client sends that has nothing else to send (RFC 8445 section 11). It is
// not authenticated, but without it the session of a client that pauses would fail.
var keepAlive = stun.NewType(stun.MethodBinding, stun.ClassIndication)

// checker decodes connectivity checks.
type checker struct{ request stun.Message }

// check answers a connectivity check (RFC 8445 section 7.3). It is false for a STUN
// message that is for no session.
func (s *Socket) check(t *table, b []byte, from netip.AddrPort, at time.Time) bool {
	m := &s.checks.request
	m.Raw = append(m.Raw[:0], b...)
	if !stun.IsMessage(b) || m.Decode() != nil {
		return false
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		session := t.addresses[from]
		if session != nil && m.Type == keepAlive && stun.Fingerprint.Check(m) == nil {
			session.hearFrom(from, at)
		}
		return session != nil
	}
	ufrag, _, _ := strings.Cut(string(name), ":")
	session := t.names[ufrag]
	if session == nil {
		return false
	}
	c := session.credentialsOf(string(name))
	if c == nil || m.Type != stun.BindingRequest || stun.NewShortTermIntegrity(c.local.Password).Check(m) != nil {
		return true
	}
	if m.Contains(stun.AttrICEControlled) {
		s.answer(m, c, from, stun.BindingError, stun.CodeRoleConflict) // an ICE-lite agent is controlled
		return true
	}
	if session.checked(m.Contains(stun.AttrUseCandidate), c, path{s, from}, at) {
		s.answer(m, c, from, stun.BindingSuccess, &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())})
	}
	return true
}

// answer answers a check.
func (s *Socket) answer(request *stun.Message, c *credentials, to netip.AddrPort, kind stun.MessageType, with stun.Setter) {
	m, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), kind, with,
		stun.NewShortTermIntegrity(c.local.Password), stun.Fingerprint)
	if err == nil {
		err = s.send(m.Raw, to)
	}
	if err != nil {
		s.r.o.Logger.Debug("connectivity check was not answered", "error", err)
	}
}
