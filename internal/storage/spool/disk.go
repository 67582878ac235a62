package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/filelock"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
)

// disk is the directory of a spool.
type disk struct {
	dir     string
	objects *fs.Store
	claims  claims
	lock    *os.File
}

// openDisk makes and locks the directory. After an error the caller closes the disk.
func openDisk(o Options) (d *disk, err error) {
	d = &disk{dir: o.Dir}
	if err := os.MkdirAll(o.Dir, dirMode); err != nil {
		return d, dirError(d.dir, err)
	}
	// Of another version others may have had it.
	if err := os.Chmod(o.Dir, dirMode); err != nil {
		return d, dirError(d.dir, err)
	}
	if d.lock, err = openLock(filepath.Join(o.Dir, lockName)); err != nil {
		return d, dirError(d.dir, err)
	}
	option := fs.Options{Mode: fileMode, NoSync: o.NoSync, Option: "recorder.spool.dir", Logger: o.Logger}
	if d.objects, err = fs.New(filepath.Join(o.Dir, objectsName), option); err != nil {
		return d, err
	}
	d.claims = claims{dir: filepath.Join(o.Dir, claimsName), sync: !o.NoSync}
	d.claims.store, err = fs.New(d.claims.dir, option)
	return d, err
}

func dirError(dir string, err error) error {
	return fmt.Errorf("recorder.spool.dir: cannot use the directory %q: %w", dir, err)
}

// close gives the directory back.
func (d *disk) close() error {
	var errs []error
	if d.objects != nil {
		errs = append(errs, d.objects.Close())
	}
	if d.claims.store != nil {
		errs = append(errs, d.claims.store.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// look makes and locks the directory again if it was removed or replaced.
func (d *disk) look() (replaced bool, err error) {
	objects, err := d.objects.Look()
	claims, claimsErr := d.claims.store.Look()
	if err = errors.Join(err, claimsErr); err == nil {
		err = d.keepLock()
	}
	return objects || claims, err
}

// keepLock locks the directory again whose lock has been removed.
func (d *disk) keepLock() error {
	name := filepath.Join(d.dir, lockName)
	there, err := os.Stat(name)
	here, hereErr := d.lock.Stat()
	if err == nil && hereErr == nil && os.SameFile(here, there) {
		return nil
	}
	f, err := openLock(name)
	if err != nil {
		return dirError(d.dir, err)
	}
	former := d.lock
	d.lock = f
	return former.Close()
}

// openLock opens and locks the file by which the directory belongs to this process.
func openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err = filelock.Lock(f); errors.Is(err, filelock.ErrLocked) {
		err = fault.New(fault.Conflict, "another process uses it; give every node a directory of its own")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// explain adds to an error that the disk is full which disk that is.
func (d *disk) explain(err error) error {
	if !errors.Is(err, storage.ErrFull) {
		return err
	}
	return fmt.Errorf("the disk of the spool (recorder.spool.dir = %q): %w", d.dir, err)
}

// openFor opens what an upload sends.
func (d *disk) openFor(ctx context.Context, key string, up *upload) (f *os.File, size int64, err error) {
	if up.claim {
		filled, fillErr := d.claims.fill(ctx, key, d.objects)
		if fillErr != nil {
			return nil, 0, fillErr
		}
		up.stale = !filled
		f, err = d.claims.open(ctx, key)
	} else {
		f, err = d.objects.Open(ctx, key)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}
