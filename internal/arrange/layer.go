package arrange

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// A simulcast publisher sends several encodings of one video, its layers. Each is a
// Representation of one AdaptationSet, with segments that begin at the same times, so
// that players can switch between them. One layer leads: it is written like a video
// of its own, and decides where Periods and segments begin. The others follow: what
// they have for a time is written when the lead has got there, and a cut of the lead
// is theirs with the key frame of the same picture. A layer that comes or goes makes
// a new Period; one that goes has its last picture stay until then.

const (
	// snap is how far a layer's key frame may be from the lead's and still be the
	// same picture: key frames are asked for of all layers at once, and encoders
	// answer with the same picture. The clocks of layers are known to some tens of
	// milliseconds where reports are stamped when they are sent.
	snap = 150 * time.Millisecond
	// layerLate is how far a layer may be behind before the lead's segments wait
	// for it.
	layerLate = 500 * time.Millisecond
	// layerSilence is for how long a layer may send nothing, while others do, before
	// it counts as turned off; layerLag for how long it may have no frames, which
	// lost packets delay.
	layerSilence = time.Second
	layerLag     = 2 * time.Second
	// minRecast is the least time between two Periods that layers which come and go
	// cause.
	minRecast = 2 * time.Second
)

// leadCut is a place where the lead begins a segment.
type leadCut struct {
	period   *period
	from, to media.Ticks // the key frame's time, before and after the correction for drift
}

// releaseLayer writes the frames of a layer that does not lead, up to where the lead
// is: what may be the same picture as a key frame of the lead waits for that.
func (a *Arranger) releaseLayer(s *source, force bool) {
	lead := a.pub.lead
	if s == lead || len(s.held) == 0 || lead == nil || lead.lane.period == nil || !lead.placed {
		return
	}
	force = force || len(s.held) >= maxHeld
	if !force && !a.pub.time.Ready(s.ID) {
		return
	}
	reached := lead.lane.duration(lead.time(lead.last))
	a.place(s, func(f *media.Frame) bool { return force || a.layerTime(s, f) <= reached-snap })
}

// placeLayers writes what is held of layers from before a session time.
func (a *Arranger) placeLayers(until time.Duration) {
	for _, s := range a.pub.videos {
		if s != a.pub.lead && a.pub.lead != nil && a.pub.lead.placed {
			a.place(s, func(f *media.Frame) bool { return a.layerTime(s, f) < until })
		}
	}
}

// layerTime returns the place of a frame of a layer. Where the layers' timestamps are
// the same for one picture, they tell it exactly.
func (a *Arranger) layerTime(s *source, f *media.Frame) time.Duration {
	if lead := a.pub.lead; lead.placed && a.pub.time.Alike(lead.ID, s.ID) && (s.lane.period != a.cur || s.lane.period == lead.lane.period) {
		return lead.lane.duration(lead.time(f.Timestamp))
	}
	return a.sessionTime(s, f)
}

// layer writes a frame of a layer that does not lead.
func (a *Arranger) layer(s *source, f *media.Frame) {
	l := s.lane
	at := a.layerTime(s, f)
	if l.period != a.cur {
		switch {
		case at < a.cur.at-snap && l.period == nil:
			return // from before the Period
		case f.Key && at >= a.cur.at-snap, at >= a.cur.at:
			if !a.enterLayer(s, f, at) {
				return
			}
		}
	}
	if !s.placed {
		return
	}
	if a.pub.time.Alike(a.pub.lead.ID, s.ID) && l.period == a.cur {
		s.place(f.Timestamp, l.ticks(at))
	}
	cut, ok := a.cutFor(s, f)
	t := max(s.time(f.Timestamp), l.entered)
	hole := l.duration(t - l.end())
	switch {
	case l.wrote && t <= l.at:
		a.out.LeftOut(l.Lane)
		return
	case l.video.gone, !ok, hole > layerLag, f.Key && !f.Format.Equal(l.format), l.video.still && !f.Key:
		a.out.LeftOut(l.Lane) // it came, and has no place
		l.video.gone = true
		a.recast = true
		return
	}
	s.place(f.Timestamp, t)
	a.standUntil(l, t)
	a.noteHole(s, t)
	a.writePicture(s, f, cut)
}

// enterLayer moves a layer into the current Period, which it has to join with its
// first picture. One that comes later waits for the next Period.
func (a *Arranger) enterLayer(s *source, f *media.Frame, at time.Duration) bool {
	l := s.lane
	if l.period != nil {
		a.leave(l, a.leaves(l, a.cur.at))
	}
	if !f.Key || at > a.cur.at+snap {
		a.out.LeftOut(l.Lane) // it came, and has no place
		a.recast = true
		return false
	}
	s.place(f.Timestamp, l.ticks(a.cur.at))
	a.enter(l, f.Format, a.cur.at)
	return true
}

