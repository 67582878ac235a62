package cataloguetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// library is what a catalogue should have, kept the simple way.
type library map[string]media.Recording

// list is List done by looking at everything.
func (l library) list(q media.RecordingQuery) []media.Recording {
	var all []media.Recording
	for _, r := range l {
		if (q.Stream == "" || r.Stream == q.Stream) && (q.Node == "" || r.Node == q.Node) && (q.Status == "" || r.Status == q.Status) &&
			(q.To.IsZero() || r.Start.Before(q.To)) && (q.From.IsZero() || r.End == nil || r.End.After(q.From) || !r.Start.Before(q.From)) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b media.Recording) int {
		if c := b.Start.Compare(a.Start); c != 0 {
			return c
		}
		return strings.Compare(b.RecordDir, a.RecordDir)
	})
	return all
}

// streams is Streams done by looking at everything.
func (l library) streams() (all []media.StreamSummary) {
	sums := map[string]media.StreamSummary{}
	for _, r := range l {
		s := sums[r.Stream]
		s.Stream = r.Stream
		s.Recordings++
		s.Bytes += r.Bytes
		s.Duration += r.Duration
		if r.Start.After(s.LastStart) {
			s.LastStart = r.Start
		}
		sums[r.Stream] = s
	}
	for _, s := range sums {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b media.StreamSummary) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}

// random returns a recording of few streams, nodes, times and statuses, so that
// they often coincide, and of few folders, so that they are often rewritten.
func random(rng *rand.Rand) media.Recording {
	// Hours, weeks and years apart.
	r := recording("stream-"+string("aAb"[rng.IntN(3)]), rng.IntN(40)*[]int{1, 1, 100, 3000}[rng.IntN(4)])
	r.RecordDir = fmt.Sprintf("dir-%d", rng.IntN(60))
	r.MPDPath = r.RecordDir + "/manifest.mpd"
	r.Node = fmt.Sprintf("node-%d", rng.IntN(3))
	r.Status = []media.Status{media.StatusRecording, media.StatusComplete, media.StatusFailed}[rng.IntN(3)]
	r.Bytes = rng.Int64N(1 << 40)
	r.Duration = float64(rng.IntN(1e6)) / 4 // exact in any order of sums
	minutes := []int{-5, 0, 1, 65, 66, 300, 301, 1500, 1501, 20000, 500_000}[rng.IntN(11)]
	end := r.Start.Add(time.Duration(minutes) * time.Minute)
	if r.End = &end; rng.IntN(4) == 0 {
		r.End = nil
	}
	return r
}

// testModel: after any changes every list, total, page and sum is what one gets
// by looking at everything.
func testModel(ctx context.Context, t *testing.T, db *catalogue.DB) {
	rng := rand.New(rand.NewPCG(4, 5))
	want, deleting := library{}, map[string]bool{}
	for range 8 {
		var batch []media.Recording
		for range rng.IntN(40) {
			r := random(rng)
			batch = append(batch, r)
			if !deleting[r.RecordDir] {
				want[r.RecordDir] = r
			}
		}
		if err := db.PutAll(ctx, batch); err != nil {
			t.Fatal(err)
		}
		for range rng.IntN(12) {
			dir := random(rng).RecordDir
			if _, ok := want[dir]; ok && rng.IntN(2) == 0 {
				if err := db.BeginDelete(ctx, dir); err != nil {
					t.Fatal(err)
				}
				deleting[dir] = true
			} else {
				if err := db.Delete(ctx, dir); err != nil {
					t.Fatal(err)
				}
				delete(deleting, dir)
			}
			delete(want, dir)
		}
		checkStreams(ctx, t, db, want)
		for range 5 {
			checkList(ctx, t, db, want, randomQuery(rng, want.list(media.RecordingQuery{})), 5+rng.IntN(30))
		}
	}
}

