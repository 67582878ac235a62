package archive_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/archive"
	"github.com/live777/recorder/internal/media"
)

func TestTimeline(t *testing.T) {
	crashed := recording("a", 0, 10)
	crashed.Recovered = 1
	end := at(10)
	crashed.End = &end
	failed := recording("a", 0, 10)
	failed.Status = media.StatusFailed
	soundless := recording("a", 0, 10)
	soundless.Tracks[1].Recorded = false
	layers := recording("a", 0, 10)
	layers.Tracks[1] = media.RecordingTrack{Kind: "video", Layer: 1, Codec: "H264", Recorded: true}
	layers = lacks(layers, "", "loss", 2, 3)
	layers.Tracks[0].Gaps = append(layers.Tracks[0].Gaps, media.Gap{Start: 5, Duration: 1, Cause: "layer"})
	mixed := recording("a", 0, 10)
	mixed.Tracks[0].Gaps = []media.Gap{{Start: 2, Duration: 4, Cause: "absent"}}
	mixed.Tracks[1].Gaps = []media.Gap{{Start: 1, Duration: 2, Cause: "pause"}, {Start: 5, Duration: 3, Cause: "node"}}
	for name, tt := range map[string]struct {
		c        catalogue
		from, to float64
		want     string
	}{
		"one":                          {catalogue{recording("a", 0, 10)}, 0, 10, "0-10 a"},
		"a part of one":                {catalogue{recording("a", 0, 10)}, 2, 5, "2-5 a"},
		"nothing around":               {catalogue{recording("a", 2, 5)}, 0, 10, "0-2 none, 2-5 a, 5-10 none"},
		"a rotation":                   {catalogue{recording("a", 0, 10), recording("b", 10, 20)}, 0, 20, "0-10 a, 10-20 b"},
		"a rotation, rounded":          {catalogue{recording("a", 0, 9.998), recording("b", 10, 20)}, 0, 20, "0-9.998 a, 9.998-20 b"},
		"a rotation, rounded upwards":  {catalogue{recording("a", 0, 10.002), recording("b", 10, 20)}, 0, 20, "0-10.002 a, 10.002-20 b"},
		"a pause between":              {catalogue{recording("a", 0, 10), recording("b", 12, 20)}, 5, 15, "5-10 a, 10-12 none, 12-15 b"},
		"the node died":                {catalogue{crashed, recording("b", 12, 20)}, 0, 20, "0-10 a, 10-12 node, 12-20 b"},
		"it failed":                    {catalogue{failed, recording("b", 12, 20)}, 0, 20, "0-10 a, 10-12 failed, 12-20 b"},
		"a reconnect":                  {catalogue{lacks(recording("a", 0, 10), "", "reconnect", 3, 6)}, 0, 10, "0-3 a, 3-6 reconnect, 6-10 a"},
		"a loss of one kind":           {catalogue{lacks(recording("a", 0, 10), "video", "loss", 3, 3.5)}, 0, 10, "0-3 a, 3-3.5 a video:loss:0.5, 3.5-10 a"},
		"the only kind":                {catalogue{lacks(soundless, "video", "loss", 3, 4)}, 0, 10, "0-3 a, 3-4 loss, 4-10 a"},
		"a layer that another has":     {catalogue{layers}, 0, 10, "0-2 a, 2-3 loss, 3-10 a"},
		"both kinds at several times":  {catalogue{mixed}, 0, 10, "0-1 a, 1-2 a audio:pause:1, 2-3 pause, 3-5 a video:absent:2, 5-6 node, 6-8 a audio:node:2, 8-10 a"},
		"gaps beyond what is asked of": {catalogue{lacks(recording("a", 0, 10), "", "pause", 1, 9)}, 3, 5, "3-5 pause"},
		"no media":                     {catalogue{recording("a", 0, 10), recording("b", 30, 40)}, 15, 20, "15-20 none"},
	} {
		line := timeline(t, newArchive(t, tt.c, nil), span(tt.from, tt.to), 100)
		if got := show(line); got != tt.want {
			t.Errorf("%s:\n  got  %s\n  want %s", name, got, tt.want)
		}
	}
}

