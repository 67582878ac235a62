package recorder

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

// watchSilence takes tracks out of the Period that have sent nothing for
// pauseLimit while another did: players would wait for them, and a rotation for
// the video. The next Period is without them.
func (s *session) watchSilence() error {
	if s.pub == nil || s.cur == nil {
		return nil
	}
	for _, tr := range s.pub.tracks {
		if tr.ep == nil || !s.outlasted(tr) {
			continue
		}
		if err := s.goSilent(tr); err != nil {
			return err
		}
	}
	return nil
}

// outlasted reports whether another track has been sending for pauseLimit since
// tr sent last. When both pause, the first to go on does not outlast the other.
func (s *session) outlasted(tr *track) bool {
	for _, other := range s.pub.tracks {
		since := tr.lastArrival
		if other.resumed.After(since) {
			since = other.resumed
		}
		if other != tr && other.lastArrival.Sub(since) > pauseLimit {
			return true
		}
	}
	return false
}

// goSilent takes a track that does not send out of its Period and asks for one
// without it.
func (s *session) goSilent(tr *track) error {
	s.log.Info("track went silent: the next period is without it", "kind", tr.Kind.String())
	if err := s.place(tr, func(*media.Frame) bool { return tr.ep != nil }); err != nil || tr.ep == nil {
		return err
	}
	ep := tr.ep
	if err := s.exit(tr, 0); err != nil {
		return err
	}
	tr.away = true
	if tr == s.pub.lead {
		s.pub.lead = nil // the first that comes back with a key frame
	}
	if ep == s.cur && ep.members == 0 {
		err := s.endStragglers()
		s.cur = nil
		return err
	}
	s.recast = true
	return nil
}

// comeBack gives audio that has no place in the current Period one with its
// frame f, or asks for it: the video has to begin the next Period, unless that
// is silent too.
func (s *session) comeBack(tr *track, f *media.Frame) (bool, error) {
	for _, v := range s.pub.videos {
		if v.ep != nil && s.now.Sub(v.wroteAt) > pauseLimit {
			if err := s.goSilent(v); err != nil {
				return false, err
			}
		}
	}
	if s.cur == nil {
		return true, s.enterFirst(tr, f)
	}
	s.recast = true
	s.leaveOut(tr)
	return false, nil
}

// wasAway reports whether the audio comes back, after a hole, to a Period that
// has gone on without it or has ended. Where the video has paused too, and only
// waits for its key frame, the hole is filled.
func (s *session) wasAway(tr *track, hole time.Duration) bool {
	if hole <= pauseLimit || tr.ep != s.cur || s.alone(tr) {
		return false
	}
	for _, v := range s.pub.videos {
		if v.ep == s.cur && s.endOf(v)-s.endOf(tr) <= pauseLimit && s.now.Sub(v.lastArrival) <= pauseLimit {
			return hole > fillLimit
		}
	}
	return true
}
