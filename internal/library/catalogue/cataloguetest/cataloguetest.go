// Package cataloguetest is the contract of catalogue.DB as tests: the catalogue
// passes them on every database it supports.
package cataloguetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

// timeout bounds each test of the suite.
const timeout = time.Minute

// Run holds databases against the contract. open returns a new, empty catalogue
// for the test that it is given; it cleans up by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) *catalogue.DB) {
	tests := []struct {
		name string
		run  func(context.Context, *testing.T, *catalogue.DB)
	}{
		{"RoundTrip", testRoundTrip},
		{"Replace", testReplace},
		{"Refused", testRefused},
		{"Missing", testMissing},
		{"ListOrder", testListOrder},
		{"ListPages", testListPages},
		{"ListTimes", testListTimes},
		{"Streams", testStreams},
		{"FindByObject", testFindByObject},
		{"Delete", testDelete},
		{"DeleteAll", testDeleteAll},
		{"BeginDelete", testBeginDelete},
		{"PutAll", testPutAll},
		{"Ended", testEnded},
		{"Changes", testChanges},
		{"FeedID", testFeedID},
		{"FeedOrder", testFeedOrder},
		{"Watch", testWatch},
		{"Model", testModel},
		{"Lengths", testLengths},
		{"After", testAfter},
		{"Ending", testEnding},
		{"PagesInMotion", testPagesInMotion},
		{"StreamPrefix", testStreamPrefix},
		{"StreamsWithout", testStreamsWithout},
		{"Cancelled", testCancelled},
		{"Concurrency", testConcurrency},
		{"Nodes", testNodes},
		{"Folders", testFolders},
		{"NodeNames", testNodeNames},
		{"Reassign", testReassign},
		{"Removed", testRemoved},
		{"Overlapping", testOverlapping},
		{"Nearest", testNearest},
		{"Archives", testArchives},
		{"Outline", testOutline},
		{"Deletions", testDeletions},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			test.run(ctx, t, open(t))
		})
	}
}

// start is the Start of the first recording that recording makes.
var start = time.Date(2026, 11, 22, 5, 0, 0, 123e6, time.UTC)

// recording returns a finished recording of one hour, with every field set, that
// begins the given hours after start.
func recording(stream string, hours int) media.Recording {
	begin := start.Add(time.Duration(hours) * time.Hour)
	end := begin.Add(time.Hour)
	id := fmt.Sprint(begin.Unix())
	dir := stream + "/" + id
	return media.Recording{
		Stream: stream, RecordID: id, RecordDir: dir, MPDPath: dir + "/manifest.mpd", Node: "node-1",
		Start: begin, End: &end, Duration: 3600.000011, Bytes: 1 << 40,
		Status: media.StatusDegraded, Reason: "2 packets “lost”\n<&>", Periods: 3,
		Tracks: []media.RecordingTrack{
			{Kind: "video", Codec: "H264", RFC6381: "avc1.42C01F", Width: 1280, Height: 720, Segments: 600, Frames: 108000,
				Bytes: 1<<40 - 5, Recorded: true, PacketsReceived: 1 << 53, PacketsLost: 2, PacketsRecovered: 3, FramesDropped: 4,
				Gaps: []media.Gap{{Start: 0.1, Duration: 2.3333333333333335, Cause: "loss"}}},
			{Kind: "audio", Codec: "opus"},
		},
	}
}

func put(ctx context.Context, t *testing.T, db *catalogue.DB, recordings ...media.Recording) {
	t.Helper()
	for _, r := range recordings {
		if err := db.Put(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
}

// dirs returns what q selects, as RecordDirs.
func dirs(ctx context.Context, t *testing.T, db *catalogue.DB, q media.RecordingQuery) (page []string, total int) {
	t.Helper()
	recordings, total, err := db.List(ctx, q)
	if err != nil {
		t.Fatalf("List(%+v): %v", q, err)
	}
	for _, r := range recordings {
		page = append(page, r.RecordDir)
	}
	return page, total
}

func testRoundTrip(ctx context.Context, t *testing.T, db *catalogue.DB) {
	running := recording("camera", 1)
	running.End, running.Status, running.Reason, running.Tracks = nil, media.StatusRecording, "NUL \x00", nil
	noID := recording("camera", 2)
	noID.RecordDir, noID.RecordID, noID.Node, noID.Tracks = "archive/2026 ü/摄像头", "", "", []media.RecordingTrack{}
	for _, want := range []media.Recording{recording("camera", 0), running, noID} {
		put(ctx, t, db, want)
		got, err := db.Get(ctx, want.RecordDir)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Get, %v\n  got  %+v\n  want %+v", err, got, want)
		}
		listed, _, err := db.List(ctx, media.RecordingQuery{Limit: 1})
		if err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
			t.Errorf("List, %v\n  got  %+v\n  want %+v", err, listed, want)
		}
	}

	// Other zones and finer times become UTC and milliseconds.
	odd := recording("camera", 9)
	odd.Start = odd.Start.Add(999 * time.Microsecond).In(time.FixedZone("", 3*3600))
	put(ctx, t, db, odd)
	got, err := db.Get(ctx, odd.RecordDir)
	if want := odd.Start.UTC().Truncate(time.Millisecond); err != nil || got.Start != want {
		t.Errorf("Start is %v, %v; want %v", got.Start, err, want)
	}
}

