package catalogue

import (
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
)

// countingMeter counts what it is told.
type countingMeter struct{ calls, failed atomic.Int64 }

func (m *countingMeter) Call(time.Duration) { m.calls.Add(1) }
func (m *countingMeter) Failed()            { m.failed.Add(1) }

// testPostgresLater: a server that is away is not waited for, and used when it has
// come; mistakes are told from that.
func testPostgresLater(t *testing.T, server *pgtest.Server) {
	t.Helper()
	where := server.Database()
	server.Kill()
	db, err := OpenLater(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	m := &countingMeter{}
	db.Measure(m)
	if err := db.Check(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("check: %v", err)
	}
	start := time.Now()
	if err := db.Put(t.Context(), recording("camera", 0)); fault.KindOf(err) != fault.Unavailable || time.Since(start) > postgresTimeout/2 {
		t.Errorf("put: %v after %v", err, time.Since(start))
	}
	if m.calls.Load() != 1 || m.failed.Load() == 0 {
		t.Errorf("%d calls, %d failed", m.calls.Load(), m.failed.Load())
	}
	server.Restart()
	// Not before the tables are made.
	if _, err := db.Nodes(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("before the tables are made: %v", err)
	}
	failed := m.failed.Load()
	for range 2 {
		if err := db.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Put(t.Context(), recording("camera", 0)); err != nil || m.failed.Load() != failed {
		t.Errorf("%v, %d failed", err, m.failed.Load()-failed)
	}
	wrong, err := OpenLater(t.Context(), change(t, where, func(u *url.URL) { u.User = url.UserPassword("recorder", "wr0ng") }))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	err = wrong.Check(t.Context())
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("a wrong password: %v", err)
	}
	checkWords(t, err, "password")
	if _, err := OpenLater(t.Context(), "postgres://%zz"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no URL: %v", err)
	}
}

func TestSQLiteLater(t *testing.T) {
	db, err := OpenLater(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := &countingMeter{}
	db.Measure(m)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Put(t.Context(), recording("camera", 0)); err != nil {
		t.Error(err)
	}
	if m.calls.Load() != 2 || m.failed.Load() != 0 {
		t.Errorf("%d calls, %d failed", m.calls.Load(), m.failed.Load())
	}
}
