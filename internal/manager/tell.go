package manager

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/events"
)

const (
	// eventSource is the CloudEvents source of a manager's events.
	eventSource = "/liveman"
	// nodesEvery is how often it is looked at which nodes are down: one that is back
	// before that was not.
	nodesEvery = 2 * time.Second
)

func eventOptions(cfg *config.Liveman, log *slog.Logger) events.Options {
	return events.Options{
		Source: eventSource, File: cfg.Events.File, Keep: cfg.Events.Keep.Duration(), Max: cfg.Events.MaxBytes.Bytes(),
		Targets: cfg.Told(), Logger: log,
	}
}

// TestEvents sends an event to all who are told, and writes what they answer. ok is false
// where one has not taken it.
func TestEvents(ctx context.Context, cfg *config.Liveman, w io.Writer) (ok bool, err error) {
	return events.Test(ctx, cfg.Told(), eventSource, w)
}

// watchNodes tells when nodes go down and come up, until ctx ends.
func (m *Manager) watchNodes(ctx context.Context) {
	tick := time.NewTicker(nodesEvery)
	defer tick.Stop()
	for {
		if m.events.Active() {
			tellNodes(m.events, m.fleet.Nodes())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func tellNodes(told *events.Service, nodes []api.FleetNode) {
	for _, n := range nodes {
		data := map[string]any{"node": n.Alias, "since": n.Since.UTC(), "error": n.Error, "version": n.Version}
		switch n.State {
		case stateDown:
			told.Level(true, events.Event{Type: config.EventNodeDown, Subject: n.Alias, Data: data}, "node "+n.Alias)
		case stateUp:
			told.Level(false, events.Event{Type: config.EventNodeUp, Subject: n.Alias, Data: data}, "node "+n.Alias)
		}
	}
}

// tellRecordings tells of the recordings of all nodes, until ctx ends.
func (m *Manager) tellRecordings(ctx context.Context) {
	uploads := m.cfg.Storage.Type == config.StorageS3 || m.cfg.Storage.Type == config.StorageOSS
	m.events.Follow(ctx, events.FollowOptions{
		Feed: m.catalogue, Show: asOnNode,
		Uploads: func(r media.Recording) bool { return uploads && !folder.IsMounted(r.RecordDir) },
	})
}

// asOnNode returns a recording with its folder as its node has it. Of one that is gone no
// more is known than the folder.
func asOnNode(r media.Recording) media.Recording {
	if r.Node == "" && folder.IsMounted(r.RecordDir) {
		r.Node, _, _ = strings.Cut(strings.TrimPrefix(r.RecordDir, folder.Mark), "/")
	}
	return folder.Unmount(r)
}
