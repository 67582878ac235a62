package catalogue

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/media"
)

// TestOutlineOfAny compares outlines with what is found by looking at all recordings, one by
// one and by sums, of recordings of any length, nodes and verdicts that change and go, and
// of any time.
func TestOutlineOfAny(t *testing.T) {
	for name, url := range map[string]string{
		"sqlite": "sqlite://" + filepath.Join(t.TempDir(), "catalogue.db"), "postgres": pgtest.Start(t).Database(),
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, url)
			random := rand.New(rand.NewPCG(13, 1))
			all := changed(t, db, random)
			for range 150 {
				long := int64(1) << random.IntN(38)
				from := time.UnixMilli(dayZero + random.Int64N(1<<34))
				if end := all[random.IntN(len(all))].End; end != nil && random.IntN(3) == 0 {
					from = *end
				}
				q := media.OutlineQuery{Stream: "camera", From: from, To: from.Add(time.Duration(1+random.Int64N(long)) * time.Millisecond), Buckets: 1 + random.IntN(30)}
				if random.IntN(3) == 0 {
					q.Without = []string{"node-1", "node-7"}
				}
				db.oneByOne = random.IntN(2) * random.IntN(500)
				db.finely = max(db.oneByOne, random.IntN(2)*500)
				checkOutline(t, db, q, all)
			}
		})
	}
}

// anyRecording returns a recording of "camera", of a node, a time, a length and a verdict that
// are chosen at random. A quarter runs.
func anyRecording(random *rand.Rand, i int) media.Recording {
	statuses := []media.Status{media.StatusComplete, media.StatusDegraded, media.StatusFailed, media.StatusRecording}
	r := media.Recording{Stream: "camera", RecordDir: fmt.Sprint("camera/", i), Node: fmt.Sprint("node-", random.IntN(3)), Status: statuses[random.IntN(4)]}
	r.Start = time.UnixMilli(dayZero + random.Int64N(1<<34)).UTC()
	if r.Status != media.StatusRecording {
		end := r.Start.Add(time.Duration(random.Int64N(1<<random.IntN(33))) * time.Millisecond)
		r.End = &end
	}
	return r
}

// changed fills a catalogue with recordings, changes some and removes some, and returns what
// is there then.
func changed(t *testing.T, db *DB, random *rand.Rand) (all []media.Recording) {
	t.Helper()
	for i := range 400 {
		all = append(all, anyRecording(random, i))
	}
	put := func() {
		if err := db.PutAll(t.Context(), append(all, media.Recording{Stream: "other", RecordDir: "other/1", Start: all[0].Start})); err != nil {
			t.Fatal(err)
		}
	}
	put()
	for i := range 200 {
		all[i] = anyRecording(random, i)
	}
	put()
	for i := range 50 {
		if err := db.Delete(t.Context(), all[i].RecordDir); err != nil {
			t.Fatal(err)
		}
	}
	return all[50:]
}

// checkOutline compares an outline with what is found by looking at all recordings.
func checkOutline(t *testing.T, db *DB, q media.OutlineQuery, all []media.Recording) {
	t.Helper()
	got, err := db.Outline(t.Context(), q)
	if err != nil || len(got.Buckets) == 0 || len(got.Buckets) > q.Buckets {
		t.Fatalf("%+v: %d buckets, %v", q, len(got.Buckets), err)
	}
	open, at := 0, q.From
	for i, b := range got.Buckets {
		if !b.From.Equal(at) || !b.To.After(at) {
			t.Fatalf("%+v: bucket %d is from %v to %v, and the one before until %v", q, i, b.From, b.To, at)
		}
		at = b.To
		want := media.OutlineBucket{From: b.From, To: b.To}
		for _, r := range all {
			if len(q.Without) > 0 && r.Node == q.Without[0] {
				continue
			}
			until := b.To
			if r.End != nil {
				until = time.UnixMilli(max(r.End.UnixMilli(), r.Start.UnixMilli()+1))
			}
			if i == 0 && r.Start.Before(b.From) && (r.End == nil || until.After(b.From)) {
				open++
			}
			if !r.Start.Before(b.From) && r.Start.Before(b.To) {
				want.Recordings++
				switch r.Status {
				case media.StatusFailed:
					want.Failed++
				case media.StatusDegraded:
					want.Degraded++
				}
			}
			begin, end := max(r.Start.UnixMilli(), b.From.UnixMilli()), min(until.UnixMilli(), b.To.UnixMilli())
			want.Media += time.Duration(max(end-begin, 0)) * time.Millisecond
		}
		if b != want {
			t.Fatalf("%+v, one by one: %d, bucket %d\n  got  %+v\n  want %+v", q, db.oneByOne, i, b, want)
		}
	}
	if !at.Equal(q.To) || open != got.Open {
		t.Fatalf("%+v: until %v with %d open, want until %v with %d", q, at, got.Open, q.To, open)
	}
}
