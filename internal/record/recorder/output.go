package recorder

import (
	"errors"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
)

// epoch is a Period while it is being written. Around a boundary two of them have
// lanes.
type epoch struct {
	rec     *recording
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

// output carries out what the session's arranger decides. After the first error of
// storage it writes nothing more until the session has dealt with the error.
type output struct{ *session }

var _ arrange.Output = output{}

// fail keeps an error for the session.
func (o output) fail(err error) {
	if o.writeErr == nil {
		o.writeErr = err
	}
}

// BeginRecording implements arrange.Output. If no recording may begin now, the old one
// goes on.
func (o output) BeginRecording(at time.Duration) {
	if o.writeErr != nil || o.rec == nil || o.rec.isEmpty() {
		return
	}
	old := o.rec
	if err := o.begin(o.r.ctx, o.wall(at)); err != nil {
		o.log.Error("recording is not rotated now, will try again", "record_dir", old.dir, "error", err)
		o.rotateAt = at + retryAfter
		return
	}
	if !o.isWritten(old) {
		o.sealRotated(&epoch{rec: old})
	}
}

// isWritten reports whether lanes are still in a recording.
func (s *session) isWritten(rec *recording) bool {
	for _, p := range s.places {
		if p.ep != nil && p.ep.rec == rec {
			return true
		}
	}
	return false
}

// BeginPeriod implements arrange.Output.
func (o output) BeginPeriod(at time.Duration, lanes []lane) {
	if o.writeErr != nil {
		return
	}
	rec := o.rec
	if rec.isEmpty() {
		rec.offset = at
		if err := rec.started(o.wall(at)); err != nil {
			o.fail(err)
			return
		}
		if rec.limit > 0 {
			o.rotateAt = at + rec.limit
		}
	}
	period, start, err := rec.beginPeriod(at-rec.offset, lanes)
	if err != nil {
		o.fail(err)
		return
	}
	o.cur = &epoch{rec: rec, period: period, start: start}
	if period+1 >= o.r.periods && o.rotateAt == 0 {
		o.log.Warn("the recording has as many Periods as one may have, and goes on in another", "record_dir", rec.dir, "periods", period+1)
		o.rotateAt = max(at, 1) // with the next key frame
	}
}

// Enter implements arrange.Output.
func (o output) Enter(l lane, f *media.Format, at media.Ticks) {
	if o.writeErr != nil {
		return
	}
	ep := o.cur
	out := ep.rec.track(l)
	t := max(ep.rec.local(at, f.Timescale), media.TicksOf(ep.start, f.Timescale), out.Written())
	if err := ep.rec.beginTrack(ep.period, l, f, t); err != nil {
		o.fail(err)
		return
	}
	o.places[l] = place{ep, out}
	ep.members++
}

// Sample implements arrange.Output.
func (o output) Sample(l lane, s arrange.Sample) {
	p := o.places[l]
	if o.writeErr != nil || p.ep == nil || p.ep.failed != nil {
		return
	}
	rec := p.ep.rec
	rate := p.out.Timescale()
	err := p.out.Write(segmenter.Sample{
		Time: rec.local(s.Time, rate), Duration: s.Duration, Composition: s.Composition, Key: s.Key, Filler: s.Filler, Cut: s.Cut, Data: s.Data,
		Wall: o.wall(s.Time.Duration(rate)),
	})
	if err != nil {
		o.broken(p.ep, err)
		return
	}
	if !s.Filler {
		o.pub.decoded[l] = true
		rec.update(l, func(t *media.RecordingTrack) { t.Frames++ })
	}
}

// broken keeps an error. If the recording has been rotated, only that one ends.
func (o output) broken(ep *epoch, err error) {
	ep.failed = errors.Join(ep.failed, err)
	if ep.rec == o.rec {
		o.fail(err)
	}
}

// End implements arrange.Output.
func (o output) End(l lane, at media.Ticks) {
	p := o.places[l]
	if o.writeErr != nil || p.ep == nil {
		return
	}
	delete(o.places, l)
	rate := p.out.Timescale()
	end, err := p.out.End(p.ep.rec.local(at, rate))
	if err != nil {
		o.broken(p.ep, err)
	}
	p.ep.end = max(p.ep.end, end.Duration(rate))
	p.ep.members--
	if p.ep.members == 0 {
		o.endEpoch(p.ep)
	}
}

// endEpoch ends a Period after the last lane has left it, and its recording if that has
// been rotated.
func (o output) endEpoch(ep *epoch) {
	if ep.failed == nil { // else tidy finds where it ends
		ep.rec.endPeriod(ep.period, ep.end)
	}
	if ep.rec != o.rec {
		o.sealRotated(ep)
	}
}

// sealRotated seals a recording that has been rotated, with a verdict of its own.
func (s *session) sealRotated(ep *epoch) {
	ep.rec.abort()
	_ = ep.rec.seal(ep.failed) // the recorder tries again
}

// Gap implements arrange.Output. A gap across a rotation goes into both recordings, if
// both have the lane: a layer that no publisher of the newer one has announced is not
// missing there.
func (o output) Gap(l lane, g arrange.Gap) {
	if o.rec == nil {
		return
	}
	note := func(rec *recording, until time.Duration) {
		start, end := max(g.Start, rec.offset), min(g.End, until)
		if !rec.isEmpty() && !rec.isSealed() && rec.lists(l) && end-start >= time.Millisecond {
			rec.gap(l, start-rec.offset, end-start, g.Cause, g.Filled)
		}
	}
	if p := o.places[l]; p.ep != nil && p.ep.rec != o.rec {
		until := g.End
		if !o.rec.isEmpty() {
			until = o.rec.offset
		}
		note(p.ep.rec, until)
	}
	note(o.rec, g.End)
}

// LeftOut implements arrange.Output.
func (o output) LeftOut(l lane) {
	if o.rec != nil {
		o.pub.decoded[l] = true
		o.rec.update(l, func(t *media.RecordingTrack) { t.FramesDropped++ })
	}
}

// BeforeKey implements arrange.Output.
func (o output) BeforeKey(l lane, pictures int, waited time.Duration) {
	if o.rec == nil {
		return
	}
	o.rec.update(l, func(t *media.RecordingTrack) {
		t.FramesDropped += int64(pictures)
		t.FramesBeforeKey += int64(pictures)
		t.KeyFrameWait += waited.Seconds()
	})
}

// Corrected implements arrange.Output.
func (o output) Corrected(l lane) {
	rec := o.rec
	if p := o.places[l]; p.ep != nil {
		rec = p.ep.rec
	}
	rec.update(l, func(t *media.RecordingTrack) { t.PacketsCorrected++ })
}

// WantKeyFrame implements arrange.Output.
func (o output) WantKeyFrame(id media.TrackID) { o.sub.RequestKeyFrame(id) }

// local returns the media time of a session time, both in ticks of rate.
func (rec *recording) local(at media.Ticks, rate uint32) media.Ticks {
	return at - media.TicksOf(rec.offset, rate)
}

// arranged returns the error of storage, if any, that the arranger's last call led to.
func (s *session) arranged() error {
	if s.rotateAt > 0 {
		s.arr.RotateAt(s.rotateAt)
		s.rotateAt = 0
	}
	err := s.writeErr
	s.writeErr = nil
	return err
}

// endRotated ends what is left of a recording that has been rotated. An error of the
// recording after it does not touch it.
func (s *session) endRotated() {
	for l, p := range s.places {
		if p.ep.rec != s.rec {
			output{s}.End(l, 0)
		}
	}
}
