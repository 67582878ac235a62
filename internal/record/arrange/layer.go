package arrange

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// A simulcast publisher sends several encodings of one video, its layers. Each is a
// Representation of one AdaptationSet. Their segments begin at the same times, so that
// players can switch between them.
//
// One layer leads: Periods and segments begin with its key frames. A key frame of the
// lead is held until it is known which other layers have a key frame of the same
// picture, its pairs. A segment begins where all layers of the Period have one. A
// Period begins where a layer that is out of it can join, or is to leave.
//
// Encoders may put key frames at different pictures in each layer (x264 does, at what
// it takes for a change of scene). Segments then get longer, up to maxSegment. After
// that, layers without a key frame leave, until they have one in common with the lead.

const (
	// snap is how far a layer's key frame may be from the lead's and still count as the
	// same picture. Key frames are asked for of all layers at once, and encoders answer
	// with the same picture. If reports are stamped when they are sent, the clocks of
	// layers are known to some tens of milliseconds.
	snap = 100 * time.Millisecond
	// snapArrival is the same if only arrivals tell of the clocks.
	snapArrival = 250 * time.Millisecond
	// snapKnown is the least of it if reports tell of the clocks.
	snapKnown = 60 * time.Millisecond
	// snapMin is how far a layer may be from where its clock says without being moved
	// there.
	snapMin = 40 * time.Millisecond
	// squeezeMax is how far a layer may be ahead of its place and be brought back by
	// short pictures.
	squeezeMax = time.Second
	// layerPatience is how long the lead's key frame waits for those of layers that
	// come later. It is less than fillLag; otherwise the lead would be filled
	// meanwhile.
	layerPatience = 2500 * time.Millisecond
	// reportPatience is how long the first picture of a recording that goes on waits for a
	// report: less than sound waits for pictures.
	reportPatience = time.Second
	// layerSilence is how long a layer may send nothing, while others do, before it
	// counts as turned off. layerLag is how long it may have no frames, which lost
	// packets delay.
	layerSilence = time.Second
	layerLag     = 2 * time.Second
	// layerSegment is maxSegment for layers that have no key frame together, in
	// targets. After it all are cut without one, and nobody can begin there with any of
	// them.
	layerSegment = 2 * maxSegment
	// minRecast is the least time between two Periods that begin because layers come
	// and go.
	minRecast = 2 * time.Second
)

// isMember reports whether a layer is in the Period and has more for it.
func (a *Arranger) isMember(s *source) bool {
	return a.cur != nil && s.lane.period == a.cur && !s.lane.video.gone
}

// sends reports whether packets of a layer are coming.
func (a *Arranger) sends(s *source) bool {
	return !s.lastPacket.IsZero() && a.now.Sub(s.lastPacket) < layerSilence
}

// others returns the layers that do not lead.
func (a *Arranger) others() []*source {
	return slices.DeleteFunc(slices.Clone(a.pub.videos), func(s *source) bool { return s == a.pub.lead })
}

// releaseVideo writes what is held of the video: the lead up to the next key frame that
// is not decided yet, and the others up to there.
func (a *Arranger) releaseVideo(force bool) {
	for more := true; more; {
		lead := a.pub.lead
		if lead == nil {
			return
		}
		n, keys := len(lead.held), 0
		a.place(lead, func(f *media.Frame) bool {
			if f.Key {
				keys++ // one at a time: the layers are to keep up
			}
			return !f.Key || keys == 1 && (force || !a.isOpen(f))
		})
		more = len(lead.held) > 0 && len(lead.held) < n
		for _, s := range a.others() {
			a.releaseLayer(s, force && len(lead.held) == 0)
		}
	}
}

// releaseLayer writes the frames of a layer that does not lead, up to where the lead
// is. Frames that may be the same picture as a key frame of the lead wait for it.
func (a *Arranger) releaseLayer(s *source, force bool) {
	lead := a.pub.lead
	if s == lead || len(s.held) == 0 {
		return
	}
	force = force || len(s.held) >= maxHeld
	next := frameRef{lead.last, lead.lastArrival}
	if len(lead.held) > 0 {
		next = refOf(lead.held[0].Frame)
	}
	a.place(s, func(f *media.Frame) bool {
		d, tolerance := a.distance(s, f, next)
		return force || d < -tolerance
	})
}

