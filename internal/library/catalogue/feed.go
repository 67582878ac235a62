package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// keptRemovals is how many of the newest removals the feed remembers, at
	// least; pruneEvery how many more there may be before they are looked at.
	keptRemovals = 100_000
	pruneEvery   = 1_000

	// keptGaps bounds how often the database is opened before followers that
	// were away all the time begin again.
	keptGaps = 1_000

	// maxJump bounds how many numbers are left out where a database is opened
	// whose numbers are ahead of the clock.
	maxJump = 1 << 20
)

// ErrFeedTruncated says that the feed cannot tell everything that happened since
// the place that was asked for: too many recordings were removed since, or the
// database lost its newest changes, by a power cut or because a backup was
// restored. The follower has to begin again at 0; when it has arrived at the end
// it drops the recordings of that database of which it was not told.
var ErrFeedTruncated = fault.New(fault.Conflict, "the feed of changes does not go back so far: begin again at 0")

// Feed returns the random id that the database was given when it was made. A
// follower that sees another one than before begins again at 0.
func (db *DB) Feed(ctx context.Context) (string, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var id string
	if err := db.read.QueryRowContext(ctx, `SELECT id FROM feed`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the id of the feed: %w", db.wrap(err))
	}
	return id, nil
}

// LastSeq returns the number of the newest change.
func (db *DB) LastSeq(ctx context.Context) (int64, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var seq int64
	if err := db.read.QueryRowContext(ctx, `SELECT last_seq FROM feed`).Scan(&seq); err != nil {
		return 0, fmt.Errorf("read the last number of the feed: %w", db.wrap(err))
	}
	return seq, nil
}

// Changes returns the changes after since, by Seq, at most limit (all if that is
// not positive). A recording that changed often is there once, at its latest
// Seq. Changes are committed in the order of their Seq: whoever goes on from the
// last one misses none. The error Is ErrFeedTruncated where it would; 0 never
// is. Whoever walks from 0 in pages uses Follow, which knows of each page that it
// belongs to a walk, for which old removals do not matter.
func (db *DB) Changes(ctx context.Context, since int64, limit int) ([]media.Change, error) {
	changes, _, err := db.Follow(ctx, media.Cursor{Seq: since}, limit)
	return changes, err
}

// Follow is Changes from the cursor c, and returns the one to go on with.
func (db *DB) Follow(ctx context.Context, c media.Cursor, limit int) (changes []media.Change, next media.Cursor, err error) {
	if c.Seq <= 0 && c.Base <= 0 {
		if c.Base, err = db.LastSeq(ctx); err != nil {
			return nil, c, err
		}
		c.Seq = 0
	}
	c.Base = max(c.Base, c.Seq)
	if changes, err = db.changes(ctx, c.Seq, limit); err != nil {
		return nil, c, fmt.Errorf("read the feed: %w", db.wrap(err))
	}
	// Looked at afterwards: what has been forgotten until now may have been
	// missing from what was read.
	if err := db.checkBase(ctx, c.Base); err != nil {
		return nil, c, fmt.Errorf("read the feed: %w", err)
	}
	if len(changes) == 0 {
		// A walk that finds nothing more is at its end, even where the newest
		// numbers are of removals that have been forgotten.
		return nil, media.Cursor{Seq: c.Base, Base: c.Base}, nil
	}
	c.Seq = changes[len(changes)-1].Seq
	c.Base = max(c.Base, c.Seq)
	return changes, c, nil
}

// checkBase returns ErrFeedTruncated for a base from which not all removals are
// known, or that this database does not have any more.
func (db *DB) checkBase(ctx context.Context, base int64) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var bad bool
	err := db.read.QueryRowContext(ctx, `SELECT $1 < floor OR $1 > last_seq
			OR EXISTS (SELECT 1 FROM feed_gaps WHERE above < $1 AND below > $1)
		FROM feed`, base).Scan(&bad)
	if err != nil {
		return db.wrap(err)
	}
	if bad {
		return ErrFeedTruncated
	}
	return nil
}

