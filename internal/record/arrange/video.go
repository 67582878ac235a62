package arrange

import (
	"cmp"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// keyFrameLead is how long before a segment's target a key frame is asked for. An
	// encoder answers within a frame or two and a round trip.
	keyFrameLead = 200 * time.Millisecond
	// cutSlack is how much before the target a key frame may begin a segment. Key
	// frames that were asked for come a little early, and sources with a fixed GOP
	// jitter by a frame.
	cutSlack = keyFrameLead + 50*time.Millisecond
	// maxSegment is how long a segment waits for its key frame, in targets. Then it is
	// cut at another frame, because an open segment cannot be played and is not safe,
	// and memory, spool and viewers must not wait for a sender that never sends one.
	maxSegment media.Ticks = 3
	// holeMax is the longest hole that is filled at once. During a longer one the node
	// slept, and it stays a hole.
	holeMax = time.Minute

	// driftMin is the least distance between a track as it runs and the mapping that is
	// corrected at a segment boundary. From driftMax on a new Period begins instead.
	driftMin = 20 * time.Millisecond
	driftMax = 500 * time.Millisecond
)

// picture places a frame of the lead.
func (a *Arranger) picture(s *source, f *media.Frame) {
	l := s.lane
	switch {
	case a.cur == nil && !f.Key:
		a.skip(s)
	case a.cur == nil && a.crowded():
		a.crowdOut(s)
	case a.cur == nil:
		a.beginWithPicture(s, f)
	case !s.placed || l.period == nil:
		a.firstPicture(s, f)
	default:
		a.nextPicture(s, f)
	}
}

// firstPicture places the first key frame of the lead in a recording that goes on with
// something else: a neutral picture, or another layer.
func (a *Arranger) firstPicture(s *source, f *media.Frame) {
	if !f.Key {
		a.skip(s)
		return
	}
	if a.crowded() {
		a.crowdOut(s)
		return
	}
	a.finishLayers(f)
	at := max(a.pub.time.Media(s.ID, f.Timestamp), a.cur.at+time.Millisecond)
	for _, l := range a.lanes {
		if l.Kind == media.Video && l.period == a.cur && l.wrote {
			at = max(at, l.duration(l.at)+time.Millisecond)
		}
	}
	if l := s.lane; l.period == a.cur {
		a.note(l, l.ticks(at), cmp.Or(s.lost, CauseAbsent))
	}
	a.boundary(s, f, at, a.rotationDue(at), false)
}

// nextPicture places a frame of the lead after the last one.
func (a *Arranger) nextPicture(s *source, f *media.Frame) {
	l := s.lane
	t := s.time(f.Timestamp)
	if t <= l.at {
		a.late(s, f)
		return
	}
	if l.duration(t-l.end()) > holeMax {
		a.wake(s, f)
		return
	}
	a.standBefore(l, t)
	if f.Key {
		a.keyFrame(s, f)
		return
	}
	if l.video.gone || l.video.still || l.video.broken {
		a.skip(s)
		return
	}
	a.noteHole(s, t)
	a.writePicture(s, f, a.cutWithoutKey(l, t))
}

// cutWithoutKey reports whether a picture that is no key frame begins a segment,
// because no key frame has come for long. If the pictures are few, it first writes a
// copy of the key frame and of those since, so that players can begin there.
func (a *Arranger) cutWithoutKey(l *lane, t media.Ticks) bool {
	least := maxSegment
	if l.duration(t-l.end()) >= pauseNoted {
		least = 1 // pictures are few: a copy costs little
	}
	if len(a.pub.videos) > 1 {
		return a.cutLayersWithoutKey(l, t)
	}
	if l.video.still || t-l.segment < least*l.ticks(a.o.SegmentDuration) {
		return false
	}
	again := 1 + len(l.video.gop.rest)
	if d := l.moment(again) * media.Ticks(again); l.video.gop.whole && l.at+d < t {
		a.again(l, t-d, true)
		if l.noted < t { // nothing is missing there, and yet copies stand there
			l.real = t - d
			a.note(l, t, "")
			l.real = t
		}
		return false
	}
	long := maxSegment * l.ticks(a.o.SegmentDuration)
	if d := t - l.segment; d < long || l.video.shown >= t && d < 2*long {
		return false // where pictures are reordered, not between those that are shown before each other
	}
	a.tellDeaf()
	return true
}

// tellDeaf logs once that segments begin without key frames.
func (a *Arranger) tellDeaf() {
	if !a.deaf {
		a.deaf = true
		a.o.Log.Warn("the sender ignores key frame requests: segments begin without one, and players cannot seek there")
	}
}

// standBefore fills a hole before a frame at t, which could not be filled earlier.
func (a *Arranger) standBefore(l *lane, t media.Ticks) {
	target := l.ticks(a.o.SegmentDuration)
	for len(a.pub.videos) == 1 && l.video.gop.whole && t-l.end() > target && t-l.segment > target+target/2 {
		a.again(l, max(l.segment+target, l.end()), true)
	}
	a.standUntil(l, t)
}

// late leaves out a frame whose time has passed. Later pictures may need it all the
// same.
func (a *Arranger) late(s *source, f *media.Frame) {
	l := s.lane
	if l.video.still {
		l.video.gop.add(f)
	}
	a.out.LeftOut(l.Lane)
	a.o.Log.Debug("video frame left out: it is not later than the one before", "timestamp", f.Timestamp)
}

