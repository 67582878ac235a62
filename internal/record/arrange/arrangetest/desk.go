// Package arrangetest drives an arranger with packets, and notes the commands that it
// gives, so that tests can hold them against those of before.
package arrangetest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/depacket"
)

// reorderDelay is how long a packet is waited for, as the recorder does.
const reorderDelay = 1500 * time.Millisecond

// Options configure a Desk.
type Options struct {
	Segment      time.Duration
	MaxRecording time.Duration // 0: recordings are not rotated
	// RequestKeyFrame is told of the requests of the arranger.
	RequestKeyFrame func(media.TrackID)
}

// Desk stands for a recorder: it makes frames of packets, gives them to an arranger, and
// notes the commands. It has no clock: time is what its methods are told.
type Desk struct {
	o        Options
	arr      *arrange.Arranger
	notes    notes
	now      time.Time
	tracks   []*track // sound first
	fails    bool
	paused   bool
	begins   bool          // the next Period is the first of a recording
	rotateAt time.Duration // to be told; 0: nothing
}

// track is a track of the publisher.
type track struct {
	arrange.Track
	dep   *depacket.Depacketizer
	early int64 // pictures before the first key frame that the arranger knows of
}

// New returns a Desk before its first publisher.
func New(o Options) *Desk {
	d := &Desk{o: o, begins: true}
	d.notes.begin()
	d.arr = arrange.New(arrange.Options{SegmentDuration: o.Segment, Log: slog.New(slog.DiscardHandler)}, output{d})
	return d
}

// Join begins a publisher with its tracks: the layers of one video in order, and audio.
func (d *Desk) Join(now time.Time, tracks []media.Track) error {
	d.clock(now)
	d.tracks = nil
	arranged := make([]arrange.Track, 0, len(tracks))
	layer := 0
	for _, mt := range tracks {
		c, ok := codec.Lookup(mt.Codec)
		if !ok || !c.Recordable() {
			return errors.New("no codec " + mt.Codec)
		}
		a, err := c.NewAssembler(mt)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", mt.Codec, err)
		}
		tr := &track{
			Track: arrange.Track{Track: mt, Lane: arrange.Lane{Kind: mt.Kind}, Codec: c},
			dep:   depacket.New(mt, a, depacket.Options{ReorderDelay: reorderDelay}),
		}
		if mt.Kind == media.Video {
			tr.Lane.Layer = layer
			layer++
		}
		d.tracks = append(d.tracks, tr)
		arranged = append(arranged, tr.Track)
	}
	slices.SortStableFunc(d.tracks, func(a, b *track) int { return cmp.Compare(b.Kind, a.Kind) })
	d.notes.line("join")
	d.arr.Join(d.now, arranged)
	d.told()
	return nil
}

// Leave ends the publisher.
func (d *Desk) Leave(now time.Time) {
	if d.tracks == nil {
		return
	}
	d.clock(now)
	d.notes.line("leave")
	d.finish()
	d.arr.Leave()
	d.told()
	d.tracks = nil
}

// Packet has a packet of the publisher arrive.
func (d *Desk) Packet(p *media.Packet) {
	d.clock(p.Arrival)
	if tr := d.track(p.Track); tr != nil {
		d.arr.Packet(tr.ID, p.Arrival)
		d.deliver(tr, tr.dep.Push(p, nil))
	}
}

// Report has a sender report arrive.
func (d *Desk) Report(r *media.SenderReport) {
	d.clock(r.Arrival)
	if d.tracks != nil {
		d.arr.Report(r)
		d.told()
	}
}

// Advance does what is due by the time. It is to be called a few times a second.
func (d *Desk) Advance(now time.Time) {
	d.clock(now)
	for _, tr := range d.tracks {
		d.deliver(tr, tr.dep.Advance(d.now, nil))
	}
	if d.tracks != nil && !d.fails {
		d.arr.Advance(d.now)
		d.told()
	}
}

// Fail has storage end the recording. Until Recover nothing is recorded.
func (d *Desk) Fail() {
	d.notes.line("storage fails")
	d.fails, d.begins, d.rotateAt = true, true, 0
	d.arr.Fail()
}

// Recover has storage take recordings again.
func (d *Desk) Recover() {
	d.notes.line("storage recovers")
	d.fails = false
}

// Pause pauses the recording, or goes on with it.
func (d *Desk) Pause(now time.Time, pause bool) {
	d.clock(now)
	d.notes.line("pause %v", pause)
	d.finish()
	if d.paused = pause; pause {
		d.arr.Pause(d.now)
	} else {
		d.arr.Resume(d.now)
	}
	d.told()
}

// Sum returns a hash of all commands so far, and their number.
func (d *Desk) Sum() string { return d.notes.sum() }

// Listing returns the commands as text. Samples that follow on each other are one line.
func (d *Desk) Listing() string { return d.notes.listing() }

// clock moves the time, which never goes back.
func (d *Desk) clock(now time.Time) { d.now = media.Later(d.now, now) }

func (d *Desk) track(id media.TrackID) *track {
	i := slices.IndexFunc(d.tracks, func(tr *track) bool { return tr.ID == id })
	if i < 0 {
		return nil
	}
	return d.tracks[i]
}

// finish delivers what the depacketizers still hold.
func (d *Desk) finish() {
	for _, tr := range d.tracks {
		d.deliver(tr, tr.dep.Flush(nil))
	}
}

// deliver gives frames and losses to the arranger.
func (d *Desk) deliver(tr *track, results []depacket.Result) {
	if n := tr.dep.Stats().FramesBeforeKey; n > tr.early {
		if !d.fails && !d.paused {
			d.arr.Early(tr.ID, d.now, int(n-tr.early))
		}
		tr.early = n
	}
	for i := range results {
		res := &results[i]
		if res.Lost && !d.paused {
			d.arr.Missing(tr.ID, arrange.CauseLoss)
		}
		if res.Resync {
			d.arr.Restarted(tr.ID)
		}
		switch {
		case res.Frame == nil:
		case d.fails || d.paused:
			d.arr.Watch(tr.ID, res.Frame)
		default:
			d.arr.Frame(tr.ID, res.Frame)
			d.told()
		}
	}
}

// told tells the arranger where the recording is to be rotated.
func (d *Desk) told() {
	if d.rotateAt > 0 {
		d.arr.RotateAt(d.rotateAt)
		d.rotateAt = 0
	}
}
