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
	ErrFull     = fault.New(fault.StorageFull, "no space left on storage").Coded("storage_full")
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

// Readable is what objects are read from. It is as safe as a Backend.
type Readable interface {
	// Get opens the object at byte offset; length < 0 means to its end. An
	// object shorter than asked ends early with io.EOF. ErrNotFound if there is none.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// Stat describes the object, or ErrNotFound.
	Stat(ctx context.Context, key string) (Object, error)
}

// Lister lists objects.
type Lister interface {
	// List yields every object whose key is below the folder prefix ("" for
	// all), in lexical order of keys. It ends after the first error. A prefix
	// that does not exist yields nothing.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
}

// Backend stores objects. Keys obey media.CheckPath; a key that does not is a
// fault.Invalid error and reaches no server and no disk. All methods are safe
// for concurrent use and end early when ctx does.
type Backend interface {
	Readable

	// Put stores what body yields under key. Readers see the old object or the
	// whole new one, never a part. size is the number of bytes; a body that
	// yields another number is an error and stores nothing.
	Put(ctx context.Context, key string, body io.Reader, size int64) error

	Lister

	// Delete removes the object; one that does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// Store is a Backend that recordings are written to. It is the whole contract: what a
// store cannot do it says in Traits, or answers with an error.
//
// The Class of an object follows from its key (ClassOf). Media is stored once and never
// replaced. Manifests and descriptions are replaced by Put. An Info that Create or Add
// makes claims its folder: nobody else stores anything in it.
type Store interface {
	Backend

	// Traits says what callers have to know of the store. It never changes.
	Traits() Traits

	// Add is Put of a new object. If the object exists, whatever is in it, it stays as it
	// is, and the error is fs.ErrExist. The store decides that itself: several processes
	// may share it.
	Add(ctx context.Context, key string, body io.Reader, size int64) error

	// Create makes a new object, to which its File appends. If the object exists, it
	// stays as it is, and the error of Create, or at the latest of File.Close, is
	// fs.ErrExist. A store that uploads does not ask whether remote storage has an object
	// of a folder that is claimed here: it would find that out when it uploads it.
	Create(ctx context.Context, key string) (File, error)

	// Repair ends an object that a crash left open: it cuts off what follows the first
	// size bytes, and makes the rest as durable as Sync and Close do. Nobody may have the
	// object open. If it has that size already, it stays as it is. If it is shorter, the
	// error is a fault.Conflict. ErrNotFound if there is none.
	Repair(ctx context.Context, key string, size int64) error

	// Claimed returns fs.ErrExist if an object that was made here has turned out to be
	// another's in the place that others use too. It does not wait long: nil means that
	// nobody else is known to have it.
	Claimed(ctx context.Context, key string) error

	// Pending reports whether the object is on this machine only, or is still being
	// written.
	Pending(key string) bool

	// Lost returns the objects of a folder, and not of folders in it, that have vanished
	// from this machine before the remote storage had them. They stay Pending.
	Lost(folder string) []string

	// Hold keeps a folder on this machine until the next start, because something in it
	// has to be repaired and could not be.
	Hold(folder string)
}

// Traits are the ways in which stores differ.
type Traits struct {
	// Uploads says that the store keeps what it is given on this machine until remote
	// storage has it. Only then anything is Pending, Lost or held.
	Uploads bool
	// InPlace says that an object that is created can be read while it grows, and that
	// what was written to it survives the end of the process. Otherwise the object
	// appears, whole, when it is closed.
	InPlace bool
}

// Direct has the methods of a Store that keeps every object in its one place from the
// beginning, so that nothing is pending, lost or held.
type Direct struct{}

// Claimed implements Store.
func (Direct) Claimed(ctx context.Context, _ string) error { return ctx.Err() }

// Pending implements Store.
func (Direct) Pending(string) bool { return false }

// Lost implements Store.
func (Direct) Lost(string) []string { return nil }

// Hold implements Store.
func (Direct) Hold(string) {}

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
