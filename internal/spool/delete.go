package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/live777/recorder/internal/storage"
)

// deleteTimeout bounds how long Delete waits for the remote.
const deleteTimeout = 30 * time.Second

// Delete implements storage.Backend. An upload of the object under way is broken
// off, or awaited where the remote may have all of it: the object does not come
// back. While the remote does not answer, its error is returned, and Delete has to
// be called again; what never left this machine is deleted without it. What another
// recording has in a folder of the same name stays: where the claim is not decided, the
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
	fresh, claim := e.fresh, e.claim
	s.mu.Unlock()
	if err == nil && !fresh {
		remote, err = s.mayHave(ctx, e.folder)
	}
	if err == nil && claim && (fresh || remote) {
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
	if remote && e.unsure > s.ticks(time.Now()) {
		s.deleteAgain(key, e.unsure)
	}
	if e.kind == infoKind {
		e.folder.owned = false
		s.forgetLost(e.folder)
	}
	if e.state != gone { // by an upload that was awaited
		s.remove(e)
	}
	return remote, nil
}

// mayHave reports whether what the remote has in a folder, nil for one that is not
// known, is of the same recording as what is here. Where the claim is not decided the
// remote is asked.
func (s *Spool) mayHave(ctx context.Context, f *folder) (bool, error) {
	s.mu.Lock()
	frozen, undecided := f != nil && f.frozen, f != nil && f.claiming()
	s.mu.Unlock()
	if frozen || !undecided {
		return !frozen, nil
	}
	theirs, err := s.isTheirs(ctx, path.Join(f.name, infoName))
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if theirs && f.claiming() { // else it has been acknowledged, and replaced, meanwhile
		f.frozen = true
	}
	return !f.frozen, nil
}

// claiming reports whether a folder has a claim that is not acknowledged. Called with
// mu held.
func (f *folder) claiming() bool { return f.info != nil && f.info.claim }

// isTheirs reports whether the remote has a recording.json that is not the claim which
// is here. The claim is looked at last: what has been uploaded of it stays the same
// until it is acknowledged, and then it is not there.
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
	claim, err := contentOf(ctx, s.claims.store, s.claims.name(key))
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
