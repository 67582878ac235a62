// Package depacket puts the packets of one track into order, tells what is
// lost, and makes access units of what is whole and can be decoded.
package depacket

import (
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
)

const (
	// DefaultReorderDelay is how long a missing packet is waited for: enough
	// for several retransmissions, as a recorder is not in a hurry.
	DefaultReorderDelay = time.Second
	// DefaultMaxBuffered is enough for a second of 30 Mbit/s.
	DefaultMaxBuffered = 4096
)

// Causes of a Result.Err that are not about the content of a packet.
var (
	// ErrSSRC: the sender's stream was replaced by another.
	ErrSSRC = errors.New("the SSRC changed: the sender started a new stream")
	// ErrSequence: the sequence numbers went on somewhere else, too far away
	// to wait for what is between: after a long outage, or the sender began
	// anew.
	ErrSequence = errors.New("the sequence numbers jumped: a long outage, or the sender began anew")
	// ErrTooLarge: an access unit exceeds every bound.
	ErrTooLarge = fmt.Errorf("an access unit is larger than %d MiB", maxUnitBytes>>20)
)

// Options are the bounds of a Depacketizer. The zero value has the defaults.
type Options struct {
	// ReorderDelay is how long a packet may be missing before it is given up,
	// from the arrival of the first packet after it. 0 means
	// DefaultReorderDelay.
	ReorderDelay time.Duration
	// MaxBuffered is how many sequence numbers may wait for a missing packet
	// before it is given up early. 0 means DefaultMaxBuffered.
	MaxBuffered int
}

// Result is a frame or a loss, in the order of the stream.
type Result struct {
	// Frame is nil for a loss.
	Frame *media.Frame
	// Lost: something that was sent before this point is missing. Video is
	// then left out until the next key frame, which the caller should request;
	// audio goes on. A jump of the timestamps after it is as long as what is
	// missing, where the sender's clock is not known to have been set.
	Lost bool
	// Resync comes with Lost: the SSRC changed, so that timestamps after this
	// point have no relation to those before (RFC 3550 5.1).
	Resync bool
	// Err says why, where the reason is not simply lost packets: a malformed
	// access unit, or one of the errors of this package.
	Err error
}

// Stats counts what happened to the packets and frames of a track.
// PacketsReceived + PacketsLost is the number of packets that were sent, from
// the first to the last that was received.
type Stats struct {
	PacketsReceived  int64 // in time, each once; padding and probe packets included
	PacketsLost      int64 // given up, or between two sequence numbers of which the later jumped ahead
	PacketsLate      int64 // received out of order and put right
	PacketsDuplicate int64
	PacketsDiscarded int64 // came after they had been given up, or with a sequence number from nowhere
	FramesDropped    int64 // access units that were broken or depend on one that is, after the first key frame
	FramesBeforeKey  int64 // video access units before the first key frame
	FramesUnfinished int64 // begun by the sender, which went on with a key frame in place of the rest
}

// Depacketizer makes frames of the packets of one track. With no loss nothing
// is delayed: a frame is returned with its last packet, or, where pictures are
// reordered, with that of the last frame that can be shown before it. It is not safe for
// concurrent use and takes the time from its arguments alone.
type Depacketizer struct {
	order reorderer
	units assembly
	stats Stats
}

// New returns a Depacketizer for track, whose access units a assembles. The
// Depacketizer owns a from then on.
func New(track media.Track, a codec.Assembler, o Options) *Depacketizer {
	if o.ReorderDelay <= 0 {
		o.ReorderDelay = DefaultReorderDelay
	}
	if o.MaxBuffered <= 0 {
		o.MaxBuffered = DefaultMaxBuffered
	}
	d := &Depacketizer{}
	d.order = reorderer{rate: track.ClockRate, delay: o.ReorderDelay, max: int64(o.MaxBuffered), stats: &d.stats}
	d.units = assembly{track: track, assembler: a, stats: &d.stats}
	d.units.restart()
	return d
}

// Push takes the next packet by order of arrival, appends to out what became
// final, in order, and returns it. Packets of one Depacketizer must be of its
// track; p is not changed and its payload is kept until its access unit is
// done.
func (d *Depacketizer) Push(p *media.Packet, out []Result) []Result {
	cause := d.order.insert(p)
	if cause == nil {
		return d.drain(p.Arrival, false, out)
	}
	out = d.drain(p.Arrival, true, out)
	out = d.units.end(out)
	out = append(out, Result{Lost: true, Resync: errors.Is(cause, ErrSSRC), Err: cause})
	d.order.restart(p)
	return d.drain(p.Arrival, false, out)
}

// Advance gives up packets that have been missing for longer than the reorder
// delay at now, and does not wait longer for pictures that may be shown before others
// that are here. Call it a few times per delay, so that a stream that pauses
// after a loss is not held up.
func (d *Depacketizer) Advance(now time.Time, out []Result) []Result {
	out = d.drain(now, false, out)
	if order := &d.units.order; len(order.frames) > 0 && now.Sub(order.arrival) > d.order.delay {
		out = order.flush(out)
	}
	return out
}

// OrderUntold reports whether the stream has B-frames of which neither the bitstream
// nor the times tell when they are shown: the sender puts decoding times into RTP, and
// its pictures have no order that is known here (fields, pic_order_cnt_type 1; Rec.
// ITU-T H.264 7.4.2.1.1). Its frames are returned as if they were shown as they come.
func (d *Depacketizer) OrderUntold() bool { return d.units.order.untold >= untoldLimit }

// StoodStill tells that the process did so until a time, that of the next Push or
// Advance: what is waited for may be among what is read now, and is waited for from then.
func (d *Depacketizer) StoodStill(until time.Time) {
	d.order.awake = until
	d.order.gapSince = media.Later(d.order.gapSince, until)
	d.units.order.arrival = media.Later(d.units.order.arrival, until)
}

// Flush returns everything that is left at the end of a publication. An access
// unit that is not known to be complete is left out: the sender stopped within
// it. A later Push begins a new stream.
func (d *Depacketizer) Flush(out []Result) []Result {
	out = d.drain(time.Time{}, true, out)
	out = d.units.end(out)
	d.order.dropStray()
	d.order.clear()
	return out
}

// Stats returns what was counted so far.
func (d *Depacketizer) Stats() Stats { return d.stats }

// drain makes access units of the packets that are in order, giving up what
// is missing for too long at now, or everything with all.
func (d *Depacketizer) drain(now time.Time, all bool, out []Result) []Result {
	for {
		p, lost := d.order.next(now, all)
		if p == nil {
			return out
		}
		if lost {
			out = d.units.gap(out)
		}
		out = d.units.add(p, out)
	}
}
