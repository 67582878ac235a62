package timeline

import (
	"math"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// wholeSecond is the least fraction of an NTP timestamp, 1 ms, that counts as
	// one: there are senders that tell nothing but seconds.
	wholeSecond = 1 << 32 / 1000
	// keptFor and maxReports bound the reports from which an origin is made;
	// minReports of them count however old they are.
	keptFor    = time.Minute
	maxReports = 64
	minReports = 5
	// exact is how far two reports in a row of a sender may be apart that says to
	// the millisecond when its media was captured.
	exact = 2 * time.Millisecond
	// closeEnough is the uncertainty of an origin that needs no better one.
	closeEnough = 40 * time.Millisecond
	// tight is the uncertainty of one that nothing waits for any more: less than what
	// is corrected later.
	tight = 5 * time.Millisecond
	// stepMin is the least shift of a clock that is followed by a step, when two
	// reports tell it to within stepAgree. A smaller one is followed slowly.
	stepMin   = 100 * time.Millisecond
	stepAgree = 10 * time.Millisecond
	// originSlew bounds how fast an origin follows the reports: 5 ms per second.
	originSlew = 200
)

// clock is one track's RTP clock.
type clock struct {
	rate    uint32
	seen    bool
	last    int64    // last observed timestamp
	lastAt  int64    // when its frame arrived
	arrival estimate // origin by arrival: least of arrival minus timestamp
	floor   estimate // the same of the last seconds

	reports  []report // the last ones that were believed, oldest first
	reported bool     // there are any, its own or those of another layer
	known    bool     // the origin was known to within closeEnough
	sure     bool     // and to within tight
	origin   int64    // by the reports
	is       span     // in which the origin is
	movedAt  int64    // when origin was last looked at
	doubted  bool     // a first report that contradicts another track's awaits confirmation
	doubt    int64    // its origin

	layers []*clock // all layers of its video, or itself alone
	apart  map[*clock]*offsets
	led    bool // its origin is at a fixed distance from that of the layer before it
	recent timestamps
}

// report is what a sender report says: at the sender's time ntp its RTP clock was
// at ts.
type report struct {
	at    int64 // when it arrived
	ts    int64 // unwrapped
	ntp   int64
	whole bool  // ntp is cut to a second
	floor int64 // the least floor since
}

// span is an interval of origins.
type span struct {
	at     int64 // of the report that tells it
	lo, hi int64
	whole  bool
}

func (s span) early() int64 { return s.lo }
func (s span) late() int64  { return s.hi }
func (s span) cut() bool    { return s.whole }

// nearest returns the value of the span that is nearest to v.
func (s span) nearest(v int64) int64 { return min(max(v, s.lo), s.hi) }

// distance returns how far v is from the span.
func (s span) distance(v int64) int64 { return abs(v - s.nearest(v)) }

// media converts a timestamp to nanoseconds of the track's clock.
func (c *clock) media(ts int64) int64 {
	return int64(media.Ticks(ts).Duration(c.rate))
}

// span returns where a report allows the origin to be. Its NTP time may be of the
// moment when the report, or the frame of its timestamp, was sent instead of the one
// when that was captured. It is then too late, but not by more than the report came
// later than the frames do that are delayed least.
func (c *clock) span(r *report) span {
	hi := r.ntp - c.media(r.ts)
	s := span{at: r.at, lo: hi, hi: hi, whole: r.whole}
	r.floor = min(r.floor, c.floor.least())
	if late := r.at - c.media(r.ts) - r.floor; late > 0 {
		s.lo -= late
	}
	if r.whole {
		s.hi += int64(time.Second)
	}
	return s
}

// plausible reports whether the first report of a track is to be believed, where
// another track has told the transit time.
func (c *clock) plausible(r *report, transit int64) bool {
	s := c.span(r)
	if s.distance(c.floor.least()-transit) <= int64(firstJump) || c.doubted && s.distance(c.doubt) <= int64(stepAgree) {
		return true
	}
	c.doubted, c.doubt = true, s.hi
	return false
}

// keep adds a report, and forgets those that are too old.
func (c *clock) keep(r report) {
	c.reports = append(c.reports, r)
	old := max(len(c.reports)-maxReports, 0)
	for len(c.reports)-old > minReports && r.at-c.reports[old].at > int64(keptFor) {
		old++
	}
	c.reports = slices.Delete(c.reports, 0, old)
}

