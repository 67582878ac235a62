package recording

import (
	"errors"
	"slices"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
)

// epoch is a Period while it is being written. Around a boundary two of them have
// lanes.
type epoch struct {
	rec     *Recording
	period  int           // index in rec
	start   time.Duration // Period@start
	end     time.Duration // latest end of a lane that has left, on rec's media timeline
	members int           // lanes that are in it
	failed  error         // of one of its lanes
}

// place is where a lane is written to.
type place struct {
	ep  *epoch
	out *segmenter.Track
}

// Session is who has a stream recorded.
type Session interface {
	// Rotate has another recording begin at a session time, and does not wait for that: it
	// is given to Writer.Use, and then, or after an error, Writer.Rotated is called.
	Rotate(at time.Duration)
	// Limit returns the length at which that recording is rotated; 0 is never.
	Limit() time.Duration
	// Wall returns the wall clock of a session time.
	Wall(at time.Duration) time.Time
	// Decoded tells of something of a lane that can be decoded.
	Decoded(l arrange.Lane)
	// RequestKeyFrame asks the publisher for a key frame.
	RequestKeyFrame(id media.TrackID)
}

// Writer carries out what a stream's arranger decides, in one recording after the other.
// After the first error of storage it writes nothing more until the error is taken. Not
// safe for concurrent use.
type Writer struct {
	s       Session
	periods int // that a recording may have

	rec      *Recording // nil while storage is failing
	places   map[lane]place
	cur      *epoch        // the newest Period; nil before the first
	err      error         // of storage, since Take
	rotateAt time.Duration // what the arranger is to be told; 0: nothing
	ending   []*Recording  // that have been rotated and are being sealed
	held     *held         // while another recording is to begin; else nil
}

var _ arrange.Output = &Writer{}

// NewWriter returns a Writer without a recording. A recording goes on in another one when
// it has so many Periods.
func NewWriter(s Session, periods int) *Writer {
	return &Writer{s: s, periods: periods, places: map[lane]place{}}
}

// Use has what comes written to a recording. Lanes stay in the one before until they enter
// a Period of this one.
func (w *Writer) Use(rec *Recording) { w.rec = rec }

// RotateAt has the arranger told when the recording is to be rotated, in session time.
func (w *Writer) RotateAt(at time.Duration) { w.rotateAt = at }

// Take returns what the arranger's last call led to: when the recording is to be rotated,
// 0 if that has not changed, and the error of storage.
func (w *Writer) Take() (rotateAt time.Duration, err error) {
	rotateAt, err = w.rotateAt, w.err
	w.rotateAt, w.err = 0, nil
	return rotateAt, err
}

// Leave tells that the arranger has ended the Period, for nobody sends any more.
func (w *Writer) Leave() { w.cur = nil }

// Abort breaks the recording off, which an error of its own does not do to one that has
// been rotated.
func (w *Writer) Abort() {
	w.EndRotated()
	w.rec.abort()
	clear(w.places)
	w.rec, w.cur, w.err, w.rotateAt = nil, nil, nil, 0
}

// fail keeps an error for the session.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// BeginRecording implements arrange.Output. If no recording may begin now, the old one
// goes on.
func (w *Writer) BeginRecording(at time.Duration) {
	if w.holds(0, func() { w.BeginRecording(at) }) {
		w.held.periods = 0
		return
	}
	if w.err != nil || w.rec == nil || w.rec.isEmpty() {
		return
	}
	w.held = &held{at: at, old: w.rec}
	w.s.Rotate(at)
}

// isWritten reports whether lanes are still in a recording.
func (w *Writer) isWritten(rec *Recording) bool {
	for _, p := range w.places {
		if p.ep != nil && p.ep.rec == rec {
			return true
		}
	}
	return false
}

