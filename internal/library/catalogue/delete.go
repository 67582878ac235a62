package catalogue

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// BeginDelete notes that the recording with the given RecordDir is being
// deleted: from now on, also after a restart, nothing but Deleting knows of it,
// and Put of it changes nothing. Without such a recording the error Is
// ErrNotFound; once more is no error.
func (db *DB) BeginDelete(ctx context.Context, recordDir string) error {
	err := db.change(ctx, 1, func(tx *sql.Tx, seq int64) error {
		stream, err := take(ctx, tx, recordDir)
		if errors.Is(err, sql.ErrNoRows) {
			var deleting bool
			err := tx.QueryRowContext(ctx, `SELECT deleting FROM removals WHERE record_dir = $1`, recordDir).Scan(&deleting)
			switch {
			case err == nil && deleting:
				return errNothing
			case err == nil || errors.Is(err, sql.ErrNoRows):
				return ErrNotFound
			}
			return err
		}
		if err != nil {
			return err
		}
		return remove(ctx, tx, recordDir, stream, seq, 1)
	})
	if err != nil {
		return fmt.Errorf("begin to delete recording %q: %w", recordDir, err)
	}
	return nil
}

// Deleting returns the RecordDirs of which BeginDelete was called and Delete was
// not, in alphabetical order.
func (db *DB) Deleting(ctx context.Context) ([]string, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	dirs, err := texts(db.read.QueryContext(ctx, `SELECT record_dir FROM removals WHERE deleting = 1 ORDER BY record_dir`))
	if err != nil {
		return nil, fmt.Errorf("list what is being deleted: %w", db.wrap(err))
	}
	return dirs, nil
}

// Removed returns those of the given RecordDirs, in no order, whose recordings were
// removed, or are being deleted, as far as the feed remembers.
func (db *DB) Removed(ctx context.Context, recordDirs []string) ([]string, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var all []string
	for part := range slices.Chunk(recordDirs, maxFind) {
		args := make([]any, len(part))
		for i, dir := range part {
			args[i] = dir
		}
		dirs, err := texts(db.read.QueryContext(ctx, `SELECT record_dir FROM removals WHERE record_dir IN (`+parameters(1, len(part))+`)`, args...))
		if err != nil {
			return nil, fmt.Errorf("look for removed recordings: %w", db.wrap(err))
		}
		all = append(all, dirs...)
	}
	return all, nil
}

// Delete removes the recording with the given RecordDir from the catalogue, not
// from the storage, whether BeginDelete was called or not; one that is not there
// is no error. The feed remembers the removal for a time. A Put afterwards is of
// a new recording.
func (db *DB) Delete(ctx context.Context, recordDir string) error {
	err := db.change(ctx, 1, func(tx *sql.Tx, seq int64) error {
		stream, err := take(ctx, tx, recordDir)
		if errors.Is(err, sql.ErrNoRows) {
			err = tx.QueryRowContext(ctx, `SELECT stream FROM removals WHERE record_dir = $1 AND deleting = 1`, recordDir).Scan(&stream)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return errNothing
		}
		if err != nil {
			return err
		}
		if err := remove(ctx, tx, recordDir, stream, seq, 0); err != nil {
			return err
		}
		if db.removed.Add(1)%db.pruneEvery != 0 {
			return nil
		}
		return db.prune(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("delete recording %q: %w", recordDir, err)
	}
	return nil
}

// DeleteAll is Delete of those of the given RecordDirs, at most a few hundred, that are a
// node's, in one transaction. It returns how many there were.
func (db *DB) DeleteAll(ctx context.Context, node string, recordDirs []string) (n int, err error) {
	if len(recordDirs) == 0 {
		return 0, nil
	}
	args := []any{node}
	for _, dir := range recordDirs {
		args = append(args, dir)
	}
	err = db.change(ctx, len(recordDirs), func(tx *sql.Tx, first int64) error {
		gone, err := pairs(tx.QueryContext(ctx, `DELETE FROM recordings WHERE node = $1 AND record_dir IN (`+
			parameters(2, len(recordDirs))+`) RETURNING record_dir, stream`, args...))
		if n = len(gone); err != nil || n == 0 {
			return cmp.Or(err, errNothing)
		}
		var rows []string
		var values []any
		for i, r := range gone {
			rows = append(rows, `(`+parameters(len(values)+1, 4)+`)`)
			values = append(values, r[0], r[1], first+int64(i), 0)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO removals (record_dir, stream, seq, deleting) VALUES `+strings.Join(rows, ", ")+`
			ON CONFLICT (record_dir) DO UPDATE SET stream = excluded.stream, seq = excluded.seq, deleting = excluded.deleting`, values...)
		if err != nil {
			return err
		}
		before := db.removed.Add(int64(n)) - int64(n)
		if before/db.pruneEvery == db.removed.Load()/db.pruneEvery {
			return nil
		}
		return db.prune(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("delete recordings of node %q: %w", node, err)
	}
	return n, nil
}

// pairs reads all rows of two columns.
func pairs(rows *sql.Rows, err error) ([][2]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var all [][2]string
	for rows.Next() {
		var p [2]string
		if err := rows.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// take removes a recording and returns its stream, or sql.ErrNoRows.
func take(ctx context.Context, tx *sql.Tx, recordDir string) (stream string, err error) {
	err = tx.QueryRowContext(ctx, `DELETE FROM recordings WHERE record_dir = $1 RETURNING stream`, recordDir).Scan(&stream)
	return stream, err
}

// remove notes the removal of a recording.
func remove(ctx context.Context, tx *sql.Tx, recordDir, stream string, seq int64, deleting int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO removals (record_dir, stream, seq, deleting) VALUES ($1, $2, $3, $4)
		ON CONFLICT (record_dir) DO UPDATE SET stream = excluded.stream, seq = excluded.seq, deleting = excluded.deleting`,
		recordDir, stream, seq, deleting)
	return err
}

// prune forgets all but the newest removals.
func (db *DB) prune(ctx context.Context, tx *sql.Tx) error {
	var floor int64
	err := tx.QueryRowContext(ctx, `SELECT seq FROM removals WHERE deleting = 0 ORDER BY seq DESC LIMIT 1 OFFSET $1`, db.keptRemovals).Scan(&floor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM removals WHERE deleting = 0 AND seq <= $1`, floor); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE feed SET floor = $1 WHERE floor < $1`, floor)
	return err
}
