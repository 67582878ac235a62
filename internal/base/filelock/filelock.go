// Package filelock locks files for a process: a lock ends when the file is closed
// or the process dies, however it does.
package filelock

import "errors"

// ErrLocked says that somebody else has the lock, in another process or by another
// opening of the file in this one.
var ErrLocked = errors.New("the file is locked")
