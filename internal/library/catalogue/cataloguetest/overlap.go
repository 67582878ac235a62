package cataloguetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// testOverlapping lists the recordings of a time, of all classes of length, in pages of
// every size.
func testOverlapping(ctx context.Context, t *testing.T, db *catalogue.DB) {
	at := func(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }
	var all []media.Recording
	add := func(dir string, begin, long float64) {
		r := recording("camera", 0)
		r.RecordDir, r.Start = "camera/"+dir, at(begin)
		end := at(begin + long)
		if r.End = &end; long == 0 {
			r.End, r.Status = nil, media.StatusRecording
		}
		all = append(all, r)
	}
	add("year", -8000, 10_000)
	add("month", -500, 600)
	add("day", -20, 24)
	add("runs", -3, 0)
	add("a", 0, 1)
	add("b", 0, 1) // begins as the one before
	add("c", 1, 1)
	add("d", 2, 4)
	add("runs-too", 3, 0)
	add("e", 5, 1)
	put(ctx, t, db, append(slices.Clone(all), recording("other", 1))...)

	for _, c := range []struct{ from, to float64 }{{0, 1}, {0.5, 1}, {0.5, 5}, {1, 3}, {-9000, -8000}, {-9000, -7000}, {90, 120}, {5.5, 9000}, {-9000, 9000}} {
		var want []string
		for _, r := range all {
			if r.Start.Before(at(c.to)) && (r.End == nil || r.End.After(at(c.from))) {
				want = append(want, r.RecordDir)
			}
		}
		for _, limit := range []int{0, 1, 2, 3, 100} {
			q := media.OverlapQuery{Stream: "camera", From: at(c.from), To: at(c.to), Limit: limit}
			var got []string
			for pages := 0; pages == 0 || q.After != ""; pages++ {
				page, err := db.Overlapping(ctx, q)
				if err != nil || pages > len(all) || limit > 0 && len(page.Recordings) > limit {
					t.Fatalf("page %d of %d from %g to %g: %d recordings, %v", pages, limit, c.from, c.to, len(page.Recordings), err)
				}
				for _, r := range page.Recordings {
					got = append(got, r.RecordDir)
				}
				q.After = page.Next
			}
			if !slices.Equal(got, want) {
				t.Errorf("from %g to %g, %d on a page:\n  got  %q\n  want %q", c.from, c.to, limit, got, want)
			}
		}
	}
	if page, err := db.Overlapping(ctx, media.OverlapQuery{Stream: "camera", From: at(5)}); err != nil || len(page.Recordings) != 6 {
		t.Errorf("without an end there are %d, %v; want 6", len(page.Recordings), err)
	}
	if _, err := db.Overlapping(ctx, media.OverlapQuery{Stream: "camera", After: "?"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("after is no place: %v, want a fault.Invalid", err)
	}
}

// testNearest looks for what is before and after a time.
func testNearest(ctx context.Context, t *testing.T, db *catalogue.DB) {
	empty := recording("camera", 6)
	empty.Duration, empty.Status = 0, media.StatusFailed
	elsewhere := recording("camera", 7)
	elsewhere.Node = "node-2"
	put(ctx, t, db, recording("camera", 0), recording("camera", 1), empty, elsewhere, recording("camera", 9), recording("other", 5))
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	type find func(context.Context, string, time.Time, ...string) (media.Recording, error)
	for _, c := range []struct {
		name    string
		find    find
		hours   int
		without []string
		want    int // hours, or -1 for none
	}{
		{"before", db.Before, 5, nil, 1}, {"before its end", db.Before, 2, nil, 1}, {"before all", db.Before, 0, nil, -1},
		{"after", db.After, 3, nil, 7}, {"after its start", db.After, 1, nil, 1}, {"after all", db.After, 10, nil, -1},
		{"after, of another node", db.After, 3, []string{"node-2", "node-3"}, 9},
	} {
		r, err := c.find(ctx, "camera", at(c.hours), c.without...)
		switch {
		case c.want < 0 && !errors.Is(err, catalogue.ErrNotFound):
			t.Errorf("%s: %q, %v; want ErrNotFound", c.name, r.RecordDir, err)
		case c.want >= 0 && (err != nil || r.RecordDir != recording("camera", c.want).RecordDir):
			t.Errorf("%s: %q, %v; want the one of hour %d", c.name, r.RecordDir, err, c.want)
		}
	}
}

// testArchives lists when the recordings of each stream begin and end.
func testArchives(ctx context.Context, t *testing.T, db *catalogue.DB) {
	runs := recording("b", 9)
	runs.End, runs.Status, runs.Duration = nil, media.StatusRecording, 30
	elsewhere := recording("d", 1)
	elsewhere.Node = "node-2"
	put(ctx, t, db, recording("a", 3), recording("a", 1), recording("b", 2), runs, recording("c", 0), elsewhere)
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	sum := func(stream string, recordings, last int, duration float64, bytes int64) media.StreamSummary {
		return media.StreamSummary{Stream: stream, Recordings: recordings, LastStart: at(last), Duration: duration, Bytes: bytes << 40}
	}
	want := []media.ArchiveStream{
		{StreamSummary: sum("a", 2, 3, 7200.000022, 2), First: at(1), Last: at(4)},
		{StreamSummary: sum("b", 2, 9, 3630.000011, 2), First: at(2), Last: at(9).Add(30 * time.Second), Running: true},
		{StreamSummary: sum("c", 1, 0, 3600.000011, 1), First: at(0), Last: at(1)},
	}
	got, err := db.Archives(ctx, media.StreamQuery{Without: []string{"node-2"}})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("all, %v\n  got  %+v\n  want %+v", err, got, want)
	}
	if got, err = db.Archives(ctx, media.StreamQuery{After: "a", Limit: 1}); err != nil || !reflect.DeepEqual(got, want[1:2]) {
		t.Errorf("a page, %v\n  got  %+v\n  want %+v", err, got, want[1:2])
	}
}

