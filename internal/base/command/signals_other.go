//go:build !unix

package command

import (
	"os"
	"syscall"
)

// ending are the signals that ask a process to end.
var ending = []os.Signal{os.Interrupt, syscall.SIGTERM}
