// Package timeline maps the RTP times of a publication's tracks to one media time. It
// uses sender reports (RFC 3550 6.4.1) if they come, and arrival times until then.
// docs/design/time.md says why.
package timeline

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// settle is how long after the anchor the mapping may still move freely. By then
	// the least delayed packet has come, and most senders have reported.
	settle = 5 * time.Second
	// reportFar is how far a report may be from where the clock of the frames must be
	// by the arrivals. A report further away belongs to another clock: to frames that
	// have not come yet, which will tell that the timestamps have jumped, or to none.
	reportFar = 5 * time.Second
	// firstJump is how far the first report of a track may be from the arrivals, after
	// another track has reported, and be believed at once. Network and encoders may
	// shift the arrivals, but not by more.
	firstJump = time.Second
)

// Timeline maps the timestamps of the tracks of one publication to media time.
// Not safe for concurrent use.
//
// All instants are nanoseconds since base. A track's RTP clock is given by its
// origin: the instant at which its timestamp was 0.
type Timeline struct {
	base   time.Time
	tracks map[media.TrackID]*clock

	// transit estimates arrival time minus sender time. There is one for all tracks, so
	// it cancels out between them: lip sync is right even if the sender's clock is
	// wrong.
	transit estimate

	anchored bool
	track    media.TrackID // anchor: timestamp ts of track is media time at
	ts       int64
	at       time.Duration
	zero     int64 // instant of media time 0
	anchorAt int64 // arrival clock when the anchor was set
	settled  bool  // the tracks' relation is as good as it gets
	fixed    bool  // zero does not move any more, and nothing else by a step
	latest   int64 // latest arrival seen
}

// New returns a timeline for tracks.
func New(tracks []media.Track) *Timeline {
	t := &Timeline{transit: estimate{window: longTime}, tracks: make(map[media.TrackID]*clock, len(tracks))}
	for _, tr := range tracks {
		c := &clock{rate: tr.ClockRate, arrival: estimate{window: longTime}, near: recent{length: nearTime}}
		c.restart(false, 0)
		t.tracks[tr.ID] = c
	}
	findLayers(tracks, t.tracks)
	return t
}

// Observe tells the timeline that the frame with the unwrapped timestamp ts arrived. It
// has to be called for every frame before Media.
func (t *Timeline) Observe(id media.TrackID, ts int64, arrival time.Time) {
	c := t.tracks[id]
	if c == nil {
		return
	}
	at := t.instant(arrival)
	t.latest = max(t.latest, at)
	first := at - c.media(ts)
	anew := !c.seen || c.jumped
	if !c.seen {
		first -= t.lateness(at)
		c.begin(at)
	}
	c.seen, c.last, c.lastAt = true, ts, at
	c.arrival.follow = t.transit.follow && !c.isNew(at)
	c.arrival.add(at, first)
	c.floor.add(at, at-c.media(ts))
	c.near.add(at, at-c.media(ts))
	t.observeReports(c, at, at-c.media(ts))
	if c.reported && c.jumped && c.isGuessed(at) && !c.led {
		c.guess(at, t.transit.value)
	}
	if c.reported {
		t.transit.add(at, at-(c.origin+c.media(ts)))
	}
	if len(c.layers) > 1 {
		c.recent.add(uint32(ts))
	}
	t.settle()
	if r := c.early; r != nil && anew {
		c.early = nil
		t.Report(r)
	}
}

// lateness returns how late frames are at an instant, judged by a track that has
// reported. A process that stood still gets all tracks late, also tracks that are new
// to it.
func (t *Timeline) lateness(at int64) (late int64) {
	if !t.fixed {
		return 0
	}
	for _, c := range t.tracks {
		if c.reported && at-c.lastAt <= int64(nowTime) {
			late = max(late, c.lastAt-(c.origin+c.media(c.last))-t.transit.value)
		}
	}
	if late < int64(firstJump) {
		return 0 // which jitter may be
	}
	return late
}

// observeReports notes how late a frame came. That tells more about the reports that
// came just before.
func (t *Timeline) observeReports(c *clock, at, late int64) {
	for i := max(len(c.reports)-minReports, 0); i < len(c.reports); i++ {
		r := &c.reports[i]
		if !r.observe(at, late) || !t.fixed {
			continue
		}
		if s := c.span(r); r.late != math.MaxInt64 && s.distance(c.origin) <= int64(slipMin) {
			c.near.rebase(r.late) // what comes now is not late
		}
		t.follow(c, c.stepped())
		return
	}
}

