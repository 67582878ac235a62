package catalogue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	neturl "net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// postgresConns bounds the connections of one process: a server allows a
	// hundred by default, and several processes may use it.
	postgresConns = 8

	// postgresTimeout bounds every call, the wait for a connection included.
	postgresTimeout = 20 * time.Second

	// postgresConnect bounds the wait for a connection to be made, where the url
	// says nothing of connect_timeout.
	postgresConnect = 5 * time.Second
)

// openPostgres opens the database that url names.
func openPostgres(ctx context.Context, url string) (*DB, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	if err := preparePostgres(ctx, config); err != nil {
		return nil, err
	}
	return newPostgres(stdlib.GetConnector(*config, stdlib.OptionAfterConnect(plan))), nil
}

// newPostgres returns a DB that nothing is asked of yet.
func newPostgres(c driver.Connector) *DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour) // finds a server that has moved
	db := newDB(pool, wrapPostgres)
	db.timeout, db.shared = postgresTimeout, true
	db.clock = `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`
	return db
}

// preparePostgres makes the tables or brings them up to date, and begins a start
// of the feed.
func preparePostgres(ctx context.Context, config *pgx.ConnConfig) error {
	if err := migratePostgres(ctx, config); err != nil {
		return explainPostgres(config, err)
	}
	db := newPostgres(stdlib.GetConnector(*config, stdlib.OptionAfterConnect(plan)))
	defer db.Close() //nolint:errcheck // nothing is left to be done with it
	if err := db.openFeed(ctx); err != nil {
		return explainPostgres(config, err)
	}
	return nil
}

// postgresConfig reads url. What it says of an error cannot hold the password.
func postgresConfig(url string) (*pgx.ConnConfig, error) {
	const form = "write postgres://user:password@host:5432/name, with %XX for special characters in the password"
	parsed, err := neturl.Parse(url)
	if err != nil {
		return nil, fault.New(fault.Invalid, "is no URL: "+form) // err has all of it
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		cause := errors.Unwrap(err) // without the url
		if cause == nil || hasSecret(parsed, cause.Error()) {
			return nil, fault.New(fault.Invalid, "is no URL of PostgreSQL: "+form)
		}
		return nil, fault.Errorf(fault.Invalid, "is no URL of PostgreSQL: %w: %s", cause, form)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnect
	}
	// Finds a server that is gone without a word, where nothing else has a deadline.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	config.DialFunc = dialer.DialContext
	for name, value := range map[string]string{
		"application_name": "live777-recorder",
		// The server gives up too, so that a client that is gone without a word
		// keeps no lock.
		"statement_timeout":                   milliseconds(postgresTimeout),
		"idle_in_transaction_session_timeout": milliseconds(postgresTimeout),
	} {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// plan sets how the server plans on a connection. Not as parameters of the
// connection, which poolers refuse.
func plan(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		SET plan_cache_mode = force_custom_plan; -- one for any values reads a million rows to show fifty
		SET enable_bitmapscan = off;             -- indexes have the order of the lists, a bitmap loses it
		SET enable_seqscan = off;                -- there is an index for each, whatever statistics say
		SET enable_mergejoin = off;              -- the rows of a page are looked up, one by one
		SET enable_hashjoin = off;
		SET jit = off                            -- compiling takes longer than these queries`)
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// hasSecret reports whether text has a password of url.
func hasSecret(url *neturl.URL, text string) bool {
	var secrets []string
	if password, ok := url.User.Password(); ok {
		secrets = append(secrets, password)
	}
	for name, values := range url.Query() {
		if strings.Contains(strings.ToLower(name), "password") {
			secrets = append(secrets, values...)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// migratePostgres brings the tables up to date, over a connection without limits
// of time, for an index of many rows takes its time. Other processes that start
// now wait.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig) error {
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	pool := stdlib.OpenDB(*config)
	defer pool.Close() //nolint:errcheck // nothing is left to be done with it
	if err := pool.PingContext(ctx); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600)) // try each second
	if err != nil {
		return err
	}
	return migrate(ctx, pool, goose.DialectPostgres, "postgres", goose.WithSessionLocker(locker))
}

// explainPostgres says what to do about an error at the start.
func explainPostgres(config *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("PostgreSQL at %s, database %q, user %q", net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), config.Database, config.User)
	switch code := postgresCode(err); {
	case strings.HasPrefix(code, "28"), // invalid authorization
		code == "3D000", // no such database
		code == "42501": // no right to make tables
		return fault.Errorf(fault.Invalid, "%s: correct the option, or make the user and the database and give it the right to create tables: %w", where, err)
	}
	if wrapped := wrapPostgres(err); fault.KindOf(wrapped) == fault.Unavailable {
		return fault.Errorf(fault.Unavailable, "%s cannot be used now: start it, or correct the option: %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// wrapPostgres classifies what callers can do something about; see "PostgreSQL
// Error Codes", appendix A of its manual.
func wrapPostgres(err error) error {
	code := postgresCode(err)
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case code == "53100": // disk_full
		return fault.Errorf(fault.StorageFull, "no space left for the catalogue, on the server of database.url: %w", err).Coded("database_full")
	case strings.HasPrefix(code, "08"), // connection_exception
		strings.HasPrefix(code, "53"), // insufficient_resources
		strings.HasPrefix(code, "57"), // operator_intervention: shutdown, start, timeouts
		strings.HasPrefix(code, "40"), // transaction_rollback: deadlock
		code == "25006",               // read_only_sql_transaction: a standby
		code == "25P03",               // idle_in_transaction_session_timeout
		code == "55P03",               // lock_not_available
		code == "" && connectionLost(err):
		return fault.Errorf(fault.Unavailable, "the PostgreSQL of database.url cannot be used now: %w", err).Coded("database_away")
	}
	return err
}

// connectionLost reports whether err is of the way to the server, and not the
// server's answer.
func connectionLost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, sql.ErrTxDone) || errors.Is(err, sql.ErrConnDone)
}

// postgresCode returns the SQLSTATE of err, "" if it has none.
func postgresCode(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