// placeLayers writes what is held of layers from before a session time.
func (a *Arranger) placeLayers(until time.Duration) {
	if a.pub.lead == nil {
		return
	}
	for _, s := range a.others() {
		a.place(s, func(f *media.Frame) bool { return a.layerTime(s, f) < until })
	}
}

// frameRef has what is needed of a frame of the lead to compare it with frames of other
// layers.
type frameRef struct {
	timestamp int64
	arrival   time.Time
}

func refOf(f *media.Frame) frameRef { return frameRef{f.Timestamp, f.Arrival} }

// distance returns how much later the picture of a layer's frame is than that of a
// frame of the lead, and how far apart the two may be and still be the same picture. It
// uses timestamps if layers share them, else the clocks or where the layer is in the
// Period, else arrivals.
func (a *Arranger) distance(s *source, f *media.Frame, of frameRef) (d, tolerance time.Duration) {
	lead := a.pub.lead
	switch {
	case a.pub.time.Alike(lead.ID, s.ID):
		return s.lane.duration(media.Ticks(int32(uint32(f.Timestamp) - uint32(of.timestamp)))), a.neighbour(0)
	case a.cur == nil || !lead.placed || lead.lane.period != a.cur:
		return f.Arrival.Sub(of.arrival), snapArrival
	case a.pub.time.Ready(s.ID) || !a.isMember(s):
		d, tolerance = a.pub.time.Media(s.ID, f.Timestamp)-a.pub.time.Media(lead.ID, of.timestamp), snap
		if a.pub.time.Reported(s.ID) && a.pub.time.Reported(lead.ID) {
			tolerance = a.neighbour(snapKnown)
		}
		return d, tolerance
	}
	return a.sessionTime(s, f) - lead.lane.duration(lead.time(of.timestamp)), snap
}

// neighbour returns how far apart the pictures of two key frames may be that were made
// at once, if the clocks are known: one picture and a half, because some encoders
// answer with the next one. least is for what is not known of the clocks.
func (a *Arranger) neighbour(least time.Duration) time.Duration {
	l := a.pub.lead.lane
	return min(max(l.duration(l.dur+l.dur/2), least), snap)
}

// layerTime returns the place of a frame of a layer. Timestamps that layers share tell
// it exactly.
func (a *Arranger) layerTime(s *source, f *media.Frame) time.Duration {
	lead := a.pub.lead
	if lead.placed && lead.lane.period == a.cur && a.pub.time.Alike(lead.ID, s.ID) {
		behind := int32(uint32(f.Timestamp) - uint32(lead.last)) // they may have been unwrapped by different cycles
		return lead.lane.duration(lead.time(lead.last + int64(behind)))
	}
	if a.isMember(s) {
		if off := a.off(s, f.Timestamp); off.Abs() > snap { // it began another RTP stream, perhaps
			s.t0 += s.lane.ticks(off)
		}
	}
	return a.sessionTime(s, f)
}

// off returns how far a layer, as it runs, is behind where its clock says that it is
// beside the lead. It is 0 if that is not known.
func (a *Arranger) off(s *source, timestamp int64) time.Duration {
	lead := a.pub.lead
	if !a.pub.time.Reported(s.ID) || !a.pub.time.Reported(lead.ID) || a.pub.time.Alike(s.ID, lead.ID) {
		return 0
	}
	return a.drift(s, timestamp) - a.drift(lead, lead.last)
}

// findPair looks among the held frames of a layer for the key frame of the same picture
// as a key frame of the lead. known is false while a better one may still come.
func (a *Arranger) findPair(s *source, of *media.Frame) (pair *media.Frame, known bool) {
	var nearest, newest time.Duration
	passed := false
	for _, h := range s.held {
		d, tolerance := a.distance(s, h.Frame, refOf(of))
		newest, passed = d, d > tolerance
		if h.Key && d.Abs() <= tolerance && (pair == nil || d.Abs() < nearest) {
			pair, nearest = h.Frame, d.Abs()
		}
	}
	if len(s.held) == 0 {
		return nil, false
	}
	return pair, passed || pair != nil && newest >= 0
}

