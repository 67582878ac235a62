// Package catalogue keeps the list of recordings in an SQL database, so that
// they are found without asking the storage. It can be rebuilt from the
// recording.json files there.
package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// ErrNotFound says that the catalogue has no such recording.
var ErrNotFound = fault.New(fault.NotFound, "recording not found").Coded("recording_unknown")

// DB is the catalogue. Times in it are in UTC and to the millisecond. Safe for
// concurrent use; all methods end early when their context does.
type DB struct {
	write *sql.DB           // one connection where the database has one writer
	read  *sql.DB           // may be the same
	cause func(error) error // classifies an error of the database
	log   *slog.Logger
	now   func() time.Time
	// timeout bounds each call where the database is at the other end of a
	// network; 0: only the caller's context does.
	timeout time.Duration
	meter   Meter  // may be nil
	gate    *gate  // of OpenLater, else nil
	shared  bool   // see Shared
	clock   string // SQL of the time: Unix milliseconds

	watchers     watchers
	decoded      decoded
	removed      atomic.Int64 // by this process
	keptRemovals int
	pruneEvery   int64
	oneByOne     int // see outlinedOneByOne
	finely       int
}

// Open opens the database that url names, makes its tables or brings them up to
// date, and for SQLite makes the file when it is missing. The forms are
// sqlite://path (relative), sqlite:///absolute/path, sqlite://:memory: and
// postgres://user:password@host:port/name (or postgresql://), with the
// parameters of libpq. A url that cannot be used is a fault.Invalid, a server
// that does not answer a fault.Unavailable; all errors name the option
// database.url, none has a password.
func Open(ctx context.Context, url string) (*DB, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme = ""
	}
	var db *DB
	var err error
	switch scheme {
	case "sqlite":
		db, err = openSQLite(ctx, rest)
	case "postgres", "postgresql":
		db, err = openPostgres(ctx, url)
	default:
		// The rest of an unknown url may hold a password.
		err = fault.Errorf(fault.Invalid,
			"scheme %q is not supported: use sqlite://path/to/file.db or postgres://user:password@host/name", scheme[:min(len(scheme), 20)])
	}
	if err != nil {
		return nil, fmt.Errorf("database.url: %w", err)
	}
	return db, nil
}

// newDB returns a DB that reads and writes by pool.
func newDB(pool *sql.DB, cause func(error) error) *DB {
	return &DB{
		write: pool, read: pool, cause: cause, log: slog.Default(), now: time.Now,
		keptRemovals: keptRemovals, pruneEvery: pruneEvery, oneByOne: outlinedOneByOne, finely: outlinedFinely,
	}
}

// limit returns ctx with the time that one call may take; the function ends the
// call.
func (db *DB) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	cancel := func() {}
	if db.timeout != 0 {
		ctx, cancel = context.WithTimeout(ctx, db.timeout)
	}
	if db.meter == nil {
		return ctx, cancel
	}
	start := time.Now()
	return ctx, func() {
		cancel()
		db.meter.Call(time.Since(start))
	}
}

// wrap classifies and counts an error of the database.
func (db *DB) wrap(err error) error {
	if err != nil && db.meter != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrNotFound) {
		db.meter.Failed()
	}
	return db.cause(err)
}

// Close waits for running calls and closes the database.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(db.read.Close(), err)
	}
	return err
}

const columns = `record_dir, stream, record_id, mpd_path, node, start_ms, end_ms, duration, bytes, status, details`

// Get returns the recording with the given RecordDir, or ErrNotFound.
func (db *DB) Get(ctx context.Context, recordDir string) (media.Recording, error) {
	r, err := db.one(ctx, recordDir)
	if err != nil {
		return media.Recording{}, fmt.Errorf("get recording %q: %w", recordDir, err)
	}
	return r, nil
}

// FindByObject returns the recording that the object key is of: the one whose
// RecordDir is the folder of the object, or ErrNotFound. Recordings have no
// folders within theirs: what is deeper is of another, or of none.
func (db *DB) FindByObject(ctx context.Context, key string) (media.Recording, error) {
	dir := key[:max(strings.LastIndexByte(key, '/'), 0)]
	r, err := db.one(ctx, dir)
	if err != nil {
		return media.Recording{}, fmt.Errorf("find recording of object %q: %w", key, err)
	}
	return r, nil
}

const oneSQL = `SELECT ` + columns + ` FROM recordings WHERE record_dir = $1`

// one returns the recording in a folder, or ErrNotFound.
func (db *DB) one(ctx context.Context, recordDir string) (media.Recording, error) {
	ctx, cancel := db.limit(ctx)
	defer cancel()
	r, err := db.scan(db.read.QueryRowContext(ctx, oneSQL, recordDir))
	if errors.Is(err, sql.ErrNoRows) {
		return media.Recording{}, ErrNotFound
	}
	if err != nil {
		return media.Recording{}, db.wrap(err)
	}
	return r, nil
}

// scan reads the columns of a row, after others that go into before. JSON that is damaged gives what of it can be
// read: one bad row must not hide the good ones.
func (db *DB) scan(row interface{ Scan(...any) error }, before ...any) (media.Recording, error) {
	var c media.Recording
	var start int64
	var end sql.NullInt64
	var details []byte
	if err := row.Scan(append(before, &c.RecordDir, &c.Stream, &c.RecordID, &c.MPDPath, &c.Node,
		&start, &end, &c.Duration, &c.Bytes, &c.Status, &details)...); err != nil {
		return media.Recording{}, err
	}
	r, err := db.decoded.of(c.RecordDir, details)
	if err != nil {
		db.log.Warn("the details of a recording in the catalogue are damaged: it is listed without",
			"stream", c.Stream, "record_id", c.RecordID, "record_dir", c.RecordDir, "error", err)
	}
	r.RecordDir, r.Stream, r.RecordID, r.MPDPath, r.Node = c.RecordDir, c.Stream, c.RecordID, c.MPDPath, c.Node
	r.Duration, r.Bytes, r.Status = c.Duration, c.Bytes, c.Status
	r.Start, r.End = time.UnixMilli(start).UTC(), nil
	if end.Valid {
		t := time.UnixMilli(end.Int64).UTC()
		r.End = &t
	}
	return r, nil
}
