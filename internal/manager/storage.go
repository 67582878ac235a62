package manager

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/remote"
)

// checkTimeout bounds the look at remote storage when the manager starts.
const checkTimeout = 10 * time.Second

// shared is what nodes share; the zero value where they share nothing.
type shared struct {
	backend storage.Backend
	presign storage.Presigner // nil where no URLs can be signed
	close   io.Closer         // nil where there is nothing to close
	// look says what is wrong with it; nil where nobody looks.
	look func(context.Context) error
}

// openStorage opens what nodes share. Remote storage that cannot be reached is no
// error: it may come back, and nodes can be managed without it.
func openStorage(ctx context.Context, o config.Storage, log *slog.Logger) (shared, error) {
	switch o.Type {
	case config.StorageFS:
		store, err := fs.New(o.Root, fs.Options{Mode: o.FileMode.Mode(), Option: "storage.root", Logger: log})
		if err != nil {
			return shared{}, err
		}
		look := func(context.Context) error {
			_, err := store.Look()
			if errors.Is(err, storage.ErrDenied) || errors.Is(err, storage.ErrFull) {
				return health.Minor(err) // a manager writes nothing but deletions
			}
			return err
		}
		return shared{backend: store, close: store, look: look}, nil
	case config.StorageS3, config.StorageOSS:
		store, err := remote.Open(ctx, o, log)
		if err != nil {
			return shared{}, optionError{err}
		}
		return shared{backend: store, presign: store}, check(ctx, store.Check, log)
	}
	return shared{}, nil
}

// check finds mistakes in the configuration of remote storage.
func check(ctx context.Context, do func(context.Context) error, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := do(ctx)
	switch {
	case err == nil:
		return nil
	case fault.KindOf(err) == fault.Unavailable:
		log.Warn("storage cannot be reached", "error", optionError{err})
		return nil
	}
	return optionError{err}
}

// optionError is an error of remote storage with the options' names of a manager:
// the backends call them as a node does.
type optionError struct{ error }

func (e optionError) Error() string {
	return strings.ReplaceAll(e.error.Error(), "recorder.storage.", "storage.")
}

func (e optionError) Unwrap() error { return e.error }
