//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/maintain"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

const (
	// stampName is the file beside the journals that says how far the catalogue was.
	stampName = "catalogue.json"
	// restoreRetry is how long it takes until a rebuild is tried again that failed.
	restoreRetry = time.Minute
)

// stamp is how far a catalogue was. One that is another now, or has lost what it had
// then, because a backup was restored, does not have all that is in storage.
type stamp struct {
	Feed string `json:"feed"`
	Seq  int64  `json:"seq"`
}

// restorer rebuilds the catalogue from storage when the node finds at its start that
// it is empty and storage is not, or that it is older than storage.
type restorer struct {
	backend   storage.Backend
	catalogue *catalogue.DB
	node      string // node_alias: recordings of others, in storage or in the catalogue, are theirs
	local     bool   // storage is a folder
	file      string // of the stamp
	log       *slog.Logger
	retry     time.Duration
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu    sync.Mutex
	state error // why the catalogue is not like storage; nil: it is
	kept  stamp // as in the file
}

func newRestorer(d *depot, db *catalogue.DB, node string, log *slog.Logger) *restorer {
	return &restorer{
		backend: d.Store, catalogue: db, node: node, local: d.spool == nil, file: filepath.Join(d.notes, stampName), log: log, retry: restoreRetry, cancel: func() {},
	}
}

// start finds out whether the catalogue is what it was, and rebuilds it if not.
func (r *restorer) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	why, err := r.needed(ctx)
	if err != nil {
		r.log.Error("it cannot be told whether the catalogue has all recordings", "error", err)
		return
	}
	if why == "" {
		return
	}
	r.log.Warn("the catalogue is made from storage, which takes a while", "reason", why)
	r.set(fault.Errorf(fault.Unavailable, "%s: it is being made from storage", why).Coded("catalogue_rebuilding"))
	r.wg.Go(func() { r.run(ctx, why) })
}

// stop ends a rebuild; the next start begins anew.
func (r *restorer) stop() {
	r.cancel()
	r.wg.Wait()
}

// needed says why the catalogue has to be rebuilt; "" if it does not.
func (r *restorer) needed(ctx context.Context) (why string, err error) {
	data, err := os.ReadFile(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return r.emptyBesideStorage(ctx)
	}
	if err == nil {
		err = json.Unmarshal(data, &r.kept)
	}
	if err != nil {
		return "the catalogue cannot be compared with what it was", nil //nolint:nilerr // making it anew is harmless
	}
	feed, err := r.catalogue.Feed(ctx)
	if err != nil {
		return "", err
	}
	if feed != r.kept.Feed {
		return "the catalogue is another than before", nil
	}
	_, _, err = r.catalogue.Follow(ctx, media.Cursor{Seq: r.kept.Seq, Base: r.kept.Seq}, 1)
	if errors.Is(err, catalogue.ErrFeedTruncated) {
		return "the catalogue is older than storage", nil
	}
	return "", err
}

// emptyBesideStorage looks for a recording where nothing is known of the catalogue. A
// bucket is not read for that: it may have a million recordings of others, and a node
// that is new. There live777 rebuild is for somebody to call.
func (r *restorer) emptyBesideStorage(ctx context.Context) (why string, err error) {
	if !r.local {
		return "", nil
	}
	_, total, err := r.catalogue.List(ctx, media.RecordingQuery{Limit: 1})
	if err != nil || total > 0 {
		return "", err
	}
	for o, err := range r.backend.List(ctx, "") {
		if err != nil {
			return "the catalogue is empty, and storage could not be asked", nil // which is tried again
		}
		if o.Class() == storage.Info {
			return "the catalogue is empty, and storage is not", nil
		}
	}
	return "", nil
}

// run rebuilds until that succeeds.
func (r *restorer) run(ctx context.Context, why string) {
	for {
		err := r.rebuild(ctx, why)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.log.Error("the catalogue cannot be made from storage yet, will try again", "error", err)
		r.set(fmt.Errorf("%s, and it cannot be made from storage yet: %w", why, err))
		wait := time.NewTimer(r.retry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

func (r *restorer) rebuild(ctx context.Context, why string) error {
	sum, err := maintain.Rebuild(ctx, maintain.RebuildOptions{
		Backend: r.backend, Catalogue: r.catalogue, Logger: r.log,
		Partial:   true, // what is being deleted, or uploaded, is this node's affair
		Elsewhere: func(rec media.Recording) bool { return rec.Node != r.node },
		Progress: func(s maintain.RebuildSummary) {
			r.set(fault.Errorf(fault.Unavailable, "%s: it is being made from storage, %d recordings so far", why, s.Recordings).Coded("catalogue_rebuilding"))
		},
	})
	if err != nil {
		return err
	}
	r.log.Info("the catalogue has been made from storage", "recordings", sum.Recordings, "added", sum.Added, "corrected", sum.Updated,
		"removed", sum.Removed, "unreadable", len(sum.Problems))
	for _, p := range sum.Problems {
		r.log.Error("a recording cannot be read", "where", p.Where, "problem", p.What)
	}
	r.set(nil)
	return nil
}

func (r *restorer) set(state error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
}

// look says whether the catalogue is like storage, and if so, notes how far it is.
func (r *restorer) look(ctx context.Context) error {
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	if state != nil {
		return health.Minor(state)
	}
	feed, err := r.catalogue.Feed(ctx)
	if err != nil {
		return err
	}
	seq, err := r.catalogue.LastSeq(ctx)
	if now := (stamp{feed, seq}); err == nil && (now != r.kept || r.isRemoved()) {
		err = r.keep(now)
	}
	return err
}

// isRemoved reports whether somebody has removed the stamp, as with the folder.
func (r *restorer) isRemoved() bool {
	_, err := os.Stat(r.file)
	return errors.Is(err, os.ErrNotExist)
}

// finish notes how far the catalogue is when all has been told to it.
func (r *restorer) finish(ctx context.Context) error {
	if err := r.look(ctx); err != nil && !health.IsMinor(err) {
		return fmt.Errorf("note how far the catalogue is: %w", err)
	}
	return nil
}

// keep writes the stamp. A power cut may take it back: then too much is looked for.
func (r *restorer) keep(now stamp) error {
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	temp := r.file + ".new"
	if err = os.MkdirAll(filepath.Dir(r.file), 0o700); err == nil {
		err = os.WriteFile(temp, data, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, r.file)
	}
	if err != nil {
		return health.Minor(fmt.Errorf("it cannot be noted how far the catalogue is: %w", err))
	}
	r.kept = now
	return nil
}
