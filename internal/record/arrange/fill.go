package arrange

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

// A Period is whole: while a publisher is connected, every kind of media of the
// recording is there all the time. Players show no picture in a whole recording if one
// Period lacks it, and stand still where the tracks of a Period do not begin and end
// together.
//
// Sound that does not come is silence. A picture lasts until the next one. If a segment
// has to end without a new picture, the next segment begins with a copy of the last
// one: the last key frame and, a moment long each, the pictures since, if they are few.
// So what is recorded is closed and safe, and players can begin there. If the pictures
// are many, the key frame alone stands, and the next picture has to be a key frame.

// fillLag is how far the filling stays behind the newest media. It is longer than any
// packet is waited for.
const fillLag = 4 * time.Second

// standFor is how long one copy of a key frame lasts. Players show what follows a long
// sample too early, and some end a Period where its last picture begins.
const standFor = time.Second

// fill writes silence and standing pictures where media has not come.
func (a *Arranger) fill() {
	frontier := a.frontier
	if a.pub.lead != nil && len(a.pub.lead.held) > 0 {
		frontier = min(frontier, a.sessionTime(a.pub.lead, a.pub.lead.held[0].Frame))
	}
	if a.has(media.Video) {
		a.fillPicture(frontier)
	}
	if a.has(media.Audio) {
		a.fillSound(frontier)
	}
}

// fillPicture ends the segments of video that are due before a session time, where
// no frame came that could.
func (a *Arranger) fillPicture(frontier time.Duration) {
	for {
		l := a.leadLane()
		if l == nil {
			return
		}
		due := max(l.segment+l.ticks(a.o.SegmentDuration), a.picturesEnd(l))
		at := l.duration(due)
		if at > frontier || !a.canStand(l, frontier) {
			return
		}
		a.placeLayers(at)
		a.standUntil(l, due)
		a.note(l, due, "")
		if a.rotationDue(at) {
			a.releaseBefore(at)
			a.rotateStanding(max(at, a.Ended())) // the sound may have got further
			continue
		}
		for _, other := range a.lanes {
			if other.Kind == media.Video && other.period == a.cur && other.at < other.ticks(at) {
				a.standUntil(other, other.ticks(at))
				a.stand(other, at)
			}
		}
		if l.segment < due {
			return // nothing can stand there
		}
	}
}

// picturesEnd returns where the last pictures of the lead's lane and of the other
// layers in the Period end by themselves.
func (a *Arranger) picturesEnd(lead *lane) media.Ticks {
	end := lead.end()
	for _, l := range a.lanes {
		if l.Kind == media.Video && l.period == a.cur {
			end = max(end, l.end())
		}
	}
	return end
}

// leadLane returns the lane of video that the others follow.
func (a *Arranger) leadLane() *lane {
	if s := a.pub.lead; s != nil && s.lane.period == a.cur {
		return s.lane
	}
	if l := a.pictureLane(); l.period == a.cur {
		return l
	}
	return nil
}

// canStand reports whether a copy of the key frame may begin a segment. The next
// picture may need those since the key frame. If they are too many to be kept, there is
// time to wait for the next key frame.
func (a *Arranger) canStand(l *lane, frontier time.Duration) bool {
	if l.video.still || l.video.gop.whole {
		return true
	}
	return !a.deaf && !a.ignores(l) && l.ticks(frontier) >= l.segment+maxSegment*l.ticks(a.o.SegmentDuration)
}

// ignores reports whether the sender has not answered a request for a key frame in the
// open segment, in which it went on to send pictures for as long as a segment: it has been
// asked again.
func (a *Arranger) ignores(l *lane) bool { return l.video.keyAsked >= l.ticks(a.o.SegmentDuration) }

// rotateStanding begins another recording with pictures that stand, if its publisher has any.
func (a *Arranger) rotateStanding(at time.Duration) {
	var lanes []*lane
	for _, l := range a.lanes {
		if l.Kind == media.Video && l.period == a.cur {
			lanes = append(lanes, l)
		}
	}
	a.open(at, true)
	if !a.has(media.Video) {
		return
	}
	for _, l := range lanes {
		a.endPicture(l, at)
		if !l.video.gone {
			a.stand(l, at)
		}
	}
	if !slices.ContainsFunc(lanes, func(l *lane) bool { return l.period == a.cur }) {
		a.stand(a.pictureLane(), at) // all its layers are gone, and a Period is whole
	}
}

// stand begins a segment at a session time with a picture that was not sent then: the
// last key frame, or a neutral one where there was none.
func (a *Arranger) stand(l *lane, at time.Duration) {
	g := &l.video.gop
	if g.key == nil {
		unit, ok := l.codec.Neutral(l.track())
		if !ok {
			return // every codec of video has one, which a test holds
		}
		*g = gop{key: &media.Frame{Key: true, Format: unit.Format, Data: unit.Data}}
	}
	if l.period != a.cur {
		a.enter(l, g.key.Format, at)
	}
	a.again(l, max(l.ticks(at), l.entered), true)
}

// standFew is the most pictures that are written again for each copy of the last one.
const standFew = 8

// standUntil lets a standing picture last up to t, in short copies.
func (a *Arranger) standUntil(l *lane, t media.Ticks) {
	if !l.video.stands || len(l.video.gop.rest) > standFew {
		return
	}
	step := l.ticks(standFor)
	for l.wrote && l.at+step+step/2 < t {
		a.again(l, l.at+step, false)
	}
}

// track returns what is known of the track that the lane is for.
func (l *lane) track() media.Track {
	if l.src != nil {
		return l.src.Track.Track
	}
	return media.Track{Kind: l.Kind, Codec: l.codec.Name, ClockRate: l.codec.ClockRate, Channels: l.codec.Channels}
}

