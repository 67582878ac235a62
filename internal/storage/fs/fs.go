// Package fs keeps objects as files below a folder of the local file system.
// Every access goes through an os.Root, so that no key and no symbolic link can
// name a file outside of that folder.
package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// DefaultMode is that of files, before umask: recordings are not for everybody
	// who has an account on the machine.
	DefaultMode = 0o640

	// tempDir holds the objects that Put has not finished. It is one folder,
	// and not the object's own, so that New can clean up without walking
	// millions of segments; its dot keeps it out of reach of every key.
	tempDir    = ".live777-tmp"
	tempPrefix = "put-"

	// staleAfter is how long a temporary file must have been left alone to
	// count as a leftover: another process that shares the root may be writing.
	staleAfter = time.Hour

	// mkdirAttempts bounds how often a folder is made again that another
	// process with the same root removed as empty.
	mkdirAttempts = 100
)

// Options are the settings of a Store. The zero value is ready for use.
type Options struct {
	// Mode is that of new files, before umask; 0: DefaultMode. Who may read them may
	// open the folders that are made for them.
	Mode os.FileMode
	// NoSync leaves it to the operating system when data reaches the disk. A
	// crash of the process then still loses nothing, a power cut may.
	NoSync bool
	// Option is the configuration key that names the root, for error texts;
	// empty means recorder.storage.root.
	Option string
	// Logger gets what is worth knowing and no call's error; nil means slog.Default().
	Logger *slog.Logger
}

// Store is a folder of the local file system as a storage.Store. Files and folders whose
// names start with a dot, symbolic links and special files are not objects and are never
// listed. The whole root must be on one file system. Safe for concurrent use.
type Store struct {
	storage.Direct

	path   string // of the root, absolute
	option string // that of Options
	opened atomic.Pointer[os.Root]
	looked look
	mode   os.FileMode
	noSync bool
	log    *slog.Logger

	// folders is locked while empty folders are removed, and for reading
	// between making a folder and making a file in it.
	folders sync.RWMutex
}

var _ storage.Store = (*Store)(nil)

// New opens the folder root, which it makes when it is missing, and removes what
// crashed processes left of unfinished Puts. A root that cannot be made or
// opened is an error that names it and its option; one
// that cannot be written is only logged, for what it has can still be played.
func New(root string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Option = cmp.Or(o.Option, "recorder.storage.root")
	if root == "" {
		return nil, fault.Errorf(fault.Invalid, "%s is empty: name the folder where recordings are kept", o.Option)
	}
	o.Mode = cmp.Or(o.Mode, DefaultMode)
	if err := os.MkdirAll(root, folderMode(o.Mode)); err != nil {
		return nil, rootError(o.Option, "make", root, err)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, rootError(o.Option, "open", root, err)
	}
	path, err := filepath.Abs(root)
	if err != nil {
		return nil, errors.Join(rootError(o.Option, "find", root, err), r.Close())
	}
	s := &Store{path: path, option: o.Option, mode: o.Mode, noSync: o.NoSync, log: o.Logger}
	s.opened.Store(r)
	s.looked.disk = deviceOf(r)
	if err := s.probe(); err != nil {
		s.log.Error("nothing can be recorded until this is mended", "error", rootError(o.Option, "write to", root, err))
	}
	s.removeStale(time.Now().Add(-staleAfter))
	return s, nil
}

// folderMode lets those open a folder who may read the files in it.
func folderMode(file os.FileMode) os.FileMode { return file | file>>2&0o111 }

// Close releases the root folder; calls after it fail.
func (s *Store) Close() error { return s.root().Close() }

// root returns the folder as it was opened last: see Look.
func (s *Store) root() *os.Root { return s.opened.Load() }

func rootError(option, verb, root string, err error) error {
	return fmt.Errorf("%s: cannot %s the folder %q (make it writable for this user, or name another): %w",
		option, verb, root, classify(err))
}

// probeSize is more than fits into what a file system has left in its own records of a
// file when the disk is full.
const probeSize = 64 << 10

