package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Shared reports whether several processes may use the database, which then agree by the
// methods of this file. They work on PostgreSQL only.
func (db *DB) Shared() bool { return db.shared }

// Place notes that a stream's publisher is sent to a node, unless another was noted less
// than fresh ago, and returns the node that is noted then. The node instead does not
// count: it has not taken the publisher; "" for none.
func (db *DB) Place(ctx context.Context, stream, node, instead string, fresh time.Duration) (placed string, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if err := db.forgetPlaces(ctx); err != nil {
		return "", err
	}
	for {
		err = db.write.QueryRowContext(ctx, `INSERT INTO placements AS p (stream, node, at) VALUES ($1, $2, clock_timestamp())
			ON CONFLICT (stream) DO UPDATE SET node = excluded.node, at = excluded.at
				WHERE p.node IN ($2, $3) OR p.at < clock_timestamp() - $4 * interval '1 millisecond'
			RETURNING node`, stream, node, instead, fresh.Milliseconds()).Scan(&placed)
		if errors.Is(err, sql.ErrNoRows) {
			err = db.read.QueryRowContext(ctx, `SELECT node FROM placements WHERE stream = $1`, stream).Scan(&placed)
		}
		if !errors.Is(err, sql.ErrNoRows) { // else it was taken away between the two
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("note a place: %w", db.wrap(err))
	}
	return placed, nil
}

// Placed returns the node that Place noted for a stream less than fresh ago; "": none.
func (db *DB) Placed(ctx context.Context, stream string, fresh time.Duration) (node string, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	err = db.read.QueryRowContext(ctx, `SELECT node FROM placements WHERE stream = $1 AND at >= clock_timestamp() - $2 * interval '1 millisecond'`,
		stream, fresh.Milliseconds()).Scan(&node)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for a place: %w", db.wrap(err))
	}
	return node, nil
}

// Displace forgets what Place noted, if it is this node.
func (db *DB) Displace(ctx context.Context, stream, node string) error {
	return db.exec(ctx, "forget a place", `DELETE FROM placements WHERE stream = $1 AND node = $2`, stream, node)
}

// forgetPlaces takes away what counts no more, and has not for an hour. Another manager may
// do so at the same time.
func (db *DB) forgetPlaces(ctx context.Context) error {
	return db.exec(ctx, "forget places", `DELETE FROM placements WHERE stream IN (SELECT stream FROM placements
		WHERE at < clock_timestamp() - interval '1 hour' FOR UPDATE SKIP LOCKED)`)
}

func (db *DB) exec(ctx context.Context, what, query string, args ...any) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if _, err := db.write.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, db.wrap(err))
	}
	return nil
}
