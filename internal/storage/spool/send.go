package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// errDiffers: the remote has other bytes under the key.
var errDiffers = fault.New(fault.Conflict, "remote storage has another object of that name, which is not overwritten")

// errBroken is errDiffers where the remote has only the beginning of our object: a
// proxy on the way has cut it off.
var errBroken = fmt.Errorf("%w: it is the beginning of this one", errDiffers)

// looks is how often a remote object must differ before that is believed. One answer
// may be a proxy's, and an object that belongs to somebody else has to wait for a
// person.
const looks = 8

// sender brings objects from the disk to the remote.
type sender struct {
	remote Remote
	disk   *disk
	tune   *tuning
	log    *slog.Logger
}

// send uploads the content.
func (s *sender) send(ctx context.Context, e *entry, up *upload) error {
	f, size, err := s.disk.openFor(ctx, e.key, up)
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
		err = s.remote.Put(ctx, e.key, up.body, size)
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
func (s *sender) addOnce(ctx context.Context, key string, b *body) error {
	err := s.remote.Add(ctx, key, b, b.size)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err = s.compareOften(ctx, key, b); !errors.Is(err, errBroken) {
		return err
	}
	s.log.Warn("remote storage has a part of an object, which is uploaded again", "object", key)
	if err := s.remote.Delete(ctx, key); err != nil {
		return err
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err = s.remote.Add(ctx, key, b, b.size); errors.Is(err, fs.ErrExist) {
		return fault.Errorf(fault.Unavailable, "remote storage does not let go of a part of the object: %w", err)
	}
	return err
}

// compareOften compares several times, and reports a difference only if each look finds one.
func (s *sender) compareOften(ctx context.Context, key string, b *body) error {
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

// compare returns errDiffers if the remote object has other bytes than body, and
// errBroken if it has only the first of them.
func (s *sender) compare(ctx context.Context, key string, b *body) error {
	o, err := s.remote.Stat(ctx, key)
	if err != nil {
		return err
	}
	if o.Size > b.size {
		return errDiffers
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, err := s.remote.Get(ctx, key, 0, -1)
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
