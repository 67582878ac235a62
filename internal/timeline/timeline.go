// Package timeline maps the RTP time of a publication's tracks to one media
// time: by sender reports (RFC 3550 6.4.1) where they come, by arrival times
// until then.
package timeline

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// settle is how long after the anchor the mapping may still move freely: by
	// then the least delayed packet has shown itself and most senders have
	// reported.
	settle = 5 * time.Second
	// window is the time over which the least transit time is looked for. A
	// transit that stays longer for that long is the clocks' skew, not
	// congestion.
	window = 10 * time.Minute
	// slew bounds how fast the transit estimate follows the window: 1 ms per second.
	slew = 1000
	// reportJump is the shift of a sender report that is not believed until the
	// next report confirms it to within reportAgree: a smaller one does no harm.
	reportJump  = 20 * time.Millisecond
	reportAgree = 10 * time.Millisecond
	// firstJump is the same for the first report of a track after another has
	// reported. It is held against the arrivals, which the network and the
	// encoders may put apart.
	firstJump = time.Second
	// reportFar is how far a report may be from where the clock of the frames must be
	// by the arrivals. One beyond is of another clock: of frames that have not come,
	// which tell themselves that the timestamps have jumped, or of none.
	reportFar = 5 * time.Second
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
	fixed    bool  // zero does not move any more
	latest   int64 // latest arrival seen
}

// clock is one track's RTP clock.
type clock struct {
	rate    uint32
	seen    bool
	last    int64    // last observed timestamp
	lastAt  int64    // when its frame arrived
	arrival estimate // origin by arrival: least of arrival minus timestamp

	reported   bool
	origin     int64 // origin by sender reports
	reportedTS int64 // unwrapped RTP time of the last report used
	doubted    bool  // a report that jumped awaits confirmation
	doubt      int64 // its origin
}

// New returns a timeline for tracks.
func New(tracks []media.Track) *Timeline {
	t := &Timeline{tracks: make(map[media.TrackID]*clock, len(tracks))}
	for _, tr := range tracks {
		t.tracks[tr.ID] = &clock{rate: tr.ClockRate}
	}
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
	c.seen, c.last, c.lastAt = true, ts, at
	c.arrival.add(at, at-c.media(ts))
	if c.reported {
		t.transit.add(at, at-(c.origin+c.media(ts)))
	}
	t.settle()
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
	ts := c.last + int64(int32(r.RTP-uint32(c.last)))
	waited := t.instant(r.Arrival) - c.lastAt
	if c.reported && ts < c.reportedTS || abs(c.media(ts)-c.media(c.last)-waited) > int64(reportFar) {
		return
	}
	origin := int64(media.NTPTime(r.NTP).Sub(t.base)) - c.media(ts)
	first := !c.reported
	switch {
	case !first && !c.believe(origin, c.origin, reportJump):
		return
	case first && t.transit.have && !c.believe(origin, c.arrival.least()-t.transit.value, firstJump):
		t.distrust()
		return
	}
	c.reported, c.origin, c.reportedTS, c.doubted = true, origin, ts, false
	if first {
		// The arrivals so far tell the transit time under the new clock.
		t.transit.add(t.instant(r.Arrival), c.arrival.least()-origin)
	}
	t.settle()
}

// believe reports whether a report that puts the clock's origin at origin,
// where it was expected at about another, is to be used.
func (c *clock) believe(origin, expected int64, jump time.Duration) bool {
	if abs(origin-expected) <= int64(jump) {
		return true
	}
	if c.doubted && abs(origin-c.doubt) <= int64(reportAgree) {
		return true
	}
	c.doubted, c.doubt = true, origin
	return false
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
			c.reported, c.doubted, c.doubt = false, true, c.origin
		}
	}
	t.transit = estimate{}
}

// Jump tells that the timestamps of track id have jumped: what would have been
// from is to. Nothing else moves; the next reports are held against that.
func (t *Timeline) Jump(id media.TrackID, from, to int64) {
	c := t.tracks[id]
	if c == nil {
		return
	}
	d := c.media(to) - c.media(from)
	c.origin -= d
	c.doubt -= d
	c.arrival.cur -= d
	c.arrival.prev -= d
	c.arrival.value -= d
	c.reportedTS += to - from
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
	t.settle()
}

// Ready reports whether Media can be asked about track id: it is the anchor's,
// or the tracks' relation is as good as it gets, for every track has reported
// or the time for it is over.
func (t *Timeline) Ready(id media.TrackID) bool {
	return t.anchored && (t.settled || id == t.track)
}

// Reported reports whether track id has a sender report that was believed.
func (t *Timeline) Reported(id media.TrackID) bool {
	c := t.tracks[id]
	return c != nil && c.reported
}

// Synced reports whether every track has a sender report that was believed.
func (t *Timeline) Synced() bool {
	for _, c := range t.tracks {
		if !c.reported {
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
	t.settled = t.settled || t.fixed || t.Synced()
	if t.fixed {
		t.transit.follow = true
		for _, c := range t.tracks {
			c.arrival.follow = true
		}
	}
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

// media converts a timestamp to nanoseconds of the track's clock.
func (c *clock) media(ts int64) int64 {
	return int64(media.Ticks(ts).Duration(c.rate))
}

// estimate is a running minimum over a sliding window of two halves, and a
// value that takes it over at once (follow false) or at a bounded rate.
type estimate struct {
	have      bool
	cur, prev int64 // minima of the running and the previous half window
	started   int64 // when the running half began
	value     int64
	at        int64 // of the last add
	follow    bool
}

// add takes v, measured at instant at, in.
func (e *estimate) add(at, v int64) {
	switch {
	case !e.have:
		e.have, e.cur, e.prev, e.started, e.value = true, v, v, at, v
	case at-e.started >= int64(window/2):
		e.prev, e.cur, e.started = e.cur, v, at
	default:
		e.cur = min(e.cur, v)
	}
	target := e.least()
	if step := max(at-e.at, 0) / slew; e.follow {
		target = min(max(target, e.value-step), e.value+step)
	}
	e.value, e.at = target, max(at, e.at)
}

// least returns the minimum over the window.
func (e *estimate) least() int64 { return min(e.cur, e.prev) }

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
