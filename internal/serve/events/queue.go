package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// keptDeliveries is how many attempts the log of deliveries has, and trimEvery how
	// many more there may be before it is cut.
	keptDeliveries = 10_000
	trimEvery      = 200
	// keptRemoved is how long it is remembered that a recording's deletion was told.
	keptRemoved = 7 * 24 * time.Hour
	// queueVersion is that of the tables.
	queueVersion = 1
	// readers bounds the connections that read beside the one that writes.
	readers = 4
)

const tables = `
CREATE TABLE events (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL,
	subject TEXT NOT NULL, time INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE pending (target TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (target, seq)) WITHOUT ROWID;
CREATE INDEX pending_seq ON pending (seq);
CREATE TABLE deliveries (
	n INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, target TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
	subject TEXT NOT NULL, attempt INTEGER NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL, took INTEGER NOT NULL
);
CREATE TABLE recordings (record_dir TEXT PRIMARY KEY, phase TEXT NOT NULL, ident TEXT NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE states (kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
`

// queue is what waits, on the disk. One goroutine changes it.
type queue struct {
	write, read *sql.DB
	trims       int
}

// openQueue opens a queue, which is made where there is none. Only this user can read it.
func openQueue(ctx context.Context, file string) (q *queue, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of events.file: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make events.file: %w", err)
	}
	// A process that dies loses nothing that was committed. A power cut may lose the newest
	// changes, all of a transaction: those of recordings are found out again.
	name := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_txlock=immediate"
	q = &queue{}
	if q.write, err = sql.Open("sqlite", name); err != nil {
		return nil, fmt.Errorf("open events.file: %w", err)
	}
	if q.read, err = sql.Open("sqlite", name); err != nil {
		return nil, fmt.Errorf("open events.file: %w", errors.Join(err, q.write.Close()))
	}
	q.write.SetMaxOpenConns(1)
	q.read.SetMaxOpenConns(readers)
	q.read.SetMaxIdleConns(readers)
	if err := q.migrate(ctx); err != nil {
		return nil, fmt.Errorf("open events.file %q: %w", file, errors.Join(err, q.close()))
	}
	return q, nil
}

func (q *queue) migrate(ctx context.Context) error {
	return q.change(ctx, func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
			return err
		}
		switch version {
		case queueVersion:
			return nil
		case 0:
			_, err := tx.ExecContext(ctx, tables+fmt.Sprintf("PRAGMA user_version = %d", queueVersion))
			return err
		}
		return fault.Errorf(fault.Invalid, "it has version %d, and this program knows version %d: move the file away, or start the version that made it", version, queueVersion)
	})
}

func (q *queue) close() error { return errors.Join(q.read.Close(), q.write.Close()) }

// change runs do in a transaction.
func (q *queue) change(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := q.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// add queues a message for receivers, and sets its place.
func (q *queue) add(ctx context.Context, tx *sql.Tx, m *message, targets []string) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO events (id, type, subject, time, body) VALUES (?, ?, ?, ?, ?)`, m.id, m.kind, m.subject, m.time.UnixMilli(), m.body)
	if err != nil {
		return err
	}
	if m.seq, err = res.LastInsertId(); err != nil {
		return err
	}
	for _, t := range targets {
		if _, err := tx.ExecContext(ctx, `INSERT INTO pending (target, seq) VALUES (?, ?)`, t, m.seq); err != nil {
			return err
		}
	}
	return nil
}

// load returns a message; sql.ErrNoRows if it is gone.
func (q *queue) load(ctx context.Context, seq int64) (message, error) {
	m := message{seq: seq}
	var at int64
	err := q.read.QueryRowContext(ctx, `SELECT id, type, subject, time, body FROM events WHERE seq = ?`, seq).Scan(&m.id, &m.kind, &m.subject, &at, &m.body)
	m.time = time.UnixMilli(at)
	return m, err
}

// settle notes what came of an attempt, and takes the message off if nobody else waits for
// it. freed is what it took.
func (q *queue) settle(ctx context.Context, tx *sql.Tx, d *Delivery) (freed int64, err error) {
	if err := q.log(ctx, tx, d); err != nil {
		return 0, err
	}
	if d.Outcome == OutcomeFailed {
		return 0, nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM pending WHERE target = ? AND seq = ?`, d.Target, d.seq); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `DELETE FROM events WHERE seq = ? AND NOT EXISTS (SELECT 1 FROM pending WHERE seq = events.seq) RETURNING LENGTH(body)`, d.seq).Scan(&freed)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return freed, err
}

// log notes an attempt in the log of deliveries.
func (q *queue) log(ctx context.Context, tx *sql.Tx, d *Delivery) error {
	if d.Outcome == outcomeElsewhere {
		return nil // it was none of ours
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO deliveries (time, target, id, type, subject, attempt, outcome, status, error, took) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.Time.UnixMilli(), d.Target, d.ID, d.Type, d.Subject, d.Attempt, d.Outcome, d.Status, d.Error, d.TookMS)
	if err != nil {
		return err
	}
	if q.trims++; q.trims%trimEvery == 0 {
		_, err = tx.ExecContext(ctx, `DELETE FROM deliveries WHERE n <= (SELECT MAX(n) FROM deliveries) - ?`, keptDeliveries)
	}
	return err
}