// Report uses a sender report. It ignores reports without a wall clock, and reports older
// than the last one. A report of another clock than the frames' waits for frames of that,
// which may come behind it: so does the first one of many senders, whose timestamp cannot
// be unwrapped before the first frame.
func (t *Timeline) Report(r *media.SenderReport) {
	c := t.tracks[r.Track]
	if c == nil || r.NTP == 0 {
		return
	}
	at := t.instant(r.Arrival)
	ts := c.last + int64(int32(r.RTP-uint32(c.last)))
	if !c.seen || abs(c.media(ts)-c.media(c.last)-(at-c.lastAt)) > int64(reportFar) {
		early := *r
		c.early = &early
		return
	}
	if n := len(c.reports); n > 0 && ts < c.reports[n-1].ts {
		return
	}
	rep := report{
		at: at, ts: ts, ntp: int64(media.NTPTime(r.NTP).Sub(t.base)), whole: r.NTP&0xffffffff < wholeSecond,
		least: c.floor.least(), before: c.near.least(), late: math.MaxInt64, after: math.MaxInt64,
	}
	if !c.reported && t.transit.have && !c.plausible(&rep, t.transit.value) {
		t.distrust()
		return
	}
	c.doubted = false
	if c.jumped && !c.agrees(&rep) {
		c.reports, c.since, c.count = c.reports[:0], rep.at, 0
	}
	c.keep(rep)
	t.judge()
	c.noteLayers()
	if t.fixed {
		t.follow(c, c.stepped())
	} else {
		t.place()
	}
	t.settle()
	c.jumped = false
}

// judge finds out whether the sender's reports say to the millisecond when media was
// captured. It treats all tracks alike.
func (t *Timeline) judge() {
	exactly, jitter := false, int64(math.MaxInt64)
	for _, c := range t.tracks {
		if len(c.reports) >= minReports {
			spans := c.spans()
			exactly = exactly || areExact(spans)
			jitter = min(jitter, steps(spans, span.early), steps(spans, span.late))
		}
	}
	switch {
	case jitter == math.MaxInt64:
		return // it is as before
	case exactly:
		jitter = 0
	}
	for _, c := range t.tracks {
		c.exact, c.jitter = exactly, jitter
	}
}

// follow moves the origin of c, and of the other layers of its video, to where their
// reports say. stepped: the reports say that its clock has stepped.
func (t *Timeline) follow(c *clock, stepped bool) {
	if stepped {
		t.followClock(c)
	}
	for _, l := range c.layers { // the leader first
		if !l.seen {
			continue
		}
		if !l.find() {
			continue
		}
		from := l.origin
		switch {
		case l == c && (c.jumped || c.isGuessed(t.latest)) && !l.led && l.is.distance(l.origin) <= int64(firstJump):
			// The arrivals told where it is: reports know better.
			l.set(l.byArrivals(t.latest, t.transit.value), t.latest)
			t.moveAll()
			l.set(l.is.nearest(l.origin), t.latest)
		case l.reported && !stepped:
			t.moveAll()
			l.slew(t.latest)
		case l.led:
			l.set(l.is.lo, t.latest)
		case t.transit.have:
			l.set(l.floor.least()-t.transit.value, t.latest)
			t.moveAll()
			l.set(l.is.nearest(l.origin), t.latest)
		default: // nothing has told the transit time; the arrivals do, under the new clock
			l.set(l.is.hi, t.latest) // reports are rather late than early: what they say is
			t.transit.add(t.latest, l.arrival.value-l.origin)
		}
		if l == c && (stepped || c.jumped) {
			c.restart(true, 0)
		}
		if l == c && stepped {
			c.arrival.shift(c.origin - from) // earlier arrivals do not tell any more how late frames come
		}
	}
}

// followClock moves the origins of all tracks by the step of one, if its frames come as
// before. Then somebody has set the sender's wall clock, which is one for all tracks,
// and no media moves.
func (t *Timeline) followClock(c *clock) {
	is, ok := c.told()
	from := c.origin
	d := is.nearest(from) - from
	late := c.lastAt - c.media(c.last) - t.transit.value // under the origin of before 0, but for jitter
	if !ok || abs(d) <= int64(firstJump) || abs(late-from) > abs(late-from-d) {
		return
	}
	for _, other := range t.tracks {
		if n := len(other.reports); n > 0 && other.reports[n-1].at > c.steppedAt && other.isBefore(&other.reports[n-1], d) {
			return // it has the same clock
		}
	}
	for _, other := range t.tracks {
		other.followClock(d)
	}
	t.transit.shift(-d)
}

