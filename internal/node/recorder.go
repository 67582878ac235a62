//go:build !norecorder

package node

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/library/span"
	"github.com/live777/recorder/internal/media"
	rec "github.com/live777/recorder/internal/record/recorder"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/eventlog"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
)

// gather is how long packets wait before they are recorded together. Chunks are ten times as
// long.
const gather = 50 * time.Millisecond

// withRecorder is the recorder of a node, with the storage, the catalogue and
// the playback that belong to it.
type withRecorder struct {
	*rec.Recorder
	depot     *depot
	catalogue *catalogue.DB
	playback  *playback.Server
	spans     *span.Library
	keeper    *keeper
	restorer  *restorer
	teller    teller
	sealed    bool // seal was called
}

func newRecorder(ctx context.Context, cfg *config.Config, streams *live.Streams, quotas *quota.Quotas, meter *metrics.Node, told *events.Service, log *slog.Logger) (_ recorder, err error) {
	o := cfg.Recorder
	w := &withRecorder{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}()
	if w.depot, err = openDepot(ctx, o, log); err != nil {
		return nil, err
	}
	if w.catalogue, err = catalogue.Open(ctx, string(cfg.Database.URL)); err != nil {
		return nil, err
	}
	w.catalogue.Measure(meter)
	if w.keeper, err = newKeeper(o.Retention, w, log); err != nil {
		return nil, err
	}
	w.Recorder, err = rec.New(rec.Options{
		Streams: streams, Store: w.depot.Store, Catalogue: w.catalogue, Journals: w.depot.journals,
		NodeAlias: o.NodeAlias, AutoStreams: o.AutoStreams, Preroll: o.Preroll.Duration(), PrerollStreams: o.PrerollStreams,
		MaxRecording: o.MaxRecording.Duration(), SegmentDuration: o.Segment.Duration(),
		ChunkDuration: o.Chunk.Duration(), Reconnect: o.Reconnect.Duration(), Sync: syncOf(o), Gather: gather, Quotas: quotas,
		Deleting: w.keeper.Deleting, Ended: meter.Ended, Closed: segmentTeller(told), Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := w.Recover(ctx); err != nil {
		return nil, err
	}
	w.depot.start() // what was torn is whole now
	if err := w.goOn(o.Reconnect.Duration()); err != nil {
		log.Error("recordings do not go on by themselves", "error", err) // as after a start that comes too late
	}
	w.playback, err = playback.New(playback.Options{Backend: w.depot.Store, Lister: w.depot.Store, Catalogue: w.catalogue, Live: w.Recorder, Note: w.catalogue.Put, Logger: log})
	if err != nil {
		return nil, err
	}
	timeline, err := archive.New(archive.Options{Catalogue: w.catalogue, Running: w.Running})
	if err != nil {
		return nil, err
	}
	if w.spans, err = span.New(span.Options{Source: spanSource{player{w.playback, nil}, w.catalogue, timeline, w.Recorder}, Logger: log}); err != nil {
		return nil, err
	}
	w.restorer = newRestorer(w.depot, w.catalogue, o.NodeAlias, log)
	w.restorer.start(ctx)
	w.keeper.start(ctx)
	w.teller.start(ctx, cfg, told, w)
	return w, nil
}

func (w *withRecorder) onPublish(st *live.Stream) { w.OnPublish(st) }

func (w *withRecorder) api() (api.Recorder, api.Playback) {
	return control{w.Recorder}, player{w.playback, w.spans}
}

func (w *withRecorder) measure(s *metrics.Sources) {
	s.Recordings, s.LeftOut, s.Failed, s.Free = w.Active, w.LeftOut, w.Failed, w.depot.freeDisks
	if w.depot.spool != nil {
		s.Spool = w.depot.spool.Status
	}
}

func (w *withRecorder) load(l *api.NodeLoad) {
	s := &api.StorageLoad{Type: w.depot.kind, FailedRecordings: w.Failed()}
	l.Storage = s
	if w.depot.free != nil {
		if free, err := w.depot.free(); err == nil {
			s.FreeBytes = &free
		} else {
			s.Failing = fault.KindOf(err) != fault.Unsupported
		}
	}
	if w.depot.spool != nil {
		sp := w.depot.spool.Status()
		s.Failing = sp.Failing
		l.Spool = &api.SpoolLoad{
			WaitingObjects: sp.WaitingObjects, WaitingBytes: sp.WaitingBytes, OldestSeconds: sp.OldestWaiting.Seconds(),
			UsedBytes: sp.UsedBytes, MaxBytes: sp.MaxBytes, Conflicts: sp.Conflicts,
		}
	}
}

func (w *withRecorder) reload(next config.Recorder) error {
	if err := w.SetAutoStreams(next.AutoStreams); err != nil {
		return err
	}
	return w.keeper.SetPolicy(policyOf(next.Retention))
}

func (w *withRecorder) stopWaiting() { w.StopWaiting() }

func (w *withRecorder) note(ctx context.Context, log *eventlog.Log) {
	log.Follow(ctx, w.catalogue, nil)
}

func (w *withRecorder) place() string { return w.depot.place }

func (w *withRecorder) features() []string {
	return []string{"recorder", "storage-fs", "storage-s3", "storage-oss"}
}

func (w *withRecorder) close(ctx context.Context) error {
	errs := []error{w.seal(ctx)}
	if w.restorer != nil {
		errs = append(errs, w.restorer.finish(ctx))
	}
	w.teller.stop()
	if w.catalogue != nil {
		errs = append(errs, w.catalogue.Close())
	}
	if w.depot != nil {
		errs = append(errs, w.depot.close(ctx))
	}
	return errors.Join(errs...)
}

// control is the recorder as the API wants it.
type control struct{ *rec.Recorder }

func (c control) Status(stream string) api.RecordStatus {
	s := c.Recorder.Status(stream)
	return api.RecordStatus{Recording: s.Recording, Info: s.Info, Error: s.Error}
}

// player plays what has been recorded, as the API wants it.
type player struct {
	*playback.Server
	spans *span.Library
}

// Object implements api.Playback: what is sent comes from here, however long who
// asked may have it.
func (p player) Object(w http.ResponseWriter, r *http.Request, key string, _ time.Time) error {
	return p.Server.Object(w, r, key)
}

// Span implements api.Playback.
func (p player) Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error {
	return p.spans.Serve(w, r, stream, s, name, until)
}

// spanSource is where spans find recordings: the catalogue, and what playback serves.
type spanSource struct {
	player
	*catalogue.DB
	*archive.Archive
	*rec.Recorder
}

// Manifest implements span.Source, and not the recorder's method of this name.
func (s spanSource) Manifest(ctx context.Context, recordDir string) ([]byte, error) {
	return s.player.Manifest(ctx, recordDir)
}