// BeginPeriod implements arrange.Output.
func (w *Writer) BeginPeriod(at time.Duration, lanes []lane) {
	if w.held != nil {
		w.beginPeriod(at, lanes)
		w.foresee(at)
		return
	}
	if w.err != nil {
		return
	}
	rec := w.rec
	if first := rec.isEmpty(); w.beginPeriod(at, lanes) && first && rec.limit > 0 {
		w.rotateAt = at + rec.limit
	}
	if n := rec.periods(); n >= w.periods && w.rotateAt == 0 {
		rec.log().Warn("the recording has as many Periods as one may have, and goes on in another", "stream", rec.stream, "record_dir", rec.dir, "periods", n)
		w.rotateAt = max(at, 1) // with the next key frame
	}
}

// beginPeriod begins a Period in the recording. It is false after an error, or if that is
// held.
func (w *Writer) beginPeriod(at time.Duration, lanes []lane) bool {
	if w.holds(0, func() { w.beginPeriod(at, lanes) }) {
		w.held.periods++
		return false
	}
	if w.err != nil {
		return false
	}
	rec := w.rec
	if rec.isEmpty() {
		rec.offset = at
		if err := rec.started(w.s.Wall(at)); err != nil {
			w.fail(err)
			return false
		}
	}
	period, start, err := rec.beginPeriod(at-rec.offset, lanes)
	if err != nil {
		w.fail(err)
		return false
	}
	w.cur = &epoch{rec: rec, period: period, start: start}
	return true
}

// Enter implements arrange.Output.
func (w *Writer) Enter(l lane, f *media.Format, at media.Ticks) {
	if w.holds(0, func() { w.Enter(l, f, at) }) {
		return
	}
	if w.err != nil {
		return
	}
	ep := w.cur
	out := ep.rec.track(l)
	t := max(ep.rec.local(at, f.Timescale), media.TicksOf(ep.start, f.Timescale), out.Written())
	if err := ep.rec.beginTrack(ep.period, l, f, t); err != nil {
		w.fail(err)
		return
	}
	w.places[l] = place{ep, out}
	ep.members++
}

// Sample implements arrange.Output.
func (w *Writer) Sample(l lane, s arrange.Sample) {
	if w.holds(len(s.Data), func() { w.Sample(l, s) }) {
		return
	}
	p := w.places[l]
	if w.err != nil || p.ep == nil || p.ep.failed != nil {
		return
	}
	rec := p.ep.rec
	rate := p.out.Timescale()
	err := p.out.Write(segmenter.Sample{
		Time: rec.local(s.Time, rate), Duration: s.Duration, Composition: s.Composition, Key: s.Key, Filler: s.Filler, Cut: s.Cut, Data: s.Data,
		Wall: w.s.Wall(s.Time.Duration(rate)),
	})
	if err != nil {
		w.broken(p.ep, err)
		return
	}
	if !s.Filler {
		w.s.Decoded(l)
		rec.Update(l, func(t *media.RecordingTrack) { t.Frames++ })
	}
}

// broken keeps an error. If the recording has been rotated, only that one ends.
func (w *Writer) broken(ep *epoch, err error) {
	ep.failed = errors.Join(ep.failed, err)
	if ep.rec == w.rec {
		w.fail(err)
	}
}

// End implements arrange.Output.
func (w *Writer) End(l lane, at media.Ticks) {
	if w.holds(0, func() { w.End(l, at) }) {
		return
	}
	p := w.places[l]
	if w.err != nil || p.ep == nil {
		return
	}
	delete(w.places, l)
	rate := p.out.Timescale()
	end, err := p.out.End(p.ep.rec.local(at, rate))
	if err != nil {
		w.broken(p.ep, err)
	}
	p.ep.end = max(p.ep.end, end.Duration(rate))
	p.ep.members--
	if p.ep.members == 0 {
		w.endEpoch(p.ep)
	}
}

// endEpoch ends a Period after the last lane has left it, and its recording if that has
// been rotated.
func (w *Writer) endEpoch(ep *epoch) {
	if ep.failed == nil { // else tidy finds where it ends
		ep.rec.endPeriod(ep.period, ep.end)
	}
	if ep.rec != w.rec {
		w.sealRotated(ep)
	}
}

