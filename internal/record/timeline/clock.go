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
	// mostLate is the most that a report is later than the media that it is about
	// because of its sender. What comes still later was held up on the way.
	mostLate = time.Second
	// closeEnough is the uncertainty of an origin that needs no better one.
	closeEnough = 40 * time.Millisecond
	// tight is the uncertainty of one that nothing waits for any more: less than what
	// is corrected later.
	tight = 5 * time.Millisecond
	// stepMin is the least shift of a clock that is followed by a step, when two
	// reports tell it to within stepAgree. A smaller one is followed slowly.
	stepMin   = 100 * time.Millisecond
	stepAgree = 10 * time.Millisecond
	// slipMin is the least shift of a clock that has stood still that is followed at
	// once, when the arrivals tell the same to within slipAgree.
	slipMin   = 40 * time.Millisecond
	slipAgree = 25 * time.Millisecond
	// slipShare is the share of a longer shift by which they may differ: a machine that
	// has no time for samples sends those that it has when it can.
	slipShare = 3
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
	near    recent   // the same of the last one or two

	early     *media.SenderReport // the last one that is of no frame that has come
	reports   []report            // the last ones that were believed, oldest first
	reported  bool                // there are any, its own or those of another layer
	count     int                 // of all reports that were believed
	jitter    int64               // how far the reports of this sender are from each other
	exact     bool                // reports of this sender say to the millisecond when media was captured
	known     bool                // the origin was known to within closeEnough
	sure      bool                // and to within tight
	origin    int64               // by the reports
	is        span                // in which the origin is
	movedAt   int64               // when origin was last looked at
	jumped    bool                // its timestamps have jumped, or it has stood still, since the last report
	guessed   bool                // they have jumped: the arrivals since tell by how much
	newUntil  int64               // until when the arrivals are new: since the first, or since a jump
	usual     int64               // by how much the least late frame came later than its origin and the transit time say, before a jump
	steppedAt int64               // when the report came before the one that told of a step
	since     int64               // reports from before tell nothing any more
	doubted   bool                // a first report that contradicts another track's awaits confirmation
	doubt     int64               // its origin

	layers []*clock // all layers of its video, or itself alone
	apart  map[*clock]*offsets
	led    bool // its origin is at a fixed distance from that of the layer before it
	recent timestamps
}

// report is what a sender report says: at the sender's time ntp its RTP clock was
// at ts.
type report struct {
	at     int64 // when it arrived
	ts     int64 // unwrapped
	ntp    int64
	whole  bool  // ntp is cut to a second
	least  int64 // the least lateness of frames since
	late   int64 // that of the frames that came just then ...
	seen   bool  // ... which is known
	before int64 // that of the frames right before it arrived
	after  int64 // and right after it
	known  bool  // after is of enough frames
}

// restart forgets how late frames came, except the last one, because lateness is
// counted differently by d from now on. How much it varies is kept.
func (c *clock) restart(last bool, d int64) {
	c.floor = estimate{window: shortTime}
	c.near.restart(d)
	if last {
		c.floor.add(c.lastAt, c.lastAt-c.media(c.last))
	}
}

// begin notes that the arrivals tell of a new clock from an instant on. The first ones
// may have been held up.
func (c *clock) begin(at int64) { c.newUntil = at + int64(settle) }

// isNew reports whether the arrivals have told of the clock only for a short time.
func (c *clock) isNew(at int64) bool { return at < c.newUntil }

// isGuessed reports whether the timestamps have jumped just now, so that only a few
// arrivals tell by how much.
func (c *clock) isGuessed(at int64) bool { return c.guessed && c.isNew(at) }

// guess lets the origin follow the arrivals since the timestamps have jumped. A frame
// that comes earlier than the origin says moves it at once. A frame that comes later
// may have been held up: a few such frames do not move it, and small delays, as of a
// busy machine, only if they last.
func (c *clock) guess(at, transit int64) {
	by := c.byArrivals(at, transit)
	since := at - (c.newUntil - int64(settle))
	if later := by - c.origin; later > 0 && (since < int64(nowTime) || since < int64(nearTime) && later < int64(busyLate)) {
		return
	}
	c.set(by, at)
}

