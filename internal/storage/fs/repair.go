package fs

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// Repair implements storage.Store. An object that is shorter than size is a
// fault.Conflict and stays as it is: what is missing cannot be invented.
func (s *Store) Repair(ctx context.Context, key string, size int64) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("repair object: %w", err)
	}
	if size < 0 {
		return fault.Errorf(fault.Invalid, "repair object %q: size is %d", key, size)
	}
	if err := s.cut(key, size); err != nil {
		return fmt.Errorf("repair object %q: %w", key, classifyRead(err))
	}
	// The process that made the folders may have died before it synced them.
	if err := s.syncDir(key, true); err != nil {
		return fmt.Errorf("repair object %q: sync its folder: %w", key, classify(err))
	}
	return nil
}

// cut truncates the file of an object, durably.
func (s *Store) cut(key string, size int64) (err error) {
	info, err := s.root().Stat(key)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return storage.ErrNotFound
	}
	f, err := s.root().OpenFile(key, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	switch have := info.Size(); {
	case have < size:
		return fault.Errorf(fault.Conflict, "it has %d bytes, %d were to be kept", have, size)
	case have > size:
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if s.noSync {
		return nil
	}
	return f.Sync()
}
