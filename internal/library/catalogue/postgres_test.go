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
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
)

// refused opens url, which has to fail with an error of the kind that has the
// words and no password.
func refused(t *testing.T, url string, kind fault.Kind, words ...string) {
	t.Helper()
	db, err := Open(t.Context(), url)
	if err == nil {
		_ = db.Close()
	}
	if fault.KindOf(err) != kind {
		t.Errorf("error %v, want kind %d", err, kind)
	}
	checkWords(t, err, words...)
}

func checkWords(t *testing.T, err error, words ...string) {
	t.Helper()
	text := fmt.Sprint(err)
	for _, word := range append(words, "database.url") {
		if !strings.Contains(text, word) {
			t.Errorf("error %q does not say %q", text, word)
		}
	}
	for _, secret := range []string{pgtest.Password, neturl.QueryEscape(pgtest.Password), "wr0ng"} {
		if strings.Contains(text, secret) {
			t.Errorf("error %q has the password", text)
		}
	}
}

// change returns url with a change.
func change(t *testing.T, url string, do func(*neturl.URL)) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	do(u)
	return u.String()
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("hangs", func(t *testing.T) { testPostgresHangs(t, server) })
	t.Run("processes", func(t *testing.T) { testPostgresProcesses(t, server) })
	t.Run("restart", func(t *testing.T) { testPostgresRestart(t, server) })
	t.Run("later", func(t *testing.T) { testPostgresLater(t, server) })
	t.Run("start", func(t *testing.T) { testPostgresStart(t, server) }) // the last: kills it
}

// testPostgresStart: what can be wrong at the start is said.
func testPostgresStart(t *testing.T, server *pgtest.Server) {
	t.Helper()
	url := server.Database()
	refused(t, change(t, url, func(u *neturl.URL) { u.User = neturl.UserPassword("recorder", "wr0ng") }),
		fault.Invalid, "password", `user "recorder"`, "127.0.0.1")
	refused(t, change(t, url, func(u *neturl.URL) { u.Path = "nothing" }), fault.Invalid, `database "nothing"`, "make")

	// A server that accepts and says nothing.
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused(t, change(t, url, func(u *neturl.URL) { u.Host, u.RawQuery = silent.Addr().String(), "connect_timeout=1&sslmode=disable" }),
		fault.Unavailable, "start it", silent.Addr().String())

	open(t, strings.Replace(url, "postgres://", "postgresql://", 1))

	server.Kill()
	refused(t, url, fault.Unavailable, "start it", "127.0.0.1")
}

// testPostgresRestart: while the server is away calls fail in time and say why;
// when it is back everything goes on, and nothing is lost.
func testPostgresRestart(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx := t.Context()
	url := server.Database()
	db := open(t, url)
	if err := db.Put(ctx, recording("camera", 0)); err != nil {
		t.Fatal(err)
	}
	// As many connections as there can be are open when it dies.
	var running sync.WaitGroup
	for range postgresConns {
		running.Go(func() {
			if _, err := db.Deleting(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	since, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.write.BeginTx(ctx, nil) // interrupted
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := tx.ExecContext(ctx, "UPDATE feed SET last_seq = 0"); fault.KindOf(db.wrap(err)) != fault.Unavailable {
		t.Errorf("a statement in an interrupted transaction: error %v", err)
	}
	_ = tx.Rollback()
	for name, err := range map[string]error{
		"Put":     db.Put(ctx, recording("camera", 1)),
		"Get":     func() error { _, err := db.Get(ctx, recording("camera", 0).RecordDir); return err }(),
		"List":    func() error { _, _, err := db.List(ctx, media.RecordingQuery{}); return err }(),
		"Changes": func() error { _, err := db.Changes(ctx, since, 0); return err }(),
		"Delete":  db.Delete(ctx, recording("camera", 0).RecordDir),
	} {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: error %v, want a fault.Unavailable", name, err)
		}
		checkWords(t, err)
	}
	server.Restart()
	if err := db.Put(ctx, recording("camera", 2)); err != nil {
		t.Errorf("Put when the server is back: %v", err)
	}
	if page, total, err := db.List(ctx, media.RecordingQuery{}); err != nil || total != 2 || len(page) != 2 {
		t.Errorf("List when the server is back: %d of %d, %v", len(page), total, err)
	}
	if changes, err := db.Changes(ctx, since, 0); err != nil || len(changes) != 1 {
		t.Errorf("Changes when the server is back: %+v, %v", changes, err)
	}
}

// testPostgresHangs: a call that the server does not answer ends, and so does its
// transaction, which keeps no lock.
func testPostgresHangs(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx := t.Context()
	url := server.Database()
	one, other := open(t, url), open(t, url)
	tx, err := one.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "UPDATE feed SET last_seq = last_seq"); err != nil {
		t.Fatal(err)
	}
	other.timeout = 100 * time.Millisecond
	err = other.Put(ctx, recording("camera", 0))
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put that waits for a lock: error %v, want a fault.Unavailable", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	other.timeout = postgresTimeout
	if err := other.Put(ctx, recording("camera", 0)); err != nil {
		t.Errorf("Put afterwards: %v", err)
	}
}

// testPostgresProcesses: several processes start at the same time with an empty
// database and write at the same time; who follows the changes misses none.
func testPostgresProcesses(t *testing.T, server *pgtest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const processes, puts = 3, 30
	url := server.Database()
	dbs := make([]*DB, processes)
	var running sync.WaitGroup
	for i := range dbs {
		running.Go(func() {
			var err error
			if dbs[i], err = Open(ctx, url); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if t.Failed() {
		return
	}
	since, err := dbs[0].LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for p, db := range dbs {
		t.Cleanup(func() { _ = db.Close() })
		running.Go(func() {
			for i := range puts {
				if err := db.PutAll(ctx, []media.Recording{recording("shared", i), recording(fmt.Sprint("own-", p), i)}); err != nil {
					t.Errorf("process %d: %v", p, err)
					return
				}
			}
		})
	}
	seen := map[string]bool{}
	for len(seen) < puts*(processes+1) && !t.Failed() {
		changes, err := dbs[0].Changes(ctx, since, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			seen[c.RecordDir], since = true, c.Seq
		}
	}
	running.Wait()
}

// A connection that broke off is the server's absence, whoever noticed first.
func TestConnectionLost(t *testing.T) {
	for _, err := range []error{io.EOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed} {
		if got := wrapPostgres(fmt.Errorf("put recording: %w", err)); fault.KindOf(got) != fault.Unavailable {
			t.Errorf("%v: %v", err, got)
		}
	}
}
