package catalogue

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/live777/recorder/internal/base/fault"
)

// OpenLater is Open for those who have something to do without the catalogue, too:
// a PostgreSQL is not waited for. Until Check has found it usable all methods fail
// with a fault.Unavailable. What is wrong with the url itself is found at once. An
// SQLite database is opened: it is not away for a time.
func OpenLater(ctx context.Context, url string) (*DB, error) {
	if scheme, _, _ := strings.Cut(url, "://"); scheme != "postgres" && scheme != "postgresql" {
		return Open(ctx, url)
	}
	config, err := postgresConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database.url: %w", err)
	}
	g := &gate{Connector: stdlib.GetConnector(*config, stdlib.OptionAfterConnect(plan)), config: config}
	db := newPostgres(g)
	db.gate = g
	return db, nil
}

// Check returns nil if the database answers. After OpenLater it brings the tables
// up to date first, once. A server that is away is a fault.Unavailable; a mistake,
// such as a wrong password or a database that is not there, a fault.Invalid. Errors
// are for the log: they say where the database is.
func (db *DB) Check(ctx context.Context) error {
	if db.gate != nil {
		if err := db.gate.prepare(ctx); err != nil {
			return fmt.Errorf("database.url: %w", err)
		}
	}
	ctx, cancel := db.limit(ctx)
	defer cancel()
	var one int
	if err := db.read.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("ask the database: %w", db.wrap(err))
	}
	return nil
}

// gate makes no connections before the tables are as this program needs them.
type gate struct {
	driver.Connector
	config *pgx.ConnConfig
	mu     sync.Mutex // held by prepare
	open   atomic.Bool
}

var errNotYet = fault.New(fault.Unavailable, "the PostgreSQL of database.url could not be used yet; the log tells why").Coded("database_away")

// Connect implements driver.Connector.
func (g *gate) Connect(ctx context.Context) (driver.Conn, error) {
	if !g.open.Load() {
		return nil, errNotYet
	}
	return g.Connector.Connect(ctx)
}

func (g *gate) prepare(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.Load() {
		return nil
	}
	if err := preparePostgres(ctx, g.config); err != nil {
		return err
	}
	g.open.Store(true)
	return nil
}

// Meter is told of the use of a database. Its methods are called by many
// goroutines and do not block.
type Meter interface {
	// Call tells how long one use took, the wait for a connection included.
	Call(took time.Duration)
	// Failed tells of an error of the database.
	Failed()
}

// Measure has m told of everything from now on; it is called before db is used.
func (db *DB) Measure(m Meter) { db.meter = m }
