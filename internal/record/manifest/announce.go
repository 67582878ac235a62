package manifest

import (
	"slices"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/media"
)

// This file has what low latency adds to DASH (ISO/IEC 23009-1 5.3.9.5.3): the segments that
// are being written, which a server sends chunk by chunk. How long one lasts is not known
// before its key frame comes: it is announced a little longer than those before it were, and
// the update after its end says how long it was. Players ask for the segment behind the end
// of the last one, which is in the next; too short, and they would ask for the last once more.

const (
	// openScheme is the descriptor of a Representation whose last segment is not closed.
	openScheme = "urn:live777:open:2026"
	// recentSegments is how many segments before the open one tell how long that may last.
	recentSegments = 8
	// leastUpdate is how often players look for new segments at least; updateBytes is how
	// many bytes of MPDs a second each may take for it.
	leastUpdate, updateBytes = time.Second, 64 << 10
	// lowDelaySegments is how far behind the live edge players are asked to stay that do not
	// read ServiceDescription. Shaka Player takes the end of an announced segment for the
	// edge, and adds availabilityTimeOffset to it.
	lowDelaySegments = 2
	// latencySlack is how much of the latency that is aimed at is for the network.
	latencySlack = 1500 * time.Millisecond
)

// announced tells a Representation what an MPD of low latency says of it; nil: there is none.
type announced struct {
	target, chunk time.Duration
	open          bool // its Period is the last
}

// low reports whether there are MPDs of low latency: chunks are much shorter than segments.
func (p *Presentation) low() bool {
	return p.Dynamic && p.ChunkDuration > 0 && p.latency(leastUpdate) < lowDelaySegments*p.SegmentDuration
}

// latency is what players aim at which look for new segments so often.
func (p *Presentation) latency(update time.Duration) time.Duration {
	return 2*p.ChunkDuration + update + latencySlack
}

// AppendLiveMPD is AppendMPD of a recording that runs, with the segments that are being
// written, for players that are less than a segment behind. Only who can serve them may
// publish it.
func (p *Presentation) AppendLiveMPD(dst []byte) []byte {
	if !p.low() {
		return p.AppendMPD(dst)
	}
	return p.appendMPD(dst, &announced{target: p.SegmentDuration, chunk: p.ChunkDuration})
}

// appendLow appends the attributes of an MPD by which players find new segments soon.
func (p *Presentation) appendLow(dst []byte) []byte {
	dst = appendDuration(dst, "minimumUpdatePeriod", p.update())
	return appendDuration(dst, "suggestedPresentationDelay", lowDelaySegments*p.SegmentDuration)
}

// update is how often players look for new segments: seldom where the MPD is long.
func (p *Presentation) update() time.Duration {
	return min(max(leastUpdate, time.Duration(p.size()/updateBytes)*time.Second), p.SegmentDuration)
}

// appendService appends the latency that players aim at.
func (p *Presentation) appendService(dst []byte) []byte {
	dst = append(dst, "<ServiceDescription id=\"0\"><Latency"...)
	dst = appendInt(dst, "target", p.latency(p.update()).Milliseconds())
	return append(dst, "/></ServiceDescription>\n"...)
}

// in returns what is said of a Period's Representations.
func (a *announced) in(p *Presentation, q *Period) *announced {
	if a == nil {
		return nil
	}
	last := &p.Periods[len(p.Periods)-1]
	return &announced{a.target, a.chunk, q.ID == last.ID}
}

// appendOffset appends since when segments can be had, before their ends.
func (a *announced) appendOffset(dst []byte, r *Representation) []byte {
	dst = append(dst, ` availabilityTimeOffset="`...)
	offset := a.expected(r, 0).Duration(r.Format.Timescale) - a.chunk
	dst = strconv.AppendFloat(dst, offset.Seconds(), 'f', 3, 64)
	return append(dst, `" availabilityTimeComplete="false"`...)
}

// opens reports whether a Representation has a segment that is being written.
func (a *announced) opens(r *Representation) bool {
	return a != nil && a.open && r.Timeline != nil && len(r.Timeline.open()) > 0
}

// runs returns the segments of a Representation with the one that is being written.
func (a *announced) runs(r *Representation) runs {
	all := r.Timeline.dash
	if a.opens(r) {
		all.closed = slices.Clip(all.closed) // what is appended is not the timeline's
		all.add(r.Timeline.start, a.expected(r, 0))
	}
	return all
}

// expected is how long the open segment, or the next, of a Representation may be, which has
// so much more than is known of it: as long as the longest of the last ones; where it is
// longer already, as long as those and so many segments more.
func (a *announced) expected(r *Representation, more media.Ticks) media.Ticks {
	ticks := func(d time.Duration) media.Ticks { return media.TicksOf(d, r.Format.Timescale) }
	longest, has := ticks(a.target), more
	if t := r.Timeline; t != nil {
		for i := max(0, t.Len()-recentSegments); i < t.Len(); i++ {
			longest = max(longest, t.segment(i).Duration)
		}
		for _, p := range t.open() {
			has += p.Duration
		}
	}
	longest += ticks(a.chunk) / 2
	for longest < has+ticks(a.chunk)/2 {
		longest += ticks(a.target)
	}
	return longest
}

// appendOpen appends that the last segment of a Representation is not closed.
func (a *announced) appendOpen(dst []byte, r *Representation) []byte {
	if !a.opens(r) {
		return dst
	}
	return append(dst, `<SupplementalProperty schemeIdUri="`+openScheme+`" value="1"/>`+"\n"...)
}

// Announces reports whether a chunk, which is the next of a Representation, changes what the
// MPD of low latency says.
func (p *Presentation) Announces(r *Representation, c media.Chunk) bool {
	if !p.low() || c.Number != r.StartNumber+r.Timeline.Len() {
		return false
	}
	a := announced{target: p.SegmentDuration, chunk: p.ChunkDuration, open: true}
	if !a.opens(r) {
		return true
	}
	return a.expected(r, c.Duration) != a.expected(r, 0)
}
