package arrange

import (
	"cmp"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// periodEvery is how often a Period may begin, whatever the cause. A sender that
	// changes its size, or comes back, all the time is not followed: players need a
	// moment for each Period, and files cost something. periodBurst may begin at once:
	// browsers go through three or four sizes in their first seconds, while layers
	// join, and a process that stood still sees at one time what came meanwhile.
	periodEvery = time.Second
	periodBurst = 10
	// endSlack is how much earlier than the Period's last picture sound may end.
	endSlack = 40 * time.Millisecond
	// rotateSlack is how much before its limit a recording may be rotated, so that a
	// key frame that was asked for in time is used.
	rotateSlack = 250 * time.Millisecond
)

// startAt returns the session time at which a frame that arrives now begins a Period,
// if nothing tells more. Periods begin at whole milliseconds, after what is there.
func (a *Arranger) startAt(arrival time.Time) time.Duration {
	if a.zero.IsZero() {
		a.zero = arrival
		return 0
	}
	return max(arrival.Sub(a.zero), a.Ended()+time.Millisecond)
}

// beginWithPicture begins a Period with the first key frame of the lead. Sound that
// began much earlier gets a Period of its own before.
func (a *Arranger) beginWithPicture(s *source, f *media.Frame) {
	least := headStart
	if a.kinds != nil {
		least = headStartLater
	}
	if h := a.earlySound(); h != nil && f.Arrival.Sub(h.Arrival) > least {
		audio := a.pub.audio
		a.beginWithSound(func(h *media.Frame) bool { return a.sessionTime(audio, h) < a.pub.time.Media(s.ID, f.Timestamp) })
		a.picture(s, f)
		return
	}
	a.begin(s, f, a.startOf(s, f))
}

// startOf returns the session time at which a frame begins a Period if there is none:
// by its clock if that is known already, because storage has failed meanwhile, else by
// its arrival.
func (a *Arranger) startOf(s *source, f *media.Frame) time.Duration {
	if a.pub.time.Ready(s.ID) {
		if at := a.pub.time.Media(s.ID, f.Timestamp).Truncate(time.Millisecond); at > a.Ended() {
			return at
		}
	}
	at := a.startAt(f.Arrival)
	a.pub.time.Anchor(s.ID, f.Timestamp, at)
	return at
}

// begin begins a Period with a key frame of the lead, where there is none.
func (a *Arranger) begin(s *source, f *media.Frame, at time.Duration) {
	if a.kinds == nil {
		s.before = nil // what comes before a recording's first frame is not missing in it
	}
	a.finishLayers(f)
	a.open(at, false)
	a.beginPictures(s, f, at)
}

// beginPictures puts the lead and the other layers into the Period that begins with a
// key frame.
func (a *Arranger) beginPictures(s *source, f *media.Frame, at time.Duration) {
	s.place(f.Timestamp, s.lane.ticks(at))
	a.enter(s.lane, f.Format, at)
	a.writePicture(s, f, true)
	a.enterLayers(at)
}

// earlySound returns the first sound that waits, nil if there is none.
func (a *Arranger) earlySound() *media.Frame {
	if s := a.pub.audio; s != nil && len(s.held) > 0 {
		return s.held[0].Frame
	}
	return nil
}

// beginWithSound begins a Period with the first sound that waits, and with what of the
// rest is ready. If the recording has pictures, one stands there until the first comes.
func (a *Arranger) beginWithSound(ready func(*media.Frame) bool) {
	s := a.pub.audio
	f := s.held[0].Frame
	at := a.startOf(s, f)
	a.open(at, false)
	if a.has(media.Video) {
		a.stand(a.pictureLane(), at)
	}
	a.place(s, func(f *media.Frame) bool { return !s.placed || ready(f) })
}

// pictureLane returns the lane in which a picture stands when none is sent.
func (a *Arranger) pictureLane() *lane {
	for _, l := range a.lanes {
		if l.Kind == media.Video && l.Layer == 0 {
			return l
		}
	}
	return a.pub.videos[0].lane // its layer 0 cannot be recorded
}