// What a dead node recorded goes on at another one: between the two the node was dead, and of
// one that lives nobody knows better yet.
func TestTimelineOfDeadNode(t *testing.T) {
	runs := recording("a", 0, 10)
	runs.Status, runs.End = media.StatusRecording, nil
	for dead, want := range map[bool]string{true: "0-10 a, 10-12 node, 12-20 b", false: "0-10 a, 10-12 none, 12-20 b"} {
		line := timeline(t, newArchive(t, catalogue{runs, recording("b", 12, 20)}, func(o *archive.Options) {
			o.Dead = func(r media.Recording) bool { return dead && r.RecordDir == runs.RecordDir }
		}), span(0, 20), 100)
		if got := show(line); got != want {
			t.Errorf("dead %v:\n  got  %s\n  want %s", dead, got, want)
		}
	}
}

// A recording whose tracks go on in another format is of each from its time on.
func TestTimelineFormats(t *testing.T) {
	r := recording("a", 0, 30)
	r.Tracks[0] = media.RecordingTrack{Kind: "video", Codec: "VP9", Width: 1280, Height: 720, Recorded: true, Formats: []media.TrackFormat{
		{Codec: "H264", Width: 640, Height: 360}, {Start: 10, Codec: "H264", Width: 1280, Height: 720}, {Start: 20, Codec: "VP9", Width: 1280, Height: 720},
	}}
	r = lacks(r, "", "loss", 12, 12.1)
	var got []string
	for _, s := range timeline(t, newArchive(t, catalogue{r}, nil), span(5, 40), 20).Spans {
		text := fmt.Sprintf("%v-%v", s.From.Sub(zero).Seconds(), s.To.Sub(zero).Seconds())
		if len(s.Tracks) > 0 {
			text += fmt.Sprintf(" %s %d", s.Tracks[0].Codec, s.Tracks[0].Height)
		}
		if len(s.Missing) > 0 {
			text += " lacks"
		}
		got = append(got, text)
	}
	if all, want := strings.Join(got, ", "), "5-10 H264 360, 10-20 H264 720 lacks, 20-30 VP9 720, 30-40"; all != want {
		t.Errorf("got %s, want %s", all, want)
	}
}

func TestTimelineSums(t *testing.T) {
	a := newArchive(t, catalogue{recording("a", 0, 10), lacks(recording("b", 12, 22), "", "loss", 15, 16)}, nil)
	line := timeline(t, a, span(5, 20), 100)
	if line.Recordings != 2 || line.MediaSeconds != 12 || line.Bytes != 12_000 || line.Before != nil || line.After != nil {
		t.Errorf("the sums are %+v", line)
	}
	s := line.Spans[0]
	if s.Status != media.StatusComplete || s.Bytes != 5000 || len(s.Tracks) != 2 || s.Tracks[0] != (media.TimelineTrack{Kind: "video", Codec: "H264"}) || s.Copies != 0 {
		t.Errorf("the first span is %+v", s)
	}

	line = timeline(t, a, span(10.5, 11), 100)
	if line.Recordings != 0 || !line.Before.Equal(at(10)) || !line.After.Equal(at(12)) {
		t.Errorf("without media: %+v", line)
	}
	// Without from it is all that there is.
	line = timeline(t, a, media.TimeSpan{To: at(20)}, 100)
	if line.From != at(0) || line.MediaSeconds != 17 {
		t.Errorf("all: %+v", line)
	}
}

func TestTimelineThatRuns(t *testing.T) {
	runs := recording("a", 0, 10)
	runs.End, runs.Status = nil, media.StatusRecording
	now := runs
	now.Duration = 20
	for _, tt := range []struct {
		clock, to float64
		want      string
	}{
		{21, 21, "0-20 a"}, {49, 49, "0-20 a"}, {51, 51, "0-20 a, 20-51 none"}, {15, 15, "0-15 a"}, {21, 1000, "0-20 a"},
	} {
		a := newArchive(t, catalogue{runs}, func(o *archive.Options) {
			o.Running = func(string) (media.Recording, bool) { return now, true }
			o.Now = func() time.Time { return at(tt.clock) }
		})
		line := timeline(t, a, span(0, tt.to), 100)
		if got := show(line); got != tt.want || !line.Spans[0].Running {
			t.Errorf("at %g: %s, want %s", tt.clock, got, tt.want)
		}
	}
	// What has ended while the catalogue was asked is asked for again.
	a := newArchive(t, catalogue{runs}, nil)
	if got := show(timeline(t, a, span(0, 20), 100)); got != "0-10 a, 10-20 none" {
		t.Errorf("one that runs elsewhere: %s", got)
	}
}

