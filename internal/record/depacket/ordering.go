package depacket

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

const (
	// maxReorder is the largest depth that codecs allow (Rec. ITU-T H.264 A.3.1,
	// H.265 A.4.2), in pictures.
	maxReorder = 16
	// maxQueued bounds the frames that wait for one whose place never comes.
	maxQueued = 4 * maxReorder
	// backLimit is how far a picture may be shown before one that was decoded
	// earlier; what goes back further is another clock.
	backLimit = time.Second
)

// ordering gives frames their decode times. RTP carries presentation times alone,
// in decoding order: the decode times are the same times, sorted. So the first
// picture of a group has one for both, each frame lasts as long as the pictures
// are apart, and offsets are negative for B-frames.
//
// The n-th decode time is known once no later frame can be shown before it. How
// many frames that takes at most is the depth: the bitstream says it, and where
// it does not, the first B-frames do: their decode times are squeezed in, a tick
// each, behind those that were given already. A stream that reorders nothing has
// depth 0, and its frames pass through, as all do of one that cannot.
//
// Some senders put decode times into RTP. The bitstream's own order of pictures
// shows it: a B-frame is later than what is shown after it. The times are then
// right for decoding, and are given out once more in the order of being shown.
type ordering struct {
	clockRate uint32

	frames  []*queued // in decoding order, Timestamp is the time that was sent
	times   []int64   // theirs that have not been given out, sorted
	arrival time.Time // of the last frame that came

	started bool
	last    int64             // decode time
	shown   [maxReorder]int64 // presentation times of the last frames that left, a ring
	left    int               // frames that left
	learned int               // depth that was observed
	came    int64             // time of the last frame that came
	untold  int               // B-frames in a row of which nothing has told the order

	// Of the group of pictures since the last key frame:
	latest    int64 // the place of the picture that is shown last, of those that came
	latestAt  int64 // and the latest time
	counted   bool  // there was one with a place
	byDecoder bool  // the sender sends decode times
}

// queued is a frame that waits for its other time.
type queued struct {
	*media.Frame
	order int64
	shown int64 // presentation time, if placed
	// placed says that of a sender of decode times the frame has its presentation time.
	placed bool
}

// place is a unit's place among the pictures that are shown.
type place struct {
	depth         int
	order         int64
	ordered       bool
	bidirectional bool
}

// push takes the next frame in decoding order, with the time that was sent as
// Timestamp, and appends those that have both times to out.
func (o *ordering) push(f *media.Frame, p place, out []Result) []Result {
	o.arrival = f.Arrival
	if p.depth == codec.InOrder {
		out = o.flush(out)
		o.started, o.last = true, f.Timestamp
		return append(out, Result{Frame: f})
	}
	if f.Key || o.jumped(f.Timestamp, p.depth) {
		// Nothing is shown before a key frame that comes after it.
		out = o.flush(out)
		if o.started && f.Timestamp <= o.last {
			o.restart()
		}
	}
	if f.Key {
		o.counted = false
	}
	if by := o.judge(f.Timestamp, &p); by != o.byDecoder {
		if o.byDecoder {
			out = o.flush(out)
		}
		o.byDecoder = by
	}
	if o.started && f.Timestamp < o.last {
		o.learn(f.Timestamp)
	}
	o.count(f, &p)
	depth := min(max(p.depth, o.learned), maxReorder)
	if depth == 0 && len(o.frames) == 0 {
		return o.leave(f, f.Timestamp, f.Timestamp, out)
	}
	at, _ := slices.BinarySearch(o.times, f.Timestamp)
	o.times = slices.Insert(o.times, at, f.Timestamp)
	o.frames = append(o.frames, &queued{Frame: f, order: p.order})
	if o.byDecoder {
		return o.show(depth, out)
	}
	for len(o.frames) > depth {
		out = o.pop(out)
	}
	return out
}

// untoldLimit is how many B-frames in a row show that their order cannot be told.
// Where times are presentation times, one of the first few goes back in time.
const untoldLimit = 4 * maxReorder

