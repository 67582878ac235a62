//go:build norecorder

package node

import (
	"context"
	"log/slog"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/eventlog"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
)

// noRecorder is the recorder of a build without one.
type noRecorder struct{}

func newRecorder(context.Context, *config.Config, *live.Streams, *quota.Quotas, *metrics.Node, *events.Service, *slog.Logger) (recorder, error) {
	return noRecorder{}, nil
}

func (noRecorder) onPublish(*live.Stream)              {}
func (noRecorder) note(context.Context, *eventlog.Log) {}
func (noRecorder) api() (api.Recorder, api.Playback)   { return nil, nil }
func (noRecorder) archive() (api.Archive, error)       { return nil, nil } //nolint:nilnil // its routes answer 501
func (noRecorder) recordings() api.Recordings          { return nil }
func (noRecorder) measure(*metrics.Sources)            {}
func (noRecorder) watch(*health.Watch)                 {}
func (noRecorder) load(*api.NodeLoad)                  {}
func (noRecorder) stopWaiting()                        {}
func (noRecorder) reload(config.Recorder) error        { return nil }
func (noRecorder) drain() error                        { return nil }
func (noRecorder) seal(context.Context) error          { return nil }
func (noRecorder) place() string                       { return "" }
func (noRecorder) features() []string                  { return []string{} }
func (noRecorder) close(context.Context) error         { return nil }

var errNoRecorder = fault.New(fault.Unsupported, "this build has no recorder: use one that was not built with -tags norecorder").Coded("no_recorder")

// Export is an error: there is nothing recorded.
func Export(context.Context, *config.Config, Command) (ok bool, err error) {
	return false, errNoRecorder
}

// Rebuild is an error: there is nothing recorded.
func Rebuild(context.Context, *config.Config, Command) (ok bool, err error) {
	return false, errNoRecorder
}

// Verify is an error: there is nothing recorded.
func Verify(context.Context, *config.Config, Command) (ok bool, err error) {
	return false, errNoRecorder
}
