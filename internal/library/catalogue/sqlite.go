package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	memory = ":memory:"

	// sqliteReaders bounds the connections that read beside the one that
	// writes; with a write-ahead log neither waits for the other.
	sqliteReaders = 4
)

// openSQLite opens the database in the file name.
func openSQLite(ctx context.Context, name string) (*DB, error) {
	// Configurations made for other programs carry this one parameter, and it
	// asks for what is done anyway.
	name = strings.TrimSuffix(name, "?mode=rwc")
	switch {
	case name == "":
		return nil, fault.New(fault.Invalid, "no file is named: use sqlite://path/to/file.db")
	case strings.Contains(name, "?"):
		return nil, fault.Errorf(fault.Invalid, "%q has parameters, which are not supported: use sqlite://path/to/file.db", name)
	case name != memory:
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of %q: %w", name, err)
		}
		if err := keepFromOthers(name); err != nil {
			return nil, err
		}
	}
	db, err := connectSQLite(name)
	if err != nil {
		return nil, err
	}
	err = checkSQLite(ctx, db.write)
	if err == nil {
		err = migrate(ctx, db.write, goose.DialectSQLite3, "sqlite")
	}
	if err == nil {
		err = db.openFeed(ctx)
	}
	if err != nil {
		_ = db.Close()
		return nil, explainSQLite(name, err)
	}
	return db, nil
}

// keepFromOthers sees to it that the database's files, which are made with the rights
// of the first, can be read by this user alone: they tell who publishes what, and a
// manager's has the tokens of nodes. Files of another user stay as they are.
func keepFromOthers(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case !errors.Is(err, fs.ErrExist):
		return explainSQLite(name, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(name + suffix)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			continue // SQLite says what is wrong with it
		}
		if err := os.Chmod(name+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("keep %q from others: %w", name+suffix, err)
		}
	}
	return nil
}

// connectSQLite returns the two pools; nothing is opened yet.
func connectSQLite(name string) (*DB, error) {
	// synchronous(NORMAL): a power cut may lose the last changes, never the
	// database, and recording.json has them too.
	// secure_delete(FAST): what is overwritten leaves no trace in pages that are
	// written anyway.
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=secure_delete(FAST)"
	file := "file:" + (&neturl.URL{Path: name}).EscapedPath()
	if name == memory {
		file = "file::memory:"
	}
	write, err := sql.Open("sqlite", file+pragmas+"&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	db := newDB(write, wrapSQLite)
	db.clock = `CAST(unixepoch('subsec') * 1000 AS BIGINT)`
	if name == memory {
		return db, nil // each connection would have a database of its own
	}
	db.read, err = sql.Open("sqlite", file+pragmas+"&_pragma=query_only(1)")
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	db.read.SetMaxOpenConns(sqliteReaders)
	db.read.SetMaxIdleConns(sqliteReaders)
	return db, nil
}

// Scrub has what was overwritten out of the write-ahead log of an SQLite database, too.
// A server sees to that itself (VACUUM).
func (db *DB) Scrub(ctx context.Context) error {
	if db.write == db.read {
		return nil // a server, or a database in memory
	}
	var busy, frames, moved int
	if err := db.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved); err != nil {
		return fmt.Errorf("empty the write-ahead log: %w", db.wrap(err))
	}
	return nil
}

// checkSQLite finds damage at the start, and not in the middle of a recording.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

var errDamaged = errors.New("check failed")

// explainSQLite says what to do about an error of opening the file name.
func explainSQLite(name string, err error) error {
	switch code := sqliteCode(err); {
	case errors.Is(err, errDamaged), code == sqlite3.SQLITE_NOTADB, code == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%q is damaged or no SQLite database: restore it from a backup, or move it and its -wal and -shm files away to begin a new one: %w", name, err)
	case code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_PERM:
		return fmt.Errorf("%q cannot be opened for writing, nor can the -wal and -shm files beside it: %w", name, err)
	}
	return fmt.Errorf("open %q: %w", name, wrapSQLite(err))
}

// wrapSQLite classifies what callers can do something about.
func wrapSQLite(err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL:
		return fault.Errorf(fault.StorageFull, "no space left for the catalogue: %w", err).Coded("database_full")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.Errorf(fault.Unavailable, "another process keeps the catalogue locked: %w", err).Coded("database_away")
	}
	return err
}

// sqliteCode returns the primary result code of err, 0 if it has none.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
