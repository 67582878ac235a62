//go:build !norecorder

package manager

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/media"
)

// TestTimelineOfNodes: of the copies of several nodes each time has the one that lacks
// least, and those of a removed node do not count.
func TestTimelineOfNodes(t *testing.T) {
	db, err := catalogue.Open(t.Context(), "sqlite://:memory:")
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(fleetOptions{Catalogue: db, Poll: time.Second, Timeout: time.Second, Now: time.Now, Logger: logger(t)})
	t.Cleanup(func() {
		f.close()
		_ = db.Close()
	})
	for alias, gap := range map[string]float64{"a": 20, "b": 60, "gone": 0} {
		start := archived
		end := start.Add(101 * time.Second)
		r := media.Recording{
			Stream: "camera", RecordDir: folder.Mount(alias) + "camera/1", MPDPath: "camera/1/manifest.mpd", Node: alias,
			Start: start, End: &end, Duration: 100, Bytes: 1000, Status: media.StatusDegraded,
			Tracks: []media.RecordingTrack{{Kind: "video", Codec: "H264", Recorded: true}},
		}
		if gap > 0 {
			r.Tracks[0].Gaps = []media.Gap{{Start: gap, Duration: 10, Cause: "loss"}}
		}
		if err := db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	f.going.set("gone", &removal{})
	lines, err := newTimelines(f, db)
	if err != nil {
		t.Fatal(err)
	}
	q := media.TimelineQuery{Stream: "camera", Span: media.TimeSpan{From: archived, To: archived.Add(100 * time.Second)}, Buckets: 100}
	line, err := lines.Timeline(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range line.Spans {
		got = append(got, fmt.Sprintf("%g-%g %s of %d", s.From.Sub(archived).Seconds(), s.To.Sub(archived).Seconds(), s.RecordDir, s.Copies))
	}
	if g, want := strings.Join(got, ", "), "0-20 @a/camera/1 of 2, 20-60 @b/camera/1 of 2, 60-100 @a/camera/1 of 2"; g != want || line.Recordings != 2 || line.MediaSeconds != 100 {
		t.Errorf("%d recordings, %g s of media:\n  got  %s\n  want %s", line.Recordings, line.MediaSeconds, g, want)
	}
	if streams, err := lines.Streams(t.Context(), media.StreamQuery{Limit: 5}); err != nil || len(streams) != 1 || streams[0].Recordings != 2 {
		t.Errorf("the list is %+v, %v", streams, err)
	}
	q.Stream = "other"
	q.Span.From = time.Time{}
	if _, err := lines.Timeline(t.Context(), q); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nothing is recorded: %v, want a fault.NotFound", err)
	}
}