// maxEnding bounds the rotated recordings that are being sealed while others are recorded.
const maxEnding = 8

// sealRotated has a recording sealed that has been rotated, with a verdict of its own. The
// one that is recorded now does not wait for that, unless too many are being sealed.
func (w *Writer) sealRotated(ep *epoch) {
	rec := ep.rec
	rec.abort()
	w.ending = slices.DeleteFunc(w.ending, func(rec *Recording) bool { return rec.jobs.isIdle() })
	if len(w.ending) >= maxEnding {
		rec.log().Warn("storage is too slow: media waits until it has taken the ends of recordings", "stream", rec.stream, "recordings", len(w.ending))
		w.ending[0].jobs.wait()
	}
	w.ending = append(w.ending, rec)
	at := rec.host.Settings().Now()
	rec.jobs.addLast(rec, func() { _ = rec.seal(ep.failed, at) }) // the recorder tries again
}

// Wait returns when all recordings that have been rotated are sealed, as far as storage
// takes that.
func (w *Writer) Wait() {
	for _, rec := range w.ending {
		rec.jobs.wait()
	}
	w.ending = nil
}

// Gap implements arrange.Output. A gap across a rotation goes into both recordings, if
// both have the lane: a layer that no publisher of the newer one has announced is not
// missing there.
func (w *Writer) Gap(l lane, g arrange.Gap) {
	if w.holds(0, func() { w.Gap(l, g) }) {
		return
	}
	if w.rec == nil {
		return
	}
	note := func(rec *Recording, until time.Duration) {
		start, end := max(g.Start, rec.offset), min(g.End, until)
		if !rec.isEmpty() && !rec.IsSealed() && rec.lists(l) && end-start >= time.Millisecond {
			rec.gap(l, start-rec.offset, end-start, g.Cause, g.Filled)
		}
	}
	if p := w.places[l]; p.ep != nil && p.ep.rec != w.rec {
		until := g.End
		if !w.rec.isEmpty() {
			until = w.rec.offset
		}
		note(p.ep.rec, until)
	}
	note(w.rec, g.End)
}

// LeftOut implements arrange.Output.
func (w *Writer) LeftOut(l lane) {
	if w.holds(0, func() { w.LeftOut(l) }) {
		return
	}
	if w.rec != nil {
		w.s.Decoded(l)
		w.rec.Update(l, func(t *media.RecordingTrack) { t.FramesDropped++ })
	}
}

// BeforeKey implements arrange.Output.
func (w *Writer) BeforeKey(l lane, pictures int, waited time.Duration) {
	if w.holds(0, func() { w.BeforeKey(l, pictures, waited) }) {
		return
	}
	if w.rec == nil {
		return
	}
	w.rec.Update(l, func(t *media.RecordingTrack) {
		t.FramesDropped += int64(pictures)
		t.FramesBeforeKey += int64(pictures)
		t.KeyFrameWait += waited.Seconds()
	})
}

// Corrected implements arrange.Output.
func (w *Writer) Corrected(l lane) {
	if w.holds(0, func() { w.Corrected(l) }) {
		return
	}
	rec := w.rec
	if p := w.places[l]; p.ep != nil {
		rec = p.ep.rec
	}
	rec.Update(l, func(t *media.RecordingTrack) { t.PacketsCorrected++ })
}

// WantKeyFrame implements arrange.Output.
func (w *Writer) WantKeyFrame(id media.TrackID) { w.s.RequestKeyFrame(id) }

// local returns the media time of a session time, both in ticks of rate.
func (rec *Recording) local(at media.Ticks, rate uint32) media.Ticks {
	return at - media.TicksOf(rec.offset, rate)
}

// EndRotated ends what is left of a recording that has been rotated. An error of the
// recording after it does not touch it.
func (w *Writer) EndRotated() {
	w.held = nil // after a fault
	for l, p := range w.places {
		if p.ep.rec != w.rec {
			w.End(l, 0)
		}
	}
}
