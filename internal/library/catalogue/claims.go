package catalogue

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Claims let one of several processes do something while the others wait. They work on
// PostgreSQL only. A process that has died keeps its claims until their time is over. Claims
// are safe for concurrent use.
type Claims struct {
	db     *DB
	holder string
}

// Claims returns claims of one holder.
func (db *DB) Claims() *Claims { return &Claims{db, rand.Text()} }

// Claim claims something for a time, or for longer if it is held already. held is false if
// another holder has it, or it is done.
func (c *Claims) Claim(ctx context.Context, name string, hold time.Duration) (held, done bool, err error) {
	ctx, cancel := c.db.limit(ctx)
	defer cancel()
	err = c.db.write.QueryRowContext(ctx, `INSERT INTO claims AS c (name, holder, until, done)
		VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', false)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE NOT c.done AND (c.holder = excluded.holder OR c.until < clock_timestamp())
		RETURNING true`, name, c.holder, hold.Milliseconds()).Scan(&held)
	if errors.Is(err, sql.ErrNoRows) {
		err = c.db.read.QueryRowContext(ctx, `SELECT done FROM claims WHERE name = $1`, name).Scan(&done)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // none: it was given back between the two
		return false, false, fmt.Errorf("claim: %w", c.db.wrap(err))
	}
	return held, done, nil
}

// Release gives back what is held.
func (c *Claims) Release(ctx context.Context, name string) error {
	return c.db.exec(ctx, "give a claim back", `DELETE FROM claims WHERE name = $1 AND holder = $2 AND NOT done`, name, c.holder)
}

// Done notes that something is done. Nobody does it again while that is remembered.
func (c *Claims) Done(ctx context.Context, name string, remember time.Duration) error {
	return c.db.exec(ctx, "note what is done", `INSERT INTO claims AS c (name, holder, until, done)
		VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', true)
		ON CONFLICT (name) DO UPDATE SET until = excluded.until, done = true`, name, c.holder, remember.Milliseconds())
}

// Forget deletes claims whose time is over. Other processes may do so at the same time.
func (c *Claims) Forget(ctx context.Context) error {
	return c.db.exec(ctx, "forget claims", `DELETE FROM claims WHERE name IN (SELECT name FROM claims
		WHERE until < clock_timestamp() - interval '1 minute' FOR UPDATE SKIP LOCKED)`)
}
