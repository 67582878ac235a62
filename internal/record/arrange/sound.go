package arrange

import (
	"cmp"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// audioPatience is how long sound waits for video of the same time, which may begin
	// a Period or a recording. It is longer than the reordering of the video takes,
	// which holds up frames.
	audioPatience = 2 * time.Second
	// layersPatience is the same while another layer may lead soon: the lead has had nothing
	// for nearly layerLag, and what loss holds up is looked at later. It is less than
	// fillLag, so that silence is not due yet.
	layersPatience = layerLag + 1700*time.Millisecond
	// maxHeld bounds the frames that wait: 40 s of 20 ms packets.
	maxHeld = 2000
	// syncMin is the least distance of sound and picture that is corrected. It is more
	// than half of a packet of 20 ms; otherwise the correction would have to be taken
	// back.
	syncMin = 12 * time.Millisecond
	// syncSure is the distance that is corrected at once. A smaller one has to last for
	// a segment, so that corrections do not go back and forth.
	syncSure = 16 * time.Millisecond
	// syncFar is the distance that does not wait for the next segment.
	syncFar = 40 * time.Millisecond
	// silentBytes is the largest silent packet: a frame of silence or of comfort noise
	// (DTX).
	silentBytes = 3
)

// release writes what is held back, as far as its place is known. Frames wait for the
// first video key frame, for the sender's reports and for leading video of the same
// time, but not for ever. With force they do not wait.
func (a *Arranger) release(force bool) {
	if a.pub == nil {
		return
	}
	a.releaseVideo(force)
	if a.cur == nil {
		h := a.earlySound()
		if h == nil || !a.isPatientEnough(h) {
			return
		}
		if a.crowded() {
			if len(a.pub.audio.held) >= maxHeld {
				a.crowdOutSound(a.pub.audio)
			}
			return // it may be soon
		}
		audio := a.pub.audio // of which the last still waits for a picture that is on its way
		a.beginWithSound(func(f *media.Frame) bool { return !a.ahead(audio, f) })
	}
	s := a.pub.audio
	if s == nil || len(s.held) == 0 || a.cur == nil {
		return
	}
	force = force || len(s.held) >= maxHeld
	if !force && !a.isReady(s) {
		return
	}
	a.settleStall(s, force)
	a.place(s, func(f *media.Frame) bool { return force || !s.isInStall(f) && !a.ahead(s, f) })
}

// isPatientEnough reports whether the first sound has waited long enough for a picture
// to begin the Period with.
func (a *Arranger) isPatientEnough(first *media.Frame) bool {
	return len(a.pub.videos) == 0 || a.now.Sub(first.Arrival) >= picturePatience || len(a.pub.audio.held) >= maxHeld
}

// isReady reports whether the place of a track's sound is known as well as it will be.
// Sound that joins a recording late waits for reports of its own. If nothing arrives
// any more, the clock ends the waiting.
func (a *Arranger) isReady(s *source) bool {
	if !a.pub.time.Ready(s.ID) {
		return !s.placed && a.now.Sub(s.first) >= soundPatience
	}
	return s.placed || a.pub.time.Reported(s.ID) || a.now.Sub(s.first) >= soundPatience || len(a.pub.sources) == 1
}

// isPatient reports whether a packet of sound goes on waiting for video of its time. If another layer has a key frame, it may begin a Period
// with that when it leads.
func (a *Arranger) isPatient(f *media.Frame) bool {
	waited := min(a.now.Sub(f.Arrival), a.now.Sub(a.awake))
	if waited < audioPatience || a.pub.lead == nil {
		return waited < audioPatience
	}
	return len(a.pub.lead.held) > 0 || waited < layersPatience && slices.ContainsFunc(a.others(), func(s *source) bool {
		return slices.ContainsFunc(s.held, func(h held) bool { return h.Key })
	})
}

// ahead reports whether video of the time of a packet of sound is still to come: the
// packet is later than the lead, or will follow the first picture that can be decoded.
func (a *Arranger) ahead(s *source, f *media.Frame) bool {
	if !a.isPatient(f) {
		return false
	}
	v := a.pub.lead
	if v == nil || v.lane.period == nil || !v.placed {
		return slices.ContainsFunc(a.pub.videos, func(v *source) bool { return a.now.Sub(v.lastPacket) < layerSilence })
	}
	return a.pub.time.Media(s.ID, f.Timestamp) > a.pub.time.Media(v.ID, v.decided())
}

