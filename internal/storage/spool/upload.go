package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// The reasons why uploads are given up, as causes of their contexts.
var (
	errStalled = fault.New(fault.Unavailable, "the upload stood still")
	errSlow    = fault.New(fault.Unavailable, "the upload was too slow")
	errDeleted = errors.New("the object is being deleted")
)

// socketBuffer is how much the operating system may take from an upload before it
// is sent (tcp_wmem of Linux).
const socketBuffer = 4 << 20

// localError is an error of the local disk: no fault of the remote.
type localError struct{ err error }

func (e *localError) Error() string { return fmt.Sprintf("read the spool: %v", e.err) }
func (e *localError) Unwrap() error { return e.err }

// upload is one try to bring an entry to the remote.
type upload struct {
	version      uint32 // of what is sent
	claim, check bool   // of the entry
	stale        bool   // what is sent is a claim, and recording.json has been replaced, or may have been
	body         *body
	cancel       context.CancelCauseFunc
	done         chan struct{} // closed when nothing of it is left
	removing     bool          // the local object is being removed; guarded by Spool.mu
}

// dispatch starts uploads until Close.
func (s *Spool) dispatch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.run.stop:
			return
		case <-s.run.wake:
		case <-timer.C:
		}
		if wait, ok := s.launch(); ok {
			timer.Reset(wait)
		}
	}
}

// launch starts the uploads that can start. It returns when to look again; ok is false
// if only a change is to be waited for.
func (s *Spool) launch() (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.unlock()
	for s.uploads.inFlight < s.o.Uploads && !s.run.closed {
		now := time.Now()
		probe := s.outage.breaker.open
		if probe {
			if s.uploads.inFlight > 0 {
				return 0, false
			}
			if d := s.outage.breaker.next.Sub(now); d > 0 {
				return d, true
			}
		}
		e, at := s.queue.pick(s.clock.ticks(now), probe)
		if e == nil {
			return time.Duration(at - s.clock.ticks(now)), at != 0
		}
		s.begin(e)
	}
	return 0, false
}

// begin starts the upload of an entry. Called with mu held.
func (s *Spool) begin(e *entry) {
	ctx, cancel := context.WithCancelCause(s.run.ctx)
	up := &upload{version: e.version, claim: e.isClaim(), check: e.check, cancel: cancel, done: make(chan struct{})}
	up.body = newBody(ctx, cancel, *s.tune)
	e.up = up
	e.become(uploading)
	e.fresh = false
	s.uploads.inFlight++
	e.folder.inFlight++
	s.run.work.Go(func() {
		defer close(up.done)
		err := s.sender.send(ctx, e, up)
		up.body.close()
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		cancel(nil)
		s.finish(e, up, err)
	})
}

// finish handles the result of an upload.
func (s *Spool) finish(e *entry, up *upload, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.unlock()
	s.uploads.inFlight--
	e.folder.inFlight--
	var broken *localError
	if err != nil && up.body.sent() {
		e.unsure = s.clock.ticks(now.Add(s.tune.settle)) // it may be carried out yet
	}
	switch {
	case err == nil:
		s.answered(now)
		s.acknowledged(e, up, now)
	case s.run.ctx.Err() != nil, e.deleted, errors.Is(err, errDeleted): // nobody's fault
	case errors.Is(err, errDiffers):
		s.answered(now)
		s.refuse(e, up, err)
	case errors.As(err, &broken):
		s.uploads.retries++
		s.later(e, now)
		if errors.Is(err, storage.ErrNotFound) && e.version == up.version && !e.busy {
			s.vanished(e)
			break
		}
		s.defective(e, up, err)
	default:
		s.uploads.retries++
		s.later(e, now)
		s.failed(now, e.key, int(e.attempts), err)
		// If others get through, the object itself is at fault.
		if fault.KindOf(err) == fault.Invalid && uint32(s.uploads.objects)-e.acks >= uint32(s.tune.refusals) { //nolint:gosec // wraps, as the difference does
			s.defective(e, up, err)
		}
	}
	e.up = nil
	if e.state == uploading {
		e.become(waiting)
	}
	s.poke()
}

// acknowledged removes an entry from the disk and the queue, if the remote has what is
// here. Called with mu held, which it releases meanwhile.
func (s *Spool) acknowledged(e *entry, up *upload, now time.Time) {
	e.attempts, e.notBefore = 0, 0
	if !up.check {
		s.uploads.objects++
		s.uploads.bytes += up.body.size
	}
	if up.claim {
		if !s.removing(e, up, s.disk.claims.end) {
			return
		}
		s.happens(e.folder, acknowledged)
	}
	switch {
	case e.deleted || e.busy || e.version != up.version || up.stale:
	case e.class != storage.Media && !up.check && e.unsure > s.clock.ticks(now):
		e.check, e.notBefore = true, e.unsure
	default:
		if s.removing(e, up, s.disk.objects.Delete) {
			s.remove(e)
		}
	}
}

// removing removes something of an entry from the disk.
func (s *Spool) removing(e *entry, up *upload, remove func(context.Context, string) error) bool {
	up.removing = true
	s.unlock()
	err := remove(context.WithoutCancel(s.run.ctx), e.key)
	s.mu.Lock()
	up.removing = false
	if err != nil {
		s.later(e, time.Now())
		s.note(func() {
			s.log.Error("what has been uploaded cannot be removed from the spool", "object", e.key, "error", err)
		})
	}
	return err == nil
}

// refuse keeps an entry on this machine, because the remote has something else in its
// place. Called with mu held.
func (s *Spool) refuse(e *entry, up *upload, err error) {
	if e.busy || e.version != up.version && !up.claim {
		return
	}
	s.giveUp(e)
	if up.claim {
		s.happens(e.folder, denied)
		s.note(func() {
			s.log.Error("another recording has this record_dir in remote storage: this one stays in the spool and is not uploaded",
				"record_dir", e.folder.name, "dir", s.o.Dir, "error", err)
		})
		return
	}
	s.note(func() {
		s.log.Error("an object cannot be uploaded and stays in the spool", "object", e.key, "dir", s.o.Dir, "error", err)
	})
}

func (s *Spool) giveUp(e *entry) {
	s.outage.left(e)
	s.noteCaughtUp()
	e.become(refused)
	e.seq = 0
	e.folder.media = slices.DeleteFunc(e.folder.media, func(o *entry) bool { return o == e })
}

// defective gives up an object that is at fault itself and has failed several times, so
// that it does not hold up the others for ever. Called with mu held.
func (s *Spool) defective(e *entry, up *upload, err error) {
	if int(e.attempts) >= s.tune.refusals && e.version == up.version && !e.busy {
		s.giveUp(e)
		s.note(func() {
			s.log.Error("an object cannot be uploaded and stays in the spool", "object", e.key, "dir", s.o.Dir, "error", err)
		})
	}
}

// later postpones the next try of an entry. Called with mu held.
func (s *Spool) later(e *entry, now time.Time) {
	if e.attempts == 0 {
		e.acks = uint32(s.uploads.objects) //nolint:gosec // wraps, as the difference does
	}
	if e.attempts < 1<<15 {
		e.attempts++
	}
	e.notBefore = s.clock.ticks(now.Add(s.tune.backoff(int(e.attempts), s.tune.backoffMax)))
}

// backoff returns how long to wait after so many failures: exponential, with full
// jitter, so that things that failed together are not tried again together.
func (t tuning) backoff(failures int, limit time.Duration) time.Duration {
	d := limit
	if failures < 20 {
		d = min(limit, t.backoffMin<<failures)
	}
	return rand.N(d) //nolint:gosec // nobody gains from guessing it
}
