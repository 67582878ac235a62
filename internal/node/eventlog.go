package node

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/serve/eventlog"
)

const (
	// sessionsEvery is how often it is looked at who watches: who leaves sooner is not noted.
	sessionsEvery = time.Second
	// problemsEvery is how often it is looked at what is wrong.
	problemsEvery = time.Second

	publisherSide, viewerSide = "publisher", "viewer"
)

func came(stream, side string, s live.SessionInfo) eventlog.Entry {
	return eventlog.Entry{Time: s.CreatedAt, Kind: eventlog.Sessions, Type: eventlog.SessionCame, Stream: stream, Side: side, Session: s.ID}
}

// gone is of a session that ends now.
func gone(stream, side string, s live.SessionInfo) eventlog.Entry {
	return eventlog.Entry{
		Kind: eventlog.Sessions, Type: eventlog.SessionLeft, Stream: stream, Side: side, Session: s.ID,
		Seconds: max(time.Since(s.CreatedAt).Seconds(), 0),
	}
}

// noteSessions notes viewers that come and leave, until ctx ends. Publishers tell it
// themselves.
func (n *Node) noteSessions(ctx context.Context) {
	n.happened.Watch(ctx, sessionsEvery, func() []eventlog.Condition {
		var all []eventlog.Condition
		for _, st := range n.streams.List() {
			for _, s := range st.Subscribe.Sessions {
				all = append(all, eventlog.Condition{Key: s.ID, Began: came(st.ID, viewerSide, s), Ended: gone(st.ID, viewerSide, s)})
			}
		}
		return all
	})
}

// noteProblems notes that the node has started, and what is wrong with what it depends on.
func (n *Node) noteProblems(ctx context.Context) {
	n.happened.Add(eventlog.Entry{Kind: eventlog.Server, Type: eventlog.Started})
	n.health.AwaitFirst(ctx) // or all would seem to be wrong
	n.happened.Watch(ctx, problemsEvery, func() []eventlog.Condition {
		var all []eventlog.Condition
		for _, p := range n.health.Problems() {
			all = append(all, eventlog.Problem("", p))
		}
		return all
	})
}