// isOpen reports whether it is not decided yet if a Period or a segment begins with a
// key frame of the lead, or where it belongs, because other layers have not got there
// or a report is still to come.
func (a *Arranger) isOpen(f *media.Frame) bool {
	lead := a.pub.lead
	if a.now.Sub(f.Arrival) >= layerPatience || len(lead.held) >= maxHeld {
		return false
	}
	if a.waitsForReport(lead, f) {
		return true
	}
	first := a.cur == nil || !lead.placed // picture of the publication: layers that were announced may still come
	begins := first || lead.lane.period != a.cur
	at := lead.lane.duration(lead.time(f.Timestamp))
	recast := begins || a.recastDue(at) && a.incomplete()
	if !recast && !a.mayBegin(lead.lane, at, f) {
		return false
	}
	return slices.ContainsFunc(a.others(), func(s *source) bool {
		if _, known := a.findPair(s, f); known {
			return false
		}
		return first && s.lastPacket.IsZero() || a.isMember(s) || recast && a.sends(s)
	})
}

// waitsForReport reports whether the lead's first key frame in a running recording
// waits for its track's first report, because another track has reported. By arrival
// alone it would be placed too late by what held it up, and the sound would be moved to
// match.
func (a *Arranger) waitsForReport(lead *source, f *media.Frame) bool {
	return a.cur != nil && !lead.placed && a.now.Sub(f.Arrival) < reportPatience && !a.pub.time.Reported(lead.ID) &&
		slices.ContainsFunc(a.pub.sources, func(s *source) bool { return a.pub.time.Reported(s.ID) })
}

// mayBegin reports whether a key frame of the lead, at a session time in the Period,
// may begin a segment, or a Period for the lead's sake.
func (a *Arranger) mayBegin(l *lane, at time.Duration, f *media.Frame) bool {
	return a.cuts(l, l.ticks(at)) || a.rotationDue(at) || a.remap || !f.Format.Equal(l.format)
}

// pairUp finds the key frames of the other layers that are of the same picture as the
// lead's that is about to be placed.
func (a *Arranger) pairUp(f *media.Frame) {
	for _, s := range a.others() {
		s.pair, _ = a.findPair(s, f)
	}
}

// together reports whether all layers of the Period can begin a segment with a key
// frame of the lead at t, and whether that can be waited for no longer.
func (a *Arranger) together(l *lane, t media.Ticks) (all, overdue bool) {
	all = !slices.ContainsFunc(a.others(), func(s *source) bool {
		return a.isMember(s) && (s.pair == nil || s.lane.at >= t || s.lane.video.due > 0)
	})
	return all, t-l.segment >= maxSegment*l.ticks(a.o.SegmentDuration)
}

// recasts reports whether a new Period begins with a key frame of the lead for the sake
// of other layers: one leaves, or can join.
func (a *Arranger) recasts(at time.Duration) bool {
	return a.recastDue(at) && !a.soundIsPast(at) && !a.soundIsBehind() && slices.ContainsFunc(a.others(), func(s *source) bool {
		return s.lane.period == a.cur && s.lane.video.gone || !a.isMember(s) && s.pair != nil
	})
}

// incomplete reports whether a layer is leaving the Period, or waits to join.
func (a *Arranger) incomplete() bool { return a.hasGone() || slices.ContainsFunc(a.others(), a.waits) }

// waits reports whether a layer is sent and is not in the Period.
func (a *Arranger) waits(s *source) bool { return !a.isMember(s) && a.sends(s) }

// hasGone reports whether a layer in the Period has nothing more for it. Such a Period
// is not cut any more: the layer's last picture lasts to its end.
func (a *Arranger) hasGone() bool {
	return slices.ContainsFunc(a.pub.videos, func(s *source) bool { return s.lane.period == a.cur && s.lane.video.gone })
}

// tellApart logs once that layers have to leave.
func (a *Arranger) tellApart() {
	if a.pub.apart {
		return
	}
	a.pub.apart = true
	a.o.Log.Warn("simulcast layers have their key frames at other pictures: one that has none where the others do is left out until it has; an encoder with a fixed key frame interval, which does not look for new scenes, keeps them together")
}

// otherFormat reports whether a layer of the Period changes its format with its key
// frame of the same picture.
func (a *Arranger) otherFormat() bool {
	return slices.ContainsFunc(a.others(), func(s *source) bool {
		return a.isMember(s) && s.pair != nil && !s.pair.Format.Equal(s.lane.format)
	})
}

