// Package manifest holds what a recording consists of, its Periods, tracks and
// closed segments, as one value (Presentation), and renders manifests from it: pure
// functions, the same text for the same input.
package manifest

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Representation is one encoding of a track in one Period.
type Representation struct {
	ID          string
	Format      *media.Format // Timescale is the timeline's; nil is allowed before the first segment
	Init        string        // file name of the init segment, relative to the manifest
	Media       string        // template of the media segments' file names: "v_seg_$Number%04d$.m4s"
	StartNumber int           // number of the timeline's first segment
	Timeline    *Timeline
	Bandwidth   int64  // bit/s, the peak over minBufferTime, which is one segment
	FrameRate   string // "30" or "30000/1001"; empty where it is not known
	measured    measured
}

// measured is what was found out of a Representation.
type measured struct {
	average int64   // bit/s; 0: not known
	rate    float64 // the most pictures that were sent in a second of a segment; 0: not known
}

// AdaptationSet is a set of Representations of the same content.
type AdaptationSet struct {
	ID              int // the same in every Period for the same track
	Kind            media.Kind
	Representations []Representation
}

// Period is a part of the recording with one set of formats.
type Period struct {
	ID       string
	Start    time.Duration   // on the media timeline, whole milliseconds
	Duration time.Duration   // until the end of what is in it; 0 while open
	Sets     []AdaptationSet // of all tracks from the start on, those without segments too
	// offset is the media time of the segments less that of the presentation: not 0 where
	// this is made of parts of recordings.
	offset time.Duration
}

// Presentation is a whole recording, from which every manifest of it is rendered. Its
// media timeline has holes only between Periods.
type Presentation struct {
	ID                 string
	AvailabilityStart  time.Time // wall clock of media time 0, whole milliseconds; never changes
	Dynamic            bool      // still being recorded
	Published          time.Time // of this version, whole milliseconds
	SegmentDuration    time.Duration
	ChunkDuration      time.Duration // what a chunk lasts at least; 0: nothing is known of chunks
	MaxSegmentDuration time.Duration // what a segment may last, beyond which a missing one is not waited for
	LongestSegment     time.Duration // what one has lasted so far
	Duration           time.Duration // static only: end of the last segment
	UTCTiming          string        // URL that answers with the time as xs:dateTime; dynamic only, may be empty
	Periods            []Period      // by Start
}

// Segment returns the i-th segment of a Representation, from 0.
func (r *Representation) Segment(i int) media.Segment {
	s := r.Timeline.segment(i)
	s.Number = r.StartNumber + i
	s.Name = media.SegmentName(r.Media, s.Number)
	return s
}

// Add appends a closed segment to a Representation of the presentation, and returns how
// long it is. A segment that does not fit the timeline is an error and changes nothing.
func (p *Presentation) Add(r *Representation, s media.Segment) (time.Duration, error) {
	if r.Timeline.Len() == 0 {
		r.Timeline.begin(s.Time) // which may be later than the track came
	}
	if err := r.Timeline.Append(s); err != nil {
		return 0, err
	}
	d := s.Duration.Duration(r.Format.Timescale)
	// A Period's last segment may have little more than a key frame.
	r.Bandwidth = max(r.Bandwidth, int64(float64(s.Bytes*8)/max(d, p.SegmentDuration).Seconds()))
	r.measured.average = int64(float64(r.Timeline.bytes*8) / (r.Timeline.end - r.Timeline.start).Duration(r.Format.Timescale).Seconds())
	if d >= p.SegmentDuration/2 {
		r.measured.rate = max(r.measured.rate, float64(s.Frames)/d.Seconds())
	}
	p.LongestSegment = max(p.LongestSegment, d)
	r.Timeline.forget(partTargets*p.target(), r.Format.Timescale)
	return d, nil
}

// Ready reports whether the MPD lists a segment. One that does not is for players
// of the Shaka kind, which wait for the first; dash.js gives up on it for good,
// so that a server does better to say that there is nothing to play yet.
func (p *Presentation) Ready() bool { return len(p.listed()) > 0 }

// Count returns the number of Periods that have a segment: the others are not listed.
func (p *Presentation) Count() (n int) {
	for i := range p.Periods {
		if p.Periods[i].HasMedia() {
			n++
		}
	}
	return n
}

// HasMedia reports whether the Period has a segment.
func (q *Period) HasMedia() bool {
	return slices.ContainsFunc(q.Sets, func(s AdaptationSet) bool {
		return slices.ContainsFunc(s.Representations, func(r Representation) bool { return r.segments() > 0 })
	})
}

// listed returns the Periods that have something to play, with the sets and
// Representations that have it.
func (p *Presentation) listed() []Period { return p.having(false) }

// having is listed; with low, chunks of a segment that is not closed count like one that is.
func (p *Presentation) having(low bool) []Period {
	var periods []Period
	for i, q := range p.Periods {
		if p.Dynamic && i == len(p.Periods)-1 && !p.settled(&q, low) {
			break
		}
		var sets []AdaptationSet
		for _, s := range q.Sets {
			s.Representations = slices.DeleteFunc(slices.Clone(s.Representations), func(r Representation) bool { return r.count(low) == 0 })
			if len(s.Representations) > 0 {
				sets = append(sets, s)
			}
		}
		if q.Sets = sets; len(sets) > 0 {
			periods = append(periods, q)
		}
	}
	return periods
}

// Shows reports whether the MPD lists the Period of an index, so that players
// have settled on the sets that it has.
func (p *Presentation) Shows(period int) bool {
	q := &p.Periods[period]
	if p.Dynamic && period == len(p.Periods)-1 && !p.settled(q, false) {
		return false
	}
	return q.HasMedia()
}

// settled reports whether it is known which sets of an open Period have media.
func (p *Presentation) settled(q *Period, low bool) bool {
	var longest time.Duration
	all := true
	for i := range q.Sets {
		for j := range q.Sets[i].Representations {
			r := &q.Sets[i].Representations[j]
			if r.count(low) == 0 {
				all = false
				continue
			}
			longest = max(longest, (r.Timeline.End() - r.Timeline.Start()).Duration(r.Format.Timescale))
		}
	}
	return all || longest > p.MaxSegmentDuration
}

// waiting returns the Period of an MPD that lists nothing: the schema wants one.
// A Representation needs no Format before it has segments; without one it cannot
// be described.
func (p *Presentation) waiting() Period {
	first := Period{ID: "p1"}
	if len(p.Periods) > 0 {
		first = p.Periods[0]
	}
	if !p.Dynamic {
		first.Sets = nil
		return first
	}
	first.Sets = slices.Clone(first.Sets)
	for i := range first.Sets {
		s := &first.Sets[i]
		s.Representations = slices.DeleteFunc(slices.Clone(s.Representations), func(r Representation) bool { return r.Format == nil })
		for j := range s.Representations {
			s.Representations[j].Timeline = nil
		}
	}
	first.Sets = slices.DeleteFunc(first.Sets, func(s AdaptationSet) bool { return len(s.Representations) == 0 })
	return first
}

func (r *Representation) segments() int {
	if r.Timeline == nil {
		return 0
	}
	return r.Timeline.Len()
}

// Held returns how many bytes of memory the presentation takes, roughly.
func (p *Presentation) Held() int64 {
	const perRepresentation, perSegment = 2000, 40
	held := int64(perRepresentation)
	for i := range p.Periods {
		p.Periods[i].each(func(_ media.Kind, r *Representation) {
			held += perRepresentation + perSegment*int64(r.segments()) + int64(r.Timeline.dash.size())
		})
	}
	return held
}
