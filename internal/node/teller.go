//go:build !norecorder

package node

import (
	"context"
	"path"
	"strings"
	"sync"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recording"
	"github.com/live777/recorder/internal/serve/events"
)

// teller tells of recordings what the catalogue says of them, from start to stop.
type teller struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (t *teller) start(ctx context.Context, cfg *config.Config, told *events.Service, w *withRecorder) {
	o := events.FollowOptions{Feed: w.catalogue, Uploads: func(media.Recording) bool { return w.depot.spool != nil }}
	if !strings.HasPrefix(string(cfg.Database.URL), "sqlite:") { // several nodes may have it
		o.Mine = func(r media.Recording) bool { return r.Node == cfg.Recorder.NodeAlias }
	}
	ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	t.wg.Go(func() { told.Follow(ctx, o) })
}

// stop tells what there still is.
func (t *teller) stop() {
	if t.cancel != nil {
		t.cancel()
	}
	t.wg.Wait()
}

// segmentTeller returns what tells of each segment that is closed.
func segmentTeller(told *events.Service) func(recording.ClosedSegment) {
	return func(s recording.ClosedSegment) {
		told.Emit(events.Event{Type: config.EventSegment, Subject: s.Stream, Data: map[string]any{
			"stream": s.Stream, "record_dir": s.RecordDir, "path": path.Join(s.RecordDir, s.Name), "kind": s.Kind, "layer": s.Layer,
			"number": s.Number, "start": s.Start, "duration": s.Duration, "bytes": s.Bytes,
		}})
	}
}
