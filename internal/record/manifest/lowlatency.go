package manifest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// This file has what low latency adds to HLS (RFC 8216bis): the chunks of the segments at
// the live edge, and which playlist a player waits for.

const (
	// lowVersion is the EXT-X-VERSION of playlists that may leave segments out.
	lowVersion = 9
	// partTargets is for how many target durations before the live edge chunks are named
	// (RFC 8216bis 4.4.4.9), skipTargets for how many segments are never left out (4.4.3.8).
	partTargets, skipTargets = 3, 6
	// partSegments is of how many closed segments chunks are named at most: readers that
	// count take the open one, even if it has none yet, for the third.
	partSegments = 2
	// holdBackParts is how many chunks players stay behind the live edge, holdBackTargets
	// how many segments those that know of no chunks (4.4.3.8).
	holdBackParts, holdBackTargets = 3, 3
	// partStep is what the part target is a multiple of: it changes seldom then.
	partStep = 50 * time.Millisecond
)

// Part is a chunk of a segment.
type Part struct {
	Duration media.Ticks
	Bytes    int64
	Key      bool // it can be decoded without what is before it
}

// tail has the chunks of a timeline's last segments.
type tail struct {
	first int      // the segment that the first of parts is of
	parts [][]Part // of one segment each; the last may be of the open one
}

// of returns the chunks of the i-th segment, as far as they are known.
func (t *tail) of(i int) []Part {
	if i < t.first || i >= t.first+len(t.parts) {
		return nil
	}
	return t.parts[i-t.first]
}

// add adds a chunk to the i-th segment.
func (t *tail) add(i int, p Part) {
	if len(t.parts) == 0 {
		t.first = i
	}
	for t.first+len(t.parts) <= i {
		t.parts = append(t.parts, nil)
	}
	t.parts[i-t.first] = append(t.parts[i-t.first], p)
}

// open returns the chunks of the segment that is not closed.
func (t *Timeline) open() []Part { return t.tail.of(len(t.segments)) }

// forget drops the chunks of segments that begin so long before the end.
func (t *Timeline) forget(age time.Duration, timescale uint32) { t.tail = t.newer(age, timescale) }

// newer returns the chunks without those of segments that begin so long before the end of
// the open one, or are too many.
func (t *Timeline) newer(age time.Duration, timescale uint32) tail {
	end, e := t.end, t.tail
	for _, p := range t.open() {
		end += p.Duration
	}
	old := func(i int) bool {
		return i < len(t.segments)-partSegments || (end-t.segments[i].time).Duration(timescale) > age
	}
	for len(e.parts) > 0 && e.first < len(t.segments) && old(e.first) {
		e.parts = e.parts[1:]
		e.first++
	}
	return e
}

// AddChunk appends a chunk to the open segment of a Representation. What is of another
// segment is left out.
func (r *Representation) AddChunk(c media.Chunk) {
	t := r.Timeline
	if c.Number != r.StartNumber+t.Len() {
		return
	}
	if t.Len() == 0 && len(t.open()) == 0 {
		t.begin(c.Time)
	}
	t.tail.add(t.Len(), Part{c.Duration, c.Bytes, c.Key})
}

// Open returns the name of the segment that is written next or now, and how many bytes its
// chunks have.
func (r *Representation) Open() (name string, bytes int64) {
	for _, p := range r.Timeline.open() {
		bytes += p.Bytes
	}
	return media.SegmentName(r.Media, r.StartNumber+r.Timeline.Len()), bytes
}

// Opens reports whether an object is a segment that is written now, or next.
func (p *Presentation) Opens(object string) bool {
	if len(p.Periods) == 0 {
		return false
	}
	found := false
	p.Periods[len(p.Periods)-1].each(func(_ media.Kind, r *Representation) {
		name, _ := r.Open()
		found = found || name == object
	})
	return found
}

// count returns how many segments there are; with low, the open one is one that has a chunk.
func (r *Representation) count(low bool) int {
	n := r.segments()
	if low && r.Timeline != nil && len(r.Timeline.open()) > 0 {
		n++
	}
	return n
}

// Tail has the chunks of the segments at the live edge of a recording, by the name of the
// segment.
type Tail struct {
	Chunk time.Duration // Presentation.ChunkDuration
	Parts map[string][]Part
}

// Tail returns the chunks at the live edge. Nobody changes them afterwards.
func (p *Presentation) Tail() Tail {
	t := Tail{p.ChunkDuration, map[string][]Part{}}
	if len(p.Periods) == 0 {
		return t
	}
	for _, s := range p.Periods[len(p.Periods)-1].Sets {
		for _, r := range s.Representations {
			if r.Timeline == nil {
				continue
			}
			for i, parts := range r.Timeline.tail.parts {
				t.Parts[media.SegmentName(r.Media, r.StartNumber+r.Timeline.tail.first+i)] = slices.Clip(parts)
			}
		}
	}
	return t
}

