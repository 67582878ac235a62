package verify

import (
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// leastSlack is how far apart the tracks of a Period may begin or end, whatever
	// their frames last, without players standing still.
	leastSlack = 45 * time.Millisecond
	// longestFrame bounds how much a track's last sample may last beyond the others:
	// the longest packet of Opus. A longer picture could have been cut.
	longestFrame = 120 * time.Millisecond
)

// kinds are those of media, in the order of messages.
var kinds = []media.Kind{media.Video, media.Audio}

// cover has the media of a kind in a Period, of the Representation that has most.
type cover struct {
	track *Track
	spans Spans
	last  time.Duration // what the last sample lasts
}

// start returns when the media begins; there is some.
func (c *cover) start() time.Duration { return c.spans[0].Start }

// end returns when the media ends; there is some.
func (c *cover) end() time.Duration { return c.spans[len(c.spans)-1].End }

// periodMedia is a Period with its media.
type periodMedia struct {
	index      int
	start, end time.Duration // end is 0 where it is not known yet
	covers     map[media.Kind]*cover
	slack      time.Duration // by how much its tracks may begin or end apart
}

// from tells from when to when a Period is.
func (p *periodMedia) from() string {
	if p.end == 0 {
		return fmt.Sprintf("from %s on", sec(p.start))
	}
	return fmt.Sprintf("from %s to %s", sec(p.start), sec(p.end))
}

// sec writes a time for a person.
func sec(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// media returns the Periods with what is in them.
func (r *Recording) media() []periodMedia {
	all := make([]periodMedia, len(r.Periods))
	for i := range r.Periods {
		p := &all[i]
		*p = periodMedia{index: i, start: r.Periods[i].Start, end: r.periodEnd(i), covers: map[media.Kind]*cover{}}
		p.slack = time.Millisecond
		for _, k := range kinds {
			if c := r.cover(i, k); c != nil {
				p.covers[k] = c
				p.slack += min(c.last, longestFrame)
			}
		}
		p.slack = max(p.slack, leastSlack)
	}
	return all
}

// periodEnd returns when a Period ends, 0 where that is not known yet.
func (r *Recording) periodEnd(i int) time.Duration {
	switch p := r.Periods[i]; {
	case p.Duration > 0:
		return p.Start + p.Duration
	case i+1 < len(r.Periods):
		return r.Periods[i+1].Start
	}
	return r.Duration
}

// cover returns what there is of a kind in a Period, nil for nothing.
func (r *Recording) cover(period int, k media.Kind) (best *cover) {
	for _, t := range r.Tracks {
		if t.Kind != k {
			continue
		}
		c := t.cover(period)
		if len(c.spans) > 0 && (best == nil || c.spans.sum() > best.spans.sum()) {
			best = c
		}
	}
	return best
}

// cover returns what there is of a track in a Period.
func (t *Track) cover(period int) *cover {
	c := &cover{track: t}
	for _, s := range t.Segments {
		if s.Period == period {
			c.spans = append(c.spans, Span{s.Time.Duration(t.Timescale), (s.Time + s.Duration).Duration(t.Timescale)})
			c.last = s.Last.Duration(t.Timescale)
		}
	}
	c.spans = c.spans.merge()
	return c
}

// Has reports whether there is any media of a kind in the recording.
func (r *Recording) has(k media.Kind) bool {
	for _, t := range r.Tracks {
		if t.Kind == k && len(t.Segments) > 0 {
			return true
		}
	}
	return false
}

// auditPeriods checks that each Period is whole: it has every kind of media that
// the recording has, from its beginning to its end, in at least one
// Representation. The last Period of a recording that runs is still being made.
func (r *Recording) auditPeriods(problem func(where, format string, args ...any)) {
	for _, p := range r.media() {
		if p.index == len(r.Periods)-1 && r.Dynamic {
			break
		}
		for _, k := range kinds {
			if !r.has(k) {
				continue
			}
			if c := p.covers[k]; c != nil {
				p.auditCover(c, k, problem)
				continue
			}
			problem(where(p.index), "%s, has no %s: %s", p.from(), k, withoutKind[k])
		}
	}
}

// withoutKind says what players do with a Period that lacks a kind.
var withoutKind = map[media.Kind]string{
	media.Video: "Shaka Player shows no picture in the whole recording, dash.js stands still there",
	media.Audio: "Shaka Player plays no sound in the whole recording",
}

// endsEarly says what players do where a kind ends before its Period.
var endsEarly = map[media.Kind]string{
	media.Video: "Shaka Player and dash.js skip that, and dash.js stands still where it is more than a second",
	media.Audio: "Shaka Player and dash.js skip that, and Firefox stands still where it is ten seconds",
}

// auditCover checks that a kind of media is there from the beginning of its Period
// to its end, and not beyond.
func (p *periodMedia) auditCover(c *cover, k media.Kind, problem func(where, format string, args ...any)) {
	if d := c.start() - p.start; d > p.slack {
		problem(where(p.index), "%s, its %s begins %s late: Shaka Player skips that, or stands still", p.from(), k, sec(d))
	} else if -d > p.slack {
		problem(where(p.index), "%s, its %s begins %s before it: players leave that out", p.from(), k, sec(-d))
	}
	if p.end == 0 {
		return
	}
	if d := p.end - c.end(); d > p.slack {
		problem(where(p.index), "%s, its %s ends %s early: %s", p.from(), k, sec(d), endsEarly[k])
	} else if -d > p.slack {
		problem(where(p.index), "%s, its %s ends %s after it: players leave that out", p.from(), k, sec(-d))
	}
}
