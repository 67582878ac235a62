package cataloguetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// walk follows the pages of q to the end, with a call of between after each. No
// page is longer than q.Limit, or empty but the last.
func walk(ctx context.Context, t *testing.T, db *catalogue.DB, q media.RecordingQuery, between func()) (all []media.Recording) {
	t.Helper()
	for {
		page, err := db.ListPage(ctx, q)
		if err != nil || len(page.Recordings) > q.Limit || page.Next != "" && len(page.Recordings) == 0 {
			t.Fatalf("ListPage(%+v) = %d, next %q, %v", q, len(page.Recordings), page.Next, err)
		}
		all = append(all, page.Recordings...)
		if page.Next == "" {
			return all
		}
		if strings.Trim(page.Next, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("next %q needs escaping in a URL", page.Next)
		}
		q.After = page.Next
		between()
	}
}

func testAfter(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for _, bad := range []string{"x", "!", "NQ", "L2NhbWVyYS8x", "eC9jYW1lcmEvMQ", "NS8", "NS8uLi94", "NS9jYW1lcmE=", "OTk5OTk5OTk5OTk5OTk5OTk5OTkvY2FtZXJh"} {
		if _, err := db.ListPage(ctx, media.RecordingQuery{After: bad}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("After %q: error %v, want a fault.Invalid", bad, err)
		}
	}
	for i := range 6 {
		r := recording("camera", i)
		r.RecordDir = fmt.Sprintf("摄像头 %%?&#+/%d", i)
		put(ctx, t, db, r)
	}
	// What is added in front, or removed, moves no page; also what was the last of one.
	changes := 0
	all := walk(ctx, t, db, media.RecordingQuery{Stream: "camera", Limit: 2}, func() {
		if changes++; changes == 1 {
			put(ctx, t, db, recording("camera", 9))
			if err := db.Delete(ctx, "摄像头 %?&#+/4"); err != nil {
				t.Fatal(err)
			}
		}
	})
	var got []string
	for _, r := range all {
		got = append(got, r.RecordDir[len(r.RecordDir)-1:])
	}
	if want := []string{"5", "4", "3", "2", "1", "0"}; !slices.Equal(got, want) || changes != 2 {
		t.Errorf("pages have %q after %d changes, want %q", got, changes, want)
	}
}

// testPagesInMotion: while recordings come, grow and go, a walk through the pages
// shows none twice and each that is there all the time.
func testPagesInMotion(ctx context.Context, t *testing.T, db *catalogue.DB) {
	const steady = 60
	want := map[string]bool{}
	for i := range steady {
		r := recording(fmt.Sprintf("steady-%d", i%5), 2*i)
		put(ctx, t, db, r)
		want[r.RecordDir] = true
	}
	end := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { // before, between and behind those
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			passing := recording(fmt.Sprintf("steady-%d-passing", i%5), 2*(i*7%steady)+1)
			newest := recording("steady-0", 2*steady+i)
			grown := recording(fmt.Sprintf("steady-%d", i%steady%5), 2*(i%steady))
			grown.Bytes += int64(i)
			newest.Bytes = 1
			if err := db.PutAll(ctx, []media.Recording{passing, newest, grown}); err != nil {
				t.Errorf("PutAll: %v", err)
				return
			}
			for _, dir := range []string{passing.RecordDir, recording("steady-0", 2*steady+i-3).RecordDir} {
				if want[dir] {
					continue
				}
				if err := db.Delete(ctx, dir); err != nil {
					t.Errorf("Delete: %v", err)
					return
				}
			}
		}
	})
	defer running.Wait()
	defer close(end)
	changed, cancel := db.Watch()
	defer cancel()
	between := func() { // something has changed between any two pages
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("nothing changes")
		}
	}
	first, last := start.Add(-time.Hour), start.Add(2*steady*time.Hour)
	for _, q := range []media.RecordingQuery{{}, {Stream: "steady-3"}, {From: first, To: last}, {Stream: "steady-0", From: first, To: last}, {Stream: "steady-0", From: first}, {Node: "node-1"}} {
		q.Limit = 7
		all := walk(ctx, t, db, q, between)
		seen := map[string]bool{}
		for i, r := range all {
			if seen[r.RecordDir] || i > 0 && r.Start.After(all[i-1].Start) {
				t.Errorf("%+v: %s comes twice or out of order", q, r.RecordDir)
			}
			seen[r.RecordDir] = true
		}
		for dir := range want {
			if !seen[dir] && (q.Stream == "" || strings.HasPrefix(dir, q.Stream+"/")) {
				t.Errorf("%+v: %s is left out", q, dir)
			}
		}
	}
	walkStreams(ctx, t, db, between)
}

