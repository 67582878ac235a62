package catalogue

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// The pages of package api at their largest.
const (
	largest      = api.MaxPage
	deepestFirst = api.MaxOffset
)

// shape is how the recordings of a large catalogue lie: each stream's follow one
// another without a gap, all as long, and the last one runs.
type shape struct {
	name                string
	recordings, streams int
	length              int // of a recording, milliseconds
}

const day = 24 * 3600 * 1000 // milliseconds

// shapes returns a fleet with a recording of each stream a day, and one stream that
// has as many as the fleet, short ones.
func shapes(recordings int) []shape {
	return []shape{{"fleet", recordings, max(recordings/200, 200), day}, {"one stream", recordings, 1, 10_000}}
}

// scaled is a catalogue with many recordings, made by SQL.
type scaled struct {
	*DB
	shape
	url     string
	dialect string
}

var dayZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// databases calls run for each shape and each kind of database, with what fills it.
func databases(tb testing.TB, shapes []shape, run func(name string, fill func(testing.TB) scaled)) {
	tb.Helper()
	server := pgtest.Start(tb)
	for _, sh := range shapes {
		run(sh.name+"/sqlite", func(tb testing.TB) scaled {
			tb.Helper()
			return fillSQLite(tb, sh)
		})
		run(sh.name+"/postgres", func(tb testing.TB) scaled {
			tb.Helper()
			return fillPostgres(tb, sh, server.Database())
		})
	}
}

func fillSQLite(tb testing.TB, sh shape) scaled {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "catalogue.db")
	db, err := connectSQLite(file)
	if err != nil {
		tb.Fatal(err)
	}
	fill(tb, db.write, goose.DialectSQLite3, "sqlite", sh,
		`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1) `)
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	url := "sqlite://" + file
	return scaled{open(tb, url), sh, url, "sqlite"}
}

func fillPostgres(tb testing.TB, sh shape, url string) scaled {
	tb.Helper()
	config, err := postgresConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	config.RuntimeParams["statement_timeout"] = "0"
	db := stdlib.OpenDB(*config)
	fill(tb, db, goose.DialectPostgres, "postgres", sh,
		`WITH n AS (SELECT i FROM generate_series(0, $1::bigint - 1) AS i) `)
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	s := scaled{open(tb, url), sh, url, "postgres"}
	s.exec(tb, "VACUUM ANALYZE") // the server does that by itself, some time later
	return s
}