// find finds the span of a track's origin: at a fixed distance from the layer that
// leads it, or where the reports say. It is false if nothing is known.
func (c *clock) find() (ok bool) {
	c.is, ok = c.told()
	var lead *clock
	var behind int64
	if lead, behind, c.led = c.leader(); !c.led {
		return ok
	}
	c.known = c.known || lead.known
	c.is = span{lo: lead.origin + behind, hi: lead.origin + behind}
	return true
}

// moveAll moves the origins of all tracks by the same amount, if that brings them to
// where their reports say, and all reports are of whole seconds. By the arrivals the
// tracks are already right beside each other, to within closeEnough, so no media moves.
func (t *Timeline) moveAll() {
	by := span{lo: math.MinInt64, hi: math.MaxInt64}
	for _, c := range t.tracks {
		switch {
		case !c.reported || c.led:
		case !c.is.whole:
			return
		default:
			by.lo, by.hi = max(by.lo, c.is.lo-c.origin), min(by.hi, c.is.hi-c.origin)
		}
	}
	d := by.nearest(0)
	if by.lo-by.hi > int64(closeEnough) || d == 0 {
		return
	}
	for _, c := range t.tracks {
		if c.reported {
			c.origin += d
		}
	}
	t.transit.shift(-d)
}

// place sets the origins of the tracks that have reported, while the mapping may still
// move. It takes the longest transit time that all reports allow. Under that, each
// track is where its arrivals say, as far as its reports allow it.
func (t *Timeline) place() {
	t.transit = estimate{window: longTime}
	for _, c := range t.tracks {
		is, ok := c.told()
		c.is, c.reported = is, ok && c.seen
		if transit := c.floor.least() - is.lo; c.reported && (!t.transit.have || transit < t.transit.value) {
			t.transit = estimate{window: longTime}
			t.transit.add(t.latest, transit)
		}
	}
	for _, c := range t.tracks {
		if c.reported {
			c.set(c.is.nearest(c.floor.least()-t.transit.value), t.latest)
		}
	}
	for _, c := range t.tracks {
		for _, l := range c.layers { // the leader first
			if l.seen && l.find() {
				l.set(l.is.nearest(l.origin), t.latest)
			}
		}
	}
}

// distrust drops the first reports of all tracks: two of them contradict each other,
// and either may be false. The next ones decide. After the mapping has settled it is
// too late for that.
func (t *Timeline) distrust() {
	if t.settled {
		return
	}
	for _, c := range t.tracks {
		if c.reported {
			c.doubted, c.doubt = true, c.origin
			c.reported, c.known, c.reports = false, false, c.reports[:0]
		}
	}
	t.transit = estimate{window: longTime}
}

// Late returns how much later a frame of a track came than those with the least delay.
func (t *Timeline) Late(id media.TrackID, ts int64, arrival time.Time) time.Duration {
	c := t.tracks[id]
	if c == nil || !c.arrival.have {
		return 0
	}
	return time.Duration(t.instant(arrival) - c.media(ts) - c.arrival.least())
}

// Slipped returns by how much a track's frames have come later for a second or two than
// before, while those of another have not: then its clock has stood still, and not the
// network. It returns 0 where that is not certain. A step of less than half of the jitter
// may be chance.
func (t *Timeline) Slipped(id media.TrackID) time.Duration {
	c := t.tracks[id]
	if c == nil || c.near.above() < max(int64(slipMin), c.near.jitter/2) {
		return 0
	}
	for _, other := range t.tracks {
		if other != c && other.near.n >= minLengths && t.latest-other.lastAt < int64(nearTime) && other.near.above() <= 0 {
			return time.Duration(c.near.least() - (c.near.lo+c.near.hi)/2)
		}
	}
	return 0
}

// Denies reports whether a report says that the clock of a track is behind by less than
// a time. Only reports count that came with the frames from ts on, the first of which
// arrived then.
func (t *Timeline) Denies(id media.TrackID, ts int64, arrival time.Time, behind time.Duration) bool {
	c, from := t.tracks[id], t.instant(arrival)
	return c != nil && c.reported && slices.ContainsFunc(c.reports, func(r report) bool {
		return r.ts >= ts && r.at >= from && c.span(&r).hi-c.origin < int64(behind)
	})
}

