package whip

import (
	"net"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
)

// evictAfter is how old a session that is not connected must be to lose its place to
// another, if no address has more of them than others. Connecting takes a second.
const evictAfter = 3 * time.Second

// admit reserves a place for a new session among those that are not connected. release
// gives it back if the session is not started.
func (s *Server) admit(r *http.Request) (release func(), err error) {
	victim, err := s.reserve(clientAddress(r))
	if err != nil {
		return nil, err
	}
	if victim != nil {
		victim.lost("its place is needed by others who connect")
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending--
	}, nil
}

// reserve takes a place, perhaps that of a session that is to end.
func (s *Server) reserve(from string) (victim *session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected, waiting := s.count()
	switch {
	case s.closed:
		return nil, fault.New(fault.Unavailable, "the node is shutting down").Coded("shutting_down")
	case connected >= s.o.MaxSessions:
		s.o.Quotas.Refuse(quota.Refusal{Of: "node", Limit: "sessions"})
		return nil, fault.Errorf(fault.Unavailable, "the node has reached its limit of %d sessions: try again later", s.o.MaxSessions).Coded("sessions_full", "most", s.o.MaxSessions)
	case len(waiting)+s.pending >= s.o.MaxUnconnected:
		if victim = s.crowd(waiting, from); victim == nil {
			s.o.Quotas.Refuse(quota.Refusal{Of: "node", Limit: "unconnected"})
			return nil, fault.Errorf(fault.Unavailable, "the node has reached its limit of %d sessions that are not connected yet: try again later", s.o.MaxUnconnected).Coded("sessions_full", "most", s.o.MaxUnconnected)
		}
	}
	s.pending++
	return victim, nil
}

// count returns how many sessions are connected, and those that are not yet. It is
// called with mu held.
func (s *Server) count() (connected int, waiting []*session) {
	for _, se := range s.sessions {
		switch {
		case se.over.Load():
		case se.isConnected():
			connected++
		default:
			waiting = append(waiting, se)
		}
	}
	return connected, waiting
}

// crowd picks the session that makes room for one from an address: the oldest of the
// address that has the most, if that is another address, or else one that is old. It
// returns nil if there is none.
func (s *Server) crowd(waiting []*session, from string) *session {
	counts := make(map[string]int)
	for _, se := range waiting {
		counts[se.client]++
	}
	var oldest *session
	for _, se := range waiting {
		more := oldest == nil || counts[se.client] > counts[oldest.client]
		if more || counts[se.client] == counts[oldest.client] && se.created.Before(oldest.created) {
			oldest = se
		}
	}
	if oldest == nil || counts[oldest.client] <= counts[from]+1 && s.o.Now().Sub(oldest.created) < evictAfter {
		return nil
	}
	return oldest
}

// arrived is told that a session is connected. One too many ends: several may have
// connected at once.
func (s *Server) arrived(se *session) {
	s.mu.Lock()
	connected, _ := s.count()
	s.mu.Unlock()
	if connected > s.o.MaxSessions {
		se.end("the node has reached its limit of sessions")
	}
}

// take counts a session, of a stream, among those of its owner.
func (s *Server) take(r *http.Request, stream string, side quota.Kind) (*quota.Ticket, error) {
	return s.o.Quotas.Take(ownerOf(r), stream, side, quota.Sessions)
}

// clientAddress is where a request is from.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