func testReplace(ctx context.Context, t *testing.T, db *catalogue.DB) {
	r := recording("camera", 0)
	r.End, r.Status, r.Bytes = nil, media.StatusRecording, 5
	put(ctx, t, db, r)
	sealed := recording("camera", 0)
	sealed.Node = "node-2"
	put(ctx, t, db, sealed)
	got, err := db.Get(ctx, r.RecordDir)
	if err != nil || !reflect.DeepEqual(got, sealed) {
		t.Errorf("Get, %v\n  got  %+v\n  want %+v", err, got, sealed)
	}
	if _, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 1 {
		t.Errorf("there are %d recordings, want 1", total)
	}
}

func testRefused(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for name, change := range map[string]func(*media.Recording){
		"no stream":   func(r *media.Recording) { r.Stream = "" },
		"bad stream":  func(r *media.Recording) { r.Stream = "a/b" },
		"no folder":   func(r *media.Recording) { r.RecordDir = "" },
		"absolute":    func(r *media.Recording) { r.RecordDir = "/camera/1" },
		"parent":      func(r *media.Recording) { r.RecordDir = "camera/../1" },
		"NUL":         func(r *media.Recording) { r.RecordDir = "camera/\x00" },
		"long node":   func(r *media.Recording) { r.Node = strings.Repeat("x", 300) },
		"NUL in node": func(r *media.Recording) { r.Node = "a\x00b" },
		"no UTF-8":    func(r *media.Recording) { r.MPDPath = "a\xff" },
		"negative":    func(r *media.Recording) { r.Bytes = -1 },
		"too large":   func(r *media.Recording) { r.Bytes = 1 << 60 },
		"too long":    func(r *media.Recording) { r.Duration = 1e300 },
		"no duration": func(r *media.Recording) { r.Duration -= r.Duration; r.Duration /= r.Duration }, // NaN
	} {
		r := recording("camera", 0)
		change(&r)
		if err := db.Put(ctx, r); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: error %v, want a fault.Invalid", name, err)
		}
	}
	if _, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 0 {
		t.Errorf("refused recordings are there: %d", total)
	}
}

func testMissing(ctx context.Context, t *testing.T, db *catalogue.DB) {
	if _, err := db.Get(ctx, "camera/1"); !errors.Is(err, catalogue.ErrNotFound) || fault.KindOf(err) != fault.NotFound {
		t.Errorf("Get: error %v, want ErrNotFound", err)
	}
	if page, total := dirs(ctx, t, db, media.RecordingQuery{Stream: "camera", Limit: 5}); page != nil || total != 0 {
		t.Errorf("List = %q of %d", page, total)
	}
	if streams, err := db.Streams(ctx); err != nil || streams != nil {
		t.Errorf("Streams = %v, %v", streams, err)
	}
}

func testListOrder(ctx context.Context, t *testing.T, db *catalogue.DB) {
	same := recording("camera", 1)
	same.RecordDir = "camera/same-time"
	put(ctx, t, db, recording("camera", 1), recording("camera", 3), recording("b", 2), same, recording("camera", 0))
	for _, test := range []struct {
		stream string
		want   []string
	}{
		{"camera", []string{recording("camera", 3).RecordDir, "camera/same-time", recording("camera", 1).RecordDir, recording("camera", 0).RecordDir}},
		{"b", []string{recording("b", 2).RecordDir}},
		{"", []string{recording("camera", 3).RecordDir, recording("b", 2).RecordDir, "camera/same-time", recording("camera", 1).RecordDir, recording("camera", 0).RecordDir}},
		{"cam", nil},
		{"CAMERA", nil},
		{"camer%", nil},
	} {
		if got, total := dirs(ctx, t, db, media.RecordingQuery{Stream: test.stream}); !slices.Equal(got, test.want) || total != len(test.want) {
			t.Errorf("List of %q (%d)\n  got  %q\n  want %q", test.stream, total, got, test.want)
		}
	}
}