// finishLayers writes what the other layers have from before a key frame of the lead
// that begins a segment or a Period.
func (a *Arranger) finishLayers(f *media.Frame) {
	lead := a.pub.lead
	if a.cur != nil && lead.lane.period == a.cur {
		a.limit = lead.time(f.Timestamp)
	}
	for _, s := range a.others() {
		a.place(s, func(k *media.Frame) bool {
			d, _ := a.distance(s, k, refOf(f))
			return k != s.pair && (s.pair != nil || d < 0)
		})
	}
	a.limit = 0
}

// takePair takes a layer's pair out of what is held. What is before it has been placed.
func (s *source) takePair() *media.Frame {
	f := s.pair
	s.pair = nil
	if f == nil || len(s.held) == 0 || s.held[0].Frame != f {
		return nil
	}
	s.lost = cmp.Or(s.lost, s.held[0].missing)
	s.held = slices.Delete(s.held, 0, 1)
	return f
}

// enterLayers puts the layers that have a pair into the Period that begins with the
// lead's key frame.
func (a *Arranger) enterLayers(at time.Duration) {
	for _, s := range a.others() {
		f := s.takePair()
		if f == nil {
			continue
		}
		s.place(f.Timestamp, s.lane.ticks(at))
		a.enter(s.lane, f.Format, at)
		a.writePicture(s, f, true)
		a.align(s)
	}
}

// align lets a layer go on where it belongs, if its key frame was put where the lead's
// is and is known to be another picture.
func (a *Arranger) align(s *source) {
	if off := a.off(s, s.ts0); off.Abs() > snapMin {
		s.t0 += s.lane.ticks(off)
	}
}

// cutLayers lets the other layers begin a segment where the lead does.
func (a *Arranger) cutLayers(t media.Ticks) {
	for _, s := range a.others() {
		if !a.isMember(s) {
			continue
		}
		if f := s.takePair(); f != nil {
			s.place(f.Timestamp, t)
			a.noteHole(s, t)
			a.writePicture(s, f, true)
			a.align(s)
		}
	}
}

// cutLayersWithoutKey lets all layers begin a segment without a key frame, if they have
// had none together for very long: an open segment is not safe. It reports whether the
// lead begins one with its picture at t.
func (a *Arranger) cutLayersWithoutKey(l *lane, t media.Ticks) bool {
	others := a.others()
	late := slices.ContainsFunc(others, func(s *source) bool { return a.isMember(s) && (s.lane.at >= t || s.lane.video.due > 0) })
	if late || l.video.still || a.hasGone() || t-l.segment < layerSegment*l.ticks(a.o.SegmentDuration) {
		return false
	}
	for _, s := range others {
		if a.isMember(s) {
			s.lane.video.due = t
		}
	}
	a.tellDeaf()
	return true
}

// cutDue writes a picture of a layer that is to begin a segment without a key frame.
// The segment begins where the lead's does, and what follows stays where it is.
func (a *Arranger) cutDue(s *source, f *media.Frame, t media.Ticks) {
	l := s.lane
	s.place(f.Timestamp, max(l.video.due, l.at+1))
	l.video.due = 0
	a.writePicture(s, f, true)
	s.place(f.Timestamp, t)
}

// layer writes a frame of a layer that does not lead, and that begins nothing.
func (a *Arranger) layer(s *source, f *media.Frame) {
	l := s.lane
	if l.video.gone && a.cur != nil && l.period == a.cur {
		a.comeBack(s, f)
	}
	if !a.isMember(s) || (l.video.still || l.video.broken) && !f.Key {
		a.leaveOut(s)
		return
	}
	t := a.squeeze(l, l.ticks(a.layerTime(s, f)))
	if f.Key && !f.Format.Equal(l.format) || t <= l.at || l.duration(t-l.end()) > holeMax/2 {
		a.leaveOut(s)
		l.video.gone, l.video.broken = true, true // for a new Period
		return
	}
	s.place(f.Timestamp, t)
	a.standUntil(l, t)
	a.noteHole(s, t)
	if l.video.due > 0 && t >= l.video.due {
		a.cutDue(s, f, t)
		return
	}
	a.writePicture(s, f, false)
}

