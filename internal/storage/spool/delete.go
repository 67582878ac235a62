package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// deleteTimeout bounds how long Delete waits for the remote.
const deleteTimeout = 30 * time.Second

// Delete implements storage.Backend. It breaks off an upload of the object, or waits
// for it if the remote may already have all of it, so that the object does not come
// back. If the remote does not answer, Delete returns its error and has to be called
// again. What never left this machine is deleted without the remote. What another
// recording has in a folder of the same name stays: if the claim is not decided, the
// remote is asked whose it is.
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

// deleteAgain deletes a remote object once more, at a time of Spool.ticks, because an
// upload without an answer may be carried out after the first Delete. It does not if
// something has been written under the key since. Called with mu held.
func (s *Spool) deleteAgain(key string, at int64) {
	if s.run.closed {
		return
	}
	s.deleted[key] = struct{}{}
	s.run.work.Go(func() {
		timer := time.NewTimer(time.Duration(at - s.clock.ticks(time.Now())))
		defer timer.Stop()
		select {
		case <-s.run.stop:
			return
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(s.run.ctx, deleteTimeout)
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

// deleteLocal deletes the local object, and reports whether the remote may have the
// object too.
func (s *Spool) deleteLocal(ctx context.Context, key string) (remote bool, err error) {
	s.mu.Lock()
	e := s.queue.entries[key]
	if e == nil {
		f := s.queue.folders[path.Dir(key)]
		if f != nil && storage.ClassOf(key) == storage.Info {
			s.happens(f, infoDeleted)
			s.forgetLost(f)
		}
		s.mu.Unlock()
		return s.mayHave(ctx, f)
	}
	e.deleted = true // no upload begins any more
	up := e.up
	s.mu.Unlock()
	if up != nil {
		up.body.abort()
		select {
		case <-up.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.mu.Lock()
	fresh, claim := e.fresh, e.class == storage.Info && e.fresh || e.isClaim()
	s.mu.Unlock()
	if err == nil && !fresh {
		remote, err = s.mayHave(ctx, e.folder)
	}
	if err == nil && claim && (fresh || remote) {
		err = s.disk.claims.end(ctx, key)
	}
	if err == nil {
		err = s.disk.objects.Delete(ctx, key)
	}
	s.mu.Lock()
	defer s.unlock()
	if err != nil {
		e.deleted = false
		s.poke()
		return false, err
	}
	if remote && e.unsure > s.clock.ticks(time.Now()) {
		s.deleteAgain(key, e.unsure)
	}
	if e.class == storage.Info {
		s.happens(e.folder, infoDeleted)
		s.forgetLost(e.folder)
	}
	if e.state != gone { // by an upload that was awaited
		s.remove(e)
	}
	return remote, nil
}

// mayHave reports whether a folder (nil: not known) belongs to the same recording in
// the remote as here. If its claim is not decided, the remote is asked.
func (s *Spool) mayHave(ctx context.Context, f *folder) (bool, error) {
	s.mu.Lock()
	stays, undecided := f != nil && f.state.stays(), f != nil && f.state == claiming
	s.mu.Unlock()
	if stays || !undecided {
		return !stays, nil
	}
	theirs, err := s.isTheirs(ctx, path.Join(f.name, media.InfoName))
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if theirs && f.state == claiming { // else it has been acknowledged, and replaced, meanwhile
		s.happens(f, denied)
	}
	return !f.state.stays(), nil
}

// isTheirs reports whether the remote has a recording.json that is not the claim here.
// It reads the claim last: a claim stays the same until it is acknowledged, and is then
// removed.
func (s *Spool) isTheirs(ctx context.Context, key string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	there, err := contentOf(ctx, s.o.Remote, key)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	claim, err := contentOf(ctx, s.disk.claims.store, s.disk.claims.name(key))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return !bytes.Equal(there, claim), err
}

// contentOf returns what is in a small object.
func contentOf(ctx context.Context, b storage.Backend, key string) ([]byte, error) {
	r, err := b.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}
