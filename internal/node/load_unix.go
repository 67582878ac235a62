//go:build unix

package node

import (
	"syscall"
	"time"
)

// cpuTime returns how much of the CPUs this process has used.
func cpuTime() (used time.Duration, known bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