// Attach adds the chunks of a recording whose objects are in a folder to the presentation,
// which has the segments of its last Period already.
func (p *Presentation) Attach(t Tail, folder string) {
	if len(p.Periods) == 0 || !p.Dynamic {
		return
	}
	p.ChunkDuration = t.Chunk
	p.Periods[len(p.Periods)-1].each(func(_ media.Kind, r *Representation) {
		if !strings.HasPrefix(r.Media, folder) {
			return
		}
		for i := range r.Timeline.Len() + 1 {
			name := media.SegmentName(r.Media[len(folder):], r.StartNumber+i)
			for _, part := range t.Parts[name] {
				r.Timeline.tail.add(i, part)
			}
		}
	})
}

// Has reports whether a playlist has come so far as a player waits for. What nobody may
// wait for yet is a fault.Invalid (RFC 8216bis 6.2.5.2).
func (p *Presentation) Has(name string, q media.Reload) (bool, error) {
	if !q.Waits() || !p.Dynamic {
		return true, nil
	}
	h := p.hls(true)
	t := h.track(name)
	if t == nil {
		return true, nil // nor does it ever
	}
	closed := 0
	for _, part := range t.parts {
		closed += part.rep.Timeline.Len()
	}
	if q.Sequence > closed+1 {
		return false, fault.Errorf(fault.Invalid, "_HLS_msn %d is further ahead than the next but one segment, which is %d", q.Sequence, closed+1)
	}
	last := t.parts[len(t.parts)-1].edge(h)
	parts := func(sequence int) int { return len(last.of(last.closed + sequence - closed)) }
	if n := parts(q.Sequence); q.Sequence < closed && n > 0 && q.Part >= n {
		q.Sequence, q.Part = q.Sequence+1, 0 // the segment has ended before that chunk
	}
	return q.Sequence < closed || q.Sequence == closed && q.Part >= 0 && q.Part < parts(closed), nil
}

// edge is the chunks of the last Period of a track.
type edge struct {
	tail
	closed int // segments of the Period
}

// edge returns the live edge of a track whose last part q is.
func (q *part) edge(h *hls) edge {
	e := edge{closed: q.rep.Timeline.Len()}
	if h.p.Dynamic && !q.gap {
		e.tail = q.rep.Timeline.newer(partTargets*h.p.target(), q.rep.Format.Timescale)
	}
	return e
}

// track returns the track of a media playlist, nil if there is none.
func (h *hls) track(name string) *hlsTrack {
	for i := range h.tracks {
		if media.PlaylistName(h.tracks[i].id) == name {
			return &h.tracks[i]
		}
	}
	return nil
}

// AppendLive appends a manifest of a recording that runs, with the chunks at its live edge.
// With skip, segments that are old are left out of a playlist.
func (p *Presentation) AppendLive(dst []byte, name string, skip bool) (data []byte, ok bool) {
	if name == media.ManifestName {
		return p.AppendLiveMPD(dst), true
	}
	h := p.hls(true)
	if p.ChunkDuration == 0 || !p.Dynamic || name == media.IndexName && len(h.tracks) > 0 {
		return p.AppendPlaylist(dst, name)
	}
	t := h.track(name)
	if t == nil {
		return dst, false
	}
	left := 0
	if skip {
		left = h.old(t)
	}
	return h.appendLive(dst, t, left), true
}

// old returns how many segments of a track are so old that they may be left out.
func (h *hls) old(t *hlsTrack) (n int) {
	length := time.Duration(0)
	for _, q := range slices.Backward(t.parts) {
		for i := range q.rep.Timeline.Len() {
			if length > skipTargets*h.p.target() {
				n++
				continue
			}
			s := q.rep.Timeline.segment(q.rep.Timeline.Len() - 1 - i)
			length += s.Duration.Duration(q.rep.Format.Timescale)
		}
	}
	return n
}

// partTarget is the part target duration, which all playlists share.
func (h *hls) partTarget() time.Duration {
	longest := h.p.ChunkDuration
	for i := range h.tracks {
		q := &h.tracks[i].parts[len(h.tracks[i].parts)-1]
		for _, parts := range q.edge(h).parts {
			for _, part := range parts {
				longest = max(longest, part.Duration.Duration(q.rep.Format.Timescale))
			}
		}
	}
	return (longest + partStep - 1).Truncate(partStep)
}

