package recorder

import (
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/codec"
	"github.com/live777/recorder/internal/depacket"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/segmenter"
)

const (
	keyBackoffMin = time.Second     // how soon a key frame is asked for again
	keyBackoffMax = 8 * time.Second // when the sender does not answer

	// jumpLimit is how far the timestamps may run ahead of the arrivals, before
	// they belong to another clock, and backLimit how far they may go back: those
	// of B-frames do.
	jumpLimit = 5 * time.Second
	backLimit = time.Second

	// restartNoted is from when on the arrivals tell how long a sender took to
	// begin another RTP stream; below they do not tell it from jitter.
	restartNoted = 100 * time.Millisecond

	// reorderDelay is how long a missing packet is waited for: long enough for
	// several retransmissions; a recorder is not in a hurry.
	reorderDelay = 1500 * time.Millisecond
)

// track is one recorded track of the current publication.
type track struct {
	media.Track
	lane    lane
	codec   *codec.Codec
	dep     *depacket.Depacketizer
	counted depacket.Stats // what the ledger has of dep's

	ep     *epoch           // where frames go; nil before the first and after a discontinuity
	out    *segmenter.Track // of ep's recording
	format *media.Format    // in ep
	ts0    int64            // timestamp ts0 is t0 on the media timeline of ep's recording
	t0     media.Ticks
	wrote  bool // a sample in ep
	// entered says that something of it was recorded.
	entered bool
	at      media.Ticks // of the last sample
	dur     media.Ticks // of the last sample: as sent (audio), or the last distance of two frames
	wroteAt time.Time   // when the last sample was written, by the session's clock

	seen        bool
	last        int64 // timestamp of the last frame
	lastArrival time.Time
	prevArrival time.Time // of the frame before the last
	lastPacket  time.Time // arrival of the last packet
	resumed     time.Time // arrival of its first frame, and of the first after a pause beyond pauseLimit
	away        bool      // it has left a Period because it sent nothing
	missing     string    // cause, if something is missing between the last frame that came and the next
	lost        string    // cause, if something is missing between the last frame that was written and the next
	resync      bool      // the next frame's timestamp has no relation to the last one's

	// Of a layer of video that does not lead:
	due  []leadCut // cuts of the lead that the layer has not come to
	gone bool      // it has nothing more for the Period: off, or without the key frame for a cut

	held []held // what waits for its place in time: audio, and layers of video that do not lead

	check   bool          // audio: a correction may be due with the next frame ...
	checkAt time.Duration // ... from this session time on
	sound   []byte        // audio: the last packet that was written
	ahead   bool          // audio: it is ahead of the video
	skipped bool          // audio: the last packet was left out for that

	keyWanted  bool
	keyAsked   time.Time
	keyBackoff time.Duration
}

// held is a frame that waits. What is missing right before it stays with it: a
// frame from before the loss may be written first.
type held struct {
	*media.Frame
	missing string // cause
}

// take returns f with what is missing before it.
func (tr *track) take(f *media.Frame) held {
	h := held{f, tr.missing}
	tr.missing = ""
	return h
}

// newTrack returns the recorder's side of a track; the error says why it
// cannot be recorded.
func newTrack(mt media.Track, layer int) (*track, error) {
	c, ok := codec.Lookup(mt.Codec)
	if !ok {
		return nil, fmt.Errorf("codec %q is not known", mt.Codec)
	}
	if !c.Recordable() {
		return nil, errors.New(c.Why)
	}
	a, err := c.NewAssembler(mt)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", mt.Codec, err)
	}
	return &track{
		Track: mt, lane: lane{mt.Kind, layer}, codec: c,
		dep: depacket.New(mt, a, depacket.Options{ReorderDelay: reorderDelay}),
	}, nil
}

// time returns the place of a timestamp on the media timeline of the track's
// recording.
func (tr *track) time(ts int64) media.Ticks { return tr.t0 + media.Ticks(ts-tr.ts0) }

// sessionTime returns the session time of a timestamp, by where the track is.
func (tr *track) sessionTime(ts int64) time.Duration {
	return tr.ep.rec.offset + tr.duration(tr.time(ts))
}

func (tr *track) duration(t media.Ticks) time.Duration { return t.Duration(tr.ClockRate) }

func (tr *track) ticks(d time.Duration) media.Ticks { return media.TicksOf(d, tr.ClockRate) }

// end returns where the last sample ends, or the track's place if there is none.
func (tr *track) end() media.Ticks {
	if !tr.wrote {
		return tr.t0
	}
	return tr.at + tr.dur
}

// overtaken reports whether a key frame is not later than what has been written:
// no picture before it in the stream is shown after it.
func (tr *track) overtaken(f *media.Frame) bool {
	return tr.Kind == media.Video && f.Key && tr.ep != nil && tr.wrote && tr.time(f.Timestamp) <= tr.at
}

// observe takes note of a frame's timestamp and reports whether it belongs to
// another clock than the last one, and what it would be by that: timestamps may
// stand still while a sender stalls, but not run ahead of the arrivals, nor
// back, and not at all with a key frame. Those of another SSRC always do.
func (tr *track) observe(f *media.Frame) (expected int64, jumped bool) {
	if tr.seen {
		sent, waited := tr.duration(media.Ticks(f.Timestamp-tr.last)), f.Arrival.Sub(tr.lastArrival)
		jumped = tr.resync || sent < -backLimit || sent > waited+jumpLimit
		step, least := max(tr.dur, 1), pauseNoted
		if tr.resync {
			least = restartNoted
		}
		if waited > least {
			step = tr.ticks(waited)
		}
		expected = tr.last + int64(step)
		if !jumped && tr.overtaken(f) {
			expected, jumped = tr.ts0+int64(tr.end()-tr.t0), true
		}
	}
	if !tr.seen || f.Arrival.Sub(tr.lastArrival) > pauseLimit {
		tr.resumed = f.Arrival
	}
	tr.prevArrival = tr.lastArrival
	tr.resync, tr.away = false, false
	tr.seen, tr.last, tr.lastArrival = true, f.Timestamp, f.Arrival
	return expected, jumped
}