// squeeze returns the place for a picture of a layer that seems to belong to t: before
// the cut, where it is from before that, and behind the picture before. Key frames are
// put where the lead's are, which may be some pictures off.
func (a *Arranger) squeeze(l *lane, t media.Ticks) media.Ticks {
	if t <= l.at && l.at-t < l.ticks(squeezeMax) {
		t = l.at + l.moment(1)
	}
	if a.limit > 0 && t >= a.limit {
		t = l.at + (a.limit-l.at)/2
	}
	return t
}

// comeBack takes a layer back that was silent and comes again before its Period has
// ended.
func (a *Arranger) comeBack(s *source, f *media.Frame) {
	l := s.lane
	if f.Key && f.Format.Equal(l.format) || !f.Key && !l.video.still && s.lost == "" && !l.video.broken {
		s.lost = cmp.Or(s.lost, CauseLayer)
		l.video.gone, l.video.broken = false, false
		return
	}
	l.video.broken = true // what follows needs this one
}

// leaveOut counts a frame of a layer that is left out.
func (a *Arranger) leaveOut(s *source) {
	if a.kinds != nil { // what comes before a recording's first frame is not missing in it
		a.out.LeftOut(s.Lane)
	}
	if l := s.lane; (l.video.still || l.video.broken) && a.isMember(s) && !s.keyWanted {
		a.wantKey(s)
	}
}

// askKeys asks for key frames of all layers at once.
func (a *Arranger) askKeys() {
	for _, s := range a.pub.videos {
		if s == a.pub.lead || a.sends(s) {
			a.out.WantKeyFrame(s.ID)
		}
	}
}

// watchLayers looks for layers that the sender has turned off. If the lead is one of
// them, another layer leads.
func (a *Arranger) watchLayers() {
	if len(a.pub.videos) < 2 || a.pub.lead == nil {
		return
	}
	newest := slices.MaxFunc(a.pub.videos, func(a, b *source) int { return a.prevArrival.Compare(b.prevArrival) })
	for _, s := range a.pub.videos {
		silent := newest.prevArrival.Sub(s.lastPacket) >= layerSilence
		if !a.isMember(s) || !silent && newest.prevArrival.Sub(s.lastArrival) < layerLag {
			continue
		}
		a.o.Log.Info("simulcast layer stopped", "rid", s.RID, "layer", s.lane.Layer, "sends", !silent)
		if s == a.pub.lead {
			a.place(s, func(*media.Frame) bool { return true })
			a.takeLead(newest)
		} else {
			a.releaseBeforeLead(s)
		}
		s.lane.video.gone, s.keyWanted = true, false
	}
}

// releaseBeforeLead writes what is held of a layer from before where the lead is.
func (a *Arranger) releaseBeforeLead(s *source) {
	lead := a.pub.lead
	a.place(s, func(f *media.Frame) bool {
		if len(lead.held) == 0 {
			return true
		}
		d, _ := a.distance(s, f, refOf(lead.held[0].Frame))
		return d < 0
	})
}

// takeLead makes the layer whose frames came last the lead: one of the Period if there
// is any. A lead outside the Period begins another with its next key frame.
func (a *Arranger) takeLead(newest *source) {
	if !a.isMember(newest) || newest == a.pub.lead {
		for _, s := range a.others() {
			if a.isMember(s) && newest.prevArrival.Sub(s.lastArrival) < layerSilence {
				newest = s
				break
			}
		}
	}
	a.pub.lead = newest
}

// askTogether asks all layers for key frames at once, if a segment is due and a layer
// had no key frame with that of the lead.
func (a *Arranger) askTogether(l *lane, t media.Ticks) {
	if len(a.pub.videos) > 1 && a.cuts(l, t) && a.now.Sub(a.recastAsked) >= keyBackoffMin {
		a.recastAsked = a.now
		a.askKeys()
	}
}

// askRecast asks for the key frames that a Period needs which is wanted because layers
// came or went: as soon as it may begin, and again with growing pauses while none
// comes.
func (a *Arranger) askRecast() {
	if a.cur == nil || a.pub.lead == nil || !a.recastDue(a.reach) || !a.incomplete() {
		a.recastWait = 0
		return
	}
	if a.now.Sub(a.recastAsked) < a.recastWait {
		return
	}
	a.recastAsked, a.recastWait = a.now, min(max(2*a.recastWait, keyBackoffMin), keyBackoffMax)
	a.askKeys()
}
