//go:build !norecorder

package node

import (
	"context"
	"log/slog"
	"sync"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// keeper is retention as a part of a node: it runs from start to stop.
type keeper struct {
	*retention.Keeper
	bin    *retention.Bin
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newKeeper(cfg config.Retention, w *withRecorder, log *slog.Logger) (*keeper, error) {
	k, err := retention.New(retention.Options{
		Backend: w.depot.Store, Catalogue: w.catalogue, Live: running{w},
		Policy: policyOf(cfg), Free: w.depot.free, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	bin, err := retention.NewBin(retention.BinOptions{List: w.catalogue, Recording: k.Recording, Delete: k.Delete, Logger: log})
	if err != nil {
		return nil, err
	}
	return &keeper{Keeper: k, bin: bin, cancel: func() {}}, nil
}

// policyOf translates recorder.retention.
func policyOf(cfg config.Retention) retention.Policy {
	return retention.Policy{
		MaxAge: cfg.MaxAge.Duration(), MaxBytes: cfg.MaxBytes.Bytes(), MinFree: cfg.MinFree.Bytes(), Check: cfg.Check.Duration(),
	}
}

// start runs the keeper; deletions that were interrupted go on at once.
func (k *keeper) start(ctx context.Context) {
	k.Resume(ctx)
	ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	k.wg.Go(func() { k.Run(ctx) })
	k.wg.Go(func() { k.bin.Run(ctx) })
}

// stop ends it; what it deletes at the moment goes on at the next start.
func (k *keeper) stop() {
	k.cancel()
	k.wg.Wait()
}

// running is the recorder of a node as retention wants it. There is none before
// the node is complete.
type running struct{ w *withRecorder }

func (r running) Running(recordDir string) (media.Recording, bool) {
	return r.w.Running(recordDir)
}

func (r running) Seal(recordDir string) error { return r.w.Seal(recordDir) }

func (r running) Forget(recordDir string) { r.w.Forget(recordDir) }

func (r running) Protect(recordDir string, protected bool) (media.Recording, bool, error) {
	return r.w.Protect(recordDir, protected)
}

// records is the recordings one by one, as the API wants them.
type records struct {
	*retention.Keeper
	*retention.Bin
	api.Changes
}

func (w *withRecorder) recordings() api.Recordings {
	return records{w.keeper.Keeper, w.keeper.bin, w.catalogue}
}
