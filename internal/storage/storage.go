// Package storage is where recordings are kept: objects with slash-separated
// keys, in one backend. Each backend is a package of its own below this one and
// passes the same contract suite (package storagetest).
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// The errors that callers branch on. Backends wrap their own errors so that
// errors.Is finds these.
var (
	ErrNotFound = fault.New(fault.NotFound, "object not found")
	ErrFull     = fault.New(fault.StorageFull, "no space left on storage")
	ErrDenied   = fault.New(fault.Unavailable, "storage refuses access")
)

// ClassifyLocal marks the errors of a local disk that callers branch on.
func ClassifyLocal(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}

// Object describes one stored object.
type Object struct {
	Key      string // relative to the backend's root, media.CheckPath holds for it
	Size     int64  // bytes
	Modified time.Time
	ETag     string // opaque, without quotes; changes when the content does
}

// Backend stores objects. Keys obey media.CheckPath; a key that does not is a
// fault.Invalid error and reaches no server and no disk. All methods are safe
// for concurrent use and end early when ctx does.
type Backend interface {
	// Put stores what body yields under key. Readers see the old object or the
	// whole new one, never a part. size is the number of bytes; a body that
	// yields another number is an error and stores nothing.
	Put(ctx context.Context, key string, body io.Reader, size int64) error

	// Get opens the object at byte offset; length < 0 means to its end. An
	// object shorter than asked ends early with io.EOF. ErrNotFound if there is none.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// Stat describes the object, or ErrNotFound.
	Stat(ctx context.Context, key string) (Object, error)

	// List yields every object whose key is below the folder prefix ("" for
	// all), in lexical order of keys. It ends after the first error. A prefix
	// that does not exist yields nothing.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Delete removes the object; one that does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// Creator is a backend that can grow an object in place, so that what has been
// written survives a crash of the process and can be read before it is complete.
type Creator interface {
	// Create makes a new empty object. An object that exists is an error that
	// errors.Is io/fs.ErrExist: nothing that was written is ever overwritten.
	Create(ctx context.Context, key string) (File, error)
}

// Adder is a backend that can store an object only where there is none, which is
// decided by the backend itself: several nodes may share it.
type Adder interface {
	// Add is Put of a new object. One that exists, whatever is in it, is an error
	// that errors.Is io/fs.ErrExist, and stays as it is.
	Add(ctx context.Context, key string, body io.Reader, size int64) error
}

// Repairer is a Creator whose objects can be ended after the process that
// created them has died.
type Repairer interface {
	// Repair ends the object that a crash left open: what is after its first size
	// bytes is cut off, and the rest is as durable as after Sync and Close. An object
	// that is open in this process must not be repaired. One that has been closed
	// already and has that size stays as it is. ErrNotFound if there is none.
	Repair(ctx context.Context, key string, size int64) error
}

// Claimer is a Creator in front of a backend that others use too. What Create finds
// free may be taken by another in the next moment.
type Claimer interface {
	// Claimed returns an error that errors.Is io/fs.ErrExist if the object that
	// Create made here has turned out to be another's there. It does not wait long:
	// nil means that nobody else is known to have it.
	Claimed(ctx context.Context, key string) error
}

// Buffer is a Store that keeps what it is given on this machine until a remote
// backend has it.
type Buffer interface {
	// Pending reports whether the object is on this machine only, or is still
	// being written.
	Pending(key string) bool
	// Lost returns the objects of a folder, and not of those within it, that have
	// vanished from this machine before the backend had them. They stay Pending.
	Lost(folder string) []string
}

// File is an object that is being written. Not safe for concurrent use.
type File interface {
	// Write appends; a failed write leaves the object as it was before it, as
	// far as the medium allows.
	io.Writer
	// Sync makes what was written durable.
	Sync() error
	// Close ends the object; it does not imply Sync.
	Close() error
}

// Presigner is a backend whose objects can be fetched by URL without credentials.
type Presigner interface {
	// PresignGet returns a URL that serves the object with GET until ttl has passed.
	PresignGet(ctx context.Context, key string, ttl time.Duration) (string, error)
}
