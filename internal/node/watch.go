//go:build !norecorder

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/fault"
	"github.com/live777/recorder/internal/health"
	"github.com/live777/recorder/internal/spool"
	"github.com/live777/recorder/internal/storage/fs"
)

// replacedFor is how long it is told that a folder was replaced: what was recorded
// before is not there, although all is well again.
const replacedFor = time.Hour

// spoolFull is the percentage of recorder.spool.max_bytes from which no recording begins.
const spoolFull = 95

func (w *withRecorder) watch(h *health.Watch) {
	w.depot.watch(h)
	h.Add("recordings", w.lookStored)
	h.Add("catalogue", w.lookCatalogue)
}

// lookStored is minor: others can be recorded, also where a folder that was replaced
// has been opened anew.
func (w *withRecorder) lookStored(ctx context.Context) error {
	return health.Minor(w.LookStored(ctx))
}

func (w *withRecorder) lookCatalogue(ctx context.Context) error {
	if err := w.catalogue.Check(ctx); err != nil {
		return fmt.Errorf("recordings cannot be listed: %w", err)
	}
	return w.restorer.look(ctx)
}

// folderLook looks at a folder that is storage.
type folderLook struct {
	store    *fs.Store
	replaced time.Time // last; zero: never
}

func (l *folderLook) look(context.Context) error {
	replaced, err := l.store.Look()
	if replaced {
		l.replaced = time.Now()
	}
	if l.replaced.IsZero() || time.Since(l.replaced) > replacedFor {
		return err
	}
	return errors.Join(err, health.Minor(fault.Errorf(fault.Unavailable,
		"the folder of recorder.storage.root was replaced at %s: recordings that ran have ended, and what was recorded before is in the former folder, if that is still there",
		l.replaced.UTC().Format(time.RFC3339))))
}

// lookRemote says how uploads fare. What is recorded meanwhile waits.
func lookRemote(s spool.Status) error {
	if !s.Failing {
		return nil
	}
	return health.Minor(fault.Errorf(fault.Unavailable, "remote storage does not take uploads; what is recorded waits in the spool: %s", s.LastError))
}

// lookSpool says what keeps recordings from beginning, or from being uploaded.
func lookSpool(s spool.Status) error {
	var errs []error
	if s.MaxBytes > 0 && s.UsedBytes*100 >= s.MaxBytes*spoolFull {
		errs = append(errs, fault.Errorf(fault.StorageFull, "the spool is full: recorder.spool.max_bytes allows for no more recordings before remote storage has taken some"))
	}
	if s.Conflicts > 0 {
		errs = append(errs, health.Minor(fault.Errorf(fault.Conflict, "remote storage does not take %d objects, which stay in the spool; the log says which and why", s.Conflicts)))
	}
	if s.Lost > 0 {
		errs = append(errs, health.Minor(fault.Errorf(fault.Unavailable, "%d objects are gone from the spool that were not uploaded yet: their recordings are not whole in remote storage", s.Lost)))
	}
	return errors.Join(errs...)
}