// changesSQL returns one statement, so that both halves are of one instant.
func changesSQL(limit int) string {
	return pageOf([]string{
		`SELECT seq, 0 AS deleted, ` + columns + ` FROM recordings WHERE seq > $1`,
		`SELECT seq, 1 AS deleted, record_dir, stream, '', '', '', 0, CAST(NULL AS BIGINT), 0, 0, '', '{}' FROM removals WHERE seq > $1`,
	}, `seq`, limit, 0)
}

func (db *DB) changes(ctx context.Context, since int64, limit int) ([]media.Change, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if limit <= 0 {
		limit = math.MaxInt
	}
	rows, err := db.read.QueryContext(ctx, changesSQL(limit), since)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var changes []media.Change
	for rows.Next() {
		var c media.Change
		r, err := db.scan(rows, &c.Seq, &c.Deleted)
		if err != nil {
			return nil, err
		}
		c.RecordDir, c.Stream = r.RecordDir, r.Stream
		if !c.Deleted {
			c.Recording = &r
		}
		changes = append(changes, c)
	}
	return changes, rows.Err()
}

// errNothing ends a change that finds nothing to do: no number is used up.
var errNothing = errors.New("nothing to change")

// change runs do in a transaction that takes n numbers of the feed, of which
// first is the first. The row of feed stays locked until the end, so that changes
// are committed one after the other, in the order of their numbers. Where do
// returns errNothing, nothing happens.
func (db *DB) change(ctx context.Context, n int, do func(tx *sql.Tx, first int64) error) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return db.wrap(err)
	}
	defer tx.Rollback()
	var last int64
	if err := tx.QueryRowContext(ctx, `UPDATE feed SET last_seq = last_seq + $1 RETURNING last_seq`, n).Scan(&last); err != nil {
		return db.wrap(err)
	}
	switch err := do(tx, last-int64(n)+1); {
	case errors.Is(err, errNothing):
		return nil
	case err != nil:
		return db.wrap(err)
	}
	if err := tx.Commit(); err != nil {
		return db.wrap(err)
	}
	db.watchers.notify()
	return nil
}

// openFeed jumps over numbers. Those that a power cut took back, or that were
// given out after the backup that this database is, are then in a gap, and
// followers that know them find out.
func (db *DB) openFeed(ctx context.Context) error {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return db.wrap(err)
	}
	defer tx.Rollback()
	var above int64
	if err := tx.QueryRowContext(ctx, `UPDATE feed SET last_seq = last_seq RETURNING last_seq`).Scan(&above); err != nil {
		return db.wrap(err)
	}
	// Microseconds are ahead of every number that any copy of this database has
	// given out, for none makes a million changes a second; unless the clock was
	// put back, when a jump that no other copy makes has to do.
	below := db.now().UnixMicro()
	if below <= above {
		below = above + 1 + rand.Int64N(maxJump)
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO feed_gaps (above, below) VALUES ($1, $2)`, []any{above, below}},
		{`UPDATE feed SET last_seq = $1`, []any{below}},
		{`UPDATE feed SET floor = gap.below
			FROM (SELECT below FROM feed_gaps ORDER BY above DESC LIMIT 1 OFFSET $1) AS gap
			WHERE floor < gap.below`, []any{keptGaps}},
		{`DELETE FROM feed_gaps WHERE below <= (SELECT floor FROM feed)`, nil},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return db.wrap(err)
		}
	}
	if err := db.prune(ctx, tx); err != nil {
		return db.wrap(err)
	}
	return db.wrap(tx.Commit())
}

// watchers wakes those who wait for changes.
type watchers struct {
	mu  sync.Mutex
	set map[chan struct{}]struct{}
}

// Watch returns a channel that receives after changes that this DB has made;
// many may be one receive. Changes that other processes make to the same
// database do not show: look now and then too. cancel ends it, the channel is
// not closed.
func (db *DB) Watch() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	db.watchers.mu.Lock()
	defer db.watchers.mu.Unlock()
	if db.watchers.set == nil {
		db.watchers.set = map[chan struct{}]struct{}{}
	}
	db.watchers.set[c] = struct{}{}
	return c, func() {
		db.watchers.mu.Lock()
		defer db.watchers.mu.Unlock()
		delete(db.watchers.set, c)
	}
}

func (w *watchers) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.set {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}
