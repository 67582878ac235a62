package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
)

// The methods of this file keep deletions that wait for a while. All processes that use the
// database know the same ones, by the database's clock.

// dueSQL is when something can be done about a deletion: it is due, or who has begun it is
// taken for dead.
const dueSQL = `CASE WHEN held_ms IS NULL THEN at_ms ELSE held_ms END`

// AddDeletion notes that a recording is deleted after a while, unless that is noted already,
// and returns what is noted. ok is false where so many wait that it is not.
func (db *DB) AddDeletion(ctx context.Context, recordDir, stream string, grace time.Duration, most int) (d media.Deletion, ok bool, err error) {
	err = db.exec(ctx, "note a deletion", `INSERT INTO deletions (record_dir, stream, at_ms)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), `+db.clock+` + CAST($3 AS BIGINT) WHERE (SELECT count(*) FROM deletions) < CAST($4 AS BIGINT)
		ON CONFLICT (record_dir) DO NOTHING`, recordDir, stream, grace.Milliseconds(), most)
	if err != nil {
		return d, false, err
	}
	return db.deletion(ctx, db.read, `SELECT record_dir, stream, at_ms FROM deletions WHERE record_dir = $1`, recordDir)
}

// DropDeletion takes a deletion back. ok is false if it has begun, or nobody has asked for it.
func (db *DB) DropDeletion(ctx context.Context, recordDir string) (ok bool, err error) {
	_, ok, err = db.deletion(ctx, db.write, `DELETE FROM deletions WHERE record_dir = $1 AND held_ms IS NULL RETURNING record_dir, stream, at_ms`, recordDir)
	return ok, err
}

// Deletions returns those that wait, the next first.
func (db *DB) Deletions(ctx context.Context) ([]media.Deletion, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	rows, err := db.read.QueryContext(ctx, `SELECT record_dir, stream, at_ms FROM deletions WHERE held_ms IS NULL ORDER BY at_ms, record_dir`)
	if err != nil {
		return nil, fmt.Errorf("list deletions: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	all := []media.Deletion{}
	for rows.Next() {
		d, err := scanDeletion(rows)
		if err != nil {
			return nil, fmt.Errorf("list deletions: %w", db.wrap(err))
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list deletions: %w", db.wrap(err))
	}
	return all, nil
}

// NextDeletion returns how long it takes until there is something to do; ok is false where
// nothing waits.
func (db *DB) NextDeletion(ctx context.Context) (in time.Duration, ok bool, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var ms sql.NullInt64
	if err := db.read.QueryRowContext(ctx, `SELECT min(`+dueSQL+`) - `+db.clock+` FROM deletions`).Scan(&ms); err != nil {
		return 0, false, fmt.Errorf("look for deletions: %w", db.wrap(err))
	}
	return time.Duration(ms.Int64) * time.Millisecond, ms.Valid, nil
}

// TakeDeletion begins a deletion that is due, and keeps other processes from it for a time.
// After that it is taken for unfinished. ok is false where there is none.
func (db *DB) TakeDeletion(ctx context.Context, hold time.Duration) (d media.Deletion, ok bool, err error) {
	return db.deletion(ctx, db.write, `UPDATE deletions SET held_ms = `+db.clock+` + CAST($1 AS BIGINT)
		WHERE `+dueSQL+` <= `+db.clock+` AND record_dir =
			(SELECT record_dir FROM deletions WHERE `+dueSQL+` <= `+db.clock+` ORDER BY at_ms, record_dir LIMIT 1)
		RETURNING record_dir, stream, at_ms`, hold.Milliseconds())
}

// EndDeletion forgets a deletion that was carried out, or with again has it begin once more
// after that time: until then it waits, and can be taken back.
func (db *DB) EndDeletion(ctx context.Context, recordDir string, again time.Duration) error {
	if again <= 0 {
		return db.exec(ctx, "forget a deletion", `DELETE FROM deletions WHERE record_dir = $1`, recordDir)
	}
	return db.exec(ctx, "postpone a deletion", `UPDATE deletions SET held_ms = NULL, at_ms = `+db.clock+` + CAST($2 AS BIGINT) WHERE record_dir = $1`,
		recordDir, again.Milliseconds())
}

// deletion asks for one, or none.
func (db *DB) deletion(ctx context.Context, pool *sql.DB, query string, args ...any) (d media.Deletion, ok bool, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	d, err = scanDeletion(pool.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return media.Deletion{}, false, nil
	}
	if err != nil {
		return media.Deletion{}, false, fmt.Errorf("deletion: %w", db.wrap(err))
	}
	return d, true, nil
}

func scanDeletion(row interface{ Scan(...any) error }) (d media.Deletion, err error) {
	var ms int64
	err = row.Scan(&d.RecordDir, &d.Stream, &ms)
	d.At = time.UnixMilli(ms).UTC()
	return d, err
}
