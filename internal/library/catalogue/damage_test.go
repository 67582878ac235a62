package catalogue

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
)

// TestDamagedDetails: a row whose JSON is broken is listed with its columns.
func TestDamagedDetails(t *testing.T) {
	details := []string{"", "{", "[]", `"x"`, `{"tracks": 5, "periods": 7}`, `{"stream": "liar", "bytes": -1, "end": "2020-01-01T00:00:00Z"}`}
	t.Run("sqlite", func(t *testing.T) {
		testDamagedDetails(t, open(t, "sqlite://:memory:"), append([]string{"\x00\xff"}, details...)) // PostgreSQL takes no such text
	})
	t.Run("postgres", func(t *testing.T) { testDamagedDetails(t, open(t, pgtest.Start(t).Database()), details) })
}

func testDamagedDetails(t *testing.T, db *DB, details []string) {
	t.Helper()
	var log bytes.Buffer
	db.log = slog.New(slog.NewTextHandler(&log, nil))
	for i, d := range details {
		r := recording("camera", i)
		r.End = nil
		if err := db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := db.write.ExecContext(t.Context(), "UPDATE recordings SET details = $1 WHERE record_dir = $2", d, r.RecordDir); err != nil {
			t.Fatal(err)
		}
	}
	page, total, err := db.List(t.Context(), media.RecordingQuery{Stream: "camera"})
	if err != nil || total != len(details) || len(page) != len(details) {
		t.Fatalf("List = %d recordings of %d, %v; want %d", len(page), total, err, len(details))
	}
	for i, got := range page {
		want := recording("camera", len(details)-1-i)
		if got.Stream != want.Stream || got.RecordDir != want.RecordDir || got.MPDPath != want.MPDPath ||
			got.Bytes != want.Bytes || got.Duration != want.Duration || !got.Start.Equal(want.Start) || got.End != nil {
			t.Errorf("row %q\n  got  %+v\n  want %+v", details[len(details)-1-i], got, want)
		}
	}
	if page[1].Periods != 7 {
		t.Errorf("of what can be read, periods is %d, want 7", page[1].Periods)
	}
	if n := strings.Count(log.String(), "record_dir=camera/"); n != len(details)-1 {
		t.Errorf("%d log lines, want one for each of the %d damaged rows:\n%s", n, len(details)-1, log.String())
	}
}
