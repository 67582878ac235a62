package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
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

// errDiffers: the remote has other bytes under the key.
var errDiffers = fault.New(fault.Conflict, "remote storage has another object of that name, which is not overwritten")

// errBroken is errDiffers where the remote has only the beginning of our object: a
// proxy on the way has cut it off.
var errBroken = fmt.Errorf("%w: it is the beginning of this one", errDiffers)

// looks is how often a remote object must differ before that is believed. One answer
// may be a proxy's, and an object that belongs to somebody else has to wait for a
// person.
const looks = 8

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
		case <-s.stop:
			return
		case <-s.wake:
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
	for s.inFlight < s.o.Uploads && !s.closed {
		now := time.Now()
		probe := s.breaker.open
		if probe {
			if s.inFlight > 0 {
				return 0, false
			}
			if d := s.breaker.next.Sub(now); d > 0 {
				return d, true
			}
		}
		e, at := s.pick(s.ticks(now), probe)
		if e == nil {
			return time.Duration(at - s.ticks(now)), at != 0
		}
		s.begin(e)
	}
	return 0, false
}

// begin starts the upload of an entry. Called with mu held.
func (s *Spool) begin(e *entry) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	up := &upload{version: e.version, claim: e.isClaim(), check: e.check, cancel: cancel, done: make(chan struct{})}
	up.body = newBody(ctx, cancel, s.tune)
	e.up = up
	e.become(uploading)
	e.fresh = false
	s.inFlight++
	e.folder.inFlight++
	s.work.Go(func() {
		defer close(up.done)
		err := s.send(ctx, e, up)
		up.body.close()
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		cancel(nil)
		s.finish(e, up, err)
	})
}

// send uploads the content.
func (s *Spool) send(ctx context.Context, e *entry, up *upload) error {
	f, size, err := s.openFor(ctx, e.key, up)
	if err != nil {
		return &localError{err}
	}
	limit := time.AfterFunc(s.tune.grace+time.Duration(size/s.tune.rate)*time.Second, func() { up.cancel(errSlow) })
	defer limit.Stop()
	if !up.body.set(f, size) {
		return errDeleted
	}
	switch {
	case up.check:
		if err = s.compare(ctx, e.key, up.body); !errors.Is(err, errDiffers) && !errors.Is(err, storage.ErrNotFound) {
			break
		}
		if _, err = up.body.Seek(0, io.SeekStart); err != nil {
			break
		}
		fallthrough
	case e.class != storage.Media && !up.claim:
		err = s.o.Remote.Put(ctx, e.key, up.body, size)
	default:
		err = s.addOnce(ctx, e.key, up.body)
	}
	if broken := up.body.failure(); err != nil && broken != nil {
		return &localError{broken}
	}
	return err
}

