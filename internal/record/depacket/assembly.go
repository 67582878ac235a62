package depacket

import (
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

const (
	// maxUnitBytes bounds what is held of one access unit, with packetCost for
	// each packet so that empty ones are bounded too.
	maxUnitBytes = 16 << 20
	packetCost   = 64

	// longPause is from when on the arrival helps to count the wraps of the
	// timestamp: half a cycle is 6.6 hours at 90 kHz.
	longPause = time.Hour
)

var errNoFormat = errors.New("the assembler returned an access unit without a format")

// assembly makes frames of packets that are in order.
type assembly struct {
	track     media.Track
	assembler codec.Assembler
	stats     *Stats
	order     ordering

	// The unit that is being collected:
	open     bool
	broken   bool // packets are missing, or there are too many
	joined   bool // what came right before it is unknown: it may lack its beginning
	payloads [][]byte
	size     int
	rtp      uint32
	arrival  time.Time

	// cut is what is wrong with the unit before the open one, if it ended where
	// the next began, without a marker, with no packet missing.
	cut error

	afterGap bool // the packets before the next one are unknown
	needKey  bool // the decoder has nothing to go on with
	decoding bool // a key frame was returned at some time
	markers  bool // the sender marks the last packet of a frame
	unmarked bool // it does not: a unit ended where the next began, with no packet missing

	timestamp     int64 // unwrapped, of the last packet
	timestampAt   time.Time
	timestampOnce bool // there was one
}

// restart forgets the open unit and waits for a beginning. A stream may be
// joined in the middle, so that also its first unit must prove to be whole.
func (a *assembly) restart() {
	a.close()
	a.afterGap = true
	a.markers, a.unmarked = false, false
	a.order = ordering{clockRate: a.track.ClockRate}
	a.needKey = a.track.Kind == media.Video
}

// gap notes that packets are missing before the next one.
func (a *assembly) gap(out []Result) []Result {
	a.afterGap = true
	out = a.settle(false, out)
	return a.lose(nil, out)
}

// settle decides about a unit that the sender did not end, by whether the next one is a
// key frame. If so, it is no loss: a sender that falls behind throws away its queue
// when the encoder makes a key frame, including the rest of a frame that it has begun
// to send (the pacer of libwebrtc does, before it gives packets their sequence
// numbers).
func (a *assembly) settle(key bool, out []Result) []Result {
	err := a.cut
	a.cut = nil
	switch {
	case err == nil:
		return out
	case key:
		a.stats.FramesUnfinished++
		return out
	}
	a.drop()
	a.needKey = true
	return append(a.order.flush(out), Result{Lost: true, Err: err})
}

// lose breaks the chain of frames, and the open unit, because of err or of a
// loss.
func (a *assembly) lose(err error, out []Result) []Result {
	a.needKey = a.track.Kind == media.Video
	a.broken = true
	a.forget()
	return append(a.order.flush(out), Result{Lost: true, Err: err})
}

// add takes the next packet in order. An access unit ends with the marker or
// with the first packet of another timestamp.
func (a *assembly) add(p *media.Packet, out []Result) []Result {
	if len(p.Payload) == 0 { // padding or probe: it only holds a sequence number
		return out
	}
	afterGap := a.afterGap
	a.afterGap = false
	if a.open && p.Timestamp != a.rtp {
		a.unmarked = a.unmarked || !afterGap
		out = a.finish(a.markers && !afterGap, out)
	}
	if !a.open {
		a.begin(p)
		a.joined = afterGap && a.track.Kind == media.Video
	}
	if p.Arrival.After(a.arrival) {
		a.arrival = p.Arrival
	}
	a.size += len(p.Payload) + packetCost
	switch {
	case a.broken:
	case a.size > maxUnitBytes:
		out = a.lose(ErrTooLarge, out)
	default:
		a.payloads = append(a.payloads, p.Payload)
	}
	a.markers = a.markers || p.Marker
	if p.Marker || a.track.Kind == media.Audio {
		out = a.finish(false, out)
	}
	return out
}

// begin opens the unit of p.
func (a *assembly) begin(p *media.Packet) {
	a.open, a.broken, a.size = true, false, 0
	a.rtp, a.arrival = p.Timestamp, p.Arrival
	expected := a.timestamp
	if !a.timestampOnce {
		expected, a.timestampOnce = int64(p.Timestamp), true
	} else if pause := p.Arrival.Sub(a.timestampAt); pause > longPause {
		expected += int64(media.TicksOf(pause, a.track.ClockRate))
	}
	a.timestamp = expected + int64(int32(p.Timestamp-uint32(expected)))
	a.timestampAt = p.Arrival
}

// finish closes the unit, which has all its packets unless it is broken, or cut
// says that the sender may not have sent its end.
func (a *assembly) finish(cut bool, out []Result) []Result {
	defer a.close()
	if a.joined && len(a.payloads) > 0 && !a.assembler.Starts(a.payloads) {
		a.broken = true
	}
	if a.broken {
		out = a.settle(false, out)
		a.drop()
		return out
	}
	u, err := a.assembler.Assemble(a.payloads)
	if err != nil || len(u.Data) > 0 {
		out = a.settle(err == nil && u.Key, out)
	}
	switch {
	case err != nil && cut:
		a.cut = fmt.Errorf("assemble access unit: %w", err)
		return out
	case err != nil:
		a.drop()
		return a.lose(fmt.Errorf("assemble access unit: %w", err), out)
	case len(u.Data) == 0: // parameter sets alone
		return out
	case a.needKey && !u.Key:
		a.drop()
		return out
	case u.Format == nil:
		a.drop()
		return a.lose(errNoFormat, out)
	}
	a.needKey, a.decoding = false, true
	f := &media.Frame{
		Track:     a.track.ID,
		Timestamp: a.timestamp,
		Duration:  u.Duration,
		Key:       u.Key,
		Format:    u.Format,
		Data:      u.Data,
		Arrival:   a.arrival,
	}
	if a.track.Kind == media.Audio {
		return append(out, Result{Frame: f})
	}
	return a.order.push(f, place{u.Reorder, u.Order, u.Ordered, u.Bidirectional}, out)
}

// drop counts the open unit as dropped.
func (a *assembly) drop() {
	if a.decoding || a.track.Kind == media.Audio {
		a.stats.FramesDropped++
	} else {
		a.stats.FramesBeforeKey++
	}
}

// close ends the open unit and lets its packets go.
func (a *assembly) close() {
	a.open, a.broken = false, false
	a.forget()
}

func (a *assembly) forget() {
	clear(a.payloads)
	a.payloads = a.payloads[:0]
}

// end ends the stream. An open unit is complete only if the sender is known not to use
// markers. Otherwise the sender stopped within the unit, or it is its first and the
// network has lost the rest.
func (a *assembly) end(out []Result) []Result {
	if a.open && !a.broken && !a.markers && a.unmarked {
		out = a.finish(false, out)
	}
	out = a.settle(false, out)
	out = a.order.flush(out)
	a.restart()
	return out
}
