package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Clip is a part of a recording.
type Clip struct {
	Presentation *Presentation // of the whole recording; it is not changed
	// Folder is where the recording's objects are, as a part of a URL that ends with a
	// slash, relative to the manifests that the clip gets into.
	Folder string
	// From and To are the media time of the part: [From, To).
	From, To time.Duration
}

// Start returns when the clip begins on the wall clock.
func (c *Clip) Start() time.Time { return c.Presentation.AvailabilityStart.Add(c.From) }

// Join returns clips, which are in the order of time, as one presentation on the wall
// clock. It has whole segments: it begins with the key frame at or before the time that is
// asked for, and ends with the segment in which that time is. Each Period of a clip is a
// Period, and where a clip lasts into the next one, it ends where that begins. The result
// is static, and its media time 0 is where its first Period begins.
func Join(id string, clips []Clip) *Presentation {
	j := &Presentation{ID: id}
	for i := range clips {
		c := &clips[i]
		p := c.Presentation
		periods := c.periods()
		if len(periods) == 0 {
			continue
		}
		if len(j.Periods) == 0 {
			j.AvailabilityStart = p.AvailabilityStart.Add(periods[0].Start)
		}
		ahead := p.AvailabilityStart.Sub(j.AvailabilityStart)
		for _, q := range periods {
			q.Start += ahead
			q.offset -= ahead
			q.ID = fmt.Sprintf("p%d", j.AvailabilityStart.Add(q.Start).UnixMilli())
			j.append(q)
		}
		if p.Published.After(j.Published) {
			j.Published = p.Published
		}
		j.SegmentDuration = max(j.SegmentDuration, p.SegmentDuration)
		j.MaxSegmentDuration = max(j.MaxSegmentDuration, p.MaxSegmentDuration)
	}
	for i := range j.Periods {
		j.LongestSegment = max(j.LongestSegment, j.Periods[i].longest())
		j.Duration = j.Periods[i].Start + j.Periods[i].Duration
	}
	return j
}

// append adds a Period behind the others, which end where it begins.
func (p *Presentation) append(q Period) {
	for len(p.Periods) > 0 && p.Periods[len(p.Periods)-1].Start >= q.Start {
		p.Periods = p.Periods[:len(p.Periods)-1]
	}
	if len(p.Periods) > 0 {
		last := &p.Periods[len(p.Periods)-1]
		if last.Start+last.Duration > q.Start {
			last.Duration = q.Start - last.Start
			last.cut(last.Start+last.offset, q.Start+last.offset)
		}
	}
	p.Periods = append(p.Periods, q)
}

// periods returns the Periods of the clip, cut to it, with the media time and the
// durations of their recording.
func (c *Clip) periods() (list []Period) {
	for i := range c.Presentation.Periods {
		q := &c.Presentation.Periods[i]
		end := q.end()
		if !q.HasMedia() || c.To <= q.Start || c.From >= end {
			continue
		}
		part := Period{Start: q.Start, Sets: q.Sets}
		if c.From > q.Start {
			part.Start = q.edge(c.From, begins, earlier)
		}
		if c.To < end {
			end = q.edge(c.To-1, ends, later)
		}
		part.cut(part.Start, end)
		part.each(func(_ media.Kind, r *Representation) { r.Init, r.Media = c.Folder+r.Init, c.Folder+r.Media })
		// Whole milliseconds, as all times of Periods; no key frame may be before the start.
		part.Start = part.Start.Truncate(time.Millisecond)
		part.Duration = (end + time.Millisecond - 1).Truncate(time.Millisecond) - part.Start
		if part.HasMedia() && part.Duration > 0 {
			list = append(list, part)
		}
	}
	return list
}

// end returns where the Period ends: where that is written, or where its last segment
// does.
func (q *Period) end() (end time.Duration) {
	if q.Duration > 0 {
		return q.Start + q.Duration
	}
	q.each(func(_ media.Kind, r *Representation) { end = max(end, r.Timeline.End().Duration(r.Format.Timescale)) })
	return end
}

// each calls do for each Representation that has segments.
func (q *Period) each(do func(kind media.Kind, r *Representation)) {
	for i := range q.Sets {
		for j := range q.Sets[i].Representations {
			if r := &q.Sets[i].Representations[j]; r.segments() > 0 {
				do(q.Sets[i].Kind, r)
			}
		}
	}
}

