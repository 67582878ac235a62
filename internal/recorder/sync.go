package recorder

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

// correctable reports whether the audio may be corrected before f: where a
// segment begins, with the video as soon as that has been, and while it is known
// to be ahead where nobody hears it.
func (s *session) correctable(tr *track, f *media.Frame) bool {
	switch {
	case tr.ahead && len(f.Data) <= silentBytes:
		return true
	case tr.skipped:
		return false
	case tr.check && tr.sessionTime(f.Timestamp) >= tr.checkAt:
		return true
	}
	return tr.out.Cuts(tr.time(f.Timestamp), true)
}

// correct brings the audio back to the video, as it runs, and thereby to the
// mapping: with fillers where it is behind, by leaving f out (keep is false)
// where it is ahead: no two in a row that can be heard. A correction is made when
// it makes the distance smaller.
func (s *session) correct(tr *track, f *media.Frame) (keep bool, err error) {
	tr.check, tr.ahead = false, false
	if drift := s.drift(tr, f.Timestamp); drift > driftMax || drift < -driftMax {
		if s.alone(tr) {
			s.noteHole(tr, drift)
			return true, s.boundary(tr, f, cut{hole: true, remap: true})
		}
		s.remap = true // with the next video key frame
		if s.pub.lead != nil {
			s.wantKey(s.pub.lead)
		}
		return true, nil
	}
	behind, least := s.behindVideo(tr, f), syncMin
	if s.alone(tr) {
		least = driftMin // nobody sees it, and a packet that is left out can be heard
	}
	switch {
	case behind > least:
		var half media.Ticks
		if tr.codec.Filler != nil {
			_, d := tr.codec.Filler(f.Format, f.Data)
			half = d / 2
		}
		filled, err := s.fill(tr, f, tr.ticks(behind)+half)
		tr.t0 += filled
		return true, err
	case behind < -max(least, tr.duration(f.Duration)/2):
		tr.t0 -= f.Duration
		tr.ahead, tr.skipped = true, true
		tr.ep.rec.update(tr.lane, func(l *media.RecordingTrack) { l.PacketsCorrected++ })
		return false, nil
	}
	return true, nil
}

// behindVideo returns how far the running time of the audio is behind that of
// the video, or behind the mapping where there is none.
func (s *session) behindVideo(tr *track, f *media.Frame) time.Duration {
	behind := s.drift(tr, f.Timestamp)
	if v := s.pub.lead; v != nil && v.ep == tr.ep && s.pub.time.Ready(tr.ID) {
		behind -= s.drift(v, v.last)
	}
	return behind
}

// drift returns how far the running time of a track is behind its mapping.
func (s *session) drift(tr *track, timestamp int64) time.Duration {
	if !s.pub.time.Ready(tr.ID) {
		return 0
	}
	return s.pub.time.Media(tr.ID, timestamp) - tr.sessionTime(timestamp)
}
