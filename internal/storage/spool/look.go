package spool

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/filelock"
	"github.com/live777/recorder/internal/storage"
)

// Look finds out whether the directory is still there, is the one that New has opened,
// and can be written. If it was removed or replaced, Look makes and locks it again, and
// returns replaced. What waited in it is lost: it stays in Status.Lost, and Pending for
// ever, so that no recording counts as stored that is not. The error says what is wrong
// now.
func (s *Spool) Look(ctx context.Context) (replaced bool, err error) {
	objects, err := s.local.Look()
	claims, claimsErr := s.claims.store.Look()
	if err = errors.Join(err, claimsErr); err == nil {
		err = s.keepLock()
	}
	if objects || claims {
		err = errors.Join(err, s.loseMissing(ctx))
	}
	return objects || claims, err
}

// keepLock locks the directory again whose lock has been removed.
func (s *Spool) keepLock() error {
	name := filepath.Join(s.o.Dir, lockName)
	there, err := os.Stat(name)
	here, hereErr := s.lock.Stat()
	if err == nil && hereErr == nil && os.SameFile(here, there) {
		return nil
	}
	f, err := openLock(name)
	if err != nil {
		return dirError(s.o.Dir, err)
	}
	former := s.lock
	s.lock = f
	return former.Close()
}

// openLock opens and locks the file by which the directory belongs to this process.
func openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err = filelock.Lock(f); errors.Is(err, filelock.ErrLocked) {
		err = fault.New(fault.Conflict, "another process uses it; give every node a directory of its own")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// loseMissing marks as lost what waits and is not on the disk any more.
func (s *Spool) loseMissing(ctx context.Context) error {
	s.mu.Lock()
	var waiting []*entry
	for _, e := range s.entries {
		if e.state != opened && e.state != lost {
			waiting = append(waiting, e)
		}
	}
	s.mu.Unlock()
	n := 0
	for _, e := range waiting {
		switch _, err := s.local.Stat(ctx, e.key); {
		case err == nil:
			continue
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
		s.mu.Lock()
		if s.entries[e.key] == e && e.state != uploading && !e.busy {
			s.lose(e)
			n++
		}
		s.unlock()
	}
	if n > 0 {
		s.log.Error("objects that waited for remote storage are gone from the spool, and their recordings are not whole there: was its directory removed?",
			"objects", n, "dir", s.o.Dir)
	}
	return nil
}

// lose gives an entry up whose object is gone. Called with mu held.
func (s *Spool) lose(e *entry) {
	s.giveUp(e)
	e.become(lost)
	s.resize(e, 0)
}

// forgetLost forgets the lost objects of a recording that is deleted. Called with mu
// held.
func (s *Spool) forgetLost(f *folder) {
	if f.lost == 0 {
		return
	}
	for _, e := range s.entries {
		if e.state == lost && e.folder == f {
			s.remove(e)
		}
	}
}

// vanished is lose, and says so. Called with mu held.
func (s *Spool) vanished(e *entry) {
	s.lose(e)
	s.note(func() {
		s.log.Error("an object that waited for remote storage is gone from the spool, and its recording is not whole there", "object", e.key, "dir", s.o.Dir)
	})
}