func TestBuckets(t *testing.T) {
	var hours catalogue
	for i := range 100 {
		hours = append(hours, recording(fmt.Sprintf("%03d", i), float64(i)*10, float64(i+1)*10))
	}
	hours[35] = lacks(lacks(hours[35], "video", "loss", 351, 351.5), "video", "loss", 353, 353.25)
	hours[70] = lacks(hours[70], "", "reconnect", 702, 705)
	holed := slices.Delete(slices.Clone(hours), 80, 81)
	for name, tt := range map[string]struct {
		c       catalogue
		to      float64
		buckets int
		want    string
	}{
		"ten":           {hours, 1000, 10, "0-300 000*30, 300-400 030*10 video:loss:0.75, 400-700 040*30, 700-800 070*10 :reconnect:3, 800-1000 080*20"},
		"one":           {hours, 1000, 1, "0-1000 000*100 :reconnect:3 video:loss:0.75"},
		"a hole":        {holed, 1000, 50, "0-340 000*34, 340-360 034*2 video:loss:0.75, 360-700 036*34, 700-720 070*2 :reconnect:3, 720-800 072*8, 800-820 081 :none:10, 820-1000 082*18"},
		"none around":   {hours, 2000, 20, "0-300 000*30, 300-400 030*10 video:loss:0.75, 400-700 040*30, 700-800 070*10 :reconnect:3, 800-1000 080*20, 1000-2000 none"},
		"finer than it": {hours[:10], 100, 9, "0-100 000*10"},
	} {
		line := timeline(t, newArchive(t, tt.c, nil), span(0, tt.to), tt.buckets)
		if got := show(line); got != tt.want || line.Resolution < tt.to/float64(tt.buckets)-0.001 || len(line.Spans) > tt.buckets {
			t.Errorf("%s, by %g s:\n  got  %s\n  want %s", name, line.Resolution, got, tt.want)
		}
	}
}

// TestShortGaps: what is shorter than a bucket is told with what is around it.
func TestShortGaps(t *testing.T) {
	r := recording("a", 0, 10)
	for _, from := range []float64{1, 3, 6.5} {
		r = lacks(r, "audio", "loss", from, from+0.25)
	}
	r = lacks(lacks(r, "", "reconnect", 7, 9), "", "node", 9.25, 9.75)
	a := newArchive(t, catalogue{r}, nil)
	line := timeline(t, a, span(0, 10), 10)
	if got, want := show(line), "0-7 a audio:loss:0.75, 7-9 reconnect, 9-10 a :node:0.5"; got != want || line.MediaSeconds != 7.5 || line.Resolution != 1 || line.Spans[0].Missing[0].Count != 3 {
		t.Errorf("by the second, %g s of media:\n  got  %s\n  want %s", line.MediaSeconds, got, want)
	}
	line = timeline(t, a, span(6, 10), 20)
	if got, want := show(line), "6-6.5 a, 6.5-6.75 a audio:loss:0.25, 6.75-7 a, 7-9 reconnect, 9-9.25 a, 9.25-9.75 node, 9.75-10 a"; got != want {
		t.Errorf("finer:\n  got  %s\n  want %s", got, want)
	}
}

// TestOutline: of very many recordings it is told when there were any.
func TestOutline(t *testing.T) {
	var c catalogue
	for i := range 2 * archive.MaxLedgers {
		r := recording(fmt.Sprintf("%05d", i), float64(i)*10, float64(i+1)*10)
		*r.End = at(float64(i+1) * 10)
		c = append(c, r)
	}
	c[100].Status = media.StatusDegraded
	c = slices.Delete(c, 1000, 1105)
	c = slices.Delete(c, 400, 420)
	line := timeline(t, newArchive(t, c, nil), span(5, 20_005), 20)
	want := "5-1005 *100, 1005-4005 *299, 4005-5005 *81 :none:195, 5005-10005 *499, 10005-11005 none, 11005-12005 *96 :none:45, 12005-20005 *799"
	if got := show(line); got != want || !line.Outline || line.Resolution != 1000 || line.Recordings != 1875 || line.Spans[0].Status != media.StatusDegraded {
		t.Errorf("by %g s:\n  got  %s\n  want %s", line.Resolution, got, want)
	}
}

