package catalogue

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// MaxCounted is up to where List counts the recordings of a time, unless they
	// are all those of one stream: to count more takes longer than to show them.
	MaxCounted = 10_000

	// unbounded is the class of length of the recordings that are longer than any
	// bound, running of those that have no end.
	unbounded = len(lengths)
	running   = unbounded + 1
)

// lengths are the bounds, in milliseconds, of the column length up to unbounded.
var lengths = [...]int64{
	65 * 60_000, 5 * 3600_000, longDay, 5 * longDay, 25 * longDay, 125 * longDay, 625 * longDay,
}

// longDay is as long as recordings get by default, and an hour, in milliseconds.
const longDay = 25 * 3600_000

// query is a media.RecordingQuery that becomes SQL.
type query media.RecordingQuery

// after returns the RecordingQuery.After of the page that goes on after r. It needs no
// escaping in a URL.
func after(r media.Recording) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(r.Start.UnixMilli(), 10) + "/" + r.RecordDir))
}

// parseAfter reads what after returned.
func parseAfter(s string) (startMS int64, recordDir string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	ms, recordDir, ok := strings.Cut(string(text), "/")
	if err == nil {
		startMS, err = strconv.ParseInt(ms, 10, 64)
	}
	if !ok || err != nil || media.CheckPath(recordDir) != nil {
		return 0, "", fault.Errorf(fault.Invalid, "after: %.40q is no place in a list: use what an earlier answer gave", s)
	}
	return startMS, recordDir, nil
}

// List is ListPage for those who do not go on.
func (db *DB) List(ctx context.Context, q media.RecordingQuery) (page []media.Recording, total int, err error) {
	p, err := db.ListPage(ctx, q)
	return p.Recordings, p.Total, err
}

// ListPage returns the page of recordings that q selects. An After that is no
// page's Next is a fault.Invalid. A row whose JSON is damaged is there with what its
// columns say.
func (db *DB) ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	limit := q.Limit
	if limit > 0 {
		q.Limit++ // tells whether there are more
	}
	selected := query(q)
	page, args, err := selected.page()
	if err != nil {
		return media.RecordingPage{}, fmt.Errorf("list recordings: %w", err)
	}
	var p media.RecordingPage
	count, countArgs := selected.count()
	if err := db.read.QueryRowContext(ctx, count, countArgs...).Scan(&p.Total); err != nil {
		return media.RecordingPage{}, fmt.Errorf("count recordings: %w", db.wrap(err))
	}
	rows, err := db.read.QueryContext(ctx, page, args...)
	if err != nil {
		return media.RecordingPage{}, fmt.Errorf("list recordings: %w", db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		if limit > 0 && len(p.Recordings) == limit {
			p.Next = after(p.Recordings[limit-1])
			break
		}
		r, err := db.scan(rows)
		if err != nil {
			return media.RecordingPage{}, fmt.Errorf("list recordings: %w", db.wrap(err))
		}
		p.Recordings = append(p.Recordings, r)
	}
	if err := rows.Err(); err != nil {
		return media.RecordingPage{}, fmt.Errorf("list recordings: %w", db.wrap(err))
	}
	return p, nil
}

// page returns the SELECT of q's page and its arguments.
func (q *query) page() (sql string, args []any, err error) {
	var s selection
	if q.After != "" {
		s.after = new(place)
		if s.after.startMS, s.after.recordDir, err = parseAfter(q.After); err != nil {
			return "", nil, err
		}
	}
	limit, offset := q.Limit, max(q.Offset, 0)
	if limit <= 0 || limit > math.MaxInt-offset {
		limit = math.MaxInt - offset
	}
	if q.From.IsZero() {
		return pageOf(s.of(columns, q), q.start()+" DESC, record_dir DESC", limit, offset), s.args, nil
	}
	// The places first, from the indexes alone: of the recordings no more are read
	// than are shown.
	places := pageOf(s.of(q.start()+" AS at, record_dir AS dir", q), "at DESC, dir DESC", limit, offset)
	return "SELECT " + columns + " FROM (" + places + ") AS page CROSS JOIN recordings WHERE record_dir = dir ORDER BY at DESC, dir DESC", s.args, nil
}

// start returns the column of Start in the form that the indexes of q's list have. Those
// of a stream's recordings have one of their own, so that planners have no choice: the
// index of all recordings may look good for a stream that has many, and is not if they
// are old.
func (q *query) start() string {
	if q.Stream != "" {
		return "start_ms + 0"
	}
	return "start_ms"
}

// pageOf returns the SELECT of a page of the rows of all parts, each of which has
// an index for the order.
func pageOf(parts []string, order string, limit, offset int) string {
	order = " ORDER BY " + order
	if len(parts) > 1 {
		for i, part := range parts {
			// None is read further than it has to be.
			parts[i] = "SELECT * FROM (" + part + order + " LIMIT " + strconv.Itoa(limit+offset) + ") AS part"
		}
	}
	// As text and no arguments: databases plan for the numbers.
	return strings.Join(parts, " UNION ALL ") + order + " LIMIT " + strconv.Itoa(limit) + " OFFSET " + strconv.Itoa(offset)
}

