package catalogue

import (
	"strconv"
	"strings"
)

// A bucket of the table edges is 1<<edgeShift milliseconds, and on each of the
// edgeLevels but the first as many as 1<<edgeFan of the level before: a sum over any
// time reads few of them, be there a recording each second or each year.
const (
	edgeShift  = 20
	edgeFan    = 3
	edgeLevels = 4
)

// overlapping returns the SELECT that counts the recordings of q.Stream between q's
// From and To: those that began before To but those that were over at From.
func (s *selection) overlapping(q *query) string {
	stream := s.arg(q.Stream)
	count := "(SELECT coalesce(sum(recordings), 0) FROM counts WHERE stream = " + stream + ")"
	if !q.To.IsZero() {
		count = s.before(stream, "begun", q.To.UnixMilli(), "")
	}
	if !q.From.IsZero() {
		count += " - (" + s.before(stream, "over", q.From.UnixMilli()+1, "") + ")"
	}
	return "SELECT " + count
}

// before returns the expression that counts the recordings of the stream, a
// parameter, that have an edge, "begun" or "over", before a time. and is a further term, or nothing.
func (s *selection) before(stream, edge string, ms int64, and string) string {
	bucket := ms >> edgeShift
	ofStream, at := "stream = "+stream, "start_ms + 0"
	if edge == "over" {
		ofStream, at = "stream || '' = "+stream, "until_ms"
	}
	terms := []string{"(SELECT count(*) FROM recordings WHERE " + ofStream +
		" AND " + at + " >= " + s.arg(bucket<<edgeShift) + " AND " + at + " < " + s.arg(ms) + and + ")"}
	for level := range edgeLevels {
		sum := "(SELECT coalesce(sum(" + edge + "), 0) FROM edges WHERE stream = " + stream +
			" AND level = " + strconv.Itoa(level) + " AND bucket < " + s.arg(bucket)
		if level < edgeLevels-1 {
			bucket >>= edgeFan
			sum += " AND bucket >= " + s.arg(bucket<<edgeFan)
		}
		terms = append(terms, sum+and+")")
	}
	return strings.Join(terms, " + ")
}