// appendLive appends the media playlist of a track without its first segments, of which so
// many are left out.
func (h *hls) appendLive(dst []byte, t *hlsTrack, left int) []byte {
	dst = h.appendControl(dst)
	if left > 0 {
		dst = append(dst, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
		dst = strconv.AppendInt(dst, int64(left), 10)
		dst = append(dst, '\n')
	}
	before := 0 // segments of the parts before
	for i, q := range t.parts {
		from := max(left-before, 0)
		n := q.rep.Timeline.Len()
		before += n
		last := i == len(t.parts)-1
		if !last && from > 0 && from >= n {
			continue
		}
		if i > 0 && from == 0 {
			dst = append(dst, "#EXT-X-DISCONTINUITY\n"...)
		}
		dst = h.appendFrom(dst, q, from, last)
	}
	for i := range h.tracks {
		if other := &h.tracks[i]; other.id != t.id {
			dst = h.appendReport(dst, other)
		}
	}
	return dst
}

// appendControl appends the head of a media playlist.
func (h *hls) appendControl(dst []byte) []byte {
	target, part := h.p.target(), h.partTarget()
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, lowVersion, 10)
	dst = append(dst, "\n#EXT-X-TARGETDURATION:"...)
	dst = strconv.AppendInt(dst, int64(target/time.Second), 10)
	dst = append(dst, "\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="...)
	dst = appendSeconds(dst, holdBackParts*part)
	dst = append(dst, ",HOLD-BACK="...)
	dst = appendSeconds(dst, holdBackTargets*target)
	dst = append(dst, ",CAN-SKIP-UNTIL="...)
	dst = appendSeconds(dst, skipTargets*target)
	dst = append(dst, "\n#EXT-X-PART-INF:PART-TARGET="...)
	dst = appendSeconds(dst, part)
	return append(dst, "\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n"...)
}

// appendFrom appends what a media playlist has of one Period from a segment on, and of the
// last one the chunks.
func (h *hls) appendFrom(dst []byte, q part, from int, last bool) []byte {
	if !last && from == 0 {
		return h.appendPart(dst, q)
	}
	t := q.rep.Timeline
	edge := q.edge(h)
	start := t.start
	if from > 0 {
		start = t.segments[from].time
	}
	dst = h.appendBegin(dst, q, start)
	if !q.gap && from == 0 {
		dst, from = q.rep.appendKept(dst)
	}
	for i := from; i < t.Len(); i++ {
		s := q.rep.Segment(i)
		if q.gap {
			dst = appendLine(dst, s.Duration, q.rep.Format.Timescale, gapName, true)
			continue
		}
		if last {
			dst = q.rep.appendParts(dst, s.Name, edge.of(i))
		}
		dst = q.rep.appendSegment(dst, i)
	}
	if !last || q.gap {
		return dst
	}
	name, bytes := q.rep.Open()
	dst = q.rep.appendParts(dst, name, edge.of(t.Len()))
	dst = append(dst, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`...)
	dst = append(dst, name...)
	dst = append(dst, `",BYTERANGE-START=`...)
	dst = strconv.AppendInt(dst, bytes, 10)
	return append(dst, '\n')
}

// appendParts appends the lines of the chunks of a segment.
func (r *Representation) appendParts(dst []byte, name string, parts []Part) []byte {
	offset := int64(0)
	for _, p := range parts {
		dst = append(dst, "#EXT-X-PART:DURATION="...)
		dst = appendSeconds(dst, p.Duration.Duration(r.Format.Timescale))
		dst = append(dst, `,URI="`...)
		dst = append(dst, name...)
		dst = append(dst, `",BYTERANGE="`...)
		dst = strconv.AppendInt(dst, p.Bytes, 10)
		dst = append(dst, '@')
		dst = strconv.AppendInt(dst, offset, 10)
		dst = append(dst, '"')
		if p.Key {
			dst = append(dst, ",INDEPENDENT=YES"...)
		}
		dst = append(dst, '\n')
		offset += p.Bytes
	}
	return dst
}

// appendReport appends how far another playlist has come.
func (h *hls) appendReport(dst []byte, t *hlsTrack) []byte {
	sequence := -1
	for _, q := range t.parts {
		sequence += q.rep.Timeline.Len()
	}
	edge := t.parts[len(t.parts)-1].edge(h)
	parts := len(edge.of(edge.closed - 1))
	if open := len(edge.of(edge.closed)); open > 0 {
		sequence, parts = sequence+1, open
	}
	dst = append(dst, `#EXT-X-RENDITION-REPORT:URI="`...)
	dst = append(dst, media.PlaylistName(t.id)...)
	dst = append(dst, `",LAST-MSN=`...)
	dst = strconv.AppendInt(dst, int64(max(sequence, 0)), 10)
	if parts > 0 {
		dst = append(dst, ",LAST-PART="...)
		dst = strconv.AppendInt(dst, int64(parts-1), 10)
	}
	return append(dst, '\n')
}
