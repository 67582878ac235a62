package manager

import (
	"context"

	"github.com/live777/recorder/internal/serve/eventlog"
)

// noteNodes notes that the manager has started, and what is wrong with what it depends on,
// its nodes, and what these depend on, until ctx ends.
func (m *Manager) noteNodes(ctx context.Context) {
	m.happened.Add(eventlog.Entry{Kind: eventlog.Server, Type: eventlog.Started})
	m.health.AwaitFirst(ctx) // or all would seem to be wrong
	m.happened.Watch(ctx, nodesEvery, m.conditions)
}

// conditions are the problems of the manager and of its nodes, and the nodes that are down.
func (m *Manager) conditions() []eventlog.Condition {
	var all []eventlog.Condition
	for _, p := range m.health.Problems() {
		all = append(all, eventlog.Problem("", p))
	}
	for _, n := range m.fleet.Nodes() {
		if n.State == stateDown {
			all = append(all, eventlog.Condition{
				Key:   "down " + n.Alias,
				Began: eventlog.Entry{Time: n.Since, Kind: eventlog.Server, Type: eventlog.NodeDown, Level: eventlog.Error, Node: n.Alias, Text: n.Error},
				Ended: eventlog.Entry{Kind: eventlog.Server, Type: eventlog.NodeUp, Node: n.Alias},
			})
		}
		for _, p := range n.Load.Problems {
			all = append(all, eventlog.Problem(n.Alias, p))
		}
	}
	return all
}
