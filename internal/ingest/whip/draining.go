package whip

import (
	"net/http"

	"github.com/live777/recorder/internal/base/fault"
)

// drainingRetryAfter is how long a publisher should wait that comes while the node is
// draining, in seconds: a manager has sent it elsewhere by then, or the node is back.
const drainingRetryAfter = "5"

// SetDraining says whether new publishers are refused. Sessions that run go on, and
// viewers may come: the streams that they want are here.
func (s *Server) SetDraining(draining bool) {
	if s.draining.Swap(draining) != draining {
		s.o.Logger.Info("draining", "on", draining)
	}
}

// Draining reports what SetDraining has set.
func (s *Server) Draining() bool { return s.draining.Load() }

// checkDraining refuses a publisher while the node is draining.
func (s *Server) checkDraining(w http.ResponseWriter) error {
	if !s.draining.Load() {
		return nil
	}
	w.Header().Set("Retry-After", drainingRetryAfter)
	return fault.New(fault.Unavailable, "the node is draining and takes no new publishers: publish to another, or try again later").Coded("draining")
}
