package spool

import (
	"context"
	"fmt"
	"path"
	"time"
)

// deleteTimeout bounds how long Delete waits for the remote.
const deleteTimeout = 30 * time.Second

// Delete implements storage.Backend. An upload of the object under way is broken
// off, or awaited where the remote may have all of it: the object does not come
// back. While the remote does not answer, its error is returned, and Delete has to
// be called again; what never left this machine is deleted without it.
func (s *Spool) Delete(ctx context.Context, key string) error {
	unlock, err := s.lockKey(ctx, key)
	if err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	defer unlock()
	remote, err := s.deleteLocal(ctx, key)
	if err != nil {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	if !remote {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	return s.o.Remote.Delete(ctx, key)
}

// deleteAgain deletes a remote object once more, at a time of Spool.ticks: an upload
// without an answer may be carried out after the first Delete. Not if something has
// been written under its key since. Called with mu held.
func (s *Spool) deleteAgain(key string, at int64) {
	if s.closed {
		return
	}
	s.deleted[key] = struct{}{}
	s.work.Go(func() {
		timer := time.NewTimer(time.Duration(at - s.ticks(time.Now())))
		defer timer.Stop()
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(s.ctx, deleteTimeout)
		defer cancel()
		unlock, err := s.keys.lock(ctx, key)
		if err != nil {
			return
		}
		defer unlock()
		s.mu.Lock()
		_, still := s.deleted[key]
		delete(s.deleted, key)
		s.mu.Unlock()
		if !still {
			return
		}
		if err := s.o.Remote.Delete(ctx, key); err != nil {
			s.log.Warn("an object that was deleted may have come back", "object", key, "error", err)
		}
	})
}

// deleteLocal deletes what is here, and reports whether the remote may have the
// object too.
func (s *Spool) deleteLocal(ctx context.Context, key string) (remote bool, err error) {
	s.mu.Lock()
	e := s.entries[key]
	if e == nil {
		f := s.folders[path.Dir(key)]
		if f != nil && kindOf(key) == infoKind {
			f.owned = false
		}
		remote = f == nil || !f.frozen
		s.mu.Unlock()
		return remote, nil
	}
	e.deleted = true // no upload begins any more
	up, claim, frozen := e.up, e.claim, e.folder.frozen
	s.mu.Unlock()
	if up != nil {
		up.body.abort()
		select {
		case <-up.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil && claim && !frozen {
		err = s.claims.end(ctx, key)
	}
	if err == nil {
		err = s.local.Delete(ctx, key)
	}
	s.mu.Lock()
	defer s.unlock()
	if err != nil {
		e.deleted = false
		s.poke()
		return false, err
	}
	remote = !e.fresh && !e.folder.frozen
	if remote && e.unsure > s.ticks(time.Now()) {
		s.deleteAgain(key, e.unsure)
	}
	if e.kind == infoKind {
		e.folder.owned = false
	}
	if e.state != gone { // by an upload that was awaited
		s.remove(e)
	}
	return remote, nil
}