// count returns the SELECT that counts what q selects, and its arguments.
func (q *query) count() (sql string, args []any) {
	var s selection
	bounded := !q.From.IsZero() || !q.To.IsZero()
	if bounded && q.Stream != "" && q.Node == "" && q.Status == "" {
		return s.overlapping(q), s.args
	}
	if bounded {
		all := strings.Join(s.of("1 AS one", q), " UNION ALL ")
		return "SELECT count(*) FROM (" + all + " LIMIT " + strconv.Itoa(MaxCounted) + ") AS counted", s.args
	}
	s.and("stream = " + s.arg(q.Stream)) // '' is all
	if q.Node != "" {
		s.and("node = " + s.arg(q.Node))
	}
	if q.Status != "" {
		s.and("status = " + s.arg(string(q.Status)))
	}
	return "SELECT coalesce(sum(recordings), 0) FROM counts WHERE " + strings.Join(s.terms, " AND "), s.args
}

// selection builds a SELECT.
type selection struct {
	terms []string
	args  []any
	after *place // where the page begins; nil: at the newest
}

// place is one in a list of recordings.
type place struct {
	startMS   int64
	recordDir string
}

// earlier returns the terms for recordings that began before end, which is in Unix
// milliseconds, and come after s.after. No more than one of the two is a bound: where a
// search has several, databases begin at any, and pass over what the others exclude.
func (s *selection) earlier(q *query, end int64) (terms []string) {
	switch {
	case s.after != nil && s.after.startMS < end:
		// The first says no more than the second, for SQLite, which cannot search by that
		// in an index of expressions.
		start := s.arg(s.after.startMS)
		return []string{q.start() + " <= " + start, "(" + q.start() + ", record_dir) < (" + start + ", " + s.arg(s.after.recordDir) + ")"}
	case end != math.MaxInt64:
		return []string{q.start() + " < " + s.arg(end)}
	}
	return nil
}

func (s *selection) and(term string) { s.terms = append(s.terms, term) }

// arg adds an argument and returns its parameter.
func (s *selection) arg(value any) string {
	s.args = append(s.args, value)
	return "$" + strconv.Itoa(len(s.args))
}

// of returns the SELECT of q's recordings from s.after on, in parts for each of which
// there is an index. Where From is a bound, those that
// began before and are still of that time would be few among all that began
// before: they are looked for by their length, and only as far back as that.
func (s *selection) of(columns string, q *query) (parts []string) {
	end := int64(math.MaxInt64)
	if !q.To.IsZero() {
		end = q.To.UnixMilli()
	}
	newest := append(s.indexed(q), s.earlier(q, end)...)
	if q.From.IsZero() {
		return []string{part(columns, newest...)}
	}
	from := q.From.UnixMilli()
	back, first := from, 0
	if q.Stream == "" && (q.Node != "" || q.Status == media.StatusRecording) {
		// A node has so few, or what runs, that the index of the list does for a day.
		back, first = from-longDay, slices.Index(lengths[:], longDay)+1
	}
	newest = append(newest, q.start()+" >= "+s.arg(back))
	if back < from {
		newest = append(newest, "(start_ms >= "+s.arg(from)+" OR end_ms IS NULL OR end_ms > "+s.arg(from)+")")
	}
	parts = []string{part(columns, newest...)}
	for length := first; length <= running; length++ {
		terms := append(append(s.filtered(q), s.class(q, length)), s.earlier(q, min(back, end))...)
		if length < unbounded {
			terms = append(terms, q.start()+" >= "+s.arg(from-lengths[length]))
		}
		if length < running {
			terms = append(terms, "end_ms > "+s.arg(from))
		}
		parts = append(parts, part(columns, terms...))
	}
	return parts
}

// class returns the term for the recordings of q's stream, or of all, that have a length.
func (s *selection) class(q *query, length int) string {
	if q.Stream == "" {
		return "length + 0 = " + strconv.Itoa(length)
	}
	return "stream || '/' || CAST(length AS TEXT) = " + s.arg(q.Stream+"/"+strconv.Itoa(length))
}

// part returns the SELECT with the terms.
func part(columns string, terms ...string) string {
	if len(terms) == 0 {
		return "SELECT " + columns + " FROM recordings"
	}
	return "SELECT " + columns + " FROM recordings WHERE " + strings.Join(terms, " AND ")
}

// indexed returns the terms for q's columns in a form with which one index fits:
// planners have no choice.
func (s *selection) indexed(q *query) (terms []string) {
	switch {
	case q.Stream != "":
		return append(s.filtered(q), "stream = "+s.arg(q.Stream))
	case q.Node != "" && q.Status != "":
		return []string{"node || '/' || status = " + s.arg(q.Node+"/"+string(q.Status))}
	case q.Node != "":
		return []string{"node = " + s.arg(q.Node)}
	case q.Status != "":
		return []string{"status = " + s.arg(string(q.Status))}
	}
	return nil
}

// filtered returns those for the node and the status in a form with which no index fits.
func (s *selection) filtered(q *query) (terms []string) {
	if q.Node != "" {
		terms = append(terms, "node || '' = "+s.arg(q.Node))
	}
	if q.Status != "" {
		terms = append(terms, "status || '' = "+s.arg(string(q.Status)))
	}
	return terms
}
