package fs

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/storage"
)

// Put implements storage.Backend: a temporary file is written, made durable and
// renamed to its name, and then the name is made durable.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.store(ctx, "put", key, body, size, (*os.Root).Rename)
}

// Add implements storage.Store, as Put does, but by a hard link: a file system without
// them has no Add.
func (s *Store) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.store(ctx, "add", key, body, size, func(root *os.Root, temp, key string) error {
		if err := root.Link(temp, key); err != nil {
			return err
		}
		return root.Remove(temp)
	})
}

// store writes a temporary file, which place gives its name.
func (s *Store) store(ctx context.Context, verb, key string, body io.Reader, size int64, place func(root *os.Root, temp, key string) error) error {
	if err := check(ctx, key); err != nil {
		return fmt.Errorf("%s object: %w", verb, err)
	}
	if size < 0 {
		return fault.Errorf(fault.Invalid, "%s object %q: size is %d", verb, key, size)
	}
	temp, err := s.stage(ctx, body, size)
	if err != nil {
		return fmt.Errorf("%s object %q: %w", verb, key, classify(err))
	}
	newDir, err := s.inDir(key, func() error { return place(s.root(), temp, key) })
	if err != nil {
		_ = s.root().Remove(temp)
		return fmt.Errorf("%s object %q: %w", verb, key, classify(err))
	}
	if err := s.syncDir(key, newDir); err != nil {
		return fmt.Errorf("%s object %q: sync its folder: %w", verb, key, classify(err))
	}
	return nil
}

// stage writes body to a temporary file, durably, and returns its name. On an
// error it leaves no file.
func (s *Store) stage(ctx context.Context, body io.Reader, size int64) (name string, err error) {
	f, name, err := s.createTemp()
	if err != nil {
		return "", err
	}
	err = s.fill(ctx, f, body, size)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = s.root().Remove(name)
		return "", err
	}
	return name, nil
}

func (s *Store) fill(ctx context.Context, f *os.File, body io.Reader, size int64) error {
	// One byte more than announced shows that there are too many.
	n, err := io.Copy(f, io.LimitReader(storage.ContextReader(ctx, body), size+1))
	switch {
	case err != nil:
		return err
	case n > size:
		return fmt.Errorf("the body has more than the %d bytes that were announced", size)
	case n < size:
		return fmt.Errorf("the body has %d of the %d bytes that were announced: %w", n, size, io.ErrUnexpectedEOF)
	case s.noSync:
		return nil
	}
	return f.Sync()
}

func (s *Store) createTemp() (f *os.File, name string, err error) {
	name = path.Join(tempDir, tempPrefix+rand.Text())
	_, err = s.inDir(name, func() error {
		f, err = s.root().OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.mode)
		return err
	})
	return f, name, err
}

// Create implements storage.Store.
func (s *Store) Create(ctx context.Context, key string) (storage.File, error) {
	if err := check(ctx, key); err != nil {
		return nil, fmt.Errorf("create object: %w", err)
	}
	root := s.root()
	var f *os.File
	newDir, err := s.inDir(key, func() (err error) {
		f, err = root.OpenFile(key, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, s.mode)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create object %q: %w", key, classify(err))
	}
	return &file{handle: f, store: s, root: root, key: key, newDir: newDir}, nil
}

// handle is what a file needs of an os.File; tests put a failing one there.
type handle interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// file is an object that grows in place.
type file struct {
	handle handle
	store  *Store
	root   *os.Root // in which it was created
	key    string
	size   int64 // of what was written whole
	newDir bool  // its folder was made for it
	named  bool  // its entry in the folder is durable
	failed error // sticky: the content is not what was written any more
}

// Write appends p, or nothing of it.
func (f *file) Write(p []byte) (int, error) {
	if f.failed == nil && f.root != f.store.root() {
		f.failed = fmt.Errorf("write object %q: %w", f.key, errReplaced)
	}
	if f.failed != nil {
		return 0, f.failed
	}
	n, err := f.handle.Write(p)
	if err == nil {
		f.size += int64(n)
		return n, nil
	}
	err = fmt.Errorf("write object %q: %w", f.key, classify(err))
	if n > 0 {
		if cutErr := f.handle.Truncate(f.size); cutErr != nil {
			// What would be appended now would follow a torn part.
			f.failed = fmt.Errorf("%w; cut the torn part off: %w", err, cutErr)
			return 0, f.failed
		}
	}
	return 0, err
}

// Sync makes what was written durable, and at first also the object's name. The
// error of a failed Sync stays: the operating system may have dropped what it
// could not write, and would call the next one a success.
func (f *file) Sync() error {
	if f.failed != nil || f.store.noSync {
		return f.failed
	}
	if err := f.handle.Sync(); err != nil {
		f.failed = fmt.Errorf("sync object %q: %w", f.key, classify(err))
		return f.failed
	}
	if !f.named {
		if err := f.store.syncDir(f.key, f.newDir); err != nil {
			return fmt.Errorf("sync folder of object %q: %w", f.key, classify(err))
		}
		f.named = true
	}
	return nil
}

// Close ends the object.
func (f *file) Close() error {
	if err := f.handle.Close(); err != nil {
		return fmt.Errorf("close object %q: %w", f.key, classify(err))
	}
	return nil
}
