//go:build !(linux || darwin || freebsd)

package fs

import "github.com/live777/recorder/internal/base/fault"

// Free is an error on this operating system.
func (s *Store) Free() (int64, error) {
	return 0, fault.New(fault.Unsupported, "how much of the disk is free cannot be told on this operating system: take recorder.retention.min_free_bytes out")
}
