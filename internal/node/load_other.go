//go:build !unix

package node

import "time"

// cpuTime is not known on this operating system.
func cpuTime() (used time.Duration, known bool) { return 0, false }