// open begins a Period at a session time; rotate: of another recording. It settles what
// is still in the Period before the last.
func (a *Arranger) open(at time.Duration, rotate bool) {
	a.settle(at)
	if rotate || a.BeginsAnother() || a.overdue(at) {
		a.out.BeginRecording(at)
		a.rotateAt, a.kinds = 0, nil
		a.waitAnew()
		a.forgetLoss()
	}
	from := time.Time{}
	if a.kinds == nil {
		a.kinds, from = a.announced(), a.zero.Add(at)
	}
	for _, l := range a.lanes { // of which the next recording has no kind
		if l.period != nil && !a.has(l.Kind) {
			if l.Kind == media.Video {
				a.endPicture(l, at)
				continue
			}
			a.quiet(l, l.ticks(at))
			a.leave(l, at)
		}
	}
	a.remap = false
	a.endPause(at)
	a.count()
	a.cur = &period{at: at}
	a.reach, a.moved = max(a.reach, at), true
	a.frontier = max(a.frontier, at-fillLag)
	a.out.BeginPeriod(at, a.expected())
	for _, s := range a.pub.videos {
		a.tellEarly(s, from)
	}
}

// waitAnew has Waiting return what waits once more, for another recording.
func (a *Arranger) waitAnew() {
	if s := a.pub.audio; s != nil {
		for i := range s.held {
			s.held[i].told = false
		}
	}
}

// forgetLoss forgets what was lost of tracks of which nothing has come since: it was of the
// time of the recording before.
func (a *Arranger) forgetLoss() {
	for _, s := range a.pub.sources {
		if len(s.held) == 0 && a.now.Sub(s.lastPacket) >= pauseNoted {
			s.missing, s.lost = "", ""
		}
	}
}

// BeginsAnother reports whether the publication begins another recording with its first
// Period, because it has a kind of media that the running one lacks. The kinds do not
// change within a recording, because players settle on them.
func (a *Arranger) BeginsAnother() bool {
	p := a.pub
	return p != nil && a.kinds != nil && (len(p.videos) > 0 && !a.has(media.Video) || p.audio != nil && !a.has(media.Audio))
}

// announced returns the kinds of media that the publication has.
func (a *Arranger) announced() []media.Kind {
	var kinds []media.Kind
	if len(a.pub.videos) > 0 {
		kinds = append(kinds, media.Video)
	}
	if a.pub.audio != nil {
		kinds = append(kinds, media.Audio)
	}
	return kinds
}

// expected returns the lanes of the next Period: of each kind of the recording one, and
// the layers that are sent.
func (a *Arranger) expected() []Lane {
	var lanes []Lane
	for _, s := range a.pub.videos {
		if s == a.pub.lead || s.pair != nil {
			lanes = append(lanes, s.Lane)
		}
	}
	if len(lanes) == 0 && a.has(media.Video) {
		lanes = append(lanes, a.pictureLane().Lane)
	}
	if a.has(media.Audio) {
		lanes = append(lanes, Lane{Kind: media.Audio})
	}
	return lanes
}

// enter puts a lane into the current Period at a session time. What it lacks since it
// was last in one, or since the recording began, is a gap.
func (a *Arranger) enter(l *lane, f *media.Format, at time.Duration) {
	t := l.ticks(at)
	if cause := a.returnCause(l); l.had && cause != "" && l.duration(t-l.ended) > endSlack {
		from := l.duration(l.ended)
		if came := a.othersCame(l); came > from {
			a.absent(l, came, CauseReconnect)
			from = came
		}
		if cause == CauseReconnect {
			a.absent(l, l.duration(t), cause)
		} else {
			a.out.Gap(l.Lane, Gap{Start: from, End: l.duration(t), Cause: cause})
		}
	}
	if !l.had || l.real < t {
		l.real = t
	}
	a.out.Enter(l.Lane, f, t)
	l.period, l.format, l.wrote, l.entered, l.had = a.cur, f, false, t, true
	l.crowded = false
	l.dur = 0
	if l.Kind == media.Video {
		l.dur = media.Ticks(l.rate() / 30)
	}
	l.noted = t
	if l.src != nil {
		if l.src.joined == nil {
			l.src.joined = a.cur
		}
	}
	l.video.stands, l.video.still = false, false
	l.segment, l.video.keyAsked, l.video.gone, l.video.broken, l.video.due = t, 0, false, false, 0
	l.audio.cutAt = t
}

// returnCause says why a lane had nothing before it enters a Period that does not
// follow on.
func (a *Arranger) returnCause(l *lane) string {
	switch s := l.src; {
	case l.crowded:
		return CauseLimit
	case s == nil || s.joined == nil && a.othersCame(l) == 0:
		return CauseReconnect
	case s.lost != "":
		return s.lost
	case len(a.pub.videos) > 1 && l.Kind == media.Video:
		return CauseLayer
	}
	return CausePause
}