// Waiting returns the sound that came before a time and is not written, with the places
// that it has by what is known now. It returns each packet once in a recording. When the
// sound of a publication has its first place, it returns what has waited longer than
// sound does for the picture of its time. With all it returns everything that waits.
func (a *Arranger) Waiting(before time.Time, all bool) (f *media.Format, samples []Sample) {
	if a.pub == nil || a.cur == nil || a.pub.audio == nil {
		return nil, nil
	}
	s := a.pub.audio
	if s.placed {
		before = before.Add(-audioPatience)
	}
	for i := range s.held {
		h := &s.held[i]
		if !all && h.Arrival.After(before) {
			break // what comes behind it may have come before
		}
		if h.told {
			continue
		}
		h.told = true
		f = h.Format
		samples = append(samples, Sample{Time: s.lane.ticks(a.sessionTime(s, h.Frame)), Duration: h.Duration, Key: true, Data: h.Data})
	}
	return f, samples
}

// Waits reports whether sound waits that Waiting has returned.
func (a *Arranger) Waits() bool {
	return a.pub != nil && a.pub.audio != nil && slices.ContainsFunc(a.pub.audio.held, func(h held) bool { return h.told })
}

// releaseBefore writes the sound from before a boundary at a session time, at the
// places that are known now, because after the boundary it has none.
func (a *Arranger) releaseBefore(at time.Duration) {
	if s := a.pub.audio; s != nil && a.cur != nil {
		a.place(s, func(f *media.Frame) bool { return a.sessionTime(s, f) < at })
	}
}

// place writes what is held of a track, up to the first frame that is not ready.
func (a *Arranger) place(s *source, ready func(*media.Frame) bool) {
	waiting := s.held
	s.held = nil // a boundary that the track makes looks at it
	n := 0
	for ; n < len(waiting) && ready(waiting[n].Frame); n++ {
		s.lost = cmp.Or(s.lost, waiting[n].missing)
		switch f := waiting[n].Frame; {
		case s.Kind == media.Audio:
			a.sound(s, f)
		case s != a.pub.lead:
			a.layer(s, f)
		default:
			a.pairUp(f)
			a.picture(s, f)
		}
	}
	// What is left is moved to the front, so that the array does not grow for ever.
	rest := copy(waiting, waiting[n:])
	clear(waiting[rest:])
	s.held = waiting[:rest]
}

// sound writes a packet of audio whose time is known.
func (a *Arranger) sound(s *source, f *media.Frame) {
	l := s.lane
	if !s.placed && !a.placeFirst(s, f) {
		return
	}
	if a.cur == nil {
		return
	}
	if l.period != nil && l.period != a.cur && a.cur.remap {
		if at := a.pub.time.Media(s.ID, f.Timestamp); at >= a.cur.at {
			s.place(f.Timestamp, l.ticks(at))
		}
	}
	t := s.time(f.Timestamp)
	if a.passed(l, t) {
		a.out.LeftOut(l.Lane)
		return
	}
	if a.isSoundCrowded(s, f) {
		a.crowdOut(s)
		return
	}
	if hole := t - l.end(); l.period != nil && l.duration(hole) > holeMax {
		a.wakeSound(s, f)
		return
	}
	if l.period == nil {
		if l.real = max(l.real, l.ticks(a.cur.at)); t-l.real < f.Duration {
			l.real = t // nothing is filled before it
		} else if _, _, d := a.nothing(l); d > 0 && t-max(l.ticks(a.cur.at), l.ended) >= d {
			a.move(l, l.ticks(a.cur.at)) // which tells of the hole before what is filled behind it
		}
	}
	a.noteQuiet(s, f, t)
	if l.period != a.cur || t-l.end() >= f.Duration {
		a.silence(l, t)
	}
	if l.period != a.cur && t >= l.ticks(a.cur.at) {
		a.move(l, t)
	}
	if a.soundBoundary(s, f) {
		t = s.time(f.Timestamp)
	} else if l.wrote && a.correctable(s, f) {
		if !a.correct(s, f) {
			return
		}
		t = s.time(f.Timestamp)
	}
	l.audio.sound, l.audio.skipped = f.Data, false
	a.write(l, Sample{Time: t, Duration: f.Duration, Key: true, Data: f.Data})
	l.real, l.hasReal = l.end(), true
	s.lost = ""
}

