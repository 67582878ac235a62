package catalogue

import (
	"context"
	"fmt"
	"time"
)

// NodeEvent is something that the managers of a database tell of a node. They are numbered
// from 1, without gaps when they are written.
type NodeEvent struct {
	N    int64
	Node string
	Kind string
	At   time.Time // by the clock of the server
	Data []byte    // JSON
}

// AddNodeEvent adds an event of a node after the last, unless the last of this node is of the
// same kind, or another process adds one at the same moment. Only PostgreSQL has these
// events, see Shared.
func (db *DB) AddNodeEvent(ctx context.Context, node, kind string, data []byte) error {
	return db.exec(ctx, "add an event of a node", `INSERT INTO node_events (n, node, kind, at, data)
		SELECT COALESCE((SELECT max(n) FROM node_events), 0) + 1, $1, $2, clock_timestamp(), $3
		WHERE $2 IS DISTINCT FROM (SELECT kind FROM node_events WHERE node = $1 ORDER BY n DESC LIMIT 1)
		ON CONFLICT (n) DO NOTHING`, node, kind, string(data))
}

// NodeEvents returns at most limit events of nodes after the one with number n, in their order.
func (db *DB) NodeEvents(ctx context.Context, n int64, limit int) ([]NodeEvent, error) {
	return db.nodeEvents(ctx, `SELECT n, node, kind, at, data FROM node_events WHERE n > $1 ORDER BY n LIMIT $2`, n, limit)
}

// LastNodeEvents returns the last event of each node.
func (db *DB) LastNodeEvents(ctx context.Context) ([]NodeEvent, error) {
	return db.nodeEvents(ctx, `SELECT DISTINCT ON (node) n, node, kind, at, data FROM node_events ORDER BY node, n DESC`)
}

func (db *DB) nodeEvents(ctx context.Context, query string, args ...any) ([]NodeEvent, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list events of nodes: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var all []NodeEvent
	for rows.Next() {
		var e NodeEvent
		if err := rows.Scan(&e.N, &e.Node, &e.Kind, &e.At, &e.Data); err != nil {
			return nil, fmt.Errorf("list events of nodes: %w", db.wrap(err))
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list events of nodes: %w", db.wrap(err))
	}
	return all, nil
}

// ForgetNodeEvents deletes events that are older than keep, but the last of each node, and
// those of nodes that are not among the known.
func (db *DB) ForgetNodeEvents(ctx context.Context, keep time.Duration, known []string) error {
	return db.exec(ctx, "forget events of nodes", `DELETE FROM node_events e WHERE at < clock_timestamp() - $1 * interval '1 millisecond'
		AND n < (SELECT max(n) FROM node_events)
		AND (node <> ALL($2) OR EXISTS (SELECT 1 FROM node_events l WHERE l.node = e.node AND l.n > e.n))`, keep.Milliseconds(), known)
}
