//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package filelock

import "os"

// Lock does nothing: there are no locks here that end with the process, and no two
// may use the same files.
func Lock(*os.File) error { return nil }
