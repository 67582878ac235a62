package recorder

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/segmenter"
)

// A simulcast publisher sends several encodings of one video, its layers. Each
// is a Representation of one AdaptationSet, with segments that begin at the same
// times, so that players can switch between them. One layer leads: it is written
// like a video of its own, and decides where Periods and segments begin. The
// others follow: what they have for a time is written when the lead has got
// there. A layer that comes or goes makes a new Period; one that goes has its
// last picture stay until then.

const (
	// snap is how far a layer's key frame may be from the lead's, by the
	// sender's reports, and still be the same picture.
	snap = 15 * time.Millisecond
	// layerLate is how far a layer may be behind before the lead's segments
	// wait for it.
	layerLate = 500 * time.Millisecond
	// layerSilence is for how long a layer may send nothing, while others do,
	// before it counts as turned off; layerLag for how long it may have no
	// frames, which lost packets delay.
	layerSilence = time.Second
	layerLag     = 2 * time.Second
	// minRecast is the least time between two Periods that layers which come
	// and go cause.
	minRecast = 2 * time.Second
)

// releaseLayer writes the frames of a layer that does not lead, up to where the
// lead is.
func (s *session) releaseLayer(tr *track, force bool) error {
	lead := s.pub.lead
	if tr == lead || len(tr.held) == 0 || s.cur == nil || lead == nil || lead.ep == nil {
		return nil
	}
	force = force || len(tr.held) >= maxHeld
	if !force && !s.pub.time.Ready(tr.ID) {
		return nil
	}
	reached := lead.sessionTime(lead.last) + snap
	return s.place(tr, func(f *media.Frame) bool { return force || s.sessionTime(tr, f) <= reached })
}

// layer writes a frame of a layer that does not lead.
func (s *session) layer(tr *track, f *media.Frame) error {
	if tr.ep != s.cur {
		at := s.sessionTime(tr, f)
		if d := at - s.cur.at; d > -snap && d < snap {
			at = s.cur.at // the same picture as the lead's
		}
		switch {
		case at < s.cur.at && tr.ep == nil:
			return nil // from before the Period
		case at >= s.cur.at:
			if ok, err := s.enterLayer(tr, f, at); err != nil || !ok {
				return err
			}
		}
	}
	cut, ok := tr.cutFor(f)
	t := tr.time(f.Timestamp)
	hole := tr.duration(t - tr.end())
	switch {
	case tr.wrote && t <= tr.at:
		s.leaveOut(tr)
		return nil
	case tr.gone, !ok, hole > lossLimit, f.Key && !f.Format.Equal(tr.format):
		tr.gone = true
		s.recast = true
		return nil
	}
	s.noteHole(tr, hole)
	return s.writeVideo(tr, f, cut)
}

// enterLayer moves a layer into the current Period, which it has to join with
// its first picture. One that comes later waits for the next Period.
func (s *session) enterLayer(tr *track, f *media.Frame, at time.Duration) (bool, error) {
	if tr.ep != nil {
		end := media.Ticks(0)
		if !s.cur.remap {
			end = tr.ticks(s.cur.at - tr.ep.rec.offset)
		}
		if err := s.exit(tr, end); err != nil {
			return false, err
		}
	}
	if !f.Key || at > s.cur.at {
		s.recast = true
		return false, nil
	}
	s.noteAbsence(tr, at)
	return true, s.enter(tr, f, at)
}

// noteAbsence puts the time for which a layer was not in the recording, up to a
// session time, into the ledger.
func (s *session) noteAbsence(tr *track, until time.Duration) {
	if !tr.gone || s.rec == nil || s.rec.track(tr.lane).Written() == 0 {
		return
	}
	start := tr.duration(tr.end())
	s.rec.gap(tr.lane, start, until-s.rec.offset-start, causeLayer)
}

// leadCut is a place where the lead begins a segment.
type leadCut struct {
	ep       *epoch
	from, to media.Ticks // the key frame's time, before and after the correction for drift
}

// cutLayers has the other layers begin a segment where the lead does.
func (s *session) cutLayers(from, to media.Ticks) {
	for _, tr := range s.pub.videos {
		waits := tr.ep != nil || len(tr.held) > 0
		if tr == s.pub.lead || !waits || tr.gone && len(tr.due) > 0 {
			continue
		}
		tr.due = append(tr.due, leadCut{s.cur, from, to})
	}
}