// keepOnly drops what waits for receivers that there are not any more. If there are none,
// it is forgotten too what they were told of.
func (q *queue) keepOnly(ctx context.Context, targets []*target) error {
	return q.change(ctx, func(tx *sql.Tx) error {
		waiting, err := texts(tx.QueryContext(ctx, `SELECT DISTINCT target FROM pending`))
		if err != nil {
			return err
		}
		for _, name := range waiting {
			if slices.ContainsFunc(targets, func(t *target) bool { return t.name == name }) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM pending WHERE target = ?`, name); err != nil {
				return err
			}
		}
		if len(targets) == 0 {
			if _, err := tx.ExecContext(ctx, `DELETE FROM states`); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE NOT EXISTS (SELECT 1 FROM pending WHERE seq = events.seq)`)
		return err
	})
}

// waiting calls each with all that waits for a receiver, by its place.
func (q *queue) waiting(ctx context.Context, target string, each func(seq int64, subject string)) error {
	rows, err := q.read.QueryContext(ctx, `SELECT p.seq, e.subject FROM pending p JOIN events e ON e.seq = p.seq WHERE p.target = ? ORDER BY p.seq`, target)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	for rows.Next() {
		var seq int64
		var subject string
		if err := rows.Scan(&seq, &subject); err != nil {
			return err
		}
		each(seq, subject)
	}
	return rows.Err()
}

// bytes returns what the waiting events take.
func (q *queue) bytes(ctx context.Context) (n int64, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT COALESCE(SUM(LENGTH(body)), 0) FROM events`).Scan(&n)
	return n, err
}

// oldest returns the time of the first event that waits for a receiver; zero: none does.
func (q *queue) oldest(ctx context.Context, target string) (time.Time, error) {
	var at int64
	err := q.read.QueryRowContext(ctx, `SELECT time FROM events WHERE seq = (SELECT MIN(seq) FROM pending WHERE target = ?)`, target).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMilli(at).UTC(), err
}

// deliveries returns the newest attempts, the newest first.
func (q *queue) deliveries(ctx context.Context, f DeliveryQuery) ([]Delivery, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT n, time, target, id, type, subject, attempt, outcome, status, error, took FROM deliveries
		WHERE (? = '' OR target = ?) AND (? = '' OR subject = ?) AND (? = 0 OR n < ?) ORDER BY n DESC LIMIT ?`,
		f.Target, f.Target, f.Subject, f.Subject, f.Before, f.Before, f.Limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	all := []Delivery{}
	for rows.Next() {
		var d Delivery
		var at int64
		if err := rows.Scan(&d.N, &at, &d.Target, &d.ID, &d.Type, &d.Subject, &d.Attempt, &d.Outcome, &d.Status, &d.Error, &d.TookMS); err != nil {
			return nil, err
		}
		d.Time = time.UnixMilli(at).UTC()
		all = append(all, d)
	}
	return all, rows.Err()
}

// state returns what was noted; "": nothing.
func (q *queue) state(ctx context.Context, kind, name string) (value string, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT value FROM states WHERE kind = ? AND name = ?`, kind, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// states returns all that was noted of a kind, by name.
func (q *queue) states(ctx context.Context, kind string) (map[string]string, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT name, value FROM states WHERE kind = ?`, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	all := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		all[name] = value
	}
	return all, rows.Err()
}

// setState notes something, or forgets it where value is "".
func setState(ctx context.Context, tx *sql.Tx, kind, name, value string) (err error) {
	if value == "" {
		_, err = tx.ExecContext(ctx, `DELETE FROM states WHERE kind = ? AND name = ?`, kind, name)
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO states (kind, name, value) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value`, kind, name, value)
	return err
}

// told is what has been told of a recording.
type told struct{ phase, ident string }

// told returns that of one.
func (q *queue) told(ctx context.Context, recordDir string) (t told, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT phase, ident FROM recordings WHERE record_dir = ?`, recordDir).Scan(&t.phase, &t.ident)
	if errors.Is(err, sql.ErrNoRows) {
		return told{}, nil
	}
	return t, err
}

func setTold(ctx context.Context, tx *sql.Tx, recordDir string, t told, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO recordings (record_dir, phase, ident, time) VALUES (?, ?, ?, ?)
		ON CONFLICT (record_dir) DO UPDATE SET phase = excluded.phase, ident = excluded.ident, time = excluded.time`, recordDir, t.phase, t.ident, now.UnixMilli())
	return err
}

// forgetRemoved forgets the recordings that have been gone for long.
func forgetRemoved(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM recordings WHERE phase = ? AND time < ?`, phaseDeleted, now.Add(-keptRemoved).UnixMilli())
	return err
}

// texts reads all rows of one column.
func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
