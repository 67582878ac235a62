package catalogue

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
)

// TestTablesOfOthers: tables that this program does not know are left as they are, and
// the error says what to do. Those that it knows are opened again.
func TestTablesOfOthers(t *testing.T) {
	const older, newer = 40, 999
	file, server := filepath.Join(t.TempDir(), "catalogue.db"), pgtest.Start(t).Database()
	for _, place := range []struct {
		driver, name, url string
		ours              int
	}{
		{"sqlite", file, "sqlite://" + file, 46}, {"pgx", server, server, 46},
	} {
		version := func(from, to int) {
			t.Helper()
			db, err := sql.Open(place.driver, place.name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), "UPDATE goose_db_version SET version_id = version_id + $1 WHERE version_id > 0", to-from)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		open(t, place.url)
		for _, other := range []int{older, newer} {
			version(place.ours, other)
			refused(t, place.url, fault.Internal, "another version of the program", "remove the database", "the command rebuild")
			version(other, place.ours)
			open(t, place.url)
		}
	}
}

// TestOutlineOfOlderTables: sums that older tables do not have are made when they are
// brought up to date.
func TestOutlineOfOlderTables(t *testing.T) {
	file, server := filepath.Join(t.TempDir(), "catalogue.db"), pgtest.Start(t).Database()
	for _, place := range []struct {
		driver, name, url, folder string
		dialect                   goose.Dialect
	}{{"sqlite", file, "sqlite://" + file, "sqlite", goose.DialectSQLite3}, {"pgx", server, server, "postgres", goose.DialectPostgres}} {
		old, err := sql.Open(place.driver, place.name)
		if err != nil {
			t.Fatal(err)
		}
		provider, err := newProvider(old, place.dialect, place.folder)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provider.UpTo(t.Context(), 44); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(13, 2))
		var all []media.Recording
		for i := range 300 {
			r := anyRecording(random, i)
			row, err := newRow(r)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
			if _, err := old.ExecContext(t.Context(), `INSERT INTO recordings (`+columns+`, seq) VALUES (`+parameters(1, len(row.values)+1)+`)`, append(row.values, i)...); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		db := open(t, place.url)
		for _, db.oneByOne = range []int{-1, 1000} {
			from := time.UnixMilli(dayZero)
			checkOutline(t, db, media.OutlineQuery{Stream: "camera", From: from.Add(time.Hour), To: from.Add(3000 * time.Hour), Buckets: 20}, all)
		}
	}
}
