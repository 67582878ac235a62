package catalogue

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
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