// again writes the last picture once more, from t on: its key frame and, if they are
// known, the pictures since, the last of which stands.
func (a *Arranger) again(l *lane, t media.Ticks, cut bool) {
	g := &l.video.gop
	dur := l.dur
	frames := []*media.Frame{g.key}
	if g.whole {
		frames = append(frames, g.rest...)
	}
	step := l.moment(len(frames))
	for i, f := range frames {
		s := Sample{Time: t + step*media.Ticks(i), Duration: step, Key: f.Key, Cut: cut && i == 0, Filler: true, Data: f.Data}
		if i == len(frames)-1 {
			s.Duration = dur
		}
		a.write(l, s)
	}
	l.video.stands, l.video.still = true, !g.whole
}

// blink is how long pictures may be seen that are written only for the sake of the next
// one: less than a screen needs to show one.
const blink = 16 * time.Millisecond

// moment returns how long each of n pictures lasts that are written only for the sake
// of the next: a millisecond, which is WebM's unit, or a part of blink if they are
// many. If pictures are few, Chromium shows nothing that follows shorter ones.
func (l *lane) moment(n int) media.Ticks {
	if l.codec.Container == codec.WebM {
		return l.ticks(time.Millisecond)
	}
	return max(1, l.ticks(min(time.Millisecond, blink/time.Duration(n))))
}

// fillSound writes silence up to a session time, where no sound came.
func (a *Arranger) fillSound(frontier time.Duration) {
	l := a.soundLane()
	if l == nil {
		return
	}
	if s := l.src; s != nil && len(s.held) > 0 {
		limit := a.sessionTime(s, s.held[0].Frame)
		if !a.isReady(s) {
			limit -= headStart // the mapping may move
		}
		frontier = min(frontier, limit)
	}
	until := l.ticks(frontier)
	if _, _, d := a.nothing(l); l.period != nil && until > l.noted && l.end()+d <= until {
		// The gap is noted before the silence is written, so that a crash in between
		// does not lose it, and not each time: if it turns out shorter it is noted
		// again. The lane may still be in the Period before the current one, whose
		// recording may be another.
		a.note(l, until+l.ticks(max(a.o.SegmentDuration, pauseNoted)), "")
	}
	a.silence(l, until)
}

// soundLane returns the lane of audio, nil if there is none.
func (a *Arranger) soundLane() *lane {
	for _, l := range a.lanes {
		if l.Kind == media.Audio {
			return l
		}
	}
	return nil
}

// silence writes silent packets from where a lane ends up to a session time. On the way
// it moves the lane into the current Period, if that has room for a packet.
func (a *Arranger) silence(l *lane, until media.Ticks) {
	start := l.ticks(a.cur.at)
	if l.period != nil && l.period != a.cur {
		a.quiet(l, min(until, start))
	}
	if _, _, d := a.nothing(l); l.period != a.cur {
		if until-max(start, l.lasted()) < d {
			return
		}
		a.move(l, start)
	}
	a.quiet(l, until)
}

// lasted returns where the lane ends, or has ended.
func (l *lane) lasted() media.Ticks {
	if l.period == nil {
		return l.ended
	}
	return l.end()
}

// move puts a lane of audio into the current Period, at a session time or where it has
// ended in the last.
func (a *Arranger) move(l *lane, at media.Ticks) {
	f, _, _ := a.nothing(l)
	if l.period != nil {
		a.leave(l, l.duration(l.end()))
	}
	a.enter(l, f, l.duration(max(at, l.ended)))
}

// quiet writes silent packets to a lane, as many as fit before a session time.
func (a *Arranger) quiet(l *lane, until media.Ticks) {
	_, data, d := a.nothing(l)
	for d > 0 && l.end()+d <= until {
		a.write(l, Sample{Time: l.end(), Duration: d, Key: true, Filler: true, Data: data})
	}
}

// nothing returns a silent packet, with its format and duration.
func (a *Arranger) nothing(l *lane) (f *media.Format, data []byte, d media.Ticks) {
	f = l.format
	if len(l.audio.sound) == 0 || f == nil {
		unit, ok := l.codec.Neutral(l.track())
		if !ok {
			return f, nil, 0
		}
		if f == nil {
			f = unit.Format
		}
		return f, unit.Data, unit.Duration
	}
	data, d = l.codec.Filler(f, l.audio.sound)
	return f, data, d
}

// note notes what is missing in a lane after the last frame that was sent, up to a
// session time. Without a cause it is a pause, if it is long enough.
func (a *Arranger) note(l *lane, until media.Ticks, cause string) {
	if l.noted > l.real { // more has been told of: this takes its place, however short it is
		until = max(until, l.real+l.ticks(time.Millisecond))
	}
	span := l.duration(until - l.real)
	if l.src != nil && cause == "" {
		cause = l.src.why()
	}
	switch {
	case cause == "" && span < pauseNoted && !l.video.stands && l.noted <= l.real, span < time.Millisecond:
		return
	case (l.src == nil || !l.hasReal) && (cause == "" || cause == CausePause):
		cause = CauseAbsent
	case cause == "":
		cause = CausePause
	}
	a.out.Gap(l.Lane, Gap{Start: l.duration(l.real), End: l.duration(until), Cause: cause, Filled: true})
	l.noted = until
}

// noteHole notes what is missing right before a frame at t.
func (a *Arranger) noteHole(s *source, t media.Ticks) {
	a.note(s.lane, t, s.lost)
	s.lane.real = max(s.lane.real, t)
}
