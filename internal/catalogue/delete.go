package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
