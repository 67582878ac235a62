//go:build !norecorder

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/storage/spool"
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

// folderLook looks at a folder that may be replaced.
type folderLook struct {
	look     func(context.Context) (replaced bool, err error)
	then     func() error // what else is looked at in a folder that can be used
	told     string       // when it was replaced, with the time
	replaced time.Time    // last; zero: never
}

// find returns what is wrong with the folder, and what was a while ago.
func (l *folderLook) find(ctx context.Context) error {
	replaced, err := l.look(ctx)
	if replaced && (err == nil || l.replaced.IsZero()) { // and not each time that it cannot be opened
		l.replaced = time.Now()
	}
	if err == nil {
		err = l.then()
	}
	if l.replaced.IsZero() || time.Since(l.replaced) > replacedFor {
		return err
	}
	return errors.Join(err, health.Minor(fault.Errorf(fault.Unavailable, l.told, l.replaced.UTC().Format(time.RFC3339))))
}

// lookRemote says how uploads fare. What is recorded meanwhile waits.
func lookRemote(s spool.Status) error {
	if !s.Failing {
		return nil
	}
	return health.Minor(fault.Errorf(fault.Unavailable, "remote storage does not take uploads; what is recorded waits in the spool: %s", s.LastError).Coded("uploads_fail"))
}

// lookSpool says what keeps recordings from beginning, or from being uploaded.
func lookSpool(s spool.Status) error {
	var errs []error
	if s.MaxBytes > 0 && s.UsedBytes*100 >= s.MaxBytes*spoolFull {
		errs = append(errs, fault.Errorf(fault.StorageFull, "the spool is full: recorder.spool.max_bytes allows for no more recordings before remote storage has taken some").Coded("spool_full"))
	}
	if s.Conflicts > 0 {
		errs = append(errs, health.Minor(fault.Errorf(fault.Conflict, "remote storage does not take %d objects, which stay in the spool; the log says which and why", s.Conflicts).Coded("uploads_refused", "n", s.Conflicts)))
	}
	if s.Lost > 0 {
		errs = append(errs, health.Minor(fault.Errorf(fault.Unavailable, "%d objects are gone from the spool that were not uploaded yet: their recordings are not whole, and say so; this is told until they are deleted, or the node is started anew", s.Lost).Coded("spool_lost", "n", s.Lost)))
	}
	return errors.Join(errs...)
}