func testListPages(ctx context.Context, t *testing.T, db *catalogue.DB) {
	var all []string // newest first
	for i := range 7 {
		r := recording("camera", i)
		put(ctx, t, db, r, recording("other", i))
		all = slices.Insert(all, 0, r.RecordDir)
	}
	for _, test := range []struct {
		limit, offset int
		want          []string
	}{
		{0, 0, all}, {-1, -1, all}, {3, 0, all[:3]}, {3, 3, all[3:6]}, {3, 6, all[6:]}, {0, 5, all[5:]}, {7, 0, all}, {100, 0, all}, {3, 7, nil}, {3, 100, nil},
	} {
		got, total := dirs(ctx, t, db, media.RecordingQuery{Stream: "camera", Limit: test.limit, Offset: test.offset})
		if !slices.Equal(got, test.want) || total != 7 {
			t.Errorf("limit %d offset %d: %q of %d, want %q of 7", test.limit, test.offset, got, total, test.want)
		}
	}
}

func testListTimes(ctx context.Context, t *testing.T, db *catalogue.DB) {
	running := recording("camera", 4)
	running.End = nil
	for i := range 4 { // [0,1), [1,2), [2,3), [3,4), [4,
		put(ctx, t, db, recording("camera", i))
	}
	put(ctx, t, db, running)
	at := func(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }
	for _, test := range []struct {
		name     string
		from, to time.Time
		want     []int // by hour, newest first
	}{
		{"no bounds", time.Time{}, time.Time{}, []int{4, 3, 2, 1, 0}},
		{"from inside", at(1.5), time.Time{}, []int{4, 3, 2, 1}},
		{"from an end", at(2), time.Time{}, []int{4, 3, 2}},
		{"to inside", time.Time{}, at(1.5), []int{1, 0}},
		{"to a start", time.Time{}, at(1), []int{0}},
		{"inside one", at(2.2), at(2.3), []int{2}},
		{"over two", at(1.9), at(2.1), []int{2, 1}},
		{"running", at(1000), at(1001), []int{4}},
		{"before all", time.Time{}, at(0), nil},
	} {
		var want []string
		for _, hour := range test.want {
			want = append(want, recording("camera", hour).RecordDir)
		}
		for _, stream := range []string{"camera", ""} {
			got, total := dirs(ctx, t, db, media.RecordingQuery{Stream: stream, From: test.from, To: test.to})
			if !slices.Equal(got, want) || total != len(want) {
				t.Errorf("%s, stream %q: %d\n  got  %q\n  want %q", test.name, stream, total, got, want)
			}
		}
	}
}

func testStreams(ctx context.Context, t *testing.T, db *catalogue.DB) {
	put(ctx, t, db, recording("b", 1), recording("b", 3), recording("b", 2), recording("a", 7))
	got, err := db.Streams(ctx)
	want := []media.StreamSummary{
		{Stream: "a", Recordings: 1, LastStart: start.Add(7 * time.Hour), Duration: 3600.000011, Bytes: 1 << 40},
		{Stream: "b", Recordings: 3, LastStart: start.Add(3 * time.Hour), Duration: 3600.000011 * 3, Bytes: 3 << 40},
	}
	for i := range got { // sums of floats depend on their order
		got[i].Duration = float64(int64(got[i].Duration*1e6+0.5)) / 1e6
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Streams, %v\n  got  %+v\n  want %+v", err, got, want)
	}
}

func testFindByObject(ctx context.Context, t *testing.T, db *catalogue.DB) {
	for _, dir := range []string{"camera/1", "camera/1/inner", "camera/10", "top", "100%/a_b"} {
		r := recording("camera", 0)
		r.RecordDir = dir
		put(ctx, t, db, r)
	}
	for key, want := range map[string]string{
		"camera/1/manifest.mpd":        "camera/1",
		"camera/1/deep/er/seg":         "", // what is deeper is of another recording, or of none
		"camera/1/deep/v_init.m4s":     "",
		"top/1762842203/v_init.m4s":    "",
		"camera/1/inner/v_init.m4s":    "camera/1/inner",
		"camera/10/v_init.m4s":         "camera/10",
		"top/x":                        "top",
		"100%/a_b/x":                   "100%/a_b",
		"100%/axb/x":                   "",
		"camera/1":                     "", // the folder is no object of its recording
		"camera/2/manifest.mpd":        "",
		"camera/1x/y":                  "",
		"top":                          "",
		"":                             "",
		strings.Repeat("x/", 399):      "",
		"top/" + "x/y/../../1/hostile": "", // keys are checked elsewhere
		"top/x/../v_init.m4s":          "",
	} {
		r, err := db.FindByObject(ctx, key)
		switch {
		case want == "" && !errors.Is(err, catalogue.ErrNotFound):
			t.Errorf("FindByObject(%q) = %q, %v; want ErrNotFound", key, r.RecordDir, err)
		case want != "" && (err != nil || r.RecordDir != want):
			t.Errorf("FindByObject(%q) = %q, %v; want %q", key, r.RecordDir, err, want)
		}
	}
}

