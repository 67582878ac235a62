package catalogue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// TestFeedForgets: of many removals the newest are kept, and who needs the others
// is told to begin again; a walk from the beginning needs none.
func TestFeedForgets(t *testing.T) {
	ctx := t.Context()
	db := open(t, "sqlite://:memory:")
	db.keptRemovals, db.pruneEvery = 10, 5
	var all []media.Recording
	for i := range 60 {
		all = append(all, recording("camera", i))
	}
	if err := db.PutAll(ctx, all); err != nil {
		t.Fatal(err)
	}
	stale, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	page, walk, err := db.Follow(ctx, media.Cursor{}, 20)
	if err != nil || len(page) != 20 {
		t.Fatal(page, err)
	}
	// One is being deleted all the time: that is never forgotten.
	if err := db.BeginDelete(ctx, all[59].RecordDir); err != nil {
		t.Fatal(err)
	}
	for _, r := range all[:30] {
		if err := db.Delete(ctx, r.RecordDir); err != nil {
			t.Fatal(err)
		}
	}
	var kept int
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM removals WHERE deleting = 0`).Scan(&kept); err != nil || kept < 10 || kept > 15 {
		t.Errorf("%d removals are kept, %v; want 10 to 15", kept, err)
	}
	if dirs, err := db.Deleting(ctx); err != nil || len(dirs) != 1 {
		t.Errorf("Deleting: %q, %v", dirs, err)
	}
	if _, err := db.Changes(ctx, stale, 0); !errors.Is(err, ErrFeedTruncated) {
		t.Errorf("changes since what is forgotten: error %v", err)
	}
	if _, _, err := db.Follow(ctx, walk, 5); !errors.Is(err, ErrFeedTruncated) {
		t.Errorf("a walk that began before what is forgotten: error %v", err)
	}
	left := 0
	for c := (media.Cursor{}); ; {
		var page []media.Change
		if page, c, err = db.Follow(ctx, c, 4); err != nil {
			t.Fatalf("a walk from the beginning: %v", err)
		}
		if len(page) == 0 {
			if last, err := db.LastSeq(ctx); err != nil || c.Seq != last || c.Base != last {
				t.Errorf("the walk ends at %+v, want %d, %v", c, last, err)
			}
			break
		}
		for _, change := range page {
			if !change.Deleted {
				left++
			}
		}
	}
	if left != 29 {
		t.Errorf("the walk finds %d recordings, want 29", left)
	}
}

// TestFeedLosesChanges: whoever follows a database that was restored from a
// backup, or lost its newest changes by a power cut, begins again; whoever knows
// nothing of what was lost does not.
func TestFeedLosesChanges(t *testing.T) {
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "catalogue.db")
	put := func(db *DB, second int) int64 {
		t.Helper()
		err := db.Put(ctx, recording("camera", second))
		seq, err2 := db.LastSeq(ctx)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return seq
	}
	db := open(t, "sqlite://"+file)
	known := put(db, 0)
	if err := errors.Join(db.BeginDelete(ctx, recording("camera", 0).RecordDir), db.Close()); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db = open(t, "sqlite://"+file)
	lost := put(db, 1)
	if err := errors.Join(db.Close(), os.WriteFile(file, backup, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db = open(t, "sqlite://"+file)
		put(db, 2)
		if dirs, err := db.Deleting(ctx); err != nil || len(dirs) != 1 {
			t.Errorf("after a restart Deleting is %q, %v", dirs, err)
		}
		if _, err := db.Changes(ctx, lost, 0); !errors.Is(err, ErrFeedTruncated) {
			t.Errorf("changes since one that was lost: error %v", err)
		}
		if changes, err := db.Changes(ctx, known, 0); err != nil || len(changes) != 2 {
			t.Errorf("changes since one that was not lost: %+v, %v", changes, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFeedGaps: they stay few however often the database is opened.
func TestFeedGaps(t *testing.T) {
	ctx := t.Context()
	db := open(t, "sqlite://:memory:")
	first, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	db.now = func() time.Time { now = now.Add(time.Minute); return now }
	for range keptGaps + 10 {
		if err := db.openFeed(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var gaps int
	if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM feed_gaps`).Scan(&gaps); err != nil || gaps != keptGaps {
		t.Errorf("%d gaps, %v; want %d", gaps, err, keptGaps)
	}
	if _, err := db.Changes(ctx, first, 0); !errors.Is(err, ErrFeedTruncated) {
		t.Errorf("changes since the first opening: error %v", err)
	}
	last, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Changes(ctx, last, 0); err != nil {
		t.Error(err)
	}
}
