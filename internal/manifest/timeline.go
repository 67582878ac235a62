package manifest

import (
	"fmt"
	"strconv"

	"github.com/live777/recorder/internal/media"
)

// Timeline is the SegmentTimeline (ISO/IEC 23009-1 5.3.9.6) of one
// Representation in one Period: segments one after the other without a hole,
// for a player that looks for the next segment at the end of the last one
// never finds it behind a hole.
//
// Runs of equal durations are one S element. What cannot change any more is
// kept as text, so that a segment costs the same in the last hour of a day as
// in the first. Not safe for concurrent use.
type Timeline struct {
	start media.Ticks
	end   media.Ticks
	count int
	text  []byte      // S elements of the closed runs
	last  media.Ticks // duration of the segments of the open run
	run   int         // segments in the open run; 0 before the first segment
}

// NewTimeline returns a timeline without segments whose first one will start at
// start, in ticks of the Representation's timescale.
func NewTimeline(start media.Ticks) *Timeline {
	return &Timeline{start: start, end: start}
}

// Start returns the start of the first segment.
func (t *Timeline) Start() media.Ticks { return t.start }

// End returns the end of the last segment, or Start where there is none.
func (t *Timeline) End() media.Ticks { return t.end }

// Len returns the number of segments.
func (t *Timeline) Len() int { return t.count }

// Append adds a segment. One that does not start at End, or is not longer than
// 0, or starts before 0 is an error and changes nothing.
func (t *Timeline) Append(start, duration media.Ticks) error {
	switch {
	case start != t.end:
		return fmt.Errorf("append segment: it starts at %d, the one before ends at %d", start, t.end)
	case start < 0:
		return fmt.Errorf("append segment: start %d is before 0", start)
	case duration <= 0:
		return fmt.Errorf("append segment: duration is %d", duration)
	}
	if duration != t.last && t.run > 0 {
		t.text = t.appendRun(t.text)
		t.run = 0
	}
	t.last = duration
	t.run++
	t.count++
	t.end += duration
	return nil
}

// appendS appends the S elements of all segments.
func (t *Timeline) appendS(dst []byte) []byte {
	dst = append(dst, t.text...)
	if t.run > 0 {
		dst = t.appendRun(dst)
	}
	return dst
}

// appendRun appends the open run as an S element. Only the first of a timeline
// has a time: with one on each, a reader could be told of a hole.
func (t *Timeline) appendRun(dst []byte) []byte {
	dst = append(dst, "<S"...)
	if t.run == t.count {
		dst = appendInt(dst, "t", int64(t.start))
	}
	dst = appendInt(dst, "d", int64(t.last))
	if t.run > 1 {
		dst = appendInt(dst, "r", int64(t.run-1)) // repeats, not segments
	}
	return append(dst, "/>"...)
}

// size bounds the length of what appendS appends, in bytes.
func (t *Timeline) size() int { return len(t.text) + len(`<S t="" d="" r=""/>`) + 3*maxDigits }

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
