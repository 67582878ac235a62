package catalogue

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/live777/recorder/internal/media"
)

// Streams returns a summary of each stream that has recordings, by its id.
func (db *DB) Streams(ctx context.Context) ([]media.StreamSummary, error) {
	streams, _, err := db.StreamsPage(ctx, media.StreamQuery{})
	return streams, err
}

// streamQuery is a media.StreamQuery that becomes SQL.
type streamQuery media.StreamQuery

// statement returns the SELECT of q's page and its arguments.
func (q *streamQuery) statement() (sql string, args []any) {
	var s selection
	s.and("stream > " + s.arg(q.After))
	if q.Prefix != "" {
		s.and("stream >= " + s.arg(q.Prefix))
		if end := prefixEnd(q.Prefix); end != "" {
			s.and("stream < " + s.arg(end))
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = math.MaxInt64
	}
	counted := "streams"
	if len(q.Without) > 0 { // in one statement, for they may be deleted meanwhile
		nodes := make([]string, len(q.Without))
		for i, node := range q.Without {
			nodes[i] = s.arg(node)
		}
		counted = `(SELECT stream, last_start_ms, duration_us, bytes, recordings - (SELECT coalesce(sum(c.recordings), 0) FROM counts c
			WHERE c.stream = streams.stream AND c.node IN (` + strings.Join(nodes, ", ") + `)) AS recordings FROM streams) AS others`
		s.and("recordings > 0")
	}
	return `SELECT stream, recordings, last_start_ms, duration_us, bytes FROM ` + counted + ` WHERE ` + strings.Join(s.terms, " AND ") +
		` ORDER BY stream LIMIT ` + strconv.Itoa(limit), s.args
}

// prefixEnd returns the first text behind all that begin with prefix, by the order
// of the bytes of UTF-8, which is that of the characters; "" if there is none.
func prefixEnd(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		if last++; last == surrogates {
			last = surrogatesEnd
		}
		if last <= utf8.MaxRune {
			return prefix + string(last)
		}
	}
	return ""
}

// The surrogates are no characters of UTF-8 (RFC 3629 section 3).
const surrogates, surrogatesEnd = 0xD800, 0xE000

// StreamsPage returns a summary of the streams that q selects, by their ids in the
// order of their bytes, and how many streams have recordings in all, whatever q says.
func (db *DB) StreamsPage(ctx context.Context, q media.StreamQuery) (page []media.StreamSummary, total int, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	if err := db.read.QueryRowContext(ctx, `SELECT streams FROM feed`).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count streams: %w", db.wrap(err))
	}
	selected := streamQuery(q)
	query, args := selected.statement()
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("sum up streams: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		var s media.StreamSummary
		var last, duration int64
		if err := rows.Scan(&s.Stream, &s.Recordings, &last, &duration, &s.Bytes); err != nil {
			return nil, 0, fmt.Errorf("sum up streams: %w", db.wrap(err))
		}
		s.LastStart, s.Duration = time.UnixMilli(last).UTC(), float64(duration)/1e6
		page = append(page, s)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("sum up streams: %w", db.wrap(err))
	}
	return page, total, nil
}

// extents is the SELECT of when the archives of the streams of a statement begin and end:
// where their first recording does the one, and the one that began last the other.
func extents(statement string) string {
	const of = " FROM recordings WHERE stream = page.stream ORDER BY start_ms + 0"
	return `SELECT stream, recordings, last_start_ms, duration_us, bytes,
		(SELECT start_ms` + of + ` LIMIT 1),
		(SELECT start_ms + CAST(duration * 1000 AS BIGINT)` + of + ` DESC LIMIT 1),
		(SELECT end_ms` + of + ` DESC LIMIT 1)
		FROM (` + statement + `) AS page ORDER BY stream`
}

// Archives returns the archives of the streams that q selects, by their ids in the order
// of their bytes. Their first and last times are of the recordings of all nodes.
func (db *DB) Archives(ctx context.Context, q media.StreamQuery) (page []media.ArchiveStream, err error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	selected := streamQuery(q)
	statement, args := selected.statement()
	rows, err := db.read.QueryContext(ctx, extents(statement), args...)
	if err != nil {
		return nil, fmt.Errorf("list archives: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		var s media.ArchiveStream
		var lastStart, duration int64
		var first, last, ended sql.NullInt64
		if err := rows.Scan(&s.Stream, &s.Recordings, &lastStart, &duration, &s.Bytes, &first, &last, &ended); err != nil {
			return nil, fmt.Errorf("list archives: %w", db.wrap(err))
		}
		s.LastStart, s.Duration = time.UnixMilli(lastStart).UTC(), float64(duration)/1e6
		s.First, s.Last = time.UnixMilli(first.Int64).UTC(), time.UnixMilli(last.Int64).UTC()
		s.Running = !ended.Valid
		page = append(page, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list archives: %w", db.wrap(err))
	}
	return page, nil
}
