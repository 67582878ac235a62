package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/live777/recorder/internal/media"
)

// overlapQuery is a media.OverlapQuery that becomes SQL.
type overlapQuery media.OverlapQuery

// Overlapping returns the page of recordings that q selects, oldest first. A row
// whose JSON is damaged is there with what its columns say. An After that is no
// page's Next is a fault.Invalid.
func (db *DB) Overlapping(ctx context.Context, q media.OverlapQuery) (media.OverlapPage, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	limit := q.Limit
	if limit > 0 {
		q.Limit++ // tells whether there are more
	}
	selected := overlapQuery(q)
	statement, args, err := selected.statement()
	if err != nil {
		return media.OverlapPage{}, fmt.Errorf("list recordings of a time: %w", err)
	}
	rows, err := db.read.QueryContext(ctx, statement, args...)
	if err != nil {
		return media.OverlapPage{}, fmt.Errorf("list recordings of a time: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var p media.OverlapPage
	for rows.Next() {
		if limit > 0 && len(p.Recordings) == limit {
			p.Next = after(p.Recordings[limit-1])
			break
		}
		r, err := db.scan(rows)
		if err != nil {
			return media.OverlapPage{}, fmt.Errorf("list recordings of a time: %w", db.wrap(err))
		}
		p.Recordings = append(p.Recordings, r)
	}
	if err := rows.Err(); err != nil {
		return media.OverlapPage{}, fmt.Errorf("list recordings of a time: %w", db.wrap(err))
	}
	return p, nil
}

// statement returns the SELECT of q's page and its arguments. The places come first, from
// the indexes alone: of the recordings no more are read than are shown.
func (q *overlapQuery) statement() (statement string, args []any, err error) {
	var s selection
	var begin *place
	if q.After != "" {
		begin = new(place)
		if begin.startMS, begin.recordDir, err = parseAfter(q.After); err != nil {
			return "", nil, err
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = math.MaxInt
	}
	places := pageOf(q.parts(&s, begin), "at, dir", limit, 0)
	return "SELECT " + columns + " FROM (" + places + ") AS page CROSS JOIN recordings WHERE record_dir = dir ORDER BY at, dir", s.args, nil
}

// parts returns the SELECT of the places of q's recordings that come after begin: those
// that began at From or later, and for each class of length those that began before, of
// which no more is looked at than is as old as that.
func (q *overlapQuery) parts(s *selection, begin *place) (parts []string) {
	const place = "start_ms + 0 AS at, record_dir AS dir"
	from := q.From.UnixMilli()
	newer := append([]string{"stream = " + s.arg(q.Stream)}, s.later(begin, from)...)
	if !q.To.IsZero() {
		newer = append(newer, "start_ms + 0 < "+s.arg(q.To.UnixMilli()))
	}
	parts = []string{part(place, newer...)}
	if begin != nil && begin.startMS >= from {
		return parts
	}
	for length := 0; length <= running; length++ {
		since := int64(math.MinInt64)
		if length < unbounded {
			since = from - lengths[length]
		}
		terms := append([]string{s.class(&query{Stream: q.Stream}, length)}, s.later(begin, since)...)
		terms = append(terms, "start_ms + 0 < "+s.arg(from))
		if length < running {
			terms = append(terms, "end_ms > "+s.arg(from))
		}
		parts = append(parts, part(place, terms...))
	}
	return parts
}

// later returns the terms for recordings that began at a time or later, and come after a
// place where there is one. As of earlier, only the nearer one is a bound.
func (s *selection) later(after *place, since int64) []string {
	switch {
	case after != nil && after.startMS >= since:
		start := s.arg(after.startMS)
		return []string{"start_ms + 0 >= " + start, "(start_ms + 0, record_dir) > (" + start + ", " + s.arg(after.recordDir) + ")"}
	case since != math.MinInt64:
		return []string{"start_ms + 0 >= " + s.arg(since)}
	}
	return nil
}

const (
	beforeSQL = `SELECT ` + columns + ` FROM recordings WHERE stream || '' = $1 AND until_ms <= $2 AND duration > 0`
	afterSQL  = `SELECT ` + columns + ` FROM recordings WHERE stream = $1 AND start_ms + 0 >= $2 AND duration > 0`

	beforeOrder = `until_ms DESC LIMIT 1`
	afterOrder  = `start_ms + 0, record_dir LIMIT 1`
)

// Before returns the recording of a stream that ended last of those that ended at a
// time or before and have media, without those of some nodes; ErrNotFound if there is
// none.
func (db *DB) Before(ctx context.Context, stream string, t time.Time, without ...string) (media.Recording, error) {
	return db.nearest(ctx, beforeSQL, beforeOrder, stream, t, without)
}

// After returns the recording of a stream that began first of those that began at a
// time or later and have media, without those of some nodes; ErrNotFound if there is
// none.
func (db *DB) After(ctx context.Context, stream string, t time.Time, without ...string) (media.Recording, error) {
	return db.nearest(ctx, afterSQL, afterOrder, stream, t, without)
}

func (db *DB) nearest(ctx context.Context, statement, order, stream string, t time.Time, without []string) (media.Recording, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	args := []any{stream, t.UnixMilli()}
	if len(without) > 0 {
		statement += ` AND node NOT IN (` + parameters(len(args)+1, len(without)) + `)`
		for _, node := range without {
			args = append(args, node)
		}
	}
	r, err := db.scan(db.read.QueryRowContext(ctx, statement+` ORDER BY `+order, args...))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return media.Recording{}, ErrNotFound
	case err != nil:
		return media.Recording{}, fmt.Errorf("find the nearest recording of %q: %w", stream, db.wrap(err))
	}
	return r, nil
}
