package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/live777/recorder/internal/base/fault"
)

// maxWhole is the largest object that CreateWhole keeps in memory.
const maxWhole = 64 << 20

// adder is what CreateWhole and RepairWhole need of a Store that cannot grow objects.
type adder interface {
	Backend
	Add(ctx context.Context, key string, body io.Reader, size int64) error
}

// CreateWhole is Store.Create for a store that takes objects only whole: it keeps what is
// written in memory, and adds the object when the file is closed. The upload ends with
// ctx.
func CreateWhole(ctx context.Context, s adder, key string) (File, error) {
	switch _, err := s.Stat(ctx, key); {
	case err == nil:
		return nil, fault.Errorf(fault.Conflict, "create object %q: %w", key, fs.ErrExist)
	case !errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("create object: %w", err)
	}
	return &wholeFile{ctx: ctx, store: s, key: key}, nil
}

type wholeFile struct {
	ctx    context.Context
	store  adder
	key    string
	data   []byte
	closed bool
}

// Write implements File.
func (f *wholeFile) Write(p []byte) (int, error) {
	switch {
	case f.closed:
		return 0, fmt.Errorf("write object %q: %w", f.key, fs.ErrClosed)
	case len(f.data)+len(p) > maxWhole:
		return 0, fault.Errorf(fault.TooLarge, "write object %q: it would have more than %d bytes", f.key, maxWhole)
	}
	f.data = append(f.data, p...)
	return len(p), nil
}

// Sync implements File. Nothing can be durable before the object is whole.
func (f *wholeFile) Sync() error { return nil }

// Close implements File.
func (f *wholeFile) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.store.Add(f.ctx, f.key, bytes.NewReader(f.data), int64(len(f.data)))
}

// RepairWhole is Store.Repair for a store that takes objects only whole: it replaces an
// object that is too long by its beginning.
func RepairWhole(ctx context.Context, s Backend, key string, size int64) error {
	o, err := s.Stat(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("repair object: %w", err)
	case size < 0:
		return fault.Errorf(fault.Invalid, "repair object %q: size is %d", key, size)
	case o.Size < size:
		return fault.Errorf(fault.Conflict, "repair object %q: it has %d bytes, %d were to be kept", key, o.Size, size)
	case o.Size == size:
		return nil
	}
	r, err := s.Get(ctx, key, 0, size)
	if err != nil {
		return fmt.Errorf("repair object: %w", err)
	}
	err = s.Put(ctx, key, r, size)
	return errors.Join(err, r.Close())
}