// addOnce stores an object that is written once. If the remote has only the beginning
// of it, that is ours and of no use, and is deleted first.
func (s *Spool) addOnce(ctx context.Context, key string, b *body) error {
	err := s.o.Remote.Add(ctx, key, b, b.size)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err = s.compareOften(ctx, key, b); !errors.Is(err, errBroken) {
		return err
	}
	s.log.Warn("remote storage has a part of an object, which is uploaded again", "object", key)
	if err := s.o.Remote.Delete(ctx, key); err != nil {
		return err
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err = s.o.Remote.Add(ctx, key, b, b.size); errors.Is(err, fs.ErrExist) {
		return fault.Errorf(fault.Unavailable, "remote storage does not let go of a part of the object: %w", err)
	}
	return err
}

// compareOften compares several times, and reports a difference only if each look finds one.
func (s *Spool) compareOften(ctx context.Context, key string, b *body) error {
	var differs error
	for range looks {
		err := s.compare(ctx, key, b)
		if !errors.Is(err, errDiffers) {
			return err
		}
		if differs == nil || !errors.Is(err, errBroken) {
			differs = err
		}
	}
	return differs
}

// openFor opens what is to be uploaded of an entry.
func (s *Spool) openFor(ctx context.Context, key string, up *upload) (f *os.File, size int64, err error) {
	if up.claim {
		filled, fillErr := s.claims.fill(ctx, key, s.local)
		if fillErr != nil {
			return nil, 0, fillErr
		}
		up.stale = !filled
		f, err = s.claims.open(ctx, key)
	} else {
		f, err = s.local.Open(ctx, key)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// compare returns errDiffers if the remote object has other bytes than body, and
// errBroken if it has only the first of them.
func (s *Spool) compare(ctx context.Context, key string, b *body) error {
	o, err := s.o.Remote.Stat(ctx, key)
	if err != nil {
		return err
	}
	if o.Size > b.size {
		return errDiffers
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, err := s.o.Remote.Get(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	here, there := make([]byte, 32<<10), make([]byte, 32<<10)
	for left := o.Size; left > 0; {
		n := min(left, int64(len(here)))
		if _, err := io.ReadFull(b, here[:n]); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, there[:n]); err != nil { // also where it ends before its size
			return fault.Errorf(fault.Unavailable, "read the object back: %w", err)
		}
		if !bytes.Equal(here[:n], there[:n]) {
			return errDiffers
		}
		left -= n
	}
	if o.Size < b.size {
		return errBroken
	}
	return nil
}

// finish handles the result of an upload.
func (s *Spool) finish(e *entry, up *upload, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.unlock()
	s.inFlight--
	e.folder.inFlight--
	var broken *localError
	if err != nil && up.body.sent() {
		e.unsure = s.ticks(now.Add(s.tune.settle)) // it may be carried out yet
	}
	switch {
	case err == nil:
		s.answered(now)
		s.acknowledged(e, up, now)
	case s.ctx.Err() != nil, e.deleted, errors.Is(err, errDeleted): // nobody's fault
	case errors.Is(err, errDiffers):
		s.answered(now)
		s.refuse(e, up, err)
	case errors.As(err, &broken):
		s.total.retries++
		s.later(e, now)
		if errors.Is(err, storage.ErrNotFound) && e.version == up.version && !e.busy {
			s.vanished(e)
			break
		}
		s.defective(e, up, err)
	default:
		s.total.retries++
		s.later(e, now)
		s.failed(now, e.key, int(e.attempts), err)
		// If others get through, the object itself is at fault.
		if fault.KindOf(err) == fault.Invalid && uint32(s.total.objects)-e.acks >= uint32(s.tune.refusals) { //nolint:gosec // wraps, as the difference does
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
		s.total.objects++
		s.total.bytes += up.body.size
	}
	if up.claim {
		if !s.removing(e, up, s.claims.end) {
			return
		}
		s.happens(e.folder, acknowledged)
	}
	switch {
	case e.deleted || e.busy || e.version != up.version || up.stale:
	case e.class != storage.Media && !up.check && e.unsure > s.ticks(now):
		e.check, e.notBefore = true, e.unsure
	default:
		if s.removing(e, up, s.local.Delete) {
			s.remove(e)
		}
	}
}

// removing removes something of an entry from the disk.
func (s *Spool) removing(e *entry, up *upload, remove func(context.Context, string) error) bool {
	up.removing = true
	s.unlock()
	err := remove(context.WithoutCancel(s.ctx), e.key)
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
	s.catchUp.left(e)
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
		e.acks = uint32(s.total.objects) //nolint:gosec // wraps, as the difference does
	}
	if e.attempts < 1<<15 {
		e.attempts++
	}
	e.notBefore = s.ticks(now.Add(s.tune.backoff(int(e.attempts), s.tune.backoffMax)))
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

// body is the local object that an upload reads. It notices when reading stops, and can
// be broken off so that the remote never gets all of it.
type body struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration // without progress
	rate   int64         // bytes per second
	stall  *time.Timer
	size   int64

	mu      sync.Mutex
	file    io.ReadSeekCloser
	pos     int64
	aborted bool
	err     error // of the local disk
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, t tuning) *body {
	return &body{
		ctx: ctx, cancel: cancel, limit: t.stall, rate: t.rate,
		stall: time.AfterFunc(t.stall, func() { cancel(errStalled) }),
	}
}

// set gives the body its file, which body closes. It reports whether the file is still
// wanted.
func (b *body) set(f io.ReadSeekCloser, size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.size = f, size
	return !b.aborted
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.aborted {
		return 0, errDeleted
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.file.Read(p)
	b.pos += int64(n)
	limit := b.limit
	if b.pos >= b.size { // and much of it may still be in this machine
		limit += time.Duration(min(b.size, socketBuffer)/b.rate) * time.Second
	}
	b.stall.Reset(limit)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pos, err := b.file.Seek(offset, whence)
	if err == nil {
		b.pos = pos
	}
	return pos, err
}

// sent reports whether all has been read, so that the remote may have it.
func (b *body) sent() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.file != nil && b.pos >= b.size
}

// abort breaks the upload off, unless the remote may have all of it.
func (b *body) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil || b.pos < b.size {
		b.aborted = true
		b.cancel(errDeleted)
	}
}

func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *body) close() {
	b.stall.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil {
		_ = b.file.Close() // only read
	}
}
