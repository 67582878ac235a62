//go:build linux || darwin || freebsd

package fs

import (
	"errors"
	"fmt"
	"syscall"
)

// Free returns how many bytes this process may still write to the disk that the
// root is on.
func (s *Store) Free() (int64, error) {
	root, err := s.root().Open(".")
	if err != nil {
		return 0, fmt.Errorf("open the storage root: %w", err)
	}
	var st syscall.Statfs_t
	err = syscall.Fstatfs(int(root.Fd()), &st)
	if err := errors.Join(err, root.Close()); err != nil {
		return 0, fmt.Errorf("look how much of the disk is free: %w", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // of other types elsewhere
}
