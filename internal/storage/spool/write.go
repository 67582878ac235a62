package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// lockKey checks a key and lets the caller alone change its object until unlock.
func (s *Spool) lockKey(ctx context.Context, key string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := media.CheckPath(key); err != nil {
		return nil, err
	}
	return s.keys.lock(ctx, key)
}

// Put implements storage.Backend: the object is durable on the local disk when Put
// returns, and is uploaded from there. MaxBytes does not hold it up, so that what
// is there can be sealed. Only manifests and recording.json may be replaced
// after they have been uploaded.
func (s *Spool) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	unlock, err := s.lockKey(ctx, key)
	if err != nil {
		return fmt.Errorf("put object: %w", err)
	}
	defer unlock()
	s.mu.Lock()
	e, err := s.awaitRemoval(ctx, key)
	switch {
	case err != nil:
	case e != nil && e.state == opened:
		err = fault.New(fault.Conflict, "it is being written")
	case e != nil:
		e.busy = true
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("put object %q: %w", key, err)
	}
	err = s.disk.objects.Put(ctx, key, body, size)
	s.mu.Lock()
	defer s.unlock()
	if e != nil {
		e.busy = false
		s.poke()
	}
	if err != nil {
		return s.disk.explain(err)
	}
	delete(s.deleted, key)
	if e == nil {
		e = s.add(key, 0)
	}
	e.version++
	e.fresh = false
	s.resize(e, size)
	s.enqueue(e)
	return nil
}

// awaitRemoval returns the entry of a key that is locked, when no upload is about
// to remove its object. Called with mu held, which it lets go meanwhile.
func (s *Spool) awaitRemoval(ctx context.Context, key string) (*entry, error) {
	for {
		e := s.queue.entries[key]
		if e == nil || e.up == nil || !e.up.removing {
			return e, nil
		}
		done := e.up.done
		s.mu.Unlock()
		var err error
		select {
		case <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// Create implements storage.Store. The remote is asked whether it has the object,
// but for folders that this spool has claimed; when it does not answer in about two
// seconds, or is known to fail, what is here decides. recording.json is a claim of
// its folder. storage.ErrFull when the spool is.
func (s *Spool) Create(ctx context.Context, key string) (storage.File, error) {
	unlock, err := s.lockKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("create object: %w", err)
	}
	defer unlock()
	if err := s.mayCreate(ctx, key); err != nil {
		return nil, fmt.Errorf("create object %q: %w", key, err)
	}
	var f storage.File
	err = s.makeLocal(ctx, key, func() (err error) {
		f, err = s.disk.objects.Create(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.unlock()
	return &file{s: s, e: s.made(key, 0), f: f}, nil
}

// Add implements storage.Store: what Create says of the remote is true of Add, too.
func (s *Spool) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	unlock, err := s.lockKey(ctx, key)
	if err != nil {
		return fmt.Errorf("add object: %w", err)
	}
	defer unlock()
	if err := s.mayCreate(ctx, key); err != nil {
		return fmt.Errorf("add object %q: %w", key, err)
	}
	if err := s.makeLocal(ctx, key, func() error { return s.disk.objects.Add(ctx, key, body, size) }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.unlock()
	e := s.made(key, size)
	e.version++
	s.enqueue(e)
	return nil
}

// makeLocal makes a new object on the local disk, after its claim if it has one.
func (s *Spool) makeLocal(ctx context.Context, key string, do func() error) error {
	claim := storage.ClassOf(key) == storage.Info
	if claim {
		if err := s.disk.claims.begin(ctx, key); err != nil {
			return s.disk.explain(err)
		}
	}
	err := do()
	if err != nil && claim {
		err = errors.Join(err, s.disk.claims.end(context.WithoutCancel(ctx), key))
	}
	return s.disk.explain(err)
}

// made adds the entry of an object that makeLocal has made. Called with mu held.
func (s *Spool) made(key string, size int64) *entry {
	delete(s.deleted, key)
	e := s.add(key, size)
	e.fresh = true
	switch {
	case e.class != storage.Info:
	case e.folder.count == 1:
		s.happens(e.folder, createdAlone)
	default:
		s.happens(e.folder, created)
	}
	return e
}

// mayCreate reports why an object cannot be created.
func (s *Spool) mayCreate(ctx context.Context, key string) error {
	s.mu.Lock()
	_, here := s.queue.entries[key]
	f := s.queue.folders[path.Dir(key)]
	owned, claim := f != nil && f.state.ours(), storage.ClassOf(key) == storage.Info
	ask := (claim || !owned) && !s.outage.breaker.open
	full := s.budget.full(0, s.budget.max)
	if claim {
		full = s.budget.full(0, s.budget.roomToStart())
	}
	s.mu.Unlock()
	switch {
	case here:
		return fault.Errorf(fault.Conflict, "it is in the spool: %w", fs.ErrExist)
	case full != nil:
		return full
	case !ask && claim && owned: // and not deleted since
		return fault.Errorf(fault.Conflict, "it has been uploaded: %w", fs.ErrExist)
	case !ask:
		return nil
	}
	return s.askRemote(ctx, key)
}

// askRemote returns fs.ErrExist if the remote says that it has an object.
func (s *Spool) askRemote(ctx context.Context, key string) error {
	_, err := s.asker.stat(ctx, key, s.tune.ask)
	switch {
	case err == nil:
		return fault.Errorf(fault.Conflict, "it is in remote storage: %w", fs.ErrExist)
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, storage.ErrNotFound):
		s.log.Warn("remote storage cannot be asked for an object that is created; what is in the spool decides", "object", key, "error", err)
		s.mu.Lock()
		defer s.unlock()
		s.failed(time.Now(), key, 0, err)
	}
	return nil
}

// Repair implements storage.Store. An object that is being uploaded, or is
// remote, is not changed any more: one of another size is a fault.Conflict.
func (s *Spool) Repair(ctx context.Context, key string, size int64) error {
	unlock, err := s.lockKey(ctx, key)
	if err != nil {
		return fmt.Errorf("repair object: %w", err)
	}
	defer unlock()
	if size < 0 {
		return fault.Errorf(fault.Invalid, "repair object %q: size is %d", key, size)
	}
	s.mu.Lock()
	e, err := s.awaitRemoval(ctx, key)
	switch {
	case err != nil:
	case e == nil:
		s.mu.Unlock()
		return s.repairRemote(ctx, key, size)
	case e.state == opened:
		err = fault.New(fault.Conflict, "it is being written")
	case e.state == uploading && e.size != size:
		err = fault.Errorf(fault.Conflict, "it is being uploaded with %d bytes", e.size)
	case e.state == uploading:
		s.mu.Unlock()
		return nil
	default:
		e.busy = true
	}
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("repair object %q: %w", key, err)
	}
	err = s.disk.objects.Repair(ctx, key, size)
	s.mu.Lock()
	defer s.unlock()
	e.busy = false
	s.poke()
	if err != nil {
		return s.disk.explain(err)
	}
	if e.size != size || e.state == torn {
		e.version++
		s.resize(e, size)
		s.enqueue(e)
	}
	return nil
}

func (s *Spool) repairRemote(ctx context.Context, key string, size int64) error {
	o, err := s.asker.stat(ctx, key, s.tune.stat)
	if err != nil {
		return fmt.Errorf("repair object: %w", err)
	}
	if o.Size != size {
		return fault.Errorf(fault.Conflict, "repair object %q: remote storage has it with %d bytes, %d were to be kept", key, o.Size, size)
	}
	return nil
}
