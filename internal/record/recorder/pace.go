package recorder

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
)

const (
	// recordingEvery is how often a recording of a stream may begin. A rotation after
	// the maximum length does not count. Each recording has a folder, a row and init
	// segments. recordingBurst may begin at once: somebody may be trying out an
	// encoder.
	recordingEvery = 10 * time.Second
	recordingBurst = 20
	// maxPaced bounds the streams that are remembered here.
	maxPaced = 10_000
)

// causePace is why packets came and belong to no recording.
const causePace = "recordings of this stream began too often, and these came before the next might"

// pace bounds how often recordings of a stream begin. Safe for concurrent use.
type pace struct {
	leftOut atomic.Int64 // packets, of all streams

	mu      sync.Mutex
	streams map[string]*paced
}

// paced is a stream of which recordings have begun lately.
type paced struct {
	until   time.Time // when those of before do not count any more
	told    bool      // since the last began: that the next has to wait
	packets int64     // that came meanwhile
}

// wait returns for how long no recording of a stream may begin.
func (p *pace) wait(stream string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.streams[stream]
	if e == nil {
		return 0
	}
	return max(0, e.until.Sub(now)-(recordingBurst-1)*recordingEvery)
}

// begun notes that a recording of a stream begins. It returns how many packets came
// while none was allowed to.
func (p *pace) begun(stream string, now time.Time) (leftOut int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.streams[stream]
	if e == nil {
		p.makeRoom(now)
		e = &paced{}
		p.streams[stream] = e
	}
	if e.until.Before(now) {
		e.until = now
	}
	leftOut = e.packets
	*e = paced{until: e.until.Add(recordingEvery)}
	return leftOut
}

// makeRoom forgets streams that do not have to wait any more. If all have to, it
// forgets the half with the fewest recordings. Called with mu held.
func (p *pace) makeRoom(now time.Time) {
	if len(p.streams) < maxPaced {
		return
	}
	maps.DeleteFunc(p.streams, func(_ string, e *paced) bool { return e.until.Before(now) && e.packets == 0 })
	if len(p.streams) < maxPaced {
		return
	}
	soonest := slices.SortedFunc(maps.Keys(p.streams), func(a, b string) int { return p.streams[a].until.Compare(p.streams[b].until) })
	for _, stream := range soonest[:maxPaced/2] {
		delete(p.streams, stream)
	}
}

// refuse reports whether this is the first time that the next recording has to wait, so
// that it is logged once.
func (p *pace) refuse(stream string) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.streams[stream]
	if e == nil || e.told {
		return false
	}
	e.told = true
	return true
}

// leave counts a packet that belongs to no recording.
func (p *pace) leave(stream string) {
	p.leftOut.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.streams[stream]; e != nil {
		e.packets++
	}
}

// LeftOut returns how many packets since New belong to no recording because recordings
// of their streams began too often.
func (r *Recorder) LeftOut() int64 { return r.pace.leftOut.Load() }

var errPace = fault.New(fault.TooMany, fmt.Sprintf("recordings of this stream begin too often, more than %d at once and one every %v", recordingBurst, recordingEvery))

// mayBegin returns a *fault.WaitError if no recording of the session's stream may begin
// now.
func (s *session) mayBegin() error {
	wait := s.r.pace.wait(s.stream, s.now)
	if wait == 0 {
		return nil
	}
	if s.r.pace.refuse(s.stream) {
		s.r.o.Quotas.Refuse(quota.Refusal{Of: "stream", Limit: quota.Recordings.String()})
		s.log.Warn("recordings of this stream begin too often: the next has to wait", "at_once", recordingBurst, "one_more_every", recordingEvery)
	}
	return fault.Waitf(fault.TooMany, wait, "%w: the next may begin in %d seconds", errPace).Coded("recordings_too_often")
}

// hold notes that a recording has to wait because of err. Packets that come meanwhile
// are counted.
func (s *session) hold(err error) {
	defer s.begun()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.failure = true, err
}

// hasToWait reports whether no recording of the stream may begin now. A running one
// then goes on.
func (s *session) hasToWait() bool { return s.r.pace.wait(s.stream, s.now) > 0 }

// count notes that a recording begins, and books the packets that came while none was
// allowed to. A rotation after the maximum length does not count.
func (s *session) count(rec, follows *recording.Recording) {
	if follows != nil && follows.ReachedLimit(rec) {
		return
	}
	s.held = false
	if n := s.r.pace.begun(s.stream, s.now); n > 0 {
		rec.CountDiscarded(media.Discard{Cause: causePace, Packets: n})
	}
}
