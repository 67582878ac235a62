// Package timeline maps the RTP time of a publication's tracks to one media
// time: by sender reports (RFC 3550 6.4.1) where they come, by arrival times
// until then.
package timeline

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// settle is how long after the anchor the mapping may still move freely: by
	// then the least delayed packet has shown itself and most senders have
	// reported.
	settle = 5 * time.Second
	// reportFar is how far a report may be from where the clock of the frames must be
	// by the arrivals. One beyond is of another clock: of frames that have not come,
	// which tell themselves that the timestamps have jumped, or of none.
	reportFar = 5 * time.Second
	// firstJump is how far the first report of a track may be from the arrivals,
	// after another track has reported, and be believed at once. The network and the
	// encoders may put the arrivals apart, but not by more.
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

	// transit estimates arrival minus sender time: one for all tracks, so that
	// it cancels out between them and a sender with a wrong clock still has
	// perfect lip sync.
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

// Observe tells the timeline that the frame with the unwrapped timestamp ts
// arrived. It is to be called for every frame before Media is asked about it.
func (t *Timeline) Observe(id media.TrackID, ts int64, arrival time.Time) {
	c := t.tracks[id]
	if c == nil {
		return
	}
	at := t.instant(arrival)
	t.latest = max(t.latest, at)
	first := at - c.media(ts)
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
		c.guess(at)
	}
	if c.reported {
		t.transit.add(at, at-(c.origin+c.media(ts)))
	}
	if len(c.layers) > 1 {
		c.recent.add(uint32(ts))
	}
	t.settle()
}

// lateness returns how late is what comes at an instant, by a track that has reported: a
// process that stood still gets all tracks late, also one that it did not know before.
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

// observeReports takes in how late a frame came, which tells more of the reports that came
// just before.
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

// Report takes a sender report in. Reports of a track before its first frame
// are ignored, for their timestamp cannot be unwrapped; so are reports without
// a wall clock, those of another clock than the frames', and reports that are
// older than the last.
func (t *Timeline) Report(r *media.SenderReport) {
	c := t.tracks[r.Track]
	if c == nil || !c.seen || r.NTP == 0 {
		return
	}
	at := t.instant(r.Arrival)
	ts := c.last + int64(int32(r.RTP-uint32(c.last)))
	if n := len(c.reports); n > 0 && ts < c.reports[n-1].ts || abs(c.media(ts)-c.media(c.last)-(at-c.lastAt)) > int64(reportFar) {
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

// judge finds out how well the sender's reports say when media was captured, to the
// millisecond or not. It makes those of all tracks alike.
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

// follow brings the origins of the tracks to what the reports of c, and of the other
// layers of its video, tell of them; stepped: they say that its clock has stepped.
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
			l.set(l.byArrivals(t.latest), t.latest)
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
			c.arrival.shift(c.origin - from) // what came before says no more how late it comes now
		}
	}
}

// followClock moves the origins of all tracks by the step of one, if its frames come as
// before: then the sender has set the clock that is in the reports, which is one for all
// tracks, and no media moves.
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

// find looks for where the origin of a track is: at a fixed distance from that of the
// layer that leads it, or where the reports say; false if nothing is known of it.
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

// moveAll moves the origins of all tracks by the same, if that brings them to where
// their reports have them, and these tell whole seconds alone: by the arrivals the
// tracks are right beside each other, but for closeEnough, and no media moves.
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
			c.origin, c.usual = c.origin+d, c.usual-d
		}
	}
	t.transit.shift(-d)
}

// place gives the tracks that have reported their origins while the mapping may
// move: the longest transit time that all reports allow, and for each track what its
// arrivals say under that, as far as its reports allow it.
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

// distrust takes back what was believed of first reports: two of them
// contradict each other, and either may be false. The next ones tell. What has
// settled was confirmed, or is too late to be undone.
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

// Late returns by how much a frame of a track came later than those that are delayed
// least.
func (t *Timeline) Late(id media.TrackID, ts int64, arrival time.Time) time.Duration {
	c := t.tracks[id]
	if c == nil || !c.arrival.have {
		return 0
	}
	return time.Duration(t.instant(arrival) - c.media(ts) - c.arrival.least())
}

// Slipped returns by how much a track's frames have come later for a second or two than
// before, while those of another have not: then its clock has stood still, and not the
// network. It is 0 where that is not certain: less than half of the jitter is chance.
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

// Denies reports whether a report that came with the frames of a track from ts on, the first
// of which arrived then, says that its clock is behind by less than a time.
func (t *Timeline) Denies(id media.TrackID, ts int64, arrival time.Time, behind time.Duration) bool {
	c, from := t.tracks[id], t.instant(arrival)
	return c != nil && c.reported && slices.ContainsFunc(c.reports, func(r report) bool {
		return r.ts >= ts && r.at >= from && c.span(&r).hi-c.origin < int64(behind)
	})
}

// Jump tells that the timestamps of track id have jumped: what would have been
// from, by the arrival of one frame, is to. Those after it, and then the next reports,
// are held against that. Nothing else moves.
func (t *Timeline) Jump(id media.TrackID, from, to int64) {
	c := t.tracks[id]
	if c == nil {
		return
	}
	c.usual, c.guessed = c.floor.least()-c.origin, true
	c.begin(t.latest)
	t.goOn(c, id, from, to)
	c.arrival.restart()
}

// Slip tells that the clock of track id has stood still: what would have been from is to,
// as many arrivals have told, before that and since. Nothing else moves; the next reports
// are held against that.
func (t *Timeline) Slip(id media.TrackID, from, to int64) {
	if c := t.tracks[id]; c != nil {
		c.guessed = false
		t.goOn(c, id, from, to)
	}
}

// goOn has a clock go on with timestamp to where it would have been with from.
func (t *Timeline) goOn(c *clock, id media.TrackID, from, to int64) {
	d := c.media(to) - c.media(from)
	c.jumped = true
	c.origin -= d
	c.is.lo, c.is.hi = c.is.lo-d, c.is.hi-d
	c.doubt -= d
	c.arrival.shift(-d)
	c.restart(c.last == to, -d) // what is not known better must not bound what reports say
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

// Anchor declares that timestamp ts of track id is media time at. Until the
// mapping has settled, what is learned about the clocks moves the other tracks
// against the anchor, never the anchor itself.
func (t *Timeline) Anchor(id media.TrackID, ts int64, at time.Duration) {
	t.anchored, t.settled, t.fixed = true, false, false
	t.track, t.ts, t.at = id, ts, at
	t.anchorAt = t.latest
	if c := t.tracks[id]; c != nil && c.seen { // it may have waited
		t.anchorAt = min(t.latest, c.arrival.value+c.media(ts))
	}
	t.settle()
}

// Ready reports whether Media can be asked about track id: it is the anchor's,
// or the tracks' relation is as good as it gets, for every track has reported
// or the time for it is over.
func (t *Timeline) Ready(id media.TrackID) bool {
	return t.anchored && (t.settled || id == t.track)
}

// Reported reports whether track id has sender reports that were believed, and tell
// when its media was captured to within closeEnough.
func (t *Timeline) Reported(id media.TrackID) bool {
	c := t.tracks[id]
	return c != nil && c.known
}

// sure reports whether every track has reports that tell it to within tight: a place
// that less is known of is corrected soon, which costs a packet.
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

// settle places media time 0 by the anchor as long as the mapping may move: even
// when all have reported, for the first packets are often late, and what that
// shows of the transit time is no drift.
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
