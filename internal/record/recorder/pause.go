package recorder

import (
	"context"
	"errors"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// pauseOrder asks a session to pause its recording, or to go on with it.
type pauseOrder struct {
	pause bool
	at    time.Time  // what came before is still recorded
	done  chan error // capacity 1
}

// pausing says whether a session's recording is paused.
type pausing struct {
	orders   chan pauseOrder // capacity 1; others write to it
	order    *pauseOrder     // that waits for what came before it; nil: none does
	pausedAt time.Time       // since when nothing is recorded because somebody wants that; zero: it is
}

// paused reports whether nothing is recorded until somebody says so.
func (p *pausing) paused() bool { return !p.pausedAt.IsZero() }

// Pause pauses the running recording of a stream, or goes on with it, and returns it. A
// recording that is paused stays so over a reconnect of its publisher and a restart of the
// node. What comes meanwhile is not recorded, and is not counted as lost. Pausing twice
// changes nothing.
//
// Errors: fault.NotFound if the stream is not being recorded, and what storage says.
func (r *Recorder) Pause(ctx context.Context, stream string, pause bool) (media.Recording, error) {
	r.mu.Lock()
	s := r.sessions[stream]
	r.mu.Unlock()
	if s == nil || s.ending() {
		return media.Recording{}, notRecorded(stream)
	}
	order := pauseOrder{pause, r.o.Now(), make(chan error, 1)}
	select {
	case s.orders <- order:
		s.sub.Interrupt()
	case <-s.done:
		return media.Recording{}, notRecorded(stream)
	case <-ctx.Done():
		return media.Recording{}, ctx.Err()
	}
	select {
	case err := <-order.done:
		if err != nil {
			return media.Recording{}, err
		}
		return s.info(), nil
	case <-s.done:
		return media.Recording{}, notRecorded(stream)
	case <-ctx.Done():
		return media.Recording{}, ctx.Err()
	}
}

// notRecorded is the error about a stream that has no recording to pause.
func notRecorded(stream string) error {
	return fault.Errorf(fault.NotFound, "stream %q is not being recorded, so there is nothing to pause: start a recording first, with POST /api/record/%s", stream, stream).Coded("not_recording", "stream", stream)
}

// obey carries out an order when everything that came before it is recorded. read is how
// many items were taken from the queue just now.
func (s *session) obey(read int) {
	if s.order == nil {
		select {
		case o := <-s.orders:
			s.order = &o
		default:
			return
		}
	}
	if s.waking != nil || len(s.kept.items) > 0 || read == readBatch && s.now.Before(s.order.at) {
		return
	}
	o := s.order
	s.order = nil
	o.done <- s.setPaused(o.pause)
}

// setPaused pauses the recording, or goes on with it.
func (s *session) setPaused(pause bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.survive(p, false)
			err = fault.New(fault.Internal, "a fault of this program has stopped the recording: please report it")
		}
	}()
	s.carryOn(true)
	switch {
	case s.rec == nil:
		return notRecorded(s.stream)
	case pause == s.paused():
		return nil
	case pause:
		err = s.pause()
	default:
		err = s.goOnRecording()
	}
	s.must(err)
	return err
}

// pause ends the Period. What is held back is decided now.
func (s *session) pause() error {
	if err := s.finish(); err != nil {
		return err
	}
	s.arr.Pause(s.now)
	s.carryOn(true)
	if s.pub != nil {
		s.rec.Placed()
	}
	if err := s.arranged(); err != nil {
		return err
	}
	s.account()
	s.out.Leave()
	s.pausedAt = s.now.UTC().Round(time.Millisecond)
	s.log.Info("recording paused", "record_dir", s.rec.Dir())
	return s.notePause()
}

// finish records what the depacketizers still hold.
func (s *session) finish() (err error) {
	if s.pub == nil {
		return nil
	}
	for _, tr := range s.pub.ordered {
		s.results = tr.dep.Flush(s.results[:0])
		err = errors.Join(err, s.deliver(tr, s.results))
	}
	return err
}

// goOnRecording goes on after a pause, with the next key frame.
func (s *session) goOnRecording() error {
	if err := s.finish(); err != nil { // what has come until now is in the pause, and what was lost
		return err
	}
	s.account()
	s.pausedAt = time.Time{}
	if s.pub != nil {
		for _, tr := range s.pub.tracks {
			tr.resting = true
		}
	}
	s.arr.Resume(s.now)
	if s.pub != nil && !s.arr.BeginsAnother() {
		s.announce()
	}
	s.log.Info("recording goes on", "record_dir", s.rec.Dir())
	return s.notePause()
}

// notePause writes to the journal whether the recording is paused, and tells the
// catalogue.
func (s *session) notePause() error {
	var since *time.Time
	if s.paused() {
		at := s.pausedAt // the recording keeps it, and stores it while this one changes
		since = &at
	}
	if err := s.rec.NotePause(since); err != nil {
		return err
	}
	s.r.reporter.add(s.rec.Snapshot())
	s.report = s.now.Add(reportEvery)
	return nil
}

// goesOn notes that a track has a frame that can be recorded, the first since a pause.
func (s *session) goesOn(tr *track) {
	if tr.resting {
		s.account() // what was left out before it is in the pause, too
		tr.resting = false
	}
}

// watch learns from a frame that is not recorded.
func (s *session) watch(tr *track, f *media.Frame) {
	s.arr.Watch(tr.ID, f)
	if s.paused() {
		s.pub.decoded[tr.lane] = true // the sender does what it should
	}
}
