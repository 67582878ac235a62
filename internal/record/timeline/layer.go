package timeline

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// maxOffsets and minOffsets are how many measurements of the distance of two
	// layers' clocks are kept, and how many are needed.
	maxOffsets = 31
	minOffsets = 3
	// nearby is how far the timestamps of two layers may differ, after their arrivals
	// are taken into account, and still belong to one clock. Two clocks with random
	// starts are so near once in ten thousand times.
	nearby = 3 * time.Second
	// pictures is how many ticks there may be from one picture to the next.
	pictures = 9000
	// maxRecent is how many timestamps of a layer are kept for comparison: some seconds
	// of them, because one layer may come so much later than another.
	maxRecent = 128
)

// The layers of one video are encodings of the same pictures. So the distance between
// their origins does not change, and is 0 if a picture has the same timestamp in all of
// them. What one layer reports is used for the others too.

// offsets are measurements of how far the origin of a clock is behind another's.
type offsets struct {
	last  []int64
	alike bool // one picture has one timestamp in both, by what was last seen of both
	// decided: both were seen of the same time.
	decided bool
	of      int // how many timestamps of both that was of
}

func (o *offsets) add(v int64) {
	if len(o.last) == maxOffsets {
		o.last = slices.Delete(o.last, 0, 1)
	}
	o.last = append(o.last, v)
}

// median is false while there are too few.
func (o *offsets) median() (int64, bool) {
	if len(o.last) < minOffsets {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(o.last))
	return sorted[len(sorted)/2], true
}

// timestamps are the last ones of a layer.
type timestamps struct {
	ts [maxRecent]uint32
	n  int // that were added
}

func (t *timestamps) add(ts uint32) {
	t.ts[t.n%maxRecent] = ts
	t.n++
}

func (t *timestamps) all() []uint32 { return t.ts[:min(t.n, maxRecent)] }

// findLayers tells the clocks of which tracks are layers of one video.
func findLayers(tracks []media.Track, clocks map[media.TrackID]*clock) {
	for _, a := range tracks {
		c := clocks[a.ID]
		c.apart = map[*clock]*offsets{}
		for _, b := range tracks {
			if a.ID == b.ID || layers(a, b) {
				c.layers = append(c.layers, clocks[b.ID])
				c.apart[clocks[b.ID]] = &offsets{}
			}
		}
	}
}

// layers reports whether two tracks are layers of one video.
func layers(a, b media.Track) bool {
	return a.Kind == media.Video && b.Kind == media.Video && a.RID != "" && b.RID != "" && a.MID == b.MID && a.ClockRate == b.ClockRate
}

// Alike reports whether a picture has the same RTP timestamp in tracks a and b, judged
// by the frames that came lately. Clocks begin at random values, so only a common clock
// makes timestamps equal.
func (t *Timeline) Alike(a, b media.TrackID) bool {
	ca, cb := t.tracks[a], t.tracks[b]
	return ca != nil && cb != nil && a != b && slices.Contains(ca.layers, cb) && ca.alike(cb)
}

// alike reports whether most of the timestamps that both layers could have are in both.
// If there are none, because one has stopped, the last answer holds. If there never
// were any, it is whether their timestamps are nearby.
func (c *clock) alike(l *clock) bool {
	if of := c.recent.n + l.recent.n; c.apart[l].of == of {
		return c.apart[l].alike
	}
	equal := 0
	for _, ts := range c.recent.all() {
		if slices.Contains(l.recent.all(), ts) {
			equal++
		}
	}
	if could := min(c.recent.within(&l.recent), l.recent.within(&c.recent)); could > 0 {
		c.apart[l].alike = 2*equal >= could
		l.apart[c].alike = c.apart[l].alike
		c.apart[l].decided, l.apart[c].decided = true, true
	} else if !c.apart[l].decided && c.seen && l.seen {
		d := c.media(int64(int32(uint32(c.last)-uint32(l.last)))) - (c.lastAt - l.lastAt)
		c.apart[l].alike = abs(d) < int64(nearby)
		l.apart[c].alike = c.apart[l].alike
	}
	c.apart[l].of = c.recent.n + l.recent.n
	return c.apart[l].alike
}

// within returns how many timestamps are between the first and the last of other, and
// not where other has lost its own.
func (t *timestamps) within(other *timestamps) int {
	if other.n == 0 {
		return 0
	}
	var from, to int32 // around base
	base := other.ts[0]
	for _, ts := range other.all() {
		from, to = min(from, int32(ts-base)), max(to, int32(ts-base))
	}
	n := 0
	for _, ts := range t.all() {
		near := func(o uint32) bool { d := int32(ts - o); return max(d, -d) <= pictures }
		if d := int32(ts - base); d >= from && d <= to && slices.ContainsFunc(other.all(), near) {
			n++
		}
	}
	return n
}

// noteLayers measures the distances between the origins of the layers, each by its own
// reports. Reports of whole seconds do not tell them.
func (c *clock) noteLayers() {
	for _, l := range c.layers {
		if l == c || c.tellsSeconds() || l.tellsSeconds() {
			continue
		}
		// The early ends, because layers are not late by the same amount. What may be
		// chance would count twice in one of them, and not in the other.
		a, _ := likely(c.spans())
		b, _ := likely(l.spans())
		behind := a.lo - b.lo
		c.apart[l].add(behind)
		l.apart[c].add(-behind)
	}
}

// tellsSeconds reports whether there are no reports of the layer but those of whole seconds.
func (c *clock) tellsSeconds() bool {
	return !slices.ContainsFunc(c.reports, func(r report) bool { return !r.whole })
}

// from returns how far the origin of c is behind that of another layer; false if that
// is not known.
func (c *clock) from(l *clock) (int64, bool) {
	if l == c {
		return 0, true
	}
	if c.alike(l) {
		// But for the cycles by which they were unwrapped.
		return -c.media((c.last - l.last + 1<<31) >> 32 << 32), true
	}
	return c.apart[l].median()
}

// leader returns the first layer that has reported, if that is not c, and how far the
// origin of c is behind it; false if c has to find its own.
func (c *clock) leader() (lead *clock, behind int64, ok bool) {
	for _, l := range c.layers {
		if l == c {
			break
		}
		if d, ok := c.from(l); ok && l.reported {
			return l, d, true
		}
	}
	return nil, 0, false
}

// partLayers notes that the timestamps of c have jumped. By how much is a guess, so its
// distances to the others are measured again.
func (c *clock) partLayers() {
	c.recent = timestamps{}
	for _, l := range c.layers {
		if l == c {
			continue
		}
		c.apart[l].alike, l.apart[c].alike = false, false
		c.apart[l].decided, l.apart[c].decided = false, false
		c.apart[l].of, l.apart[c].of = 0, 0
		c.apart[l].last, l.apart[c].last = c.apart[l].last[:0], l.apart[c].last[:0]
	}
}
