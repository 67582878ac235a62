package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
)

// endedSQL leaves out recordings that have no end: no comparison with NULL is true.
const endedSQL = `SELECT ` + columns + ` FROM recordings
	WHERE (end_ms, record_dir) > ($1, $2) ORDER BY end_ms, record_dir LIMIT $3`

// Ended returns at most limit of the recordings that have ended, those that ended
// first first, and by RecordDir where that is the same: those that come after the
// place of which after and afterDir are the End and RecordDir. The zero time and
// "" is the beginning.
func (db *DB) Ended(ctx context.Context, after time.Time, afterDir string, limit int) ([]media.Recording, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	rows, err := db.read.QueryContext(ctx, endedSQL, after.UnixMilli(), afterDir, limit)
	if err != nil {
		return nil, fmt.Errorf("list ended recordings: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var page []media.Recording
	for rows.Next() {
		r, err := db.scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list ended recordings: %w", db.wrap(err))
		}
		page = append(page, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list ended recordings: %w", db.wrap(err))
	}
	return page, nil
}

const usageSQL = `SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM streams`

// Usage returns the sum of the Bytes of all recordings.
func (db *DB) Usage(ctx context.Context) (bytes int64, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if err := db.read.QueryRowContext(ctx, usageSQL).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("sum up recordings: %w", db.wrap(err))
	}
	return bytes, nil
}
