package spool

import (
	"fmt"

	"github.com/live777/recorder/internal/storage"
)

// file is an object that is being written.
type file struct {
	s *Spool
	e *entry
	f storage.File
}

// Write implements storage.File; storage.ErrFull when the spool is.
func (f *file) Write(p []byte) (int, error) {
	if err := f.reserve(int64(len(p))); err != nil {
		return 0, fmt.Errorf("write object %q: %w", f.e.key, err)
	}
	n, err := f.f.Write(p)
	if err != nil {
		f.release(int64(len(p) - n))
		return n, f.s.disk.explain(err)
	}
	return n, nil
}

func (f *file) reserve(n int64) error {
	f.s.mu.Lock()
	defer f.s.unlock()
	if f.e.state == gone {
		return nil
	}
	if f.e.class == storage.Media {
		if err := f.s.budget.full(n, f.s.budget.max); err != nil {
			return err
		}
	}
	f.s.resize(f.e, f.e.size+n)
	return nil
}

func (f *file) release(n int64) {
	f.s.mu.Lock()
	defer f.s.unlock()
	if f.e.state != gone {
		f.s.resize(f.e, f.e.size-n)
	}
}

// Sync implements storage.File.
func (f *file) Sync() error { return f.s.disk.explain(f.f.Sync()) }

// Close implements storage.File: the object is uploaded from now on.
func (f *file) Close() error {
	err := f.f.Close()
	f.s.mu.Lock()
	defer f.s.unlock()
	switch {
	case f.e.state != opened: // deleted, or closed before
	case err != nil:
		f.e.become(torn)
	default:
		f.s.enqueue(f.e)
	}
	return f.s.disk.explain(err)
}
