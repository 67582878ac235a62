package manifest

import (
	"fmt"
	"strconv"

	"github.com/live777/recorder/internal/media"
)

// Timeline has the closed segments of one Representation in one Period, one after the
// other without a hole: a player that looks for the next segment at the end of the last
// one never finds it behind a hole.
//
// What of a manifest cannot change any more is kept as text, so that a segment costs the
// same in the last hour of a day as in the first. Not safe for concurrent use.
type Timeline struct {
	start    media.Ticks
	end      media.Ticks
	segments []segment
	bytes    int64 // of all of them
	loses    bool  // one of them is lost
	dash     runs
	hls      lines
	tail     tail
}

// lines is the text of the first segments in an HLS playlist.
type lines struct {
	text  []byte
	count int // segments
}

// segment is what is kept of a segment: there are many.
type segment struct {
	time   media.Ticks
	bytes  int64
	frames int64
	lost   bool // storage has it no more
}

// NewTimeline returns a timeline without segments whose first one will start at
// start, in ticks of the Representation's timescale.
func NewTimeline(start media.Ticks) *Timeline {
	return &Timeline{start: start, end: start}
}

// begin sets the start of a timeline without segments.
func (t *Timeline) begin(at media.Ticks) { t.start, t.end = at, at }

// Start returns the start of the first segment.
func (t *Timeline) Start() media.Ticks { return t.start }

// End returns the end of the last segment, or Start where there is none.
func (t *Timeline) End() media.Ticks { return t.end }

// Len returns the number of segments.
func (t *Timeline) Len() int { return len(t.segments) }

// Append adds a segment. One that does not start at End, or is not longer than
// 0, or starts before 0 is an error and changes nothing.
func (t *Timeline) Append(s media.Segment) error {
	switch {
	case s.Time != t.end:
		return fmt.Errorf("append segment: it starts at %d, the one before ends at %d", s.Time, t.end)
	case s.Time < 0:
		return fmt.Errorf("append segment: start %d is before 0", s.Time)
	case s.Duration <= 0:
		return fmt.Errorf("append segment: duration is %d", s.Duration)
	}
	t.dash.add(t.start, s.Duration)
	t.segments = append(t.segments, segment{time: s.Time, bytes: s.Bytes, frames: s.Frames})
	t.bytes += s.Bytes
	t.end += s.Duration
	return nil
}

// Lose notes that the i-th segment, from 0, is not in storage any more.
func (t *Timeline) Lose(i int) {
	t.segments[i].lost, t.loses = true, true
	t.hls = lines{}
}

// segment returns the i-th segment, without its number and name.
func (t *Timeline) segment(i int) media.Segment {
	end := t.end
	if i+1 < len(t.segments) {
		end = t.segments[i+1].time
	}
	s := t.segments[i]
	return media.Segment{Time: s.time, Duration: end - s.time, Bytes: s.bytes, Frames: s.frames}
}

// runs are the S elements of a SegmentTimeline (ISO/IEC 23009-1 5.3.9.6): runs of equal
// durations are one.
type runs struct {
	closed []byte      // S elements of the closed runs
	last   media.Ticks // duration of the segments of the open run
	count  int         // segments in the open run; 0 before the first segment
}

// add adds a segment to a timeline that begins at start.
func (r *runs) add(start, duration media.Ticks) {
	if duration != r.last && r.count > 0 {
		r.closed = r.appendRun(r.closed, start)
		r.count = 0
	}
	r.last = duration
	r.count++
}

// append appends the S elements of all segments.
func (r *runs) append(dst []byte, start media.Ticks) []byte {
	dst = append(dst, r.closed...)
	if r.count > 0 {
		dst = r.appendRun(dst, start)
	}
	return dst
}

// appendRun appends the open run as an S element. Only the first of a timeline
// has a time: with one on each, a reader could be told of a hole.
func (r *runs) appendRun(dst []byte, start media.Ticks) []byte {
	dst = append(dst, "<S"...)
	if len(r.closed) == 0 {
		dst = appendInt(dst, "t", int64(start))
	}
	dst = appendInt(dst, "d", int64(r.last))
	if r.count > 1 {
		dst = appendInt(dst, "r", int64(r.count-1)) // repeats, not segments
	}
	return append(dst, "/>"...)
}

// size bounds the length of what append appends, in bytes.
func (r *runs) size() int { return len(r.closed) + len(`<S t="" d="" r=""/>`) + 3*maxDigits }

// maxDigits is the length of the longest int64 in decimal.
const maxDigits = len("-9223372036854775808")

// appendInt appends an attribute with an integer value.
func appendInt(dst []byte, name string, v int64) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	dst = strconv.AppendInt(dst, v, 10)
	return append(dst, '"')
}
