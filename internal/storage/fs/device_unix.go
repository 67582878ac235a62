//go:build unix

package fs

import (
	"os"
	"syscall"
)

// deviceOf returns the number of the disk that a folder is on; 0 where that is not known.
func deviceOf(r *os.Root) uint64 {
	info, err := r.Stat(".")
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(st.Dev) //nolint:gosec,unconvert // signed elsewhere
}
