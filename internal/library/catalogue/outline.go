package catalogue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	// outlinedOneByOne is how many recordings are looked at for an outline. Where its buckets
	// are shorter than what the sums of the table edges are of, it is outlinedFinely.
	outlinedOneByOne = 2_000
	outlinedFinely   = 5 * outlinedOneByOne
	// outlineRows is how many rows of edges there may be to a bucket. If there are more,
	// the buckets become as wide as the rows of the next level.
	outlineRows = 4
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

// Outline sums up the recordings of a stream in a time, in as many buckets as q says at
// most. Where there are very many recordings, there may be half as many buckets, or with
// many recordings in a quarter of an hour fewer yet: it takes a few milliseconds, however
// many there are.
func (db *DB) Outline(ctx context.Context, q media.OutlineQuery) (media.Outline, error) {
	n, err := db.Count(ctx, media.OverlapQuery{Stream: q.Stream, From: q.From, To: q.To})
	if err != nil {
		return media.Outline{}, err
	}
	ctx, cancel := db.limit(ctx)
	defer cancel()
	o := newOutline(q, n <= db.oneByOne, n <= db.finely)
	statement, args := o.statement()
	rows, err := db.read.QueryContext(ctx, statement, args...)
	if err != nil {
		return media.Outline{}, fmt.Errorf("outline the recordings of %q: %w", q.Stream, db.wrap(err))
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var before edges
	sums := make([]edges, len(o.bounds)-1)
	for rows.Next() {
		var bucket int
		var e edges
		if err := rows.Scan(&bucket, &e.begun, &e.begunMS, &e.failed, &e.degraded, &e.over, &e.overMS); err != nil {
			return media.Outline{}, fmt.Errorf("outline the recordings of %q: %w", q.Stream, db.wrap(err))
		}
		if bucket < 0 {
			before = e
			continue
		}
		sums[bucket].add(e)
	}
	if err := rows.Err(); err != nil {
		return media.Outline{}, fmt.Errorf("outline the recordings of %q: %w", q.Stream, db.wrap(err))
	}
	return o.told(before, sums), nil
}

// edges sums up beginnings and ends of recordings. The milliseconds are since the time that
// is outlined began.
type edges struct{ begun, begunMS, failed, degraded, over, overMS int64 }

func (e *edges) add(other edges) {
	e.begun += other.begun
	e.begunMS += other.begunMS
	e.failed += other.failed
	e.degraded += other.degraded
	e.over += other.over
	e.overMS += other.overMS
}

// outline is an OutlineQuery that becomes SQL. Times are Unix milliseconds.
type outline struct {
	selection
	stream, without string   // parameters, and a term
	bounds          []int64  // of the buckets: one more than there are
	pieces          []stripe // what is read for them
}

// stripe is a time that is read from one place: as buckets from first on, each as wide.
type stripe struct {
	from, to int64
	level    int // of edges; -1: recordings
	first    int
	width    int64
}

// newOutline returns the outline that q asks for. oneByOne says that each recording may be
// looked at, finely that it may be for the sake of fine buckets.
func newOutline(q media.OutlineQuery, oneByOne, finely bool) *outline {
	o := &outline{}
	from, to := q.From.UnixMilli(), q.To.UnixMilli()
	if !q.To.Equal(time.UnixMilli(to)) {
		to++
	}
	to = max(to, from+1)
	width := (to - from + int64(q.Buckets) - 1) / int64(q.Buckets)
	switch {
	case oneByOne, finely && width < unit(0):
		for at := from; at < to; at += width {
			o.bounds = append(o.bounds, at)
		}
		o.pieces = []stripe{{from, to, -1, 0, width}}
	case q.Buckets == 1:
		o.bounds = []int64{from}
		o.decompose(from, to, 0)
	default:
		o.align(from, to, width, q.Buckets)
	}
	o.bounds = append(o.bounds, to)
	o.stream = o.arg(q.Stream)
	if len(q.Without) > 0 {
		var nodes []string
		for _, node := range q.Without {
			nodes = append(nodes, o.arg(node))
		}
		o.without = " AND node NOT IN (" + strings.Join(nodes, ", ") + ")"
	}
	return o
}

// align makes buckets that are whole rows of edges, but the parts of the first and the
// last that are not, of at least a width.
func (o *outline) align(from, to, width int64, buckets int) {
	level := 0
	for level < edgeLevels-1 && width >= unit(level+1) {
		level++
	}
	rows := (width + unit(level) - 1) / unit(level)
	if rows > outlineRows && level < edgeLevels-1 {
		level, rows = level+1, 1
	}
	for o.bounds = append(o.bounds, from); ; rows++ {
		width = rows * unit(level)
		for at := (floorDiv(from, width) + 1) * width; at < to; at += width {
			o.bounds = append(o.bounds, at)
		}
		if len(o.bounds) <= buckets {
			break
		}
		o.bounds = o.bounds[:1] // the parts at both ends are one too many
	}
	last := len(o.bounds) - 1
	if last == 0 {
		o.decompose(from, to, 0)
		return
	}
	o.decompose(from, o.bounds[1], 0)
	if last > 1 {
		o.pieces = append(o.pieces, stripe{o.bounds[1], o.bounds[last], level, 1, width})
	}
	o.decompose(o.bounds[last], to, last)
}

// decompose adds what is read for one bucket: as wide rows as fit, and recordings at its
// ends.
func (o *outline) decompose(from, to int64, bucket int) {
	add := func(from, to int64, level int) {
		if from < to {
			o.pieces = append(o.pieces, stripe{from, to, level, bucket, to - from})
		}
	}
	level := 0
	for ; level < edgeLevels; level++ {
		begin, end := -floorDiv(-from, unit(level))*unit(level), floorDiv(to, unit(level))*unit(level)
		if begin >= end {
			break
		}
		add(from, begin, level-1)
		add(end, to, level-1)
		from, to = begin, end
	}
	add(from, to, level-1)
}

// unit returns how many milliseconds a row of a level of edges is of.
func unit(level int) int64 { return 1 << (edgeShift + edgeFan*level) }

// floorDiv is a / b rounded down.
func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// statement returns the SELECT of an outline's rows: a bucket, and its edges. Bucket -1 is
// of the recordings that had begun and were not over before the first one, as begun, and
// those of them that are over just then.
func (o *outline) statement() (sql string, args []any) {
	from := o.number(o.bounds[0])
	var parts []string
	for i := range o.pieces {
		if p := &o.pieces[i]; p.level < 0 {
			parts = append(parts, o.begun(p, from), o.over(p, from))
		} else {
			parts = append(parts, o.rows(p, from))
		}
	}
	open := "(" + o.before(o.stream, "begun", o.bounds[0], o.without) + ") - (" + o.before(o.stream, "over", o.bounds[0], o.without) + ")"
	parts = append(parts, "SELECT -1, CAST("+open+" AS BIGINT), 0, 0, 0, count(*), 0 FROM recordings WHERE stream || '' = "+o.stream+
		" AND until_ms = "+from+o.without)
	return strings.Join(parts, " UNION ALL "), o.args
}

func (o *outline) number(n int64) string { return "CAST(" + o.arg(n) + " AS BIGINT)" }

func sum(what string) string { return ", CAST(sum(" + what + ") AS BIGINT)" }

// begun returns the SELECT of the beginnings in a stripe of recordings.
func (o *outline) begun(p *stripe, from string) string {
	return o.found(p, "start_ms + 0") + ", count(*)" + sum("start_ms + 0 - "+from) +
		sum("CASE status WHEN 'failed' THEN 1 ELSE 0 END") + sum("CASE status WHEN 'degraded' THEN 1 ELSE 0 END") + ", 0, 0" +
		o.among(p, "stream", "start_ms + 0")
}

// over returns the SELECT of the ends in a stripe of recordings.
func (o *outline) over(p *stripe, from string) string {
	return o.found(p, "until_ms") + ", 0, 0, 0, 0, count(*)" + sum("until_ms - "+from) + o.among(p, "stream || ''", "until_ms")
}

// found returns the beginning of a SELECT that finds the bucket of a time.
func (o *outline) found(p *stripe, at string) string {
	return "SELECT " + o.number(int64(p.first)) + " + (" + at + " - " + o.number(p.from) + ") / " + o.number(p.width)
}

// among returns the end of a SELECT of the recordings of which a time is in a stripe.
func (o *outline) among(p *stripe, stream, at string) string {
	return " FROM recordings WHERE " + stream + " = " + o.stream + " AND " + at + " >= " + o.arg(p.from) + " AND " + at + " < " + o.arg(p.to) +
		o.without + " GROUP BY 1"
}

// rows returns the SELECT of a stripe of the table edges.
func (o *outline) rows(p *stripe, from string) string {
	row := unit(p.level)
	since := " + (bucket * " + o.number(row) + " - " + from + ")"
	return "SELECT " + o.number(int64(p.first)) + " + (bucket - " + o.number(p.from/row) + ") / " + o.number(p.width/row) +
		sum("begun") + sum("begun_ms"+since+" * begun") + sum("failed") + sum("degraded") + sum("over") + sum("over_ms"+since+" * over") +
		" FROM edges WHERE stream = " + o.stream + " AND level = " + strconv.Itoa(p.level) +
		" AND bucket >= " + o.arg(p.from/row) + " AND bucket < " + o.arg(p.to/row) + o.without + " GROUP BY 1"
}

// told returns the outline by its sums. The media of a bucket is what all recordings have
// of it together: the sum of the ends in it, less that of the beginnings, with its end for
// those that are not over then, and its beginning for those that had begun.
func (o *outline) told(before edges, sums []edges) media.Outline {
	told := media.Outline{Open: int(before.begun - before.over), Buckets: make([]media.OutlineBucket, len(sums))}
	open := before.begun
	for i, e := range sums {
		from, to := o.bounds[i]-o.bounds[0], o.bounds[i+1]-o.bounds[0]
		ms := e.overMS - e.begunMS - open*from
		open += e.begun - e.over
		ms += open * to
		told.Buckets[i] = media.OutlineBucket{
			From: time.UnixMilli(o.bounds[i]).UTC(), To: time.UnixMilli(o.bounds[i+1]).UTC(),
			Recordings: int(e.begun), Failed: int(e.failed), Degraded: int(e.degraded),
			Media: time.Duration(ms) * time.Millisecond,
		}
	}
	return told
}
