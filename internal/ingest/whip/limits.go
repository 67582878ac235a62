package whip

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What a client may make a session keep; docs/design/limits.md has all bounds, and what
// the client is told.
const (
	// maxSenders bounds the SSRCs that a client's RTCP is from. The WebRTC stack keeps
	// each for ever. The sources of a publisher are not counted here: they are among its
	// buffers.
	maxSenders = 256
	// maxAddresses bounds the addresses of a client in a session. The stack keeps each,
	// as a candidate.
	maxAddresses = 256
	// restartBurst is how many ICE restarts a session may have at once, and
	// restartInterval how long it takes until there may be one more.
	restartBurst    = 10
	restartInterval = 5 * time.Second
	// sendersSettle is how long what has come of a client takes to be decrypted.
	sendersSettle = time.Second
)

// senders has the SSRCs that a client's RTCP comes from. It looks at them before
// decryption, because afterwards the stack has kept them. So packets that somebody else
// sends in the client's name are counted too, and must not end its session.
type senders struct {
	now     atomic.Pointer[map[uint32]struct{}] // replaced, never changed: see paths.now
	refused atomic.Int64                        // RTCP that could not be decrypted

	mu   sync.Mutex
	full time.Time // when the last place was taken
}

// admit reports whether RTCP of an SSRC may go on to the stack. tooMany says that the
// client itself has used up all places.
func (s *senders) admit(ssrc uint32, at time.Time) (ok, tooMany bool) {
	known := s.now.Load()
	if known != nil {
		if _, ok := (*known)[ssrc]; ok {
			return true, false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[uint32]struct{})
	if known = s.now.Load(); known != nil {
		if len(*known) >= maxSenders {
			return false, at.Sub(s.full) > sendersSettle && s.refused.Load() < maxSenders/2
		}
		maps.Copy(next, *known)
	}
	next[ssrc] = struct{}{}
	if len(next) == maxSenders {
		s.full = at
	}
	s.now.Store(&next)
	return true, false
}

// seconds writes a Retry-After: whole seconds, and none too few.
func seconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

// bucket lets events of a kind through: a burst of them, and then one in a while.
type bucket struct {
	left int
	last time.Time // when one was added
}

// take reports whether an event may happen, or else after how long one may.
func (b *bucket) take(now time.Time, burst int, interval time.Duration) (wait time.Duration, ok bool) {
	if b.last.IsZero() {
		b.left, b.last = burst, now
	}
	if more := int(now.Sub(b.last) / interval); more > 0 {
		b.left = min(burst, b.left+more)
		b.last = b.last.Add(time.Duration(more) * interval)
	}
	if b.left == 0 {
		return interval - now.Sub(b.last), false
	}
	b.left--
	return 0, true
}
