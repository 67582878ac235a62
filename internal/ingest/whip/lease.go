package whip

import (
	"time"

	"github.com/live777/recorder/internal/ingest/live"
)

// obey ends the session when the credentials that it was made with end: at once if they
// are taken back, and some time after they have expired, so that a client can renew
// them.
func (se *session) obey() {
	for {
		lease := se.currentLease()
		var over <-chan time.Time
		stop := func() bool { return false }
		if !lease.Expires.IsZero() {
			timer := time.NewTimer(lease.Expires.Add(se.server.o.Grace).Sub(se.server.o.Now()))
			over, stop = timer.C, timer.Stop
		}
		select {
		case <-over:
			se.end("its credentials have expired")
		case <-lease.Ended:
			se.end("its credentials were taken back")
		case <-se.renewed:
		case <-se.ctx.Done():
		}
		stop()
		if se.ctx.Err() != nil {
			return
		}
	}
}

func (se *session) currentLease() live.Lease {
	se.mu.Lock()
	defer se.mu.Unlock()
	return se.lease
}

// renew lets the session go on with credentials that are good for longer.
func (se *session) renew(lease live.Lease) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if !lease.Outlasts(se.lease) {
		return
	}
	se.lease = lease
	select {
	case se.renewed <- struct{}{}:
	default: // it has not seen the one before yet
	}
}
