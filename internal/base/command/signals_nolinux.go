//go:build unix && !linux

package command

import "os"

// more is empty: no others have it.
var more []os.Signal