// othersCame returns when the first Period of the publication began, if that was without a
// layer, and an earlier one; else 0.
func (a *Arranger) othersCame(l *lane) (at time.Duration) {
	if l.Kind != media.Video || l.src == nil || l.src.joined != nil {
		return 0
	}
	for _, s := range a.pub.videos {
		if p := s.joined; p != nil && p != a.cur && (at == 0 || p.at < at) {
			at = p.at
		}
	}
	return at
}

// leave takes a lane out of its Period, where its last sample lasts until a session
// time. A last sample of sound may last longer. A picture must not, or the next Period
// of its layer would begin later than that of others.
func (a *Arranger) leave(l *lane, at time.Duration) {
	t := l.ticks(at)
	if l.Kind == media.Audio || t <= l.at {
		t = max(t, l.end())
	}
	cause := ""
	if l.video.gone {
		cause = CauseLayer
	}
	a.note(l, t, cause)
	a.out.End(l.Lane, t)
	l.ended, l.period = t, nil
	a.end = max(a.end, l.duration(t))
}

// settle moves sound that is still in the Period before the current one into the
// current one. The next begins at a session time. A Period that has no room for a packet
// gets one of silence all the same: Shaka Player plays no sound in a whole recording if one
// Period lacks it.
func (a *Arranger) settle(at time.Duration) {
	l := a.soundLane()
	if a.cur == nil || l == nil || !a.has(media.Audio) || l.period == a.cur {
		return
	}
	a.silence(l, l.ticks(at))
	if _, _, d := a.nothing(l); d > 0 && l.period != a.cur {
		a.move(l, l.ticks(a.cur.at))
		a.quiet(l, l.entered+d)
	}
}

// soundFits returns the session time from which on the current Period has room for a packet
// of sound that is still in the one before; 0 if it has sound.
func (a *Arranger) soundFits() time.Duration {
	l := a.soundLane()
	if a.cur == nil || l == nil || l.period == nil || l.period == a.cur || !a.has(media.Audio) {
		return 0
	}
	_, _, d := a.nothing(l)
	return l.duration(max(l.end(), l.ticks(a.cur.at)) + d)
}

// close ends the current Period for all lanes at once, because players stand still
// where one ends before the other.
func (a *Arranger) close() {
	if a.cur == nil {
		return
	}
	a.release(true)
	end := a.cur.at
	for _, l := range a.lanes {
		if l.period == a.cur {
			end = max(end, l.duration(l.end()))
		}
	}
	a.settle(end)
	for _, l := range a.lanes {
		if l.period == nil {
			if l.had && l.Kind == media.Video && l.duration(l.ended) < end {
				a.absent(l, end, CauseLayer)
			}
			continue
		}
		if l.Kind == media.Audio {
			a.endSound(l, end)
		} else {
			a.endPicture(l, end)
		}
	}
	a.cur = nil
}

// standLast is how long the last copy of a picture lasts in a Period.
const standLast = 200 * time.Millisecond

// endPicture ends a lane of video with its Period, at a session time. A picture that
// would last long is written in copies, because some players end a Period where its
// last picture begins.
func (a *Arranger) endPicture(l *lane, end time.Duration) {
	t := l.ticks(end)
	if l.video.gop.key != nil && t-l.end() > l.ticks(standFor) {
		if !l.video.stands {
			a.again(l, l.end(), a.cuts(l, l.end()) && len(a.pub.videos) == 1)
		}
		if a.standUntil(l, t); l.at+2*l.ticks(standLast) < t && len(l.video.gop.rest) <= standFew {
			a.again(l, t-l.ticks(standLast), false)
		}
	}
	a.leave(l, end)
}

// endSound ends a lane of audio with its Period, at a session time. A rest of less than
// a frame and a packet is not filled. What is filled at the end is noted however short
// it is, because sound of that time may have been lost.
func (a *Arranger) endSound(l *lane, end time.Duration) {
	to := l.end()
	if _, _, d := a.nothing(l); d > 0 && l.duration(l.ticks(end)-to) > endSlack {
		to += (l.ticks(end) - to) / d * d
	}
	if l.duration(to-l.real) > endSlack {
		cause := CausePause
		if l.src != nil {
			cause = cmp.Or(l.src.why(), cause)
		}
		a.note(l, to, cause) // before, so that a crash in between does not take it
	}
	a.silence(l, to)
	a.leave(l, l.duration(l.end()))
}

