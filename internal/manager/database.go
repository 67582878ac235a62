package manager

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
)

const (
	// checkEvery is how often the database is checked, and checkRetry how often while
	// it does not answer.
	checkEvery = 2 * time.Second
	checkRetry = time.Second
	// countTimeout bounds the count of the recordings, which is for metrics.
	countTimeout = 5 * time.Second
)

// database watches whether the catalogue's database answers. It says so in the log
// when that changes, for all who use it. Safe for concurrent use.
type database struct {
	db  *catalogue.DB
	log *slog.Logger
	// opened is called once, when the database answers for the first time. If it
	// returns an error, it is called again.
	opened func(context.Context) error
	retry  time.Duration // checkRetry

	mu         sync.Mutex
	err        error // why it cannot be used; nil: it can
	recordings int   // that it has
	isOpen     bool  // opened has been done
}

func newDatabase(db *catalogue.DB, log *slog.Logger, opened func(context.Context) error) *database {
	return &database{db: db, log: log, opened: opened, retry: checkRetry, err: errNotAsked}
}

var (
	errNotAsked = fault.New(fault.Unavailable, "it has not been asked yet").Coded("not_looked")
	errAway     = fault.New(fault.Unavailable, "the database of liveman cannot be used now, and no recordings can be listed; the log tells why").Coded("database_away")
)

// start checks the database for the first time. If it is away, that is no error,
// because it may come later. What does not pass by itself, such as a wrong password, is
// one.
func (d *database) start(ctx context.Context) error {
	err := d.check(ctx)
	if fault.KindOf(err) == fault.Unavailable {
		return nil
	}
	return err
}

// run looks at the database until ctx ends.
func (d *database) run(ctx context.Context) {
	for wait := checkEvery; peer.Pause(ctx, wait, nil); {
		wait = checkEvery
		if d.check(ctx) != nil {
			wait = d.retry
		}
	}
}

// check looks at the database once.
func (d *database) check(ctx context.Context) error {
	err := d.db.Check(ctx)
	if err == nil && !d.wasOpened() {
		err = d.open(ctx)
	}
	if ctx.Err() != nil {
		return err
	}
	count := 0
	if err == nil {
		counting, cancel := context.WithTimeout(ctx, countTimeout)
		defer cancel()
		_, count, err = d.db.List(counting, media.RecordingQuery{Limit: 1})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil && d.err != nil && !errors.Is(d.err, errNotAsked):
		d.log.Info("the database answers again")
	case err != nil && (d.err == nil || fault.Text(d.err) != fault.Text(err)):
		d.log.Error("the database cannot be used: nodes, streams and their control go on without it, recordings cannot be listed or played", "error", err)
	}
	if d.err = err; err == nil {
		d.recordings = count
	}
	return err
}

// open calls opened. It counts as done even if the database goes away right after it.
func (d *database) open(ctx context.Context) error {
	if err := d.opened(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isOpen = true
	return nil
}

func (d *database) wasOpened() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isOpen
}

// ready returns nil if the catalogue can be used, or an error for clients.
func (d *database) ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return errAway
	}
	return nil
}

// count returns how many recordings the catalogue had a moment ago; ok is false
// while that is not known.
func (d *database) count() (recordings int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.recordings, d.err == nil
}