// randomQuery returns a query, of which the times are close to those of one of all.
func randomQuery(rng *rand.Rand, all []media.Recording) (q media.RecordingQuery) {
	if rng.IntN(3) == 0 {
		q.Stream = random(rng).Stream
	}
	if rng.IntN(3) == 0 {
		q.Node = random(rng).Node
	}
	if rng.IntN(3) == 0 {
		q.Status = random(rng).Status
	}
	for _, bound := range []*time.Time{&q.From, &q.To} {
		if len(all) == 0 || rng.IntN(3) == 0 {
			continue
		}
		r := all[rng.IntN(len(all))]
		at := r.Start
		if r.End != nil && rng.IntN(2) == 0 {
			at = *r.End
		}
		*bound = at.Add(time.Duration(rng.IntN(3)-1) * time.Millisecond)
	}
	return q
}

// checkList holds all of q, and q in pages by Offset and by After, against want.
func checkList(ctx context.Context, t *testing.T, db *catalogue.DB, want library, q media.RecordingQuery, size int) {
	t.Helper()
	all := want.list(q)
	for _, mode := range []string{"all", "offset", "after"} {
		q.Limit, q.Offset, q.After = size, 0, ""
		if mode == "all" {
			q.Limit = 0
		}
		var got []media.Recording
		for {
			page, err := db.ListPage(ctx, q)
			if n := len(page.Recordings); err != nil || page.Total != len(all) || q.Limit > 0 && n > q.Limit || page.Next != "" && n != q.Limit {
				t.Fatalf("ListPage(%+v) = %d of %d, next %q, %v; want %d", q, n, page.Total, page.Next, err, len(all))
			}
			got = append(got, page.Recordings...)
			if page.Next == "" {
				break
			}
			if mode == "after" {
				q.After = page.Next
			} else {
				q.Offset += len(page.Recordings)
			}
		}
		if len(got) != len(all) || len(all) > 0 && !reflect.DeepEqual(got, all) {
			t.Fatalf("List(%+v) %s\n  got  %v\n  want %v", q, mode, got, all)
		}
	}
}

func checkStreams(ctx context.Context, t *testing.T, db *catalogue.DB, want library) {
	t.Helper()
	all := want.streams()
	if got, err := db.Streams(ctx); err != nil || !slices.Equal(got, all) {
		t.Fatalf("Streams, %v\n  got  %+v\n  want %+v", err, got, all)
	}
	var got []media.StreamSummary
	for after := ""; ; after = got[len(got)-1].Stream {
		page, total, err := db.StreamsPage(ctx, media.StreamQuery{After: after, Limit: 2})
		if err != nil || total != len(all) || len(page) > 2 {
			t.Fatalf("StreamsPage(%q) = %+v of %d, %v; want %d", after, page, total, err, len(all))
		}
		if got = append(got, page...); len(page) == 0 {
			break
		}
	}
	if !slices.Equal(got, all) {
		t.Fatalf("StreamsPage\n  got  %+v\n  want %+v", got, all)
	}
}

// testLengths: a recording of any length is found up to its last millisecond.
func testLengths(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for _, minutes := range []int{1, 65, 66, 300, 301, 1500, 1501, 7500, 7501, 37_500, 37_501, 187_500, 187_501, 937_500, 937_501, 5_000_000} {
		r := recording(fmt.Sprint("camera-", minutes), minutes)
		end := r.Start.Add(time.Duration(minutes) * time.Minute)
		r.End, r.Node, r.Status = &end, "node-"+r.Stream, media.Status("status-"+r.Stream)
		put(ctx, t, db, r)
		for _, q := range []media.RecordingQuery{{}, {Stream: r.Stream}, {Node: r.Node}, {Status: r.Status}, {Node: r.Node, Status: r.Status}} {
			for before, want := range map[time.Duration]bool{time.Millisecond: true, 0: false} {
				q.From = end.Add(-before)
				if got, _ := dirs(ctx, t, db, q); slices.Contains(got, r.RecordDir) != want {
					t.Errorf("%d minutes, %v before the end, %+v: found is %v, want %v", minutes, before, q, !want, want)
				}
			}
		}
	}
}
