package manager

import (
	"context"
	"io"
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

// eventOptions returns those of the manager. Managers that share a database tell each event
// once: one of them does.
func (m *Manager) eventOptions() events.Options {
	o := events.Options{
		Source: eventSource, File: m.cfg.Events.File, Keep: m.cfg.Events.Keep.Duration(), Max: m.cfg.Events.MaxBytes.Bytes(),
		Targets: m.cfg.Told(), Logger: m.log,
	}
	if m.catalogue.Shared() {
		o.Claims = m.catalogue.Claims()
	}
	return o
}

// TestEvents sends an event to all who are told, and writes what they answer. ok is false
// where one has not taken it.
func TestEvents(ctx context.Context, cfg *config.Liveman, w io.Writer) (ok bool, err error) {
	return events.Test(ctx, cfg.Told(), eventSource, w)
}

// watchNodes tells when nodes go down and come up, until ctx ends.
func (m *Manager) watchNodes(ctx context.Context) {
	if m.catalogue.Shared() {
		if m.fleet.AwaitOpen(ctx) {
			newNodeTeller(m.catalogue, m.catalogue.Claims(), m.events, m.fleet.Nodes, m.cfg.Events.Keep.Duration(), m.log).run(ctx)
		}
		return
	}
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
		if kind := kindOfState(n.State); kind != "" {
			told.Level(kind == config.EventNodeDown, events.Event{Type: kind, Subject: n.Alias, Data: nodeData(n)}, "node "+n.Alias)
		}
	}
}

// kindOfState returns the type of the event that tells of a node's state; "": none does.
func kindOfState(state string) string {
	switch state {
	case stateDown:
		return config.EventNodeDown
	case stateUp:
		return config.EventNodeUp
	}
	return ""
}

func nodeData(n api.FleetNode) any {
	return map[string]any{"node": n.Alias, "since": n.Since.UTC(), "error": n.Error, "version": n.Version}
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