// testOutline sums up what begins in each of some buckets and what is recorded of it, and
// counts.
func testOutline(ctx context.Context, t *testing.T, db *catalogue.DB) {
	runs, failed, elsewhere := recording("camera", 7), recording("camera", 3), recording("camera", 4)
	runs.End, runs.Status = nil, media.StatusRecording
	failed.Status, elsewhere.Node = media.StatusFailed, "node-2"
	put(ctx, t, db, recording("camera", 0), recording("camera", 2), failed, elsewhere, runs, recording("camera", 9), recording("other", 1))
	at := func(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }
	want := media.Outline{Open: 1, Buckets: []media.OutlineBucket{
		{From: at(0.5), To: at(2.5), Recordings: 1, Degraded: 1, Media: time.Hour},
		{From: at(2.5), To: at(4.5), Recordings: 1, Failed: 1, Media: 90 * time.Minute},
		{From: at(4.5), To: at(6.5)},
		{From: at(6.5), To: at(8.5), Recordings: 1, Media: 90 * time.Minute},
	}}
	q := media.OutlineQuery{Stream: "camera", From: at(0.5), To: at(8.5), Buckets: 4, Without: []string{"node-2", "node-3"}}
	if got, err := db.Outline(ctx, q); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without a node, %v\n  got  %+v\n  want %+v", err, got, want)
	}
	want.Buckets[1].Recordings, want.Buckets[1].Degraded, want.Buckets[1].Media = 2, 1, 2*time.Hour
	want.Buckets[2].Media = 30 * time.Minute
	q.Without = nil
	if got, err := db.Outline(ctx, q); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("all, %v\n  got  %+v\n  want %+v", err, got, want)
	}
	if n, err := db.Count(ctx, media.OverlapQuery{Stream: "camera", From: at(0.5), To: at(4), Limit: 1}); err != nil || n != 3 {
		t.Errorf("there are %d, %v; want 3", n, err)
	}
}
