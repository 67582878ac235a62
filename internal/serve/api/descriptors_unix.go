//go:build unix

package api

import "syscall"

// descriptors returns how many files and sockets the process may have open. Go has
// raised that to the most that it may be.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return manyDescriptors
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on some systems
}
