//go:build !norecorder

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/remote"
	"github.com/live777/recorder/internal/storage/spool"
)

// openLibrary is the storage and the catalogue of a node, opened by another process.
type openLibrary struct {
	backend   storage.Backend
	catalogue *catalogue.DB
	// partial says that the storage may lack what a node has still to upload.
	partial bool
	waiting map[string]int64 // what that is, by keys, of this node; nil where storage is all
	closers []func() error
}

// openForCommand opens the storage and the catalogue as a node would, beside
// nodes that may use them.
func openForCommand(ctx context.Context, cfg *config.Config, log *slog.Logger) (l *openLibrary, err error) {
	l = &openLibrary{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	o := cfg.Recorder.Storage
	if o.Type == config.StorageFS {
		if _, err := os.Stat(o.Root); err != nil { // a node would make it
			return l, fmt.Errorf("recorder.storage.root: %w", err)
		}
		store, err := fs.New(o.Root, fs.Options{Mode: o.FileMode.Mode(), Logger: log})
		if err != nil {
			return l, err
		}
		l.backend = store
		l.closers = append(l.closers, store.Close)
	} else {
		if err := l.openRemote(ctx, cfg.Recorder, log); err != nil {
			return l, err
		}
	}
	if l.catalogue, err = catalogue.Open(ctx, string(cfg.Database.URL)); err != nil {
		return l, err
	}
	l.closers = append(l.closers, l.catalogue.Close)
	return l, nil
}

// openRemote opens remote storage, and looks what this node has still to upload.
func (l *openLibrary) openRemote(ctx context.Context, o config.Recorder, log *slog.Logger) error {
	store, err := remote.Open(ctx, o.Storage, log)
	if err == nil {
		err = store.Check(ctx)
	}
	if err != nil {
		return err
	}
	l.backend, l.partial = store, true
	l.waiting, err = spool.Waiting(ctx, o.Spool.Dir)
	return err
}

func (l *openLibrary) close() error {
	var errs []error
	for _, f := range l.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Rebuild makes the catalogue from what is in storage (package maintain). ok is
// false where something in storage could not be read.
func Rebuild(ctx context.Context, cfg *config.Config, c Command) (ok bool, err error) {
	l, err := openForCommand(ctx, cfg, c.Logger)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	out := maintain.NewOutput(c.Stdout, c.Stderr, c.JSON)
	o := maintain.RebuildOptions{
		Backend: l.backend, Catalogue: l.catalogue, Partial: l.partial, Index: c.Index, Fill: c.Fill, Node: cfg.Recorder.NodeAlias, Originals: c.Originals, Logger: c.Logger,
		Progress: func(s maintain.RebuildSummary) {
			out.Progress(s.Recordings, 0, fmt.Sprintf(", %d added to the catalogue, %d corrected", s.Added, s.Updated))
		},
	}
	sum, err := maintain.Rebuild(ctx, o)
	if err != nil {
		return false, err
	}
	out.Rebuilt(sum)
	return len(sum.Problems) == 0, out.Err()
}

// oneIn returns a function that chooses one in n at random; nil where all are chosen.
func oneIn(n int) func(string) bool {
	if n <= 1 {
		return nil
	}
	return func(string) bool { return rand.IntN(n) == 0 } //nolint:gosec // nobody gains from guessing it
}

// Verify checks every recording, and the catalogue against them (package
// maintain). ok is false where something is wrong; an error means that not
// everything could be checked, or that there is nothing in a folder of c.Prefixes.
func Verify(ctx context.Context, cfg *config.Config, c Command) (ok bool, err error) {
	var decoder *verify.Decoder
	if c.Decode {
		if decoder, err = verify.NewDecoder(); err != nil {
			return false, err
		}
	}
	l, err := openForCommand(ctx, cfg, c.Logger)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	total := 0
	prefixes := make([]string, len(c.Prefixes))
	for i, p := range c.Prefixes {
		prefixes[i] = strings.Trim(path.Clean("/"+p), "/")
	}
	if len(prefixes) == 0 {
		if _, total, err = l.catalogue.List(ctx, media.RecordingQuery{Limit: 1}); err != nil {
			return false, err
		}
	}
	out := maintain.NewOutput(c.Stdout, c.Stderr, c.JSON)
	done, bad := 0, 0
	unseen := slices.DeleteFunc(slices.Clone(prefixes), func(p string) bool { return p == "" }) // which is everything
	sum, err := maintain.Verify(ctx, maintain.VerifyOptions{
		Backend: l.backend, Catalogue: l.catalogue, Prefixes: prefixes, Partial: l.partial, Decoder: decoder,
		Waiting: l.waiting, Node: cfg.Recorder.NodeAlias, Read: oneIn(c.Sample),
		Report: func(f maintain.Finding) {
			done++
			bad += len(f.Problems)
			unseen = slices.DeleteFunc(unseen, func(p string) bool { return strings.HasPrefix(f.RecordDir+"/", p+"/") })
			out.Finding(f)
			out.Progress(done, total, fmt.Sprintf(", %d problems", bad))
		},
	})
	if err != nil {
		return false, err
	}
	out.Verified(sum)
	if err := out.Err(); err != nil {
		return false, err
	}
	if sum.Unchecked > 0 {
		return false, fault.Errorf(fault.Unavailable, "%d recordings could not be checked: see above why", sum.Unchecked)
	}
	if len(unseen) > 0 { // a slip must not look like a good recording
		return false, fault.Errorf(fault.NotFound, "there is no recording in the folder %q of the storage, nor in the catalogue", unseen[0])
	}
	return sum.Bad == 0, nil
}
