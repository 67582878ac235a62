package spool

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/live777/recorder/internal/media"
)

// Waiting returns the sizes of what waits in the spool of a directory, by key. A node
// may be using the spool: what is uploaded meanwhile may be among it. If the directory
// does not exist, nothing waits.
func Waiting(ctx context.Context, dir string) (map[string]int64, error) {
	waiting := map[string]int64{}
	root := filepath.Join(dir, objectsName)
	err := filepath.WalkDir(root, func(name string, d iofs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // it has just been uploaded, or never was
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		key := filepath.ToSlash(rel)
		if err != nil || media.CheckPath(key) != nil || !d.Type().IsRegular() {
			return err
		}
		switch info, err := d.Info(); {
		case err == nil:
			waiting[key] = info.Size()
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recorder.spool.dir: look what waits: %w", err)
	}
	return waiting, nil
}