// stepped reports whether the last two reports say that the clock has been set
// to another time, and forgets all but the last if so.
func (c *clock) stepped() bool {
	n := len(c.reports)
	if !c.reported || n < 3 {
		return false
	}
	spans := c.spans()
	before, a, b := spans[:n-2], spans[n-2], spans[n-1]
	if abs(a.hi-b.hi) > int64(stepAgree) {
		return false
	}
	if areExact(before) {
		a.lo, b.lo = a.hi, b.hi
	}
	least := max(int64(stepMin), 4*steps(before, span.late))
	if a.distance(c.origin) <= least || b.distance(c.origin) <= least {
		return false
	}
	c.reports = slices.Delete(c.reports, 0, n-1)
	for _, l := range c.layers {
		l.reports = slices.DeleteFunc(l.reports, func(r report) bool { return r.at < b.at })
	}
	return true
}

// told returns where the reports of a track, and of the layers beside it, say that
// its origin is; false if they say nothing.
func (c *clock) told() (span, bool) {
	var spans []span
	for _, l := range c.layers {
		d, ok := c.from(l)
		if !ok {
			continue
		}
		for _, s := range l.spans() {
			s.lo, s.hi = s.lo+d, s.hi+d
			spans = append(spans, s)
		}
	}
	if len(spans) == 0 {
		return span{}, false
	}
	slices.SortStableFunc(spans, func(a, b span) int { return int(a.at - b.at) })
	is := among(spans)
	is.whole = !slices.ContainsFunc(spans, func(s span) bool { return !s.whole })
	c.known = c.known || is.hi-is.lo <= int64(closeEnough)
	c.sure = c.sure || is.hi-is.lo <= int64(tight)
	return is, true
}

// spans returns where the track's own reports allow its origin to be.
func (c *clock) spans() []span {
	spans := make([]span, len(c.reports))
	for i := range c.reports {
		spans[i] = c.span(&c.reports[i])
	}
	return spans
}

// among returns where the distances to all spans have their least sum: what they
// have in common, if there is that, or their median, to within what chance makes of
// it. The last ones alone tell it where they are exact, so that the skew of the
// clocks is followed. spans are in the order of time, and at least one.
func among(spans []span) span {
	last := spans[max(len(spans)-minReports, 0):]
	if areExact(spans) && areExact(last) {
		return median(last, span.late, span.late)
	}
	if all, ok := common(spans); ok {
		return all
	}
	is := median(spans, span.early, span.late)
	chance := int64(2.5 * float64(min(steps(spans, span.early), steps(spans, span.late))) / math.Sqrt(float64(len(spans))))
	return span{lo: is.lo - chance, hi: is.hi + chance}
}

// areExact reports whether spans say to the millisecond where the origin is, but for a
// few.
func areExact(spans []span) bool {
	return len(spans) >= 3 && steps(spans, span.late) <= int64(exact) && !slices.ContainsFunc(spans, span.cut)
}

// common returns what is in all spans.
func common(spans []span) (span, bool) {
	all := spans[0]
	for _, s := range spans {
		all.lo, all.hi = max(all.lo, s.lo), min(all.hi, s.hi)
	}
	return all, all.lo <= all.hi
}

// median returns what is in the middle of two ends of each span.
func median(spans []span, a, b func(span) int64) span {
	ends := make([]int64, 0, 2*len(spans))
	for _, s := range spans {
		ends = append(ends, a(s), b(s))
	}
	slices.Sort(ends)
	return span{lo: ends[len(spans)-1], hi: ends[len(spans)]}
}

// steps returns the median of the distances of an end of the spans from that of the
// ones before.
func steps(spans []span, end func(span) int64) int64 {
	if len(spans) < 2 {
		return 0
	}
	d := make([]int64, 0, len(spans)-1)
	for i := 1; i < len(spans); i++ {
		d = append(d, abs(end(spans[i])-end(spans[i-1])))
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// set gives the clock an origin.
func (c *clock) set(origin, at int64) { c.reported, c.origin, c.movedAt = true, origin, at }

// slew moves the origin towards where it is, no faster than originSlew.
func (c *clock) slew(at int64) {
	step := max(at-c.movedAt, 0) / originSlew
	c.set(min(max(c.is.nearest(c.origin), c.origin-step), c.origin+step), at)
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
