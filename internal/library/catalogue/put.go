package catalogue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// putRows is how many recordings one statement stores: enough that the way
	// to the database does not count, and far from its limit of parameters.
	putRows = 100

	// Beyond these a figure is a mistake, and sums of many could overflow.
	maxBytes    = 1 << 46 // of one recording
	maxDuration = 1 << 26 // seconds, of one recording

	maxIndexed = 255 // bytes of a text whose rule is not media's, for indexes have it
)

// Put stores r, in place of what is there with the same RecordDir. A Stream or
// RecordDir that breaks media's rules, or a figure that cannot be, is a
// fault.Invalid. A recording whose deletion has begun stays hidden: nothing
// happens, and that is no error, for what is reported of it comes too late.
func (db *DB) Put(ctx context.Context, r media.Recording) error {
	return db.PutAll(ctx, []media.Recording{r})
}

// PutAll is Put of many in one transaction, which costs little more than one
// Put. Of those with the same RecordDir the last counts. One that Put refuses
// hinders no other: the error is then a fault.Invalid, and the others are stored.
func (db *DB) PutAll(ctx context.Context, recordings []media.Recording) error {
	var refused []error
	rows := make([]row, 0, len(recordings))
	at := make(map[string]int, len(recordings))
	for _, r := range recordings {
		row, err := newRow(r)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if i, ok := at[r.RecordDir]; ok {
			rows[i] = row
			continue
		}
		at[r.RecordDir] = len(rows)
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		err := db.change(ctx, len(rows), func(tx *sql.Tx, first int64) error {
			for chunk := range slices.Chunk(rows, putRows) {
				if err := putChunk(ctx, tx, chunk, first); err != nil {
					return err
				}
				first += int64(len(chunk))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("put %s: %w", describe(rows), err)
		}
	}
	return errors.Join(refused...)
}

func describe(rows []row) string {
	if len(rows) == 1 {
		return fmt.Sprintf("recording %q", rows[0].dir)
	}
	return fmt.Sprintf("%d recordings", len(rows))
}

// row is a recording as its columns' values but the seq.
type row struct {
	dir    string
	values []any // by columns
}

func newRow(r media.Recording) (row, error) {
	if err := errors.Join(media.CheckStreamID(r.Stream), media.CheckPath(r.RecordDir)); err != nil {
		return row{}, fmt.Errorf("put recording: %w", err)
	}
	if r.Bytes < 0 || r.Bytes > maxBytes || r.Duration < 0 || r.Duration > maxDuration {
		return row{}, fault.Errorf(fault.Invalid, "put recording %q: %d bytes or %g seconds cannot be", r.RecordDir, r.Bytes, r.Duration)
	}
	if err := errors.Join(isText(r.RecordID), isText(r.MPDPath), checkText(r.Node), checkText(string(r.Status))); err != nil {
		return row{}, fmt.Errorf("put recording %q: %w", r.RecordDir, err)
	}
	details, err := json.Marshal(r)
	if err != nil {
		return row{}, fault.Errorf(fault.Invalid, "put recording %q: %w", r.RecordDir, err)
	}
	var end sql.NullInt64
	if r.End != nil {
		end = sql.NullInt64{Int64: r.End.UnixMilli(), Valid: true}
	}
	return row{r.RecordDir, []any{
		r.RecordDir, r.Stream, r.RecordID, r.MPDPath, r.Node,
		r.Start.UnixMilli(), end, r.Duration, r.Bytes, string(r.Status), string(details),
	}}, nil
}

// isText reports whether both databases can store s.
func isText(s string) error {
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") { // PostgreSQL has no such texts
		return fault.Errorf(fault.Invalid, "%q is no text", s)
	}
	return nil
}

// checkText is isText for what indexes have.
func checkText(s string) error {
	if len(s) > maxIndexed {
		return fault.Errorf(fault.Invalid, "%.40q... is longer than %d bytes", s, maxIndexed)
	}
	return isText(s)
}

// putChunk stores rows, whose numbers begin with first, but those of which the
// deletion has begun.
func putChunk(ctx context.Context, tx *sql.Tx, rows []row, first int64) error {
	dirs := make([]any, len(rows))
	for i, r := range rows {
		dirs[i] = r.dir
	}
	among := ` FROM removals WHERE record_dir IN (` + parameters(1, len(dirs)) + `)`
	deleting, err := deletingAmong(ctx, tx, `SELECT record_dir`+among+` AND deleting = 1`, dirs)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE`+among+` AND deleting = 0`, dirs...); err != nil {
		return err
	}
	var values []string
	var args []any
	for i, r := range rows {
		if deleting[r.dir] {
			continue
		}
		values = append(values, `(`+parameters(len(args)+1, len(r.values)+1)+`)`)
		args = append(append(args, r.values...), first+int64(i))
	}
	if len(values) == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO recordings (`+columns+`, seq) VALUES `+strings.Join(values, ", ")+`
		ON CONFLICT (record_dir) DO UPDATE SET
			stream = excluded.stream, record_id = excluded.record_id, mpd_path = excluded.mpd_path,
			node = excluded.node, start_ms = excluded.start_ms, end_ms = excluded.end_ms,
			duration = excluded.duration, bytes = excluded.bytes, status = excluded.status,
			details = excluded.details, seq = excluded.seq`, args...)
	return err
}

func deletingAmong(ctx context.Context, tx *sql.Tx, query string, dirs []any) (map[string]bool, error) {
	found, err := tx.QueryContext(ctx, query, dirs...)
	if err != nil {
		return nil, err
	}
	defer found.Close() //nolint:errcheck // found.Err has the error
	deleting := map[string]bool{}
	for found.Next() {
		var dir string
		if err := found.Scan(&dir); err != nil {
			return nil, err
		}
		deleting[dir] = true
	}
	return deleting, found.Err()
}

// parameters returns "$first, ..." for n parameters.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}