// byArrivals returns where the arrivals say that the origin is, if the timestamps have
// jumped just now; else the origin.
func (c *clock) byArrivals(at, transit int64) int64 {
	if !c.isGuessed(at) {
		return c.origin
	}
	return c.floor.least() - transit - c.usual
}

// floor is the least lateness of the frames about the report. Where the clock has stood
// still before or after it, that is on one side only, and far from what was before.
func (r *report) floor() int64 {
	about := r.before
	if r.known {
		about = max(about, r.after)
	}
	if about-r.least > int64(slipMin) {
		return about
	}
	return r.least
}

// observe notes how late a frame came. It reports whether it is known now how late the
// frames were that came just after the report.
func (r *report) observe(at, late int64) (seen bool) {
	d := at - r.at
	if d >= 0 && d <= 2*int64(nearTime) {
		r.after = min(r.after, late)
		r.known = r.known || d >= int64(nearTime)
	}
	if d >= 0 && d < int64(nowTime) {
		r.late = min(r.late, late)
	}
	seen = !r.seen && d >= int64(nowTime)
	r.seen = r.seen || seen
	return seen
}

// shift notes that lateness is counted differently by d.
func (r *report) shift(d int64) {
	for _, v := range []*int64{&r.least, &r.late, &r.before, &r.after} {
		if *v != math.MinInt64 && *v != math.MaxInt64 {
			*v += d
		}
	}
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

// span returns where a report allows the origin to be. Its NTP time may be the moment
// when the report was sent, or the frame of its timestamp, instead of when that frame
// was captured. It is then too late, but by no more than the report came later than the
// least delayed frames of that time. If those are late too, the track's clock has stood
// still.
func (c *clock) span(r *report) span {
	hi := r.ntp - c.media(r.ts)
	s := span{at: r.at, lo: hi, hi: hi, whole: r.whole}
	r.least = min(r.least, c.floor.least())
	if late := r.at - c.media(r.ts) - r.floor(); late > 0 && !c.exact {
		s.lo -= min(late, int64(mostLate))
	}
	if r.whole {
		s.hi += int64(time.Second)
	}
	return s
}

// plausible reports whether the first report of a track is to be believed, if another
// track has told the transit time.
func (c *clock) plausible(r *report, transit int64) bool {
	s := c.span(r)
	if s.distance(c.floor.least()-transit) <= int64(firstJump) || c.doubted && s.distance(c.doubt) <= int64(stepAgree) {
		return true
	}
	c.doubted, c.doubt = true, s.hi
	return false
}

// agrees reports whether a report says just what the one before said. Then both belong
// to one clock, although the timestamps have jumped in between.
func (c *clock) agrees(r *report) bool {
	n := len(c.reports)
	return n > 0 && abs(c.span(r).hi-c.span(&c.reports[n-1]).hi) <= int64(exact)
}

// keep adds a report, and forgets those that are too old.
func (c *clock) keep(r report) {
	c.count++
	c.reports = append(c.reports, r)
	old := max(len(c.reports)-maxReports, 0)
	for len(c.reports)-old > minReports && r.at-c.reports[old].at > int64(keptFor) {
		old++
	}
	c.reports = slices.Delete(c.reports, 0, old)
}

// stepped reports whether the last two reports, or the last one and the arrivals, say
// that the clock has been set to another time. If so it forgets all reports but the
// last.
func (c *clock) stepped() bool {
	n := len(c.reports)
	if !c.reported || n < 2 {
		return false
	}
	spans := c.spans()
	if !c.steppedTwice(spans) && !c.slipped(spans) {
		return false
	}
	c.steppedAt = spans[n-2].at
	c.reports = slices.Delete(c.reports, 0, n-1)
	for _, l := range c.layers {
		l.reports = slices.DeleteFunc(l.reports, func(r report) bool { return r.at < spans[n-1].at })
	}
	return true
}

// steppedTwice reports whether the last two reports agree on a step: away from the origin,
// and from the reports before, for while the mapping may move the origin is only one that
// these allow.
func (c *clock) steppedTwice(spans []span) bool {
	n := len(spans)
	if n < 3 || abs(spans[n-2].hi-spans[n-1].hi) > int64(stepAgree) {
		return false
	}
	before, a, b := spans[:n-2], spans[n-2], spans[n-1]
	if areExact(before) {
		a.lo, b.lo = a.hi, b.hi
	}
	least := max(int64(stepMin), 4*steps(before, span.late))
	was := median(before, span.late, span.late)
	return a.distance(c.origin) > least && b.distance(c.origin) > least && was.distance(a.hi) > least && was.distance(b.hi) > least
}

// slipped reports whether the last report says that the track's clock has stood still
// since the one before, and the frames come later by just as much.
func (c *clock) slipped(spans []span) bool {
	n := len(spans)
	a, b := &c.reports[n-2], &c.reports[n-1]
	if !a.seen || !b.seen || a.late == math.MaxInt64 || b.late == math.MaxInt64 || spans[n-1].whole {
		return false
	}
	least := int64(slipMin)
	if before := spans[:n-1]; len(before) >= minReports {
		least = max(least, 4*steps(before, span.late))
	}
	told, shown := spans[n-1].hi-spans[n-2].hi, b.late-a.late
	return spans[n-1].distance(c.origin) > least && abs(told) > least && abs(told-shown) <= max(int64(slipAgree), abs(told)/slipShare)
}

// isBefore reports whether a report is from before the sender's clock was set by d.
func (c *clock) isBefore(r *report, d int64) bool {
	s := c.span(r)
	return s.distance(c.origin) < s.distance(c.origin+d)
}

// followClock notes that the clock in the sender's reports was set by d.
func (c *clock) followClock(d int64) {
	for i := range c.reports {
		if r := &c.reports[i]; c.isBefore(r, d) {
			r.ntp += d
		}
	}
	c.doubt += d
	if c.reported {
		c.origin += d
	}
}

// told returns where the reports of a track, and of the other layers of its video, say
// that its origin is. It is false if they say nothing.
func (c *clock) told() (span, bool) {
	var spans []span
	for _, l := range c.layers {
		d, ok := c.from(l)
		if !ok {
			continue
		}
		for _, s := range l.spans() {
			if s.at < c.since {
				continue
			}
			s.lo, s.hi = s.lo+d, s.hi+d
			spans = append(spans, s)
		}
	}
	if len(spans) == 0 {
		return span{}, false
	}
	slices.SortStableFunc(spans, func(a, b span) int { return int(a.at - b.at) })
	is := among(spans)
	if n := len(spans); c.count < minReports { // a few say no more than any others of this sender
		is.lo, is.hi = is.lo-chance(c.jitter, n), is.hi+chance(c.jitter, n)
	}
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

// among returns where the sum of the distances to all spans is least: their common
// part, or else their median, give or take chance. If the reports are exact, only the
// last ones count, so that the skew of the clocks is followed. spans are in the order
// of time, at least one.
func among(spans []span) span {
	is, certain := likely(spans)
	if certain {
		return is
	}
	d := chance(min(steps(spans, span.early), steps(spans, span.late)), len(spans))
	return span{lo: is.lo - d, hi: is.hi + d}
}

// likely is among without what may be chance; certain: nothing may.
func likely(spans []span) (is span, certain bool) {
	last := spans[max(len(spans)-minReports, 0):]
	if areExact(spans) && areExact(last) {
		return median(last, span.late, span.late), true
	}
	if all, ok := common(spans); ok {
		return all, true
	}
	return median(spans, span.early, span.late), false
}

// chance returns how far the median of n reports may be from the truth, if they are
// that far from each other.
func chance(steps int64, n int) int64 { return int64(2.5 * float64(steps) / math.Sqrt(float64(n))) }

// areExact reports whether spans say to the millisecond where the origin is, except a
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

// set sets the clock's origin.
func (c *clock) set(origin, at int64) { c.reported, c.origin, c.movedAt = true, origin, at }

// slew moves the origin towards its span, no faster than originSlew.
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
