package recorder

import (
	"fmt"
	"runtime/debug"

	"github.com/live777/recorder/internal/ingest/live"
)

// record handles one item, and survives a panic of the session's code.
func (s *session) record(item *live.Item) {
	defer func() {
		if p := recover(); p != nil {
			s.survive(p, item.Left)
		}
	}()
	s.must(s.handle(item))
}

// due does what time makes due; false means that the session is over.
func (s *session) due() (goOn bool) {
	defer func() {
		if p := recover(); p != nil {
			s.survive(p, false)
			goOn = true
		}
	}()
	return s.tick()
}

// survive ends the recording whose code has panicked, as a failure of storage would:
// what was written is sealed, and the stream is recorded again. The other recordings of
// the node go on. left says that the publisher has left with what caused it.
func (s *session) survive(p any, left bool) {
	s.log.Error("a fault of this program has stopped a recording: please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	s.carryOn(true)
	s.out.EndRotated()
	// Nothing is known of the state of its tracks any more.
	s.rearrange()
	if left || s.pub == nil {
		s.pub, s.leftAt = nil, s.now
	} else {
		s.pub = s.newPublication(s.joined.Tracks())
		s.arr.Join(s.now, s.pub.arranged())
	}
	s.must(fmt.Errorf("a fault of this program: %v", p))
}

// rearrange makes a new arranger that goes on behind what has been recorded.
func (s *session) rearrange() {
	zero, end := s.arr.Zero(), s.arr.Ended()
	s.arr = s.newArranger()
	s.arr.GoOn(zero, end, nil, nil)
	if s.paused() {
		s.arr.Pause(s.pausedAt)
	}
}