// Jump tells that the timestamps of track id have jumped: by the arrival of one frame,
// what would have been from is to. Later frames, and then reports, are compared with
// that. Nothing else moves.
func (t *Timeline) Jump(id media.TrackID, from, to int64) {
	c := t.tracks[id]
	if c == nil {
		return
	}
	c.usual, c.guessed = c.floor.least()-c.origin-t.transit.value, c.reported
	c.begin(t.latest)
	t.goOn(c, id, from, to)
	c.arrival.restart()
}

// Slip tells that the clock of track id has stood still: by many arrivals before and
// since, what would have been from is to. The next reports are compared with that.
// Nothing else moves.
func (t *Timeline) Slip(id media.TrackID, from, to int64) {
	if c := t.tracks[id]; c != nil {
		c.guessed = false
		t.goOn(c, id, from, to)
	}
}

// goOn lets a clock go on with timestamp to where it would have been with from.
func (t *Timeline) goOn(c *clock, id media.TrackID, from, to int64) {
	d := c.media(to) - c.media(from)
	c.jumped = true
	c.origin -= d
	c.is.lo, c.is.hi = c.is.lo-d, c.is.hi-d
	c.doubt -= d
	c.arrival.shift(-d)
	c.restart(c.last == to, -d) // a guess must not bound what reports say
	for i := range c.reports {
		c.reports[i].ts += to - from
		c.reports[i].shift(-d)
	}
	c.partLayers()
	c.last = to // reports are unwrapped around it
	if t.track == id {
		t.ts += to - from
	}
}

// Anchor declares that timestamp ts of track id is media time at. Until the mapping has
// settled, what is learned about the clocks moves the other tracks and never the
// anchor.
func (t *Timeline) Anchor(id media.TrackID, ts int64, at time.Duration) {
	t.anchored, t.settled, t.fixed = true, false, false
	t.track, t.ts, t.at = id, ts, at
	t.anchorAt = t.latest
	if c := t.tracks[id]; c != nil && c.seen { // it may have waited
		t.anchorAt = min(t.latest, c.arrival.value+c.media(ts))
	}
	t.settle()
}

// Ready reports whether Media can be asked about track id: it is the anchor's track, or
// all tracks have reported, or the time for that is over.
func (t *Timeline) Ready(id media.TrackID) bool {
	return t.anchored && (t.settled || id == t.track)
}

// Reported reports whether the sender reports of track id were believed and tell to
// within closeEnough when its media was captured.
func (t *Timeline) Reported(id media.TrackID) bool {
	c := t.tracks[id]
	return c != nil && c.known
}

// sure reports whether every track's reports tell its origin to within tight. A place
// that is known less well is corrected soon, which costs a packet.
func (t *Timeline) sure() bool {
	for _, c := range t.tracks {
		if !c.sure {
			return false
		}
	}
	return true
}

// Synced reports whether every track has such reports.
func (t *Timeline) Synced() bool {
	for _, c := range t.tracks {
		if !c.known {
			return false
		}
	}
	return true
}

// Media returns the media time of timestamp ts of track id, by the anchor and
// the best knowledge of the clocks. Before Anchor it is 0.
func (t *Timeline) Media(id media.TrackID, ts int64) time.Duration {
	c := t.tracks[id]
	if c == nil || !t.anchored {
		return 0
	}
	return time.Duration(t.wall(c, ts) - t.zero)
}

// settle places media time 0 by the anchor as long as the mapping may move, even after
// all tracks have reported. The first packets are often late, and what that shows of
// the transit time is no drift.
func (t *Timeline) settle() {
	if !t.anchored || t.fixed {
		return
	}
	t.zero = t.wall(t.tracks[t.track], t.ts) - int64(t.at)
	t.fixed = t.latest-t.anchorAt >= int64(settle)
	t.settled = t.settled || t.fixed || t.sure()
	t.transit.follow = t.transit.follow || t.fixed
}

// wall returns the instant at which ts was captured, plus the least transit time.
func (t *Timeline) wall(c *clock, ts int64) int64 {
	if c.reported {
		return c.origin + c.media(ts) + t.transit.value
	}
	return c.arrival.value + c.media(ts)
}

// instant converts a time to nanoseconds since base, which is the first time seen.
func (t *Timeline) instant(at time.Time) int64 {
	if t.base.IsZero() {
		t.base = at
	}
	return int64(at.Sub(t.base))
}
