package recorder

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/journal"
)

// claiming is a folder that is being claimed for the next recording. Storage may take long
// for it. Meanwhile packets are read and arranged, and what is decided is held.
type claiming struct {
	done    chan struct{} // closed when what is below is known
	info    media.Recording
	journal *journal.Journal
	err     error
}

// isDone reports whether the claim, if there is one, has been decided.
func (c *claiming) isDone() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// rotate has another recording begin that starts about now. carryOn does the rest.
func (s *session) rotate(now time.Time) {
	s.account() // to the one before
	c := &claiming{done: make(chan struct{})}
	s.next = c
	go func() { // carryOn waits for it
		defer s.sub.Interrupt()
		defer close(c.done)
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a fault of this program kept a recording from being rotated: please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				c.err = fault.Errorf(fault.Internal, "a fault of this program: %v", p)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.r.ctx), storeTimeout)
		defer cancel()
		c.info, c.journal, c.err = s.claim(ctx, s.blank(now))
	}()
}

// carryOn goes on with what was decided while a folder was claimed, if the claim has been
// decided. With wait, it waits for that.
func (s *session) carryOn(wait bool) {
	for s.next != nil && (wait || s.next.isDone()) {
		c := s.next
		<-c.done
		s.next = nil
		if c.err == nil {
			s.beginIn(c.info, c.journal)
		}
		s.out.Rotated(c.err)
		s.must(s.arranged())
	}
}

// unhold is carryOn after packets have been dealt with. If so much is held that no more may
// be, it waits: packets then wait in their queue, and what that does not hold is counted.
func (s *session) unhold() {
	defer func() {
		if p := recover(); p != nil {
			s.survive(p, false)
		}
	}()
	full := s.out.IsFull()
	if full {
		s.log.Warn("storage is too slow: media waits until it has taken the folder of the next recording")
	}
	s.carryOn(full)
}
