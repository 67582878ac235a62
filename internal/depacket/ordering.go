package depacket

import (
	"slices"
	"time"

	"github.com/live777/recorder/internal/codec"
	"github.com/live777/recorder/internal/media"
)

const (
	// maxReorder is the largest depth that codecs allow (Rec. ITU-T H.264 A.3.1,
	// H.265 A.4.2), in pictures.
	maxReorder = 16
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
type ordering struct {
	clockRate uint32

	frames  []*media.Frame // in decoding order, Timestamp is the presentation time
	times   []int64        // theirs, sorted
	arrival time.Time      // of the last frame that came

	started bool
	last    int64             // decode time
	shown   [maxReorder]int64 // presentation times of the last frames that left, a ring
	left    int               // frames that left
	learned int               // depth that was observed
}

// push takes the next frame in decoding order, with its presentation time as
// Timestamp, and appends those whose decode times are known to out.
func (o *ordering) push(f *media.Frame, depth int, out []Result) []Result {
	o.arrival = f.Arrival
	if depth == codec.InOrder {
		out = o.flush(out)
		o.started, o.last = true, f.Timestamp
		return append(out, Result{Frame: f})
	}
	if f.Key || o.jumped(f.Timestamp, depth) {
		// Nothing is shown before a key frame that comes after it.
		out = o.flush(out)
		if o.started && f.Timestamp <= o.last {
			o.restart()
		}
	}
	if o.started && f.Timestamp < o.last {
		o.learn(f.Timestamp)
	}
	depth = min(max(depth, o.learned), maxReorder)
	if depth == 0 && len(o.frames) == 0 {
		return o.leave(f, f.Timestamp, out)
	}
	at, _ := slices.BinarySearch(o.times, f.Timestamp)
	o.times = slices.Insert(o.times, at, f.Timestamp)
	o.frames = append(o.frames, f)
	for len(o.frames) > depth {
		out = o.pop(out)
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
	return o.leave(f, at, out)
}

// leave gives f its decode time, which is not before that of the frame before it.
func (o *ordering) leave(f *media.Frame, at int64, out []Result) []Result {
	twice := at == f.Timestamp && at == o.shown[(o.left+maxReorder-1)%maxReorder] // is for the reader to judge
	if o.started && at <= o.last && !twice {
		at = o.last + 1
	}
	o.shown[o.left%maxReorder] = f.Timestamp
	o.left++
	o.started, o.last = true, at
	f.Timestamp, f.Composition = at, media.Ticks(f.Timestamp-at)
	return append(out, Result{Frame: f})
}

// flush lets all frames go: nothing that is shown before any of them will come.
func (o *ordering) flush(out []Result) []Result {
	for len(o.frames) > 0 {
		out = o.pop(out)
	}
	return out
}

// restart begins with another clock.
func (o *ordering) restart() { *o = ordering{clockRate: o.clockRate, learned: o.learned} }
