package spool

import (
	"context"
	"errors"

	"github.com/live777/recorder/internal/storage"
)

// Look finds out whether the directory is still there, is the one that New has opened,
// and can be written. If it was removed or replaced, Look makes and locks it again, and
// returns replaced. What waited in it is lost: it stays in Status.Lost, and Pending for
// ever, so that no recording counts as stored that is not. The error says what is wrong
// now.
func (s *Spool) Look(ctx context.Context) (replaced bool, err error) {
	if replaced, err = s.disk.look(); replaced {
		err = errors.Join(err, s.loseMissing(ctx))
	}
	return replaced, err
}

// loseMissing marks as lost what waits and is not on the disk any more.
func (s *Spool) loseMissing(ctx context.Context) error {
	s.mu.Lock()
	var waiting []*entry
	for _, e := range s.queue.entries {
		if e.state != opened && e.state != lost {
			waiting = append(waiting, e)
		}
	}
	s.mu.Unlock()
	n := 0
	for _, e := range waiting {
		switch _, err := s.disk.objects.Stat(ctx, e.key); {
		case err == nil:
			continue
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
		s.mu.Lock()
		if s.queue.entries[e.key] == e && e.state != uploading && !e.busy {
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
	for _, e := range s.queue.entries {
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