// cutFor says whether a layer's frame begins a segment. It is not ok if it
// should and cannot: segments of layers begin together or not at all.
func (tr *track) cutFor(f *media.Frame) (cut segmenter.Cut, ok bool) {
	if tr.gone || len(tr.due) == 0 || tr.due[0].ep != tr.ep {
		return segmenter.CutNot, true
	}
	due := tr.due[0]
	t := tr.time(f.Timestamp)
	switch d := tr.duration(t - due.from); {
	case f.Key && d > -snap && d < snap:
		tr.t0 += due.to - t
		tr.due = tr.due[1:]
		return segmenter.CutHere, true
	case d > -time.Millisecond:
		return segmenter.CutNot, false
	}
	return segmenter.CutNot, true
}

// joined begins with a Period, in which the cuts of another have no meaning.
func (tr *track) joined() {
	tr.gone = false
	tr.due = slices.DeleteFunc(tr.due, func(c leadCut) bool { return c.ep != tr.ep })
}

// exitGone takes the layers that have nothing more for the current Period out
// of it when it ends: their last picture stays until then. The lead, which may have
// become it when it was one of them, ends it itself.
func (s *session) exitGone(end media.Ticks) error {
	for _, tr := range s.pub.videos {
		if tr.gone && tr.ep != nil && tr != s.pub.lead {
			if err := s.exit(tr, end); err != nil {
				return err
			}
		}
	}
	return nil
}

// layerLate reports whether a layer may have been turned off, which is not
// certain yet: the lead's segment then goes on, so that the last picture of
// the layer can stay to the end of it.
func (s *session) layerLate() bool {
	lead := s.pub.lead
	return slices.ContainsFunc(s.pub.videos, func(tr *track) bool {
		return tr != lead && tr.ep == s.cur && !tr.gone && lead.prevArrival.Sub(tr.lastArrival) > layerLate
	})
}

// isOff reports whether the sender has turned a layer off.
func (s *session) isOff(tr *track) bool {
	return tr.gone && s.now.Sub(tr.lastPacket) >= layerSilence
}

// askKeys asks for key frames of all layers at once.
func (s *session) askKeys() {
	for _, tr := range s.pub.videos {
		if !s.isOff(tr) {
			s.sub.RequestKeyFrame(tr.ID)
		}
	}
}

// watchLayers looks for layers that the sender has turned off, and has another
// lead if it was the lead. It asks for the key frames of the Period that is
// due when layers came or went.
func (s *session) watchLayers() error {
	lead := s.pub.lead
	if len(s.pub.videos) < 2 || lead == nil || s.cur == nil {
		return nil
	}
	newest := slices.MaxFunc(s.pub.videos, func(a, b *track) int { return a.prevArrival.Compare(b.prevArrival) })
	for _, tr := range s.pub.videos {
		silent := newest.prevArrival.Sub(tr.lastPacket) >= layerSilence
		if tr.ep == nil || tr.gone || !silent && newest.prevArrival.Sub(tr.lastArrival) < layerLag {
			continue
		}
		s.log.Info("simulcast layer stopped", "rid", tr.RID, "layer", tr.lane.layer, "sends", !silent)
		tr.gone, tr.keyWanted, s.recast = true, false, true
		if tr == lead {
			if err := s.releaseLayer(newest, true); err != nil {
				return err
			}
			if err := s.takeLead(newest); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeLead makes a layer the lead. One that is out of the Period, or still in the one
// before, begins another with its next key frame.
func (s *session) takeLead(tr *track) error {
	s.pub.lead = tr
	switch {
	case tr.ep != nil && tr.ep != s.cur:
		return s.exit(tr, 0)
	case !tr.gone:
		tr.due = nil
	}
	return nil
}

// askRecast asks for the key frames with which a Period that is wanted, because
// tracks came or went, can begin: when it may, and again while none comes.
func (s *session) askRecast() {
	if s.cur != nil && s.recastDue() && s.now.Sub(s.recastAsked) >= keyBackoffMin {
		s.recastAsked = s.now
		s.askKeys()
	}
}
