package cataloguetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// testEnded: recordings in the order in which they ended, in pages, without those
// that run or are being deleted.
func testEnded(ctx context.Context, t *testing.T, db *catalogue.DB) {
	if page, err := db.Ended(ctx, time.Time{}, "", 10); err != nil || len(page) != 0 {
		t.Errorf("of an empty catalogue: %d recordings, %v", len(page), err)
	}
	if bytes, err := db.Usage(ctx); err != nil || bytes != 0 {
		t.Errorf("Usage of an empty catalogue is %d, %v", bytes, err)
	}
	long := recording("camera", 0) // began first, ended last
	end := long.End.Add(100 * time.Hour)
	long.End = &end
	running := recording("camera", 1)
	running.End, running.Status = nil, media.StatusRecording
	hidden := recording("camera", 2)
	same := recording("another", 5) // ends with the one that follows
	put(ctx, t, db, long, running, hidden, recording("camera", 5), same, recording("camera", 3), recording("camera", 4))
	if err := db.BeginDelete(ctx, hidden.RecordDir); err != nil {
		t.Fatal(err)
	}
	var got []string
	var after time.Time
	afterDir := ""
	for {
		page, err := db.Ended(ctx, after, afterDir, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			got = append(got, r.RecordDir)
			after, afterDir = *r.End, r.RecordDir
		}
		if len(page) < 2 {
			break
		}
	}
	want := []string{
		recording("camera", 3).RecordDir, recording("camera", 4).RecordDir, same.RecordDir, recording("camera", 5).RecordDir, long.RecordDir,
	}
	if !slices.Equal(got, want) {
		t.Errorf("ended: %q, want %q", got, want)
	}
	if bytes, err := db.Usage(ctx); err != nil || bytes != 6*long.Bytes {
		t.Errorf("Usage is %d, %v; want %d", bytes, err, 6*long.Bytes)
	}
}