// count counts the B-frames of which neither the bitstream nor the times have told
// when they are shown.
func (o *ordering) count(f *media.Frame, p *place) {
	switch {
	case p.ordered, f.Timestamp < o.came && !f.Key:
		o.untold = 0
	case p.bidirectional:
		o.untold++
	}
	o.came = f.Timestamp
}

// judge finds out whether the sender sends decode times: by a B-frame that is shown
// before a picture which came with an earlier time. One with a time before that of
// another shows the opposite.
func (o *ordering) judge(at int64, p *place) (byDecoder bool) {
	byDecoder = o.byDecoder
	switch {
	case !p.ordered:
		o.counted = false
		return false
	case !o.counted:
		o.counted, o.latest, o.latestAt = true, p.order, at
		return byDecoder
	case at < o.latestAt:
		byDecoder = false
	case p.order < o.latest && p.bidirectional && !byDecoder:
		byDecoder = true
		o.learned = max(o.learned, 1) // the picture after it has left, if nothing waits
	}
	o.latest, o.latestAt = max(o.latest, p.order), max(o.latestAt, at)
	return byDecoder
}

// show gives frames of a sender of decode times their presentation times: the earliest
// to that which is shown first, when more than depth wait for theirs.
func (o *ordering) show(depth int, out []Result) []Result {
	for {
		waiting, first := 0, -1
		for i, f := range o.frames {
			if f.placed {
				continue
			}
			waiting++
			if first < 0 || f.order < o.frames[first].order {
				first = i
			}
		}
		if waiting <= depth && (waiting == 0 || len(o.frames) < maxQueued) {
			break
		}
		o.frames[first].placed, o.frames[first].shown = true, o.times[0]
		o.times = slices.Delete(o.times, 0, 1)
	}
	for len(o.frames) > 0 && o.frames[0].placed {
		f := o.frames[0]
		o.frames = slices.Delete(o.frames, 0, 1)
		out = o.leave(f.Frame, f.Timestamp, f.shown, out)
	}
	return out
}

// jumped reports whether a time is too far back to be of a reordered picture.
func (o *ordering) jumped(at int64, depth int) bool {
	limit := backLimit
	if depth > 0 { // one that is known to reorder may have few pictures a second
		limit *= maxReorder
	}
	return o.started && at < o.last-int64(media.TicksOf(limit, o.clockRate))
}

// learn raises the depth to that of a frame that is shown before frames that have
// left.
func (o *ordering) learn(at int64) {
	depth := 0
	for _, f := range o.frames {
		if f.Timestamp > at {
			depth++
		}
	}
	for i := range min(o.left, maxReorder) {
		if o.shown[i] > at {
			depth++
		}
	}
	o.learned = max(o.learned, depth)
}

// pop lets the first frame go, with the earliest of the times.
func (o *ordering) pop(out []Result) []Result {
	f, at := o.frames[0], o.times[0]
	o.frames, o.times = slices.Delete(o.frames, 0, 1), slices.Delete(o.times, 0, 1)
	return o.leave(f.Frame, at, f.Timestamp, out)
}

// leave gives f its decode time, which is after that of the frame before it, and its
// presentation time.
func (o *ordering) leave(f *media.Frame, at, shown int64, out []Result) []Result {
	before := o.shown[(o.left+maxReorder-1)%maxReorder]
	twice := at == f.Timestamp && before == at // is for the reader to judge
	if o.started && at <= o.last && !twice {
		at = o.last + 1
	}
	o.shown[o.left%maxReorder] = shown
	o.left++
	o.started, o.last = true, at
	f.Timestamp, f.Composition = at, media.Ticks(shown-at)
	return append(out, Result{Frame: f})
}

// flush lets all frames go: nothing that is shown before any of them will come.
func (o *ordering) flush(out []Result) []Result {
	if o.byDecoder {
		return o.show(0, out)
	}
	for len(o.frames) > 0 {
		out = o.pop(out)
	}
	return out
}

// restart begins with another clock.
func (o *ordering) restart() {
	*o = ordering{clockRate: o.clockRate, learned: o.learned, came: o.came, untold: o.untold}
}