// boundary begins a new Period with a key frame of the lead, at a session time;
// rotate: of another recording.
func (a *Arranger) boundary(s *source, f *media.Frame, at time.Duration, rotate, remap bool) {
	for _, l := range a.lanes {
		switch {
		case l == s.lane || l.period == nil || !l.wrote:
		case l.Kind == media.Video: // where something is out of order
			at = max(at, l.duration(l.at)+time.Millisecond)
		default: // sound that has got ahead: a segment that it has begun is not behind its Period
			at = max(at, l.duration(l.segment)+time.Millisecond)
		}
	}
	a.until = at
	a.releaseBefore(at)
	a.until = 0
	at = max(at, a.soundFits())
	if remap {
		s.place(f.Timestamp, s.lane.ticks(at))
	}
	a.open(at, rotate)
	a.cur.remap = remap
	for _, l := range a.lanes {
		if l.Kind == media.Video && l.period != nil {
			a.endPicture(l, at)
		}
	}
	a.beginPictures(s, f, at)
}

// remapped returns the session time at which a Period that follows the mapping begins
// with a frame. Tracks may be ahead of the mapping after a sender's report. Media time
// cannot go back, so the mapping is moved on.
func (a *Arranger) remapped(s *source, f *media.Frame) time.Duration {
	at := a.pub.time.Media(s.ID, f.Timestamp)
	end := a.cur.at + time.Millisecond
	for _, l := range a.lanes {
		if l.period != nil {
			end = max(end, l.duration(l.end()))
		}
	}
	if at >= end-driftMin {
		return max(at, s.lane.duration(s.lane.end()))
	}
	a.pub.time.Anchor(s.ID, f.Timestamp, end)
	return end
}

// rotationDue reports whether the recording has reached its limit at a session time.
func (a *Arranger) rotationDue(at time.Duration) bool {
	return a.rotateAt > 0 && a.cur != nil && at >= a.rotateAt-rotateSlack
}

// rotates reports whether the recording is rotated with a key frame at a session time.
// It is not if the sound has got further, or is two Periods behind, unless that lasts.
func (a *Arranger) rotates(at time.Duration) bool {
	long := a.rotateAt + time.Duration(maxSegment)*a.o.SegmentDuration
	return a.rotationDue(at) && (at >= long || !a.soundIsPast(at) && !a.soundIsBehind())
}

// soundIsBehind reports whether sound that is being sent has not got to the Period yet:
// packets that were lost hold it up. Another Period would leave it none to go to.
func (a *Arranger) soundIsBehind() bool {
	l := a.soundLane()
	return l != nil && l.period != nil && l.period != a.cur && l.src != nil && a.sends(l.src)
}

// soundIsPast reports whether the sound in the Period has got further than a session
// time at which another Period would begin: pictures were held up, or another layer led
// that was. The Period would end with sound that has no picture, and the next begin
// with the opposite.
func (a *Arranger) soundIsPast(at time.Duration) bool {
	l := a.soundLane()
	return l != nil && l.period == a.cur && l.duration(l.end()) > at+endSlack
}

// count notes that a Period begins.
func (a *Arranger) count() {
	a.begun = media.Later(a.begun, a.now).Add(periodEvery)
}

// crowded reports whether so many Periods have begun lately that none may begin now,
// except for a rotation. The clock decides, because session time is partly what the
// sender says.
func (a *Arranger) crowded() bool { return a.begun.Sub(a.now) > (periodBurst-1)*periodEvery }

// crowdOut leaves out a frame that would begin a Period when none may begin, and the
// frames that need it.
func (a *Arranger) crowdOut(s *source) {
	if !a.crowdTold {
		a.crowdTold = true
		a.o.Log.Warn("the sender begins anew, or changes its format, more than once a second: that is not followed, and media is left out", "kind", s.Kind.String())
	}
	s.lost, s.lane.crowded = cmp.Or(s.lost, CauseLimit), true
	if s.Kind == media.Video {
		s.lane.video.broken = true
		a.skip(s)
	} else if a.kinds != nil {
		a.out.LeftOut(s.Lane)
	}
}

// crowdOutSound leaves all sound out that waits for a Period.
func (a *Arranger) crowdOutSound(s *source) {
	for range s.held {
		a.crowdOut(s)
	}
	clear(s.held)
	s.held = s.held[:0]
}

// recastDue reports whether a Period may begin at a session time because layers came or
// went.
func (a *Arranger) recastDue(at time.Duration) bool {
	return a.cur != nil && at-a.cur.at >= minRecast && !a.crowded()
}
