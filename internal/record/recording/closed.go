package recording

import "github.com/live777/recorder/internal/media"

// ClosedSegment is a segment to which nothing is written any more.
type ClosedSegment struct {
	Stream    string
	RecordDir string
	Kind      string
	Layer     int
	Start     float64 // media time, in seconds
	Duration  float64
	media.Segment
}

// tellClosed tells who wants to know that a segment is closed.
func (rec *Recording) tellClosed(l lane, s media.Segment) {
	tell := rec.host.Settings().Closed
	if tell == nil {
		return
	}
	rec.mu.Lock()
	told := ClosedSegment{Stream: rec.info.Stream, RecordDir: rec.dir, Kind: l.Kind.String(), Layer: l.Layer, Segment: s}
	if st := rec.states[l]; st != nil && st.Format != nil {
		told.Start = s.Time.Duration(st.Format.Timescale).Seconds()
		told.Duration = s.Duration.Duration(st.Format.Timescale).Seconds()
	}
	rec.mu.Unlock()
	tell(told)
}
