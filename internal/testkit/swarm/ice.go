package swarm

import (
	"context"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

const (
	checkEvery   = 200 * time.Millisecond // until the first answer
	consentEvery = 5 * time.Second        // afterwards (RFC 7675 5.1)
	priority     = 1<<24*126 + 1<<8*65535 + 255
)

// check sends ICE checks to the server's candidate until one is answered (RFC 8445 7.2).
func (s *stream) check(ctx context.Context) error {
	again := time.NewTicker(checkEvery)
	defer again.Stop()
	for {
		if err := s.sendCheck(); err != nil {
			return err
		}
		select {
		case <-s.checked:
			return nil
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendCheck sends a check that nominates the pair at once. It also keeps the server's
// consent to get media fresh.
func (s *stream) sendCheck() error {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(s.remote.ufrag+":"+s.ufrag),
		ice.AttrControlling(1), ice.PriorityAttr(priority), ice.UseCandidate(),
		stun.NewShortTermIntegrity(s.remote.password), stun.Fingerprint)
	if err != nil {
		return err
	}
	_, err = s.conn.WriteToUDP(m.Raw, s.to)
	return err
}

// stun answers a check of the server, and notes an answer to one of ours.
func (s *stream) stun(p []byte) {
	m := stun.New()
	if stun.Decode(p, m) != nil {
		return
	}
	switch m.Type {
	case stun.BindingSuccess:
		select {
		case s.checked <- struct{}{}:
		default:
		}
	case stun.BindingRequest:
		reply, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: s.to.IP, Port: s.to.Port},
			stun.NewShortTermIntegrity(s.password), stun.Fingerprint)
		if err == nil {
			_, _ = s.conn.WriteToUDP(reply.Raw, s.to) // it asks again
		}
	}
}