func TestNoMedia(t *testing.T) {
	runs := recording("c", 100, 110)
	runs.End, runs.Status = nil, media.StatusRecording
	c := catalogue{recording("a", 0, 10), recording("b", 30, 40), runs}
	holed := catalogue{lacks(recording("a", 0, 20), "", "reconnect", 13, 16), recording("b", 30, 40)}
	for _, tt := range []struct {
		c        catalogue
		from, to float64
		want     string
	}{
		{c, 15, 20, "from 2026-11-30T00:00:15.000Z to 2026-11-30T00:00:20.000Z: what is recorded before ends at 2026-11-30T00:00:10.000Z, what is recorded after begins at 2026-11-30T00:00:30.000Z"},
		{c, 10.5, 20, "what is recorded before ends at 2026-11-30T00:00:10.000Z, what is recorded after begins at 2026-11-30T00:00:30.000Z"}, // it was sealed later
		{c, -10, -5, "what is recorded begins at 2026-11-30T00:00:00.000Z"},
		{c, 120, 130, "what is recorded ends at 2026-11-30T00:01:50.000Z"},
		{holed, 14, 15, "what is recorded before ends at 2026-11-30T00:00:13.000Z, what is recorded after begins at 2026-11-30T00:00:16.000Z"}, // within a recording
		{nil, 0, 1, `nothing of stream "camera" is recorded`},
	} {
		err := newArchive(t, tt.c, nil).NoMedia(t.Context(), "camera", span(tt.from, tt.to))
		if fault.KindOf(err) != fault.NotFound || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("from %g to %g: %v, want %q", tt.from, tt.to, err, tt.want)
		}
	}
	_, err := newArchive(t, nil, nil).Timeline(t.Context(), media.TimelineQuery{Stream: "camera", Span: media.TimeSpan{To: at(1)}, Buckets: 1})
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("a stream of which nothing is recorded: %v, want a fault.NotFound", err)
	}
	_, err = newArchive(t, c, nil).Timeline(t.Context(), media.TimelineQuery{Stream: "camera", Span: media.TimeSpan{To: at(-1)}, Buckets: 1})
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("before the archive begins: %v, want a fault.Invalid", err)
	}
}

// TestPieces: of several copies each time has the one that lacks least.
func TestPieces(t *testing.T) {
	a, b := recording("a", 0, 100), recording("b", 10, 110)
	worse := recording("c", 0, 100)
	worse.Status = media.StatusDegraded
	for name, tt := range map[string]struct {
		recordings []media.Recording
		want       string
	}{
		"as good":                   {[]media.Recording{a, b}, "0-100 a 2, 100-110 b 1"},
		"the first lacks":           {[]media.Recording{lacks(a, "", "loss", 50, 55), b}, "0-50 a 2, 50-110 b 2"},
		"one kind":                  {[]media.Recording{lacks(a, "audio", "loss", 50, 55), b}, "0-50 a 2, 50-110 b 2"},
		"each at its time":          {[]media.Recording{lacks(a, "", "loss", 50, 55), lacks(b, "", "loss", 80, 85)}, "0-50 a 2, 50-80 b 2, 80-100 a 2, 100-110 b 1"},
		"both at the same time":     {[]media.Recording{lacks(a, "", "pause", 50, 55), lacks(b, "", "pause", 50, 55)}, "0-100 a 2, 100-110 b 1"},
		"too short":                 {[]media.Recording{lacks(a, "", "loss", 50, 50.5), lacks(b, "", "loss", 80, 80.4)}, "0-10 a 1, 10-110 b 2"},
		"the same time":             {[]media.Recording{lacks(a, "", "limit", 200, 201), recording("c", 0, 100)}, "0-100 c 2"},
		"the better verdict":        {[]media.Recording{worse, a}, "0-100 a 2"},
		"three":                     {[]media.Recording{a, recording("b", 0, 150), recording("c", 20, 30)}, "0-100 a 3, 100-150 b 1"},
		"a rotation of one of them": {[]media.Recording{a, b, recording("c", 100, 200)}, "0-100 a 2, 100-110 b 2, 110-200 c 1"},
	} {
		var got []string
		for _, p := range archive.Pieces(tt.recordings, span(0, 1000)) {
			got = append(got, fmt.Sprintf("%g-%g %s %d", p.From.Sub(zero).Seconds(), p.To.Sub(zero).Seconds(), strings.TrimPrefix(p.Recording.RecordDir, "camera/"), p.Copies))
		}
		if g := strings.Join(got, ", "); g != tt.want {
			t.Errorf("%s:\n  got  %s\n  want %s", name, g, tt.want)
		}
	}
}