func testDelete(ctx context.Context, t *testing.T, db *catalogue.DB) {
	keep, gone := recording("camera", 0), recording("camera", 1)
	put(ctx, t, db, keep, gone)
	for range 2 { // the second time there is nothing to delete
		if err := db.Delete(ctx, gone.RecordDir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Get(ctx, gone.RecordDir); !errors.Is(err, catalogue.ErrNotFound) {
		t.Errorf("Get of a deleted recording: error %v", err)
	}
	if got, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 1 || got[0] != keep.RecordDir {
		t.Errorf("left: %q of %d", got, total)
	}
}

func testDeleteAll(ctx context.Context, t *testing.T, db *catalogue.DB) {
	var all []media.Recording
	for i := range 5 {
		r := recording("camera", i)
		if r.Node = "edge"; i == 3 {
			r.Node = "other"
		}
		all = append(all, r)
	}
	put(ctx, t, db, all...)
	since, err := db.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := []string{all[0].RecordDir, all[1].RecordDir, all[3].RecordDir, "camera/none"}
	for _, want := range []int{2, 0} {
		if n, err := db.DeleteAll(ctx, "edge", ask); err != nil || n != want {
			t.Errorf("%d are deleted, %v; want %d", n, err, want)
		}
	}
	if n, err := db.DeleteAll(ctx, "edge", nil); err != nil || n != 0 {
		t.Errorf("of none: %d, %v", n, err)
	}
	if got, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 3 || len(got) != 3 || slices.Contains(got, all[0].RecordDir) || !slices.Contains(got, all[3].RecordDir) {
		t.Errorf("left: %q of %d", got, total)
	}
	if sums, err := db.Streams(ctx); err != nil || len(sums) != 1 || sums[0].Recordings != 3 {
		t.Errorf("streams: %+v, %v", sums, err)
	}
	changes, err := db.Changes(ctx, since, 10)
	if err != nil || len(changes) != 2 || changes[0].Seq >= changes[1].Seq || !changes[0].Deleted || !changes[1].Deleted {
		t.Errorf("changes: %+v, %v", changes, err)
	}
	if removed, err := db.Removed(ctx, ask); err != nil || len(removed) != 2 {
		t.Errorf("removed: %q, %v", removed, err)
	}
}

func testCancelled(ctx context.Context, t *testing.T, db *catalogue.DB) {
	put(ctx, t, db, recording("camera", 0))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, err := range map[string]error{
		"Put":     db.Put(cancelled, recording("camera", 1)),
		"Get":     func() error { _, err := db.Get(cancelled, "camera/1"); return err }(),
		"List":    func() error { _, _, err := db.List(cancelled, media.RecordingQuery{}); return err }(),
		"Streams": func() error { _, err := db.Streams(cancelled); return err }(),
		"Find":    func() error { _, err := db.FindByObject(cancelled, "camera/1/x"); return err }(),
		"Delete":  db.Delete(cancelled, recording("camera", 0).RecordDir),
		"Begin":   db.BeginDelete(cancelled, recording("camera", 0).RecordDir),
		"Changes": func() error { _, err := db.Changes(cancelled, 0, 0); return err }(),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: error %v", name, err)
		}
	}
	if _, total := dirs(ctx, t, db, media.RecordingQuery{}); total != 1 {
		t.Errorf("there are %d recordings, want 1", total)
	}
}

// testConcurrency: writers and readers do not make each other fail, and a page
// never shows a recording that is half written.
func testConcurrency(ctx context.Context, t *testing.T, db *catalogue.DB) {
	const writers, puts = 4, 25
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			r := recording(fmt.Sprintf("stream-%d", w), 0)
			for i := range puts {
				r.Bytes, r.Periods = int64(i), i
				if err := db.Put(ctx, r); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
		running.Go(func() {
			for range puts {
				page, _, err := db.List(ctx, media.RecordingQuery{Limit: 10})
				if err != nil {
					t.Errorf("List: %v", err)
					return
				}
				for _, r := range page {
					if int(r.Bytes) != r.Periods {
						t.Errorf("half a recording: bytes %d, periods %d", r.Bytes, r.Periods)
					}
				}
				if _, err := db.Streams(ctx); err != nil {
					t.Errorf("Streams: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	page, total := dirs(ctx, t, db, media.RecordingQuery{})
	if total != writers || len(page) != writers {
		t.Errorf("there are %d recordings, want %d", total, writers)
	}
}