// walkStreams does the same for the pages of streams.
func walkStreams(ctx context.Context, t *testing.T, db *catalogue.DB, between func()) {
	t.Helper()
	seen := map[string]bool{}
	for after := ""; ; between() {
		page, _, err := db.StreamsPage(ctx, media.StreamQuery{After: after, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, s := range page {
			if seen[s.Stream] || s.Stream <= after {
				t.Errorf("stream %s comes twice or out of order", s.Stream)
			}
			seen[s.Stream], after = true, s.Stream
		}
	}
	for i := range 5 {
		if name := fmt.Sprintf("steady-%d", i); !seen[name] {
			t.Errorf("stream %s is left out", name)
		}
	}
}

// testStreamPrefix: streams are found by how their ids begin.
func testStreamPrefix(ctx context.Context, t *testing.T, db *catalogue.DB) {
	ids := []string{"a", "ab", "ab-1", "ab-2", "abc", "ac", "b", "B", "ab\u00ff", "ab\U0010ffff", "ab\U0010ffffx", "\ud7ff", "\ue000", "\U0010ffff\U0010ffff", "ab%", "ab_"}
	for i, id := range ids {
		put(ctx, t, db, recording(id, i))
	}
	slices.Sort(ids)
	for _, prefix := range []string{"", "a", "ab", "ab-", "abc", "x", "ab\U0010ffff", "\U0010ffff", "\ud7ff", "ab%", "B"} {
		for _, after := range []string{"", "ab", "ab-1", "zzz"} {
			var want, got []string
			for _, id := range ids {
				if strings.HasPrefix(id, prefix) && id > after {
					want = append(want, id)
				}
			}
			page, total, err := db.StreamsPage(ctx, media.StreamQuery{Prefix: prefix, After: after})
			for _, s := range page {
				got = append(got, s.Stream)
			}
			if err != nil || !slices.Equal(got, want) || total != len(ids) {
				t.Errorf("prefix %q after %q: %q of %d, %v; want %q", prefix, after, got, total, err, want)
			}
		}
	}
}

// testStreamsWithout: what some nodes have is left out, on every page.
func testStreamsWithout(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for i, nodes := range []string{"a", "ab", "bb", "c", "", "abcd"} { // of the recordings of a stream
		for j, node := range append(strings.Split(nodes, ""), "a") {
			r := recording(fmt.Sprintf("stream-%d", i), j)
			r.Node = "node-" + node
			put(ctx, t, db, r)
		}
	}
	for without, want := range map[string]string{"": "233215", "a": "-121-3", "ab": "---1-2", "abc": "-----1", "x": "233215"} {
		q := media.StreamQuery{Limit: 2}
		for _, node := range strings.Split(without, "") {
			q.Without = append(q.Without, "node-"+node)
		}
		got := []byte("------")
		for {
			page, _, err := db.StreamsPage(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page {
				got[s.Stream[len(s.Stream)-1]-'0'] = '0' + byte(s.Recordings)
			}
			if len(page) < q.Limit {
				break
			}
			q.After = page[1].Stream
		}
		if string(got) != want {
			t.Errorf("without %q: %s, want %s", without, got, want)
		}
	}
}

// testEnding: a recording that ends, and whose end is corrected, is counted and listed
// by the end that it has.
func testEnding(ctx context.Context, t *testing.T, db *catalogue.DB) {
	r := recording("camera", 0)
	later := media.RecordingQuery{Stream: "camera", From: start.Add(2 * time.Hour)}
	for i, hours := range []int{-1, 1, 3, 1, -1, 0} { // -1: it runs
		if r.End = nil; hours >= 0 {
			end := start.Add(time.Duration(hours) * time.Hour)
			r.End = &end
		}
		put(ctx, t, db, r)
		want := 0
		if hours < 0 || hours > 2 {
			want = 1
		}
		if got, total := dirs(ctx, t, db, later); len(got) != want || total != want {
			t.Errorf("change %d: %q of %d, want %d", i, got, total, want)
		}
	}
	if err := db.Delete(ctx, r.RecordDir); err != nil {
		t.Fatal(err)
	}
	if got, total := dirs(ctx, t, db, media.RecordingQuery{Stream: "camera", To: later.From}); len(got) != 0 || total != 0 {
		t.Errorf("a deleted recording: %q of %d", got, total)
	}
}