// probe finds out at the start, and not at the first recording, whether files
// can be made in the root and written.
func (s *Store) probe() error {
	f, name, err := s.createTemp()
	if err != nil {
		return classify(err)
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(classify(err), f.Close(), s.root().Remove(name))
}

// removeStale removes the temporary files that nobody has written since cutoff.
func (s *Store) removeStale(cutoff time.Time) {
	entries, err := fs.ReadDir(s.root().FS(), tempDir)
	if err != nil && !gone(err) {
		s.log.Warn("cannot look for leftovers of unfinished uploads", "folder", tempDir, "error", err)
		return
	}
	for _, e := range entries {
		name := path.Join(tempDir, e.Name())
		info, err := s.root().Lstat(name)
		if err != nil || !info.Mode().IsRegular() ||
			!strings.HasPrefix(e.Name(), tempPrefix) || info.ModTime().After(cutoff) {
			continue
		}
		if err := s.root().Remove(name); err != nil {
			s.log.Warn("cannot remove the leftover of an unfinished upload", "file", name, "error", err)
			continue
		}
		s.log.Info("removed the leftover of an unfinished upload", "file", name, "bytes", info.Size())
	}
}

// Traits implements storage.Store.
func (*Store) Traits() storage.Traits { return storage.Traits{InPlace: true} }

// Stat implements storage.Backend.
func (s *Store) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := check(ctx, key); err != nil {
		return storage.Object{}, fmt.Errorf("stat object: %w", err)
	}
	info, err := s.root().Stat(key)
	if err == nil && !info.Mode().IsRegular() {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.Object{}, fmt.Errorf("stat object %q: %w", key, classifyRead(err))
	}
	return objectOf(key, info), nil
}

// Delete implements storage.Backend. It also removes the folders that became
// empty, but never the root.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	info, err := s.root().Lstat(key)
	switch {
	case err == nil && info.IsDir():
		return nil // a folder is no object
	case err == nil:
		err = s.root().Remove(key)
	}
	if err = classifyRead(err); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	s.prune(path.Dir(key))
	return nil
}

// prune removes dir and its parents as long as they are empty folders.
func (s *Store) prune(dir string) {
	s.folders.Lock()
	defer s.folders.Unlock()
	for ; dir != "."; dir = path.Dir(dir) {
		// Root.Remove would also remove a symbolic link to a folder in use.
		info, err := s.root().Lstat(dir)
		if err != nil || !info.IsDir() || s.root().Remove(dir) != nil {
			return
		}
	}
}

// inDir calls make, which makes the file name, and makes the folder it goes into
// when that is missing. It reports whether it had to.
func (s *Store) inDir(name string, make func() error) (madeDir bool, err error) {
	if err = make(); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	s.folders.RLock()
	defer s.folders.RUnlock()
	for range mkdirAttempts {
		err = s.root().MkdirAll(path.Dir(name), folderMode(s.mode))
		// Either is what happens when another process prunes at the same time;
		// a file in the folder's place has been an error of make.
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		if err = make(); !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	return false, fmt.Errorf("its folder cannot be made; was the storage root removed? %w", err)
}

// syncDir makes the entry of a new file durable; newDir says that its folders
// are new too.
func (s *Store) syncDir(name string, newDir bool) error {
	if s.noSync {
		return nil
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		d, err := s.root().Open(dir)
		if err != nil {
			return err
		}
		err = d.Sync()
		if err := errors.Join(err, d.Close()); err != nil {
			return err
		}
		if !newDir || dir == "." {
			return nil
		}
	}
}

// check applies what holds before every call: a key that is none, or a context
// that has ended, reaches no disk.
func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return media.CheckPath(key)
}

// classify marks the errors of the operating system that callers branch on.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return fault.Errorf(fault.Conflict, "a file or folder of that name exists: %w", err)
	case strings.HasSuffix(err.Error(), "path escapes from parent"):
		// What os.Root says of a link that leaves the root; it exports no error for it.
		return fmt.Errorf("%w: %w", storage.ErrDenied, err)
	}
	return storage.ClassifyLocal(err)
}

// classifyRead is classify for calls that need an object that exists.
func classifyRead(err error) error {
	if gone(err) {
		return fmt.Errorf("%w: %w", storage.ErrNotFound, err)
	}
	return classify(err)
}

// gone reports whether err says that there is no such file; a file in the place
// of a folder says so too.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func objectOf(key string, info fs.FileInfo) storage.Object {
	return storage.Object{Key: key, Size: info.Size(), Modified: info.ModTime(), ETag: etag(info)}
}