// noteQuiet notes what is missing right before a packet at t, where silence is written.
func (a *Arranger) noteQuiet(s *source, f *media.Frame, t media.Ticks) {
	l := s.lane
	if len(f.Data) > silentBytes && t-l.real >= 3*f.Duration {
		a.note(l, t, cmp.Or(s.lost, CausePause)) // the sender did not mean it
		l.real = t
	}
	if hole := t - l.real; l.noted <= l.real && (hole < f.Duration/2 || l.period == nil && hole < f.Duration) {
		l.real = max(l.real, t) // it has no room for silence, and none was told of
	}
	a.noteHole(s, t)
}

// cutsSound reports whether a packet begins a segment: the one before is full, or its
// packets got longer. The last packet before the next Period does not.
func (a *Arranger) cutsSound(l *lane, s *Sample) bool {
	target := l.ticks(a.o.SegmentDuration)
	cut := l.wrote && (l.audio.packets >= l.audio.full || s.Time-l.segment > target)
	end := a.until
	if a.cur != nil && l.period != a.cur {
		end = a.cur.at
	}
	if end > 0 && s.Time+s.Duration > l.ticks(end) {
		cut = false
	}
	if cut || !l.wrote {
		l.audio.packets, l.audio.full = 0, max(1, int(target/max(s.Duration, 1)))
	}
	l.audio.packets++
	return cut
}

// placeFirst places the first packet of a publication's sound. A packet from before the
// Period in which the sound can begin has no place.
func (a *Arranger) placeFirst(s *source, f *media.Frame) bool {
	l := s.lane
	floor := l.ticks(a.cur.at)
	if l.period != nil {
		floor = l.end()
	}
	t := l.ticks(a.pub.time.Media(s.ID, f.Timestamp))
	if t+f.Duration/2 < floor {
		a.tooEarly(l, l.duration(floor-t))
		return false
	}
	s.place(f.Timestamp, max(t, floor))
	return true
}

// tooEarly counts a packet of sound from before the Period in which its publication
// begins. What comes before a recording's first frame is not missing in it. With a
// later publication a little is left out so that the sound is with the picture; more
// would have had a Period of its own.
func (a *Arranger) tooEarly(l *lane, by time.Duration) {
	switch {
	case l.period != nil || l.had && by > headStartLater:
		a.out.LeftOut(l.Lane)
	case l.had:
		a.out.Corrected(l.Lane)
	}
}

// passed reports whether the time of a packet at t is over: it has been filled, was
// sent twice, or belongs before the Period.
func (a *Arranger) passed(l *lane, t media.Ticks) bool {
	if l.period == nil {
		return t < l.ticks(a.cur.at)
	}
	return l.wrote && t-l.end() <= -l.dur || t < l.entered
}

// wakeSound goes on in a new Period after the node has slept.
func (a *Arranger) wakeSound(s *source, f *media.Frame) {
	if a.crowded() {
		a.crowdOut(s)
		return
	}
	at := max(a.pub.time.Media(s.ID, f.Timestamp), a.Ended()+time.Millisecond)
	a.close()
	at = max(at, a.Ended())
	a.open(at, false)
	if a.has(media.Video) {
		a.stand(a.pictureLane(), at)
	}
	s.place(f.Timestamp, s.lane.ticks(at))
	a.enter(s.lane, f.Format, at)
	a.sound(s, f)
}

// soundBoundary begins another Period with a packet of sound, in a recording that has
// nothing else. It reports whether it did.
func (a *Arranger) soundBoundary(s *source, f *media.Frame) bool {
	l := s.lane
	if a.has(media.Video) || l.period != a.cur || !l.wrote {
		return false
	}
	at := l.duration(s.time(f.Timestamp))
	rotate, remap := a.rotationDue(at), a.remap && !a.crowded()
	if !rotate && !remap && f.Format.Equal(l.format) {
		return false
	}
	end := at
	if remap {
		end = 0
		at = a.remapped(s, f)
		s.place(f.Timestamp, l.ticks(at))
	}
	a.open(at, rotate)
	a.cur.remap = remap
	a.leave(l, end)
	at = max(at, l.duration(l.ended))
	a.enter(l, f.Format, at)
	return true
}