// cutLayers has the other layers begin a segment where the lead does.
func (a *Arranger) cutLayers(from, to media.Ticks) {
	for _, s := range a.pub.videos {
		l := s.lane
		waits := l.period != nil || len(s.held) > 0
		if s == a.pub.lead || !waits || l.video.gone && len(l.video.due) > 0 {
			continue
		}
		l.video.due = append(l.video.due, leadCut{a.cur, from, to})
	}
}

// cutFor says whether a layer's frame begins a segment, and gives the key frame that
// does the lead's time. It is not ok if one should and cannot: segments of layers
// begin together or not at all.
func (a *Arranger) cutFor(s *source, f *media.Frame) (cut, ok bool) {
	l := s.lane
	if l.video.gone || len(l.video.due) == 0 || l.video.due[0].period != l.period {
		return false, true
	}
	due := l.video.due[0]
	t := s.time(f.Timestamp)
	switch d := l.duration(t - due.from); {
	case f.Key && d.Abs() < snap:
		s.t0 += max(due.to, l.at+1) - t
		l.video.due = l.video.due[1:]
		return true, true
	case d < -time.Millisecond:
		return false, true
	case d < snap:
		return false, a.squeeze(s, f, due)
	}
	return false, false
}

// squeeze places a frame of a layer that comes before the key frame of a cut and
// seems to be later than that: its clock is not known better. It reports whether the
// key frame is there.
func (a *Arranger) squeeze(s *source, f *media.Frame, due leadCut) bool {
	l := s.lane
	if l.at+2 >= due.to {
		return false
	}
	for _, h := range s.waiting {
		if h.Key && l.duration(s.time(h.Timestamp)-due.from) < snap {
			s.place(f.Timestamp, l.at+(due.to-l.at)/2)
			return true
		}
	}
	return false
}

// layerLate reports whether a layer may have been turned off, which is not certain
// yet: the lead's segment then goes on, so that the last picture of the layer can
// stay to the end of it.
func (a *Arranger) layerLate() bool {
	lead := a.pub.lead
	return slices.ContainsFunc(a.pub.videos, func(s *source) bool {
		return s != lead && s.lane.period == a.cur && !s.lane.video.gone && lead.prevArrival.Sub(s.lastArrival) > layerLate
	})
}

// isOff reports whether the sender has turned a layer off.
func (a *Arranger) isOff(s *source) bool {
	return s.lane.video.gone && a.now.Sub(s.lastPacket) >= layerSilence
}

// askKeys asks for key frames of all layers at once.
func (a *Arranger) askKeys() {
	for _, s := range a.pub.videos {
		if !a.isOff(s) {
			a.out.WantKeyFrame(s.ID)
		}
	}
}

// watchLayers looks for layers that the sender has turned off, and has another lead
// if it was the lead.
func (a *Arranger) watchLayers() {
	lead := a.pub.lead
	if len(a.pub.videos) < 2 || lead == nil {
		return
	}
	newest := slices.MaxFunc(a.pub.videos, func(a, b *source) int { return a.prevArrival.Compare(b.prevArrival) })
	for _, s := range a.pub.videos {
		l := s.lane
		silent := newest.prevArrival.Sub(s.lastPacket) >= layerSilence
		if l.period == nil || l.video.gone || !silent && newest.prevArrival.Sub(s.lastArrival) < layerLag {
			continue
		}
		a.o.Log.Info("simulcast layer stopped", "rid", s.RID, "layer", l.Layer, "sends", !silent)
		l.video.gone, s.keyWanted, a.recast = true, false, true
		if s == lead && newest != lead {
			a.releaseLayer(newest, true)
			a.takeLead(newest)
		}
	}
}

// takeLead makes a layer the lead. One that is out of the Period, or still in the one
// before, begins another with its next key frame.
func (a *Arranger) takeLead(s *source) {
	a.pub.lead = s
	switch l := s.lane; {
	case l.period != nil && l.period != a.cur:
		a.leave(l, a.cur.at)
	case !l.video.gone:
		l.video.due = nil
	}
}

// askRecast asks for the key frames with which a Period that is wanted, because
// layers came or went, can begin: when it may, and again while none comes.
func (a *Arranger) askRecast() {
	if a.cur != nil && a.recastDue() && a.now.Sub(a.recastAsked) >= keyBackoffMin {
		a.recastAsked = a.now
		a.askKeys()
	}
}