// fill makes the tables and fills them with recordings.
func fill(tb testing.TB, db *sql.DB, dialect goose.Dialect, folder string, sh shape, numbers string) {
	tb.Helper()
	err := migrate(tb.Context(), db, dialect, folder)
	if err == nil && dialect == goose.DialectPostgres {
		_, err = db.ExecContext(tb.Context(), `ALTER TABLE recordings DISABLE TRIGGER USER; ALTER TABLE streams DISABLE TRIGGER USER`)
	}
	if err != nil {
		tb.Fatal(err)
	}
	details, err := json.Marshal(recording("camera", 0))
	if err != nil {
		tb.Fatal(err)
	}
	recordings, streams := sh.recordings, sh.streams
	stream := fmt.Sprintf("'stream-' || (100000 + i %% %d)", streams)
	start := fmt.Sprintf("(%d + i / %d * %d + i %% %d * (%d / %d))", dayZero, streams, sh.length, streams, sh.length, streams)
	runs := fmt.Sprintf("i >= %d", recordings-streams)
	_, err = db.ExecContext(tb.Context(), numbers+`INSERT INTO recordings (`+columns+`, seq)
		SELECT `+stream+` || '/' || `+start+`, `+stream+`, '', '', 'node-' || (100 + i % `+strconv.Itoa(streams)+` % 200), `+start+`,
			CASE WHEN `+runs+` THEN NULL ELSE `+start+` + `+strconv.Itoa(sh.length)+` END, `+strconv.Itoa(sh.length/1000)+`, 1000000000 + i,
			CASE WHEN `+runs+` THEN 'recording' WHEN i % 997 = 0 THEN 'failed' WHEN i % 13 = 0 THEN 'degraded' ELSE 'complete' END, $2, i + 1
		FROM n`, recordings, string(details))
	if err == nil {
		_, err = db.ExecContext(tb.Context(), numbers+`INSERT INTO removals (record_dir, stream, seq, deleting)
			SELECT 'gone/' || i, 'gone', `+strconv.Itoa(recordings)+` + i + 1, 0 FROM n`, recordings/20)
	}
	if err == nil {
		_, err = db.ExecContext(tb.Context(), `UPDATE feed SET last_seq = $1`, recordings+recordings/20)
	}
	if err == nil && dialect == goose.DialectPostgres {
		_, err = db.ExecContext(tb.Context(), countAll)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// countAll does what the triggers of PostgreSQL would have done. In one transaction, these
// would pass over all earlier versions of a count to find the one that they change.
const countAll = `
	INSERT INTO counts SELECT stream, node, status, count(*) FROM recordings GROUP BY stream, node, status;
	INSERT INTO counts SELECT '', node, status, sum(recordings) FROM counts GROUP BY node, status;
	INSERT INTO streams
		SELECT stream, count(*), max(start_ms), sum(round(duration * 1e6)::bigint), sum(bytes) FROM recordings GROUP BY stream;
	UPDATE feed SET streams = (SELECT count(*) FROM streams);
	INSERT INTO edges
		SELECT stream, node, level, at >> (20 + 3 * level),
			sum(begun), sum(begun * (at & ((1::bigint << (20 + 3 * level)) - 1))), sum(begun * (status = 'failed')::int), sum(begun * (status = 'degraded')::int),
			sum(1 - begun), sum((1 - begun) * (at & ((1::bigint << (20 + 3 * level)) - 1)))
		FROM (SELECT stream, node, status, 1 AS begun, start_ms AS at FROM recordings
				UNION ALL SELECT stream, node, status, 0, until_ms FROM recordings WHERE end_ms IS NOT NULL) AS edge,
			generate_series(0, 3) AS level
		GROUP BY 1, 2, 3, 4;
	ALTER TABLE recordings ENABLE TRIGGER USER;
	ALTER TABLE streams ENABLE TRIGGER USER`

func (s scaled) exec(tb testing.TB, query string) {
	tb.Helper()
	if _, err := s.write.ExecContext(tb.Context(), query); err != nil {
		tb.Fatal(err)
	}
}

// at returns the time at which the recordings of so many lengths before have ended.
func (s scaled) at(lengths float64) time.Time {
	return time.UnixMilli(dayZero + int64(lengths*float64(s.length)))
}

// after returns the RecordingQuery.After of a time.
func (s scaled) after(lengths float64) string {
	return after(media.Recording{Start: s.at(lengths), RecordDir: "stream-1"})
}

// listing is a way to list that has to be fast, with the indexes that it uses.
type listing struct {
	name, index, count string // count: what the total comes from
	q                  media.RecordingQuery
}

// listings returns the pages of recordings that can be asked for over HTTP, at their
// largest, in each combination of what a request may have, and for the fleet the
// other ways to list, too.
func (s scaled) listings() (all []listing) {
	stream := fmt.Sprint("stream-", 100000+s.streams/2)
	last := float64(s.recordings/s.streams - 1)
	for _, from := range []struct {
		name string
		at   time.Time
	}{{"", time.Time{}}, {", from the first day", s.at(1)}, {", from the middle", s.at(last/2 + 0.3)}} {
		for _, to := range []struct {
			name string
			at   time.Time
		}{{"", time.Time{}}, {", to the middle", s.at(last/2 + 0.4)}, {", to the last day", s.at(last + 0.5)}} {
			for _, page := range []struct {
				name   string
				after  string
				offset int
			}{{"", "", 0}, {", by offset", "", deepestFirst}, {", deep", s.after(last / 4), 0}} {
				l := listing{"a stream" + from.name + to.name + page.name, "list_stream", "edges",
					media.RecordingQuery{Stream: stream, From: from.at, To: to.at, After: page.after, Offset: page.offset, Limit: largest}}
				if from.at.IsZero() && to.at.IsZero() {
					l.count = "counts"
				}
				all = append(all, l)
			}
		}
	}
	if s.streams > 1 {
		all = append(all, s.otherListings(last)...)
	}
	return all
}

func (s scaled) otherListings(last float64) []listing {
	hour, hourLater := s.at(last/2), s.at(last/2+1./24)
	return []listing{
		{"all", "list_start", "counts", media.RecordingQuery{}},
		{"all, deep", "list_start", "counts", media.RecordingQuery{After: s.after(1)}},
		{"a stream's that run", "list_stream", "counts", media.RecordingQuery{Stream: "stream-100100", Status: media.StatusRecording}},
		{"a stream's of a node", "list_stream", "counts", media.RecordingQuery{Stream: "stream-100100", Node: "node-200"}},
		{"a node's", "list_node", "counts", media.RecordingQuery{Node: "node-107"}},
		{"a node's, deep", "list_node", "counts", media.RecordingQuery{Node: "node-107", After: s.after(1)}},
		{"running", "list_status", "counts", media.RecordingQuery{Status: media.StatusRecording}},
		{"failed, deep", "list_status", "counts", media.RecordingQuery{Status: media.StatusFailed, After: s.after(10)}},
		{"failed of a node", "list_node_status", "counts", media.RecordingQuery{Node: "node-100", Status: media.StatusFailed}},
		{"all of an hour", "list_start", "list_start", media.RecordingQuery{From: hour, To: hourLater}},
		{"all of an hour, deep", "list_start", "list_start", media.RecordingQuery{From: hour, To: hourLater, After: s.after(last/2 - 0.999)}},
		{"all since the first day", "list_start", "list_start", media.RecordingQuery{From: s.at(1)}},
		{"all until the middle", "list_start", "recordings_list_", media.RecordingQuery{To: hour}},
		{"a node's of an hour", "list_node", "list_node", media.RecordingQuery{Node: "node-107", From: hour, To: hourLater}},
		{"running in an hour", "list_status", "list_status", media.RecordingQuery{Status: media.StatusRecording, From: hour, To: hourLater}},
		{"failed of a node, in an hour", "list_node_status", "list_node_status", media.RecordingQuery{Node: "node-100", Status: media.StatusFailed, From: hour, To: hourLater}},
	}
}

// streamPages are the pages of streams that can be asked for.
func streamPages() map[string]media.StreamQuery {
	return map[string]media.StreamQuery{
		"streams":                  {Limit: api.MaxStreams},
		"streams, deep":            {After: "stream-100100", Limit: api.MaxStreams},
		"streams, by prefix":       {Prefix: "stream-1001", Limit: api.MaxStreams},
		"streams, by prefix, deep": {Prefix: "stream-10", After: "stream-100100", Limit: api.MaxStreams},
	}
}

func (s scaled) checkPlans(tb testing.TB) {
	tb.Helper()
	for _, l := range s.listings() {
		if l.q.Limit == 0 {
			l.q.Limit = 50
		}
		selected := query(l.q)
		page, args, err := selected.page()
		if err != nil {
			tb.Fatal(err)
		}
		indexes := []string{l.index}
		if !l.q.From.IsZero() {
			length := "by_length"
			if l.q.Stream != "" {
				length = "stream_length"
			}
			indexes = append(indexes, length)
		}
		s.checkPlan(tb, l.name, page, args, !l.q.From.IsZero(), indexes...)
		count, args := selected.count()
		s.checkPlan(tb, "total of "+l.name, count, args, false, l.count)
	}
	for name, q := range streamPages() {
		selected := streamQuery(q)
		page, args := selected.statement()
		s.checkPlan(tb, name, page, args, false, "streams")
	}
	last := float64(s.recordings/s.streams - 1)
	for _, tt := range []struct {
		name, index string
		q           media.OverlapQuery
	}{
		{"of a time", "stream_length", media.OverlapQuery{From: s.at(last / 2), To: s.at(last/2 + 30)}},
		{"of a time, to now", "stream_length", media.OverlapQuery{From: s.at(last / 2)}},
		{"of a time, deep", "list_stream", media.OverlapQuery{From: s.at(last / 4), After: s.after(last / 2)}},
		{"of a time, what began before", "stream_length", media.OverlapQuery{From: s.at(last / 2), After: s.after(last / 4)}},
		{"of the first time", "stream_length", media.OverlapQuery{From: s.at(0), To: s.at(1)}},
	} {
		selected := overlapQuery(tt.q)
		selected.Stream, selected.Limit = fmt.Sprint("stream-", 100000+s.streams/2), largest
		statement, args, err := selected.statement()
		if err != nil {
			tb.Fatal(err)
		}
		s.checkPlan(tb, tt.name, statement, args, tt.index == "stream_length", tt.index)
	}
	if s.dialect == "postgres" { // which tells how much it has read
		o := newOutline(media.OutlineQuery{Stream: fmt.Sprint("stream-", 100000+s.streams/2), From: s.at(0.1), To: s.at(last - 0.1), Buckets: 100}, false, false)
		outline, args := o.statement()
		s.checkPlan(tb, "outline", outline, args, true, "list_stream", "stream_until", "edges")
	}
	at := []any{fmt.Sprint("stream-", 100000+s.streams/2), s.at(last / 2).UnixMilli()}
	s.checkPlan(tb, "before", beforeSQL+" ORDER BY "+beforeOrder, at, false, "stream_until")
	s.checkPlan(tb, "after", afterSQL+" ORDER BY "+afterOrder, at, false, "list_stream")
	s.checkPlan(tb, "changes, from the first", changesSQL(largest), []any{5}, true, "recordings_by_seq", "removals_by_seq")
	s.checkPlan(tb, "changes, from the middle", changesSQL(largest), []any{s.recordings / 2}, true, "recordings_by_seq", "removals_by_seq")
	s.checkPlan(tb, "archives", extents("SELECT * FROM streams ORDER BY stream LIMIT 1000"), nil, false, "list_stream")
	s.checkPlan(tb, "ended", endedSQL, []any{dayZero, "", 10}, false, "by_end")
	s.checkPlan(tb, "one", oneSQL, []any{"stream-100050/1"}, false, "recordings")
}

// checkPlan looks at the plan of a query: it uses the indexes, reads no table from
// one end to the other, and sorts at most the page itself, where sorted says so.
func (s scaled) checkPlan(tb testing.TB, name, query string, args []any, sorted bool, indexes ...string) {
	tb.Helper()
	explain := map[string]string{"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "}[s.dialect]
	plan := explained(tb, s.DB, explain+query, args)
	var problems []string
	for _, index := range indexes {
		if !strings.Contains(plan, index) {
			problems = append(problems, "does not use "+index)
		}
	}
	if s.dialect == "sqlite" {
		problems = append(problems, sqliteProblems(plan, strings.ContainsAny(query, "<>"), sorted)...)
	} else {
		var tree []struct{ Plan pgPlan }
		if err := json.Unmarshal([]byte(plan), &tree); err != nil {
			tb.Fatal(err)
		}
		problems = append(problems, tree[0].Plan.problems(sorted)...)
	}
	if len(problems) > 0 {
		tb.Errorf("%s: %s:\n%s\n%s", name, strings.Join(problems, ", "), query, plan)
	}
}

// byBound matches a search by start_ms<?, seq>?, <expr>>? or (start_ms,record_dir)<(?,?).
var byBound = regexp.MustCompile(`[<>]\(?\?`)

// sqliteProblems reads the lines of a plan of SQLite. What is sorted may be a part of
// a list, of which no more is read than a page.
//
// Where a query has a bound of time or goes on after a row it has to search by that.
func sqliteProblems(plan string, bounded, sorted bool) (problems []string) {
	before := ""
	for line := range strings.Lines(plan) {
		switch {
		case strings.HasPrefix(line, "SCAN recordings") && !strings.Contains(line, "INDEX"):
			problems = append(problems, "reads all recordings")
		case bounded && strings.HasPrefix(line, "SEARCH recordings") && !byBound.MatchString(line) && !strings.Contains(line, "(record_dir=?)"):
			problems = append(problems, "passes over recordings")
		case strings.Contains(line, "TEMP B-TREE") && (!sorted || before != "SCAN part\n"):
			problems = append(problems, "sorts")
		}
		before = line
	}
	return problems
}

// pgPlan is a step of a plan of PostgreSQL that was carried out.
type pgPlan struct {
	Node    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Plans   []pgPlan
}

const (
	// mostSorted is how many rows may be sorted: the pages of all parts.
	mostSorted = 2 * (largest + deepestFirst)
	// mostRead is how many rows of recordings a step may read: those that are counted.
	mostRead = MaxCounted
	// mostRemoved is how many rows may be read in vain.
	mostRemoved = 2000
)

func (p pgPlan) problems(sorted bool) (problems []string) {
	switch {
	case p.Table == "recordings" && p.Rows*p.Loops > mostRead:
		problems = append(problems, fmt.Sprintf("reads %g rows", p.Rows*p.Loops))
	case p.Node == "Seq Scan":
		problems = append(problems, "reads all of "+p.Table)
	case p.Node == "Sort" && (!sorted || p.Rows > mostSorted):
		problems = append(problems, fmt.Sprintf("sorts %g rows", p.Rows))
	case p.Removed > mostRemoved:
		problems = append(problems, fmt.Sprintf("reads %g rows of %s in vain", p.Removed, p.Table))
	}
	for _, part := range p.Plans {
		problems = append(problems, part.problems(sorted)...)
	}
	return problems
}

// explained returns the lines of a plan.
func explained(tb testing.TB, db *DB, query string, args []any) string {
	tb.Helper()
	rows, err := db.read.QueryContext(tb.Context(), query, args...)
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		var line string
		into := make([]any, len(names))
		for i := range into {
			into[i] = new(any)
		}
		into[len(names)-1] = &line
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return plan.String()
}
