//go:build unix

package command

import (
	"os"
	"syscall"
)

// ending are all signals that end a Go process, but SIGKILL, which cannot be caught,
// and those of outlive. Of faults of the program itself nothing is caught: signals
// that it causes are panics, whatever stands here.
var ending = append([]os.Signal{
	os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGILL, syscall.SIGSYS,
	syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
}, more...)
