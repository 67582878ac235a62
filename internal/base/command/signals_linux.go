package command

import (
	"os"
	"syscall"
)

// more is what Linux has beside the others.
var more = []os.Signal{syscall.SIGSTKFLT}
