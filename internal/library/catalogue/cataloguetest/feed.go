package cataloguetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// feed walks the feed from since in pages and returns all changes.
func feed(ctx context.Context, t *testing.T, db *catalogue.DB, since int64) (all []media.Change) {
	t.Helper()
	for c := (media.Cursor{Seq: since}); ; {
		page, next, err := db.Follow(ctx, c, 3)
		if err != nil {
			t.Fatalf("Follow(%+v): %v", c, err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		if c, err = media.ParseCursor(next.String()); err != nil || c.Seq != next.Seq {
			t.Fatalf("cursor %+v becomes %+v, %v", next, c, err)
		}
	}
}

func feedDirs(changes []media.Change) (dirs []string) {
	for _, c := range changes {
		dir := c.RecordDir
		if c.Deleted {
			dir = "-" + dir
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func lastSeq(ctx context.Context, t *testing.T, db *catalogue.DB) int64 {
	t.Helper()
	seq, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func testChanges(ctx context.Context, t *testing.T, db *catalogue.DB) {
	a, b, c := recording("camera", 0), recording("camera", 1), recording("other", 2)
	before := lastSeq(ctx, t, db)
	put(ctx, t, db, a, b, c)
	middle := lastSeq(ctx, t, db)
	a.Bytes++
	put(ctx, t, db, a, a)
	if err := errors.Join(db.BeginDelete(ctx, b.RecordDir), db.Delete(ctx, c.RecordDir)); err != nil {
		t.Fatal(err)
	}
	want := []string{a.RecordDir, "-" + b.RecordDir, "-" + c.RecordDir}
	for _, since := range []int64{0, before, middle} {
		changes := feed(ctx, t, db, since)
		if got := feedDirs(changes); !slices.Equal(got, want) {
			t.Fatalf("changes since %d are %q, want %q", since, got, want)
		}
		if !reflect.DeepEqual(changes[0].Recording, &a) {
			t.Errorf("the feed has %+v\n  want %+v", changes[0].Recording, a)
		}
		if r := changes[1].Recording; r != nil {
			t.Errorf("what was deleted is %+v", r)
		}
		if !slices.IsSortedFunc(changes, func(x, y media.Change) int { return int(x.Seq - y.Seq) }) ||
			changes[0].Seq <= middle || changes[2].Seq != lastSeq(ctx, t, db) || changes[2].Seq >= 1<<53 {
			t.Errorf("the numbers since %d are %+v", middle, changes)
		}
	}
	end := lastSeq(ctx, t, db)
	for range 2 { // what does nothing is no change
		if err := db.Delete(ctx, c.RecordDir); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Changes(ctx, end, 0); err != nil || got != nil || lastSeq(ctx, t, db) != end {
		t.Errorf("changes since the end are %+v, %v", got, err)
	}
	put(ctx, t, db, c) // comes back: a new recording in the folder
	if got, err := db.Changes(ctx, end, 0); err != nil || !slices.Equal(feedDirs(got), []string{c.RecordDir}) {
		t.Errorf("changes since the end are %+v, %v", got, err)
	}
	if got := feedDirs(feed(ctx, t, db, 0)); !slices.Equal(got, []string{a.RecordDir, "-" + b.RecordDir, c.RecordDir}) {
		t.Errorf("all changes: %q", got)
	}
	if _, err := db.Changes(ctx, end+1000, 0); !errors.Is(err, catalogue.ErrFeedTruncated) {
		t.Errorf("changes since a number that was not given out: error %v", err)
	}
}

func testFeedID(ctx context.Context, t *testing.T, db *catalogue.DB) {
	id, err := db.Feed(ctx)
	again, err2 := db.Feed(ctx)
	if err := errors.Join(err, err2); err != nil || len(id) < 16 || id != again {
		t.Errorf("Feed returns %q, then %q, %v", id, again, err)
	}
	for _, bad := range []string{"x", "-", "-1", "1-", "-1-2", "5-5", "5-4", "1-2-3", "99999999999999999999"} {
		if _, err := media.ParseCursor(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("ParseCursor(%q): error %v", bad, err)
		}
	}
}

// testFeedOrder: a follower who reads while many write misses nothing.
func testFeedOrder(ctx context.Context, t *testing.T, db *catalogue.DB) {
	const writers, puts = 4, 40
	since := lastSeq(ctx, t, db)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range puts {
				r := recording(fmt.Sprintf("stream-%d", w), i)
				if err := db.PutAll(ctx, []media.Recording{r, recording(r.Stream, 1000+i)}); err != nil {
					t.Errorf("PutAll: %v", err)
					return
				}
			}
		})
	}
	changed, cancel := db.Watch()
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < writers*puts*2 {
		changes, err := db.Changes(ctx, since, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if seen[c.RecordDir] || c.Seq <= since {
				t.Fatalf("%s comes twice or out of order", c.RecordDir)
			}
			seen[c.RecordDir], since = true, c.Seq
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d changes came", len(seen), writers*puts*2)
		}
	}
	running.Wait()
}

func testWatch(ctx context.Context, t *testing.T, db *catalogue.DB) {
	changed, cancel := db.Watch()
	silent := func(what string) {
		t.Helper()
		select {
		case <-changed:
			t.Errorf("%s wakes", what)
		default:
		}
	}
	r := recording("camera", 0)
	for what, change := range map[string]func() error{
		"Put":         func() error { return errors.Join(db.Put(ctx, r), db.Put(ctx, r)) },
		"BeginDelete": func() error { return errors.Join(db.Put(ctx, r), db.BeginDelete(ctx, r.RecordDir)) },
		"Delete":      func() error { return errors.Join(db.Put(ctx, r), db.Delete(ctx, r.RecordDir)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		default:
			t.Errorf("%s does not wake", what)
		}
		silent("one receive after many changes")
		if err := db.Delete(ctx, r.RecordDir); err != nil {
			t.Fatal(err)
		}
		for len(changed) > 0 {
			<-changed
		}
	}
	if err := db.Delete(ctx, r.RecordDir); err != nil {
		t.Fatal(err)
	}
	silent("a Delete of nothing")
	cancel()
	put(ctx, t, db, r)
	silent("a Watch that has ended")
}

func testBeginDelete(ctx context.Context, t *testing.T, db *catalogue.DB) {
	keep, gone := recording("camera", 0), recording("camera", 1)
	put(ctx, t, db, keep, gone)
	if err := db.BeginDelete(ctx, "camera/none"); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("BeginDelete of nothing: error %v", err)
	}
	hidden := func() {
		t.Helper()
		if _, err := db.Get(ctx, gone.RecordDir); !errors.Is(err, catalogue.ErrNotFound) {
			t.Errorf("Get: error %v", err)
		}
		if _, err := db.FindByObject(ctx, gone.MPDPath); !errors.Is(err, catalogue.ErrNotFound) {
			t.Errorf("FindByObject: error %v", err)
		}
		if got, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 1 || !slices.Equal(got, []string{keep.RecordDir}) {
			t.Errorf("List: %q of %d", got, total)
		}
		if streams, err := db.Streams(ctx); err != nil || len(streams) != 1 || streams[0].Recordings != 1 {
			t.Errorf("Streams: %+v, %v", streams, err)
		}
	}
	deleting := func(want ...string) {
		t.Helper()
		if got, err := db.Deleting(ctx); err != nil || !slices.Equal(got, want) {
			t.Errorf("Deleting: %q, %v; want %q", got, err, want)
		}
	}
	deleting()
	for range 2 {
		if err := db.BeginDelete(ctx, gone.RecordDir); err != nil {
			t.Fatal(err)
		}
		hidden()
		deleting(gone.RecordDir)
	}
	// A late report does not bring it back, nor hinder those with which it comes.
	keep.Bytes++
	if err := db.PutAll(ctx, []media.Recording{gone, keep}); err != nil {
		t.Error(err)
	}
	put(ctx, t, db, gone)
	hidden()
	deleting(gone.RecordDir)
	if r, err := db.Get(ctx, keep.RecordDir); err != nil || r.Bytes != keep.Bytes {
		t.Errorf("what was put with it has %d bytes, %v", r.Bytes, err)
	}
	if err := db.Delete(ctx, gone.RecordDir); err != nil {
		t.Fatal(err)
	}
	hidden()
	deleting()
	if err := db.BeginDelete(ctx, gone.RecordDir); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("BeginDelete of what is deleted: error %v", err)
	}
}

func testPutAll(ctx context.Context, t *testing.T, db *catalogue.DB) {
	if err := db.PutAll(ctx, nil); err != nil {
		t.Error(err)
	}
	var all []media.Recording
	for i := range 250 {
		all = append(all, recording("camera", i))
	}
	again := recording("camera", 7)
	again.Bytes = 7
	bad := recording("camera", 300)
	bad.RecordDir = "../x"
	err := db.PutAll(ctx, append(all, bad, again))
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("PutAll with one that is refused: error %v, want a fault.Invalid", err)
	}
	if _, total := dirs(ctx, t, db, media.RecordingQuery{}); total != len(all) {
		t.Errorf("there are %d recordings, want %d", total, len(all))
	}
	if r, err := db.Get(ctx, again.RecordDir); err != nil || r.Bytes != 7 {
		t.Errorf("of two with one folder the first is stored: %+v, %v", r, err)
	}
	if got := len(feed(ctx, t, db, 0)); got != len(all) {
		t.Errorf("the feed has %d changes, want %d", got, len(all))
	}
}