// isSoundCrowded reports whether a packet of sound, where there is nothing else, is of
// another format, and no Period may begin for that.
func (a *Arranger) isSoundCrowded(s *source, f *media.Frame) bool {
	l := s.lane
	return !a.has(media.Video) && l.period == a.cur && l.wrote && !f.Format.Equal(l.format) &&
		a.crowded() && !a.rotationDue(l.duration(s.time(f.Timestamp)))
}

// correctable reports whether the sound may be corrected before f: once a segment,
// together with the video after that was corrected, and, while the sound is ahead,
// where nobody hears it.
func (a *Arranger) correctable(s *source, f *media.Frame) bool {
	l := s.lane
	t := s.time(f.Timestamp)
	switch {
	case l.period != a.cur: // the picture of now is not that of its time
		return false
	case l.audio.ahead && len(f.Data) <= silentBytes:
		return true
	case l.audio.skipped:
		return false
	case l.audio.check && l.duration(t) >= l.audio.checkAt:
		return true
	}
	return t-l.audio.cutAt >= l.ticks(a.o.SegmentDuration)
}

// checkSound lets the next packet correct the sound, if a report has told that it is
// far from the picture.
func (a *Arranger) checkSound() {
	s := a.pub.audio
	if s == nil || !s.placed || s.lane.period == nil || s.lane.period != a.cur {
		return
	}
	if behind := a.behindVideo(s, s.last); behind > syncFar || -behind > syncFar && -behind <= driftMax { // more needs a Period
		s.lane.audio.check, s.lane.audio.checkAt = true, 0
	}
}

// correct brings the sound back to the picture, as that runs, and so to the mapping. If
// the sound is behind, it writes silence. If the sound is ahead, it leaves f out and
// returns false, but never two packets in a row that can be heard. It corrects a
// distance that has lasted, if that makes it smaller.
func (a *Arranger) correct(s *source, f *media.Frame) bool {
	l := s.lane
	sure := l.audio.check || l.audio.ahead
	l.audio.check, l.audio.ahead = false, false
	l.audio.cutAt = s.time(f.Timestamp)
	behind := a.behindVideo(s, f.Timestamp)
	if a.drift(s, f.Timestamp).Abs() > driftMax && (behind <= driftMax || behind > holeMax) {
		a.remap = true // with the next video key frame, or packet of sound where there is no video
		if a.pub.lead != nil {
			a.wantKey(a.pub.lead)
		} else if a.has(media.Video) {
			a.remap = false
		}
		return true
	}
	least := max(syncMin, l.duration(f.Duration)*5/8)
	if !a.has(media.Video) {
		least = max(driftMin, least) // nobody sees it, and a packet that is left out can be heard
	}
	was := l.audio.drifting
	l.audio.drifting = 0
	if behind.Abs() <= least {
		return true
	}
	l.audio.drifting = sign(behind)
	if l.audio.drifting != was && !sure && behind.Abs() < syncSure {
		return true // the next report may say the opposite
	}
	if behind > 0 {
		if behind > driftMax { // its clock has stood still, and nothing else tells
			a.tellStill(s, behind)
		}
		return a.insert(s, f, l.ticks(behind))
	}
	s.t0 -= f.Duration
	l.audio.ahead, l.audio.skipped = true, true
	a.out.Corrected(l.Lane)
	return false
}

// insert lets the sound go on later with f, by about d, after silence.
func (a *Arranger) insert(s *source, f *media.Frame, d media.Ticks) bool {
	l := s.lane
	_, _, packet := a.nothing(l)
	if packet == 0 {
		return true
	}
	n := (d + packet/2) / packet
	s.t0 += n * packet
	a.noteQuiet(s, f, s.time(f.Timestamp))
	a.quiet(l, l.end()+n*packet)
	return true
}

// behindVideo returns how far the running time of the sound is behind that of the
// picture, or behind the mapping where there is none.
func (a *Arranger) behindVideo(s *source, timestamp int64) time.Duration {
	behind := a.drift(s, timestamp)
	if v := a.pub.lead; v != nil && v.placed && v.lane.period == s.lane.period && a.pub.time.Ready(s.ID) {
		behind -= a.drift(v, v.last)
	}
	return behind
}
