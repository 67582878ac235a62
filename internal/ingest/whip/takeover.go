package whip

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
)

// How long a publisher should wait whose stream has one already: its own session that
// is not silent yet, or that of somebody else, which is missed after this time if it
// is gone.
const (
	retryOwn   = 1
	retryOther = int((iceDisconnected + iceFailed) / time.Second)
)

const (
	// takeOverPoll is how often a session is looked at that may be gone.
	takeOverPoll = 20 * time.Millisecond
	// inFlight is how long after a request packets may come that were sent before it.
	inFlight = 200 * time.Millisecond
)

// ownerOf says who sends a request: the same words mean the same credentials, or for
// those who need none the same address.
func ownerOf(r *http.Request) string {
	if owner := live.ClientOf(r.Context()).Owner; owner != "" {
		return owner
	}
	return "address " + clientAddress(r)
}

// makeWay ends the session of a stream's publisher that is gone without having said so,
// if the same owner comes again: an encoder that was killed is started again at once.
// The request waits until it is certain that the old one is gone. If it is not gone,
// the error is live.ErrPublishing.
func (s *Server) makeWay(w http.ResponseWriter, r *http.Request, stream string) error {
	old := s.publisherOf(stream)
	if old == nil {
		return nil
	}
	conflict := fmt.Errorf("publish stream %q: %w", stream, live.ErrPublishing)
	if old.owner != ownerOf(r) {
		w.Header().Set("Retry-After", strconv.Itoa(retryOther))
		return conflict
	}
	tick := time.NewTicker(takeOverPoll)
	defer tick.Stop()
	asked := old.link.now()
	for {
		silent, flowed := old.link.silence()
		left := takeOverAfter - silent
		if !flowed {
			left = takeOverIdle - silent
		}
		if left <= 0 {
			old.end("its publisher came back")
			s.forget(old)
			return nil
		}
		if left > takeOverAfter || old.link.now().Add(-silent).Sub(asked) > inFlight {
			w.Header().Set("Retry-After", strconv.Itoa(max(retryOwn, int(left/time.Second))))
			return conflict
		}
		select {
		case <-tick.C:
		case <-old.ctx.Done():
			return nil
		case <-r.Context().Done():
			return conflict
		}
	}
}

// publisherOf returns the session of a stream's publisher, nil where there is none.
func (s *Server) publisherOf(stream string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, se := range s.sessions {
		if key.stream == stream && se.publisher && se.ctx.Err() == nil {
			return se
		}
	}
	return nil
}
