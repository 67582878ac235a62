package fs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Get implements storage.Backend.
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := check(ctx, key); err != nil {
		return nil, fmt.Errorf("get object: %w", err)
	}
	if offset < 0 {
		return nil, fault.Errorf(fault.Invalid, "get object %q: offset is %d", key, offset)
	}
	f, err := s.open(key, offset)
	if err != nil {
		return nil, fmt.Errorf("get object %q: %w", key, classifyRead(err))
	}
	var content io.Reader = f
	if length >= 0 {
		content = io.LimitReader(f, length)
	}
	return &body{storage.ContextReader(ctx, content), f}, nil
}

// Open opens the object as a file, for callers that have to seek in it or must
// go on reading what it was when it is replaced or deleted. Its errors are Get's.
func (s *Store) Open(ctx context.Context, key string) (*os.File, error) {
	if err := check(ctx, key); err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	f, err := s.open(key, 0)
	if err != nil {
		return nil, fmt.Errorf("open object %q: %w", key, classifyRead(err))
	}
	return f, nil
}

func (s *Store) open(key string, offset int64) (*os.File, error) {
	// A pipe that somebody put there must not block the open.
	f, err := s.root().OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = storage.ErrNotFound
	}
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// body is what Get returns.
type body struct {
	io.Reader
	f *os.File
}

func (b *body) Close() error { return b.f.Close() }

// OnDisk implements storage.OnDisk.
func (b *body) OnDisk() *os.File { return b.f }

// List implements storage.Backend. It reads one folder at a time. A folder below
// prefix that this user may not read (such as lost+found) is logged and left
// out; files that vanish meanwhile are left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if prefix != "" {
			if err := media.CheckPath(prefix); err != nil {
				yield(storage.Object{}, fmt.Errorf("list objects: %w", err))
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(storage.Object{}, fmt.Errorf("list objects: %w", err))
			return
		}
		dir, err := openFolder(s.root(), cmp.Or(prefix, "."))
		if err != nil {
			yield(storage.Object{}, fmt.Errorf("list objects of %q: %w", prefix, classify(err)))
			return
		}
		if dir != nil {
			w := &walk{ctx: ctx, store: s, yield: yield}
			w.folder(dir, prefix)
		}
	}
}

// openFolder opens the folder name below r; nil if there is none (any more).
func openFolder(r *os.Root, name string) (*os.Root, error) {
	info, err := r.Stat(name)
	if gone(err) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dir, err := r.OpenRoot(name)
	if gone(err) {
		return nil, nil
	}
	return dir, err
}

// walk is one run of List.
type walk struct {
	ctx   context.Context
	store *Store
	yield func(storage.Object, error) bool
}

// folder yields what is below dir, closes it, and reports whether to go on.
func (w *walk) folder(dir *os.Root, prefix string) bool {
	defer dir.Close() //nolint:errcheck // nothing was written
	entries, err := readDir(dir)
	if err != nil {
		return w.fail(prefix, err)
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return w.fail(prefix, err)
		}
		key := path.Join(prefix, e.Name())
		if media.CheckPath(key) != nil {
			continue // no key can name it
		}
		if !w.entry(dir, e, key) {
			return false
		}
	}
	return true
}

func (w *walk) entry(dir *os.Root, e fs.DirEntry, key string) bool {
	switch {
	case e.IsDir():
		sub, err := openFolder(dir, e.Name())
		switch {
		case errors.Is(err, fs.ErrPermission):
			w.store.log.Warn("a folder of the storage root is left out of the listing: access denied", "folder", key)
			return true
		case err != nil:
			return w.fail(key, err)
		}
		return sub == nil || w.folder(sub, key)
	case e.Type().IsRegular():
		info, err := dir.Lstat(e.Name())
		switch {
		case err == nil && info.Mode().IsRegular():
			return w.yield(objectOf(key, info), nil)
		case err == nil || gone(err):
			return true
		}
		return w.fail(key, err)
	}
	return true
}

func (w *walk) fail(key string, err error) bool {
	w.yield(storage.Object{}, fmt.Errorf("list objects of %q: %w", key, classify(err)))
	return false
}

// readDir returns the entries of dir in the order of the keys below them: a
// folder "a" is "a/" there, and so comes after a file "a.b".
func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	entries, err := f.ReadDir(-1)
	if err != nil && !gone(err) {
		return nil, err
	}
	sortKey := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortKey(a), sortKey(b)) })
	return entries, nil
}
