package catalogue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Count returns how many recordings of a stream have a part of a time, by counters that
// are kept as recordings change.
func (db *DB) Count(ctx context.Context, q media.OverlapQuery) (n int, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	selected := query{Stream: q.Stream, From: q.From, To: q.To}
	statement, args := selected.count()
	if err := db.read.QueryRowContext(ctx, statement, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count recordings of a time: %w", db.wrap(err))
	}
	return n, nil
}

// outlineSQL returns the SELECT of an outline, which reads the index of the stream's list
// alone. What is known of a bucket is one text, for a subquery has one value.
func outlineSQL(without int) string {
	const in = `FROM recordings WHERE stream = $1
		AND start_ms + 0 >= CAST($2 AS BIGINT) + i * CAST($3 AS BIGINT) AND start_ms + 0 < CAST($2 AS BIGINT) + (i + 1) * CAST($3 AS BIGINT)`
	others := ""
	if without > 0 {
		others = ` AND node NOT IN (` + parameters(6, without) + `)`
	}
	const end = `coalesce(end_ms, CAST($5 AS BIGINT))`
	return `WITH RECURSIVE buckets(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM buckets WHERE i + 1 < CAST($4 AS BIGINT))
		SELECT i, (SELECT count(*) || ' ' || coalesce(sum(` + end + ` - start_ms), 0) || ' ' || coalesce(max(` + end + `), 0)
			|| ' ' || coalesce(sum(CASE status WHEN 'failed' THEN 1 ELSE 0 END), 0)
			|| ' ' || coalesce(sum(CASE status WHEN 'degraded' THEN 1 ELSE 0 END), 0) ` + in + others + `) FROM buckets`
}

// Outline sums up the recordings of a stream that begin in each of so many buckets, all
// as wide and to the millisecond, from a time on, without those of some nodes. What runs
// lasts until now.
func (db *DB) Outline(ctx context.Context, stream string, from time.Time, width time.Duration, buckets int, now time.Time, without ...string) ([]media.OutlineBucket, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	args := []any{stream, from.UnixMilli(), width.Milliseconds(), buckets, now.UnixMilli()}
	for _, node := range without {
		args = append(args, node)
	}
	rows, err := db.read.QueryContext(ctx, outlineSQL(len(without)), args...)
	if err != nil {
		return nil, fmt.Errorf("outline the recordings of %q: %w", stream, db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	all := make([]media.OutlineBucket, buckets)
	for rows.Next() {
		var i int
		var sums string
		if err := rows.Scan(&i, &sums); err != nil {
			return nil, fmt.Errorf("outline the recordings of %q: %w", stream, db.wrap(err))
		}
		var long, last int64
		b := &all[i]
		if _, err := fmt.Sscan(sums, &b.Recordings, &long, &last, &b.Failed, &b.Degraded); err != nil {
			return nil, fmt.Errorf("outline the recordings of %q: read %s: %w", stream, strconv.Quote(sums), err)
		}
		b.Length, b.Last = time.Duration(long)*time.Millisecond, time.UnixMilli(last).UTC()
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("outline the recordings of %q: %w", stream, db.wrap(err))
	}
	return all, nil
}