// wake goes on in a new Period, at a key frame, after the node has slept.
func (a *Arranger) wake(s *source, f *media.Frame) {
	if !f.Key {
		a.skip(s)
		return
	}
	if a.crowded() {
		a.crowdOut(s)
		return
	}
	at := max(a.pub.time.Media(s.ID, f.Timestamp), a.Ended()+time.Millisecond)
	a.releaseBefore(at - holeMax/2)
	a.finishLayers(f)
	rest := make([][]held, len(a.pub.sources)) // what is from after it
	for i, s := range a.pub.sources {
		rest[i], s.held = s.held, nil
	}
	a.close()
	for i, s := range a.pub.sources {
		s.held = rest[i]
	}
	a.begin(s, f, max(at, a.Ended()))
}

// skip leaves video frames out until a key frame comes.
func (a *Arranger) skip(s *source) {
	if !s.keyWanted {
		a.wantKey(s)
	}
	if a.kinds != nil { // what comes before a recording's first frame is not missing in it
		a.out.LeftOut(s.Lane)
	}
}

// keyFrame writes a key frame of the lead. It begins a new Period if one is due.
func (a *Arranger) keyFrame(s *source, f *media.Frame) {
	l := s.lane
	t := s.time(f.Timestamp)
	at := l.duration(t)
	all, overdue := a.together(l, t)
	may := all || overdue
	rotate, needs := may && a.rotates(at), l.video.gone || !f.Format.Equal(l.format)
	free := rotate || !a.crowded()
	if needs && !free {
		a.crowdOut(s)
		return
	}
	cuts := may && a.cuts(l, t)
	begins := free && (rotate || needs || may && (a.remap || a.recasts(at)) || cuts && (!all || a.otherFormat()))
	cuts = cuts && (begins || all && !a.otherFormat() && !a.hasGone())
	if !begins && !cuts {
		a.noteHole(s, t)
		a.writePicture(s, f, false)
		a.askTogether(l, t)
		return
	}
	a.finishLayers(f)
	remap := free && (cuts && a.followMapping(s, f) || a.remap)
	if remap {
		at = a.remapped(s, f)
	}
	if begins || remap {
		if !all && overdue {
			a.tellApart()
		}
		a.boundary(s, f, at, rotate, remap)
		return
	}
	t = s.time(f.Timestamp) // by the mapping
	a.noteHole(s, t)
	a.writePicture(s, f, true)
	a.cutLayers(t)
}

// followMapping brings the video back to the mapping at the beginning of a segment, by
// changing the length of its last frame. It reports whether that is too far, so that a
// new Period has to do it.
func (a *Arranger) followMapping(s *source, f *media.Frame) (remap bool) {
	l := s.lane
	drift := a.drift(s, f.Timestamp)
	switch {
	case drift.Abs() > driftMax:
		return true
	case drift.Abs() <= driftMin:
		return false
	}
	t := s.time(f.Timestamp)
	least := l.at + l.dur/2 + 1 // the last sample gets longer or shorter, but stays
	for _, other := range a.others() {
		if a.isMember(other) {
			least = max(least, other.lane.at+1)
		}
	}
	s.t0 += max(l.ticks(drift), least-t)
	if audio := a.pub.audio; audio != nil { // it goes along
		audio.lane.audio.check, audio.lane.audio.checkAt = true, l.duration(s.time(f.Timestamp))
	}
	return false
}

// cuts reports whether a key frame at t begins a segment.
func (a *Arranger) cuts(l *lane, t media.Ticks) bool {
	return t-l.segment >= l.ticks(a.o.SegmentDuration-min(cutSlack, a.o.SegmentDuration/2))
}

// writePicture writes a frame of video at its place and asks for the key frames that
// will be needed.
func (a *Arranger) writePicture(s *source, f *media.Frame, cut bool) {
	l := s.lane
	t := s.time(f.Timestamp)
	if d := t - l.at; l.wrote && !l.video.stands && s.lost == "" && d < l.ticks(time.Second) {
		l.dur = d
	}
	l.video.stands, l.video.still = false, false
	l.video.broken = l.video.broken && !f.Key
	l.video.gop.add(f)
	a.write(l, Sample{Time: t, Duration: l.dur, Composition: f.Composition, Key: f.Key, Cut: cut, Data: f.Data})
	l.video.shown = max(l.video.shown, t+f.Composition)
	l.real, l.hasReal = l.end(), true
	s.lost = ""
	if s == a.pub.lead && (a.keyFrameDue(l) || a.rotationNear(l)) {
		a.askKeys()
	}
}

// write hands a sample on.
func (a *Arranger) write(l *lane, s Sample) {
	if l.Kind == media.Audio {
		s.Cut = a.cutsSound(l, &s)
	}
	if s.Cut {
		l.segment, l.video.keyAsked = s.Time, 0
	}
	a.out.Sample(l.Lane, s)
	l.wrote, l.at, l.dur = true, s.Time, s.Duration
}

// keyFrameDue reports whether to ask for a key frame now so that the open segment can
// end in time: once a segment, and again after each further target.
func (a *Arranger) keyFrameDue(l *lane) bool {
	elapsed := l.at - l.segment
	due := l.ticks(a.o.SegmentDuration - min(keyFrameLead, a.o.SegmentDuration/2))
	if l.video.keyAsked > 0 {
		due = l.video.keyAsked + l.ticks(a.o.SegmentDuration)
	}
	if elapsed < due {
		return false
	}
	l.video.keyAsked = elapsed
	return true
}

// rotationNear reports, once for a recording, that a key frame is needed for its
// rotation.
func (a *Arranger) rotationNear(l *lane) bool {
	if a.rotating || !a.rotationDue(l.duration(l.at)) {
		return false
	}
	a.rotating = true
	return true
}

func sign(d time.Duration) int {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}