func begins(s media.Segment) media.Ticks { return s.Time }
func ends(s media.Segment) media.Ticks   { return s.Time + s.Duration }

func earlier(a, b time.Duration) time.Duration { return min(a, b) }
func later(a, b time.Duration) time.Duration   { return max(a, b) }

// edge returns the edge of the segments that have a time: of the pictures' where there are
// any at that time, because a picture is seen from its key frame on alone. Where nothing
// has it, it is the time itself.
func (q *Period) edge(at time.Duration, of func(media.Segment) media.Ticks, choose func(a, b time.Duration) time.Duration) time.Duration {
	var edges [media.Audio + 1][]time.Duration
	q.each(func(kind media.Kind, r *Representation) {
		if i, ok := r.Timeline.find(at, r.Format.Timescale); ok {
			edges[kind] = append(edges[kind], of(r.Timeline.segment(i)).Duration(r.Format.Timescale))
		}
	})
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		if list := edges[kind]; len(list) > 0 {
			edge := list[0]
			for _, e := range list[1:] {
				edge = choose(edge, e)
			}
			return edge
		}
	}
	return at
}

// cut leaves the segments that have a part of [from, to) of their media time, in sets of
// its own.
func (q *Period) cut(from, to time.Duration) {
	sets := make([]AdaptationSet, 0, len(q.Sets))
	for _, set := range q.Sets {
		list := set.Representations
		set.Representations = nil
		for _, r := range list {
			if r.segments() == 0 {
				continue
			}
			first, t := r.Timeline.part(from, to, r.Format.Timescale)
			if t.Len() == 0 {
				continue
			}
			r.StartNumber, r.Timeline = r.StartNumber+first, t
			set.Representations = append(set.Representations, r)
		}
		if len(set.Representations) > 0 {
			sets = append(sets, set)
		}
	}
	q.Sets = sets
}

// longest returns the length of the longest segment.
func (q *Period) longest() (longest time.Duration) {
	q.each(func(_ media.Kind, r *Representation) {
		for i := range r.Timeline.Len() {
			longest = max(longest, r.Timeline.segment(i).Duration.Duration(r.Format.Timescale))
		}
	})
	return longest
}

// find returns the segment in which a time is.
func (t *Timeline) find(at time.Duration, timescale uint32) (i int, ok bool) {
	i = t.after(at, timescale)
	return i, i < len(t.segments) && t.segments[i].time.Duration(timescale) <= at
}

// after returns the first segment that ends after a time.
func (t *Timeline) after(at time.Duration, timescale uint32) int {
	i, _ := slices.BinarySearchFunc(t.segments, at, func(s segment, at time.Duration) int {
		if s.time.Duration(timescale) <= at {
			return -1
		}
		return 1
	})
	// The one before begins at that time or before.
	if i > 0 {
		if s := t.segment(i - 1); (s.Time + s.Duration).Duration(timescale) > at {
			return i - 1
		}
	}
	return i
}

// part returns the segments that have a part of [from, to), and the number of those before
// them.
func (t *Timeline) part(from, to time.Duration, timescale uint32) (first int, part *Timeline) {
	first = t.after(from, timescale)
	part = NewTimeline(t.end)
	for i := first; i < len(t.segments) && t.segments[i].time.Duration(timescale) < to; i++ {
		s := t.segment(i)
		if i == first {
			part = NewTimeline(s.Time)
		}
		part.dash.add(part.start, s.Duration)
		part.segments = append(part.segments, t.segments[i])
		part.bytes += s.Bytes
		part.loses = part.loses || t.segments[i].lost
		part.end += s.Duration
	}
	return first, part
}

// Names reports whether the presentation names an object.
func (p *Presentation) Names(object string) bool {
	named := false
	for i := range p.Periods {
		p.Periods[i].each(func(_ media.Kind, r *Representation) { named = named || r.names(object) })
	}
	return named
}

// names reports whether an object is the init segment or one of the segments.
func (r *Representation) names(object string) bool {
	if object == r.Init {
		return true
	}
	before, after, _ := strings.Cut(r.Media, media.NumberField)
	digits, ok := strings.CutPrefix(object, before)
	if !ok {
		return false
	}
	digits, _ = strings.CutSuffix(digits, after)
	number, err := strconv.Atoi(digits)
	return err == nil && number >= r.StartNumber && number < r.StartNumber+r.segments() && media.SegmentName(r.Media, number) == object
}
