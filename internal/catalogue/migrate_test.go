package catalogue

import (
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/live777/recorder/internal/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
)

// TestMigrations: each can be taken back, and recordings stay through all that
// come after the first.
func TestMigrations(t *testing.T) {
	check := func(t *testing.T, db *DB, dialect goose.Dialect, folder string) {
		t.Helper()
		ctx := t.Context()
		provider, err := newProvider(db.write, dialect, folder)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := db.Put(ctx, recording("camera", i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := provider.DownTo(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.Up(ctx); err != nil {
			t.Fatal(err)
		}
		page, total, err := db.List(ctx, media.RecordingQuery{Stream: "camera"})
		if err != nil || len(page) != 5 || total != 5 {
			t.Errorf("List = %d of %d, %v; want 5", len(page), total, err)
		}
		streams, all, err := db.StreamsPage(ctx, media.StreamQuery{})
		if err != nil || all != 1 || len(streams) != 1 || streams[0].Recordings != 5 || streams[0].Bytes != 5000 || streams[0].Duration != 5 {
			t.Errorf("StreamsPage = %+v of %d, %v", streams, all, err)
		}
		if changes, err := db.Changes(ctx, 0, 0); err != nil || len(changes) != 5 {
			t.Errorf("Changes = %+v, %v; want 5", changes, err)
		}
		if _, err := provider.DownTo(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		check(t, open(t, "sqlite://"+filepath.Join(t.TempDir(), "catalogue.db")), goose.DialectSQLite3, "sqlite")
	})
	t.Run("postgres", func(t *testing.T) {
		db := open(t, pgtest.Start(t).Database())
		check(t, db, goose.DialectPostgres, "postgres")
	})
}
