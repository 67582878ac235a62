package whip

import "sync/atomic"

// Failures are the sessions that did not connect, or lost their connection, since New.
type Failures struct {
	ICE  int64 // no pair of candidates was found
	DTLS int64 // ICE was up, and the handshake did not end
	Lost int64 // had connected, and nothing came any more
}

// failures counts. Safe for concurrent use.
type failures struct{ ice, dtls, lost atomic.Int64 }

// Failures returns how many sessions failed, and how.
func (s *Server) Failures() Failures {
	f := &s.failures
	return Failures{ICE: f.ice.Load(), DTLS: f.dtls.Load(), Lost: f.lost.Load()}
}

// countFailure counts a session that did not connect.
func (se *session) countFailure() {
	if se.iceIsUp() {
		se.server.failures.dtls.Add(1)
	} else {
		se.server.failures.ice.Add(1)
	}
}

// iceIsUp reports whether the client has been heard and has chosen a pair.
func (se *session) iceIsUp() bool { return se.link.checks.Load() > 0 && se.conn.isUp() }
