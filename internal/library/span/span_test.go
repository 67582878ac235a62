package span

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
)

var start = time.Date(2026, 11, 30, 14, 30, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// shelf is a Source of recordings of the stream "camera", with sound in segments of 2 s.
type shelf struct {
	recordings []media.Recording
	away       map[string]bool          // whose node does not answer
	video      map[string]*media.Format // of recordings with pictures

	mu    sync.Mutex
	asked []string // record_dirs whose manifests were asked for

	tail    manifest.Tail   // of the last recording
	more    <-chan struct{} // nil: its live edge is not known
	awaited func()          // is called when somebody waits
}

// record adds a recording from one second to another, which runs on if running.
func (f *shelf) record(dir string, from, to float64, running bool, gaps ...media.Gap) {
	r := media.Recording{
		Stream: "camera", RecordDir: dir, MPDPath: dir + "/manifest.mpd", Start: at(from), Duration: to - from, Status: media.StatusComplete,
		Tracks: []media.RecordingTrack{{Kind: "audio", Recorded: true, Gaps: gaps}},
	}
	if running {
		r.Status = media.StatusRecording
	} else {
		end := at(to)
		r.End = &end
	}
	f.recordings = append(f.recordings, r)
	slices.SortStableFunc(f.recordings, func(a, b media.Recording) int { return a.Start.Compare(b.Start) })
}

func (f *shelf) Overlapping(_ context.Context, q media.OverlapQuery) (page media.OverlapPage, err error) {
	for _, r := range f.recordings {
		if r.Stream == q.Stream && (q.To.IsZero() || r.Start.Before(q.To)) && (r.End == nil || r.End.After(q.From)) {
			page.Recordings = append(page.Recordings, r)
		}
	}
	if page.Recordings = page.Recordings[min(len(q.After), len(page.Recordings)):]; len(page.Recordings) > 400 {
		page.Recordings, page.Next = page.Recordings[:400], q.After+strings.Repeat("x", 400)
	}
	return page, nil
}

func (f *shelf) NoMedia(context.Context, string, media.TimeSpan) error {
	return fault.New(fault.NotFound, "the nearest is elsewhere")
}

func (f *shelf) RecordingOf(_ context.Context, key string) (media.Recording, error) {
	for _, r := range f.recordings {
		if r.RecordDir == path.Dir(key) {
			return r, nil
		}
	}
	return media.Recording{}, fault.New(fault.NotFound, "none")
}

func (f *shelf) File(w http.ResponseWriter, _ *http.Request, _ string, clips []playback.Clip) error {
	for _, c := range clips {
		_, _ = fmt.Fprintf(w, "%s %v-%v,", c.Recording.RecordDir, c.From, c.To)
	}
	return nil
}

func (f *shelf) Object(w http.ResponseWriter, _ *http.Request, key string, _ time.Time) error {
	_, err := io.WriteString(w, "bytes of "+key)
	return err
}

func (f *shelf) Edge(dir string) (tail manifest.Tail, more <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tail, f.more, f.more != nil && dir == f.recordings[len(f.recordings)-1].RecordDir
}

func (f *shelf) Await(ctx context.Context, more <-chan struct{}) (came bool, err error) {
	if f.awaited != nil {
		f.awaited()
	}
	select {
	case <-more:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (f *shelf) Manifest(ctx context.Context, dir string) ([]byte, error) {
	f.mu.Lock()
	f.asked = append(f.asked, dir)
	f.mu.Unlock()
	r, err := f.RecordingOf(ctx, dir+"/"+media.ManifestName)
	if err != nil || f.away[r.RecordDir] {
		return nil, fault.New(fault.Unavailable, "the node does not answer")
	}
	format := &media.Format{Codec: "opus", RFC6381: "opus", Timescale: 48000, Channels: 2}
	p := manifest.Presentation{
		AvailabilityStart: r.Start, Published: r.Start, SegmentDuration: 2 * time.Second, MaxSegmentDuration: 6 * time.Second,
		Dynamic: r.Status == media.StatusRecording, Duration: time.Duration(r.Duration * float64(time.Second)),
		Periods: []manifest.Period{{ID: "p1", Sets: []manifest.AdaptationSet{{ID: 2, Kind: media.Audio, Representations: []manifest.Representation{{
			ID: "audio", Format: format, Init: "a_init.m4s", Media: "a_seg_$Number%04d$.m4s", StartNumber: 1, Timeline: manifest.NewTimeline(0),
		}}}}}},
	}
	if v := f.video[r.RecordDir]; v != nil {
		p.Periods[0].Sets = append([]manifest.AdaptationSet{{ID: 1, Kind: media.Video, Representations: []manifest.Representation{{
			ID: "video", Format: v, Init: "v_init.m4s", Media: "v_seg_$Number%04d$.m4s", StartNumber: 1, Timeline: manifest.NewTimeline(0),
		}}}}, p.Periods[0].Sets...)
	}
	for _, set := range p.Periods[0].Sets {
		rep := &set.Representations[0]
		ticks := float64(rep.Format.Timescale)
		for s := 0.0; s < r.Duration; s += 2 {
			long := min(2, r.Duration-s)
			_, err := p.Add(rep, media.Segment{
				Time: media.Ticks(s * ticks), Duration: media.Ticks(long * ticks), Bytes: int64(ticks * (4 + s)), Frames: int64(long * 25),
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return p.AppendMPD(nil), nil
}

func library(t *testing.T, f *shelf) *Library {
	t.Helper()
	l, err := New(Options{Source: f, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// span is from one second to another; to 0 is now.
func span(from, to float64) media.TimeSpan {
	if to == 0 {
		return media.TimeSpan{From: at(from), To: at(from + 1000), Live: true}
	}
	return media.TimeSpan{From: at(from), To: at(to)}
}

func get(t *testing.T, l *Library, stream string, s media.TimeSpan, name string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	w := httptest.NewRecorder()
	name, query, _ := strings.Cut(name, "?")
	err := l.Serve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query, http.NoBody), stream, s, name, time.Time{})
	return w, err
}

// Playlists name what the storage has lost of their track and of the span.
func TestLostIsNamed(t *testing.T) {
	f := &shelf{}
	f.record("camera/1", 0, 10, false, media.Gap{Start: 2, Duration: 2, Cause: "storage", Filled: true}, media.Gap{Start: 6, Duration: 1, Cause: "loss"})
	l := library(t, f)
	const want = `#EXT-X-DATERANGE:ID="lost 2026-11-30T14:30:02.000Z",CLASS="live777.lost",START-DATE="2026-11-30T14:30:02.000Z",DURATION=2.000,X-CAUSE="storage"` + "\n#EXT-X-MAP"
	for from, named := range map[float64]bool{0: true, 3: true, 5: false} {
		w, err := get(t, l, "camera", span(from, 9), "audio.m3u8")
		if text := w.Body.String(); err != nil || strings.Contains(text, want) != named || strings.Count(text, "DATERANGE") > 1 {
			t.Errorf("from %g on: %v\n%s", from, err, text)
		}
	}
	if w, err := get(t, l, "camera", span(0, 9), media.ManifestName); err != nil || strings.Contains(w.Body.String(), "DATERANGE") {
		t.Errorf("the MPD: %v\n%s", err, w.Body)
	}
}

// What a span is made of: at each time the recording that lacks the least.
func TestParts(t *testing.T) {
	rotated, copies, moved := &shelf{}, &shelf{}, &shelf{away: map[string]bool{"@a/1": true}}
	saved := &shelf{away: map[string]bool{"@a/1": true}}
	rotated.record("camera/1", 0, 10, false)
	rotated.record("camera/2", 10, 20, false)
	rotated.record("camera/3", 30, 34, true)
	copies.record("@a/1", 0, 20, false, media.Gap{Start: 8, Duration: 4})
	copies.record("@b/1", 2, 20, false)
	moved.record("@a/1", 0, 10, true) // its node has died
	moved.record("@b/1", 4, 20, true)
	saved.record("@a/1", 5, 10, false)
	saved.record("@b/1", 0, 20, false, media.Gap{Start: 6, Duration: 3})
	for name, c := range map[string]struct {
		shelf    *shelf
		from, to float64
		want     string
		running  bool
		lacks    int
	}{
		"a rotation":               {rotated, 5, 15, "camera/1 5-10, camera/2 0-5", false, 0},
		"a hole":                   {rotated, 15, 33, "camera/2 5-10, camera/3 0-3", false, 0},
		"goes on":                  {rotated, 15, 0, "camera/2 5-10, camera/3 0-", true, 0},
		"rewind":                   {rotated, 32, 0, "camera/3 2-", true, 0},
		"in the future":            {rotated, 15, 100, "camera/2 5-10, camera/3 0-70", true, 0},
		"a better copy":            {copies, 0, 20, "@a/1 0-8, @b/1 6-18", false, 0},
		"the copy of what is away": {moved, 0, 0, "@b/1 0-", true, 1},
		"there is a whole copy":    {saved, 0, 20, "@b/1 0-20", false, 0},
	} {
		parts, err := library(t, c.shelf).Parts(t.Context(), "camera", span(c.from, c.to))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, p := range parts.Clips {
			to := ""
			if p.To < time.Hour {
				to = fmt.Sprint(p.To.Seconds())
			}
			got = append(got, fmt.Sprintf("%s %v-%s", p.Recording.RecordDir, p.From.Seconds(), to))
		}
		if all := strings.Join(got, ", "); all != c.want || parts.Running != c.running || len(parts.Unavailable) != c.lacks {
			t.Errorf("%s: got %s, running %v, unavailable %q; want %s, %v", name, all, parts.Running, parts.Unavailable, c.want, c.running)
		}
	}
}

// A span is one file of its parts. There is none where the file would lack what is away.
func TestFile(t *testing.T) {
	f := &shelf{away: map[string]bool{"@b/3": true}}
	f.record("@a/1", 0, 10, false)
	f.record("@b/2", 10, 20, false)
	f.record("@b/3", 20, 30, false)
	l := library(t, f)
	if w, err := get(t, l, "camera", span(5, 15), media.FileName); err != nil || w.Body.String() != "@a/1 5s-10s,@b/2 0s-5s," {
		t.Errorf("a file of %s, %v", w.Body, err)
	}
	if w, err := get(t, l, "camera", span(5, 25), media.FileName); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), `"@b/3"`) || w.Body.Len() > 0 {
		t.Errorf("a file without a part: %s, %v", w.Body, err)
	}
}

// Where there is no media, the answer says where there is some, or that it is away.
func TestNothing(t *testing.T) {
	f := &shelf{away: map[string]bool{"camera/9": true}}
	f.record("camera/1", 0, 10, false)
	f.record("camera/9", 90, 95, false)
	for from, want := range map[float64]fault.Kind{20: fault.NotFound, -20: fault.NotFound, 90: fault.Unavailable} {
		if _, err := library(t, f).Parts(t.Context(), "camera", span(from, from+5)); fault.KindOf(err) != want {
			t.Errorf("from %v: %v, want %v", from, err, want)
		}
	}
}

func TestServe(t *testing.T) {
	f := &shelf{}
	f.record("camera/1", 0, 10, false)
	f.record("camera/2", 10, 20, false)
	f.recordings = append(f.recordings, media.Recording{Stream: "other", RecordDir: "other/1", Start: at(0), Duration: 20})
	l := library(t, f)
	s := span(5, 15)
	for name, want := range map[string]string{
		"manifest.mpd":            `media="camera/2/a_seg_$Number%04d$.m4s"`,
		"index.m3u8":              "audio.m3u8",
		"audio.m3u8":              "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"camera/2/a_init.m4s\"",
		"camera/1/a_seg_0003.m4s": "bytes of camera/1/a_seg_0003.m4s",
		"camera/2/a_init.m4s":     "bytes of camera/2/a_init.m4s",
	} {
		w, err := get(t, l, "camera", s, name)
		if err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %v\n%s", name, err, w.Body)
		}
		if tag := w.Header().Get("ETag"); media.IsManifest(name) && tag == "" {
			t.Errorf("%s has no ETag", name)
		}
	}
	for _, name := range []string{
		"video.m3u8", "camera/1/a_seg_0002.m4s", "camera/2/a_seg_0004.m4s", "camera/1/manifest.mpd", "camera/1/recording.json",
		"camera/1/file.mp4", "a_seg_0003.m4s", "camera/3/a_seg_0001.m4s", "other/1/a_seg_0003.m4s",
	} {
		if w, err := get(t, l, "camera", s, name); fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v %s", name, err, w.Body)
		}
	}
	if _, err := get(t, l, "camera", s, "camera/../a_seg_0003.m4s"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a path that leads up: %v", err)
	}
}

// Manifests that do not change are read once.
func TestManifestsAreKept(t *testing.T) {
	f := &shelf{}
	f.record("camera/1", 0, 10, false)
	f.record("camera/2", 10, 20, false)
	l := library(t, f)
	for range 3 {
		if _, err := get(t, l, "camera", span(5, 15), "manifest.mpd"); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.asked) != 2 {
		t.Errorf("asked for %q", f.asked)
	}
	l.parsed.most = 1
	if _, err := l.presentation(t.Context(), f.recordings[0]); err != nil {
		t.Fatal(err)
	}
	f.record("camera/3", 20, 30, false)
	if _, err := l.presentation(t.Context(), f.recordings[2]); err != nil {
		t.Fatal(err)
	}
	if len(l.parsed.byDir) != 0 || l.parsed.held != 0 {
		t.Errorf("%d manifests with %d bytes are kept", len(l.parsed.byDir), l.parsed.held)
	}
}

func TestManyRecordings(t *testing.T) {
	f := &shelf{}
	for i := range maxRecordings + 1 {
		f.record(fmt.Sprintf("camera/%d", i), float64(i), float64(i+1), false)
	}
	if _, err := library(t, f).Parts(t.Context(), "camera", span(0, 1000)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a span of %d recordings: %v", maxRecordings+1, err)
	}
	if parts, err := library(t, f).Parts(t.Context(), "camera", span(0, 300)); err != nil || len(parts.Clips) != 300 {
		t.Errorf("a span of 300 recordings: %d, %v", len(parts.Clips), err)
	}
}

// A folder is a part of URLs and of templates, whatever its name.
func TestFolder(t *testing.T) {
	for dir, want := range map[string]string{
		"camera/1": "camera/1/", "@a/küche/1": "@a/k%C3%BCche/1/", "a:b/1": "a%3Ab/1/", "$Number$/1": "%24Number%24/1/", `a"b/1`: "a%22b/1/",
	} {
		if got := folder(dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

// A span that goes on has the chunks of its last recording, and players wait for more.
func TestLiveEdge(t *testing.T) {
	f := &shelf{}
	f.record("camera/1", 0, 10, false)
	f.record("camera/2", 10, 14, true)
	chunk := []manifest.Part{{Duration: 24000, Bytes: 500, Key: true}}
	more := make(chan struct{})
	f.tail, f.more = manifest.Tail{Chunk: 500 * time.Millisecond, Parts: map[string][]manifest.Part{"a_seg_0003.m4s": chunk}}, more
	f.awaited = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tail.Parts = map[string][]manifest.Part{"a_seg_0003.m4s": {chunk[0], chunk[0]}}
		close(more)
		f.more, f.awaited = make(chan struct{}), nil
	}
	l := library(t, f)
	const hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"camera/2/a_seg_0003.m4s\",BYTERANGE-START="
	w, err := get(t, l, "camera", span(5, 0), "audio.m3u8")
	if err != nil || !strings.Contains(w.Body.String(), hint+"500\n") {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	// Three segments of the first recording, and two of the second, are before the open one.
	w, err = get(t, l, "camera", span(5, 0), "audio.m3u8?_HLS_msn=5&_HLS_part=1")
	if err != nil || f.awaited != nil || !strings.Contains(w.Body.String(), hint+"1000\n") {
		t.Errorf("%v, nobody has waited: %v\n%s", err, f.awaited != nil, w.Body)
	}
	if _, err := get(t, l, "camera", span(5, 0), "camera/2/a_seg_0003.m4s"); err != nil {
		t.Errorf("the open segment: %v", err)
	}
	for _, s := range []media.TimeSpan{span(5, 12), span(5, 9)} {
		if _, err := get(t, l, "camera", s, "camera/2/a_seg_0003.m4s"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("the open segment of a span that has ended: %v", err)
		}
	}
	if _, err := get(t, l, "camera", span(5, 0), "audio.m3u8?_HLS_msn=9"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("far ahead: %v", err)
	}
	if w, err := get(t, l, "camera", span(5, 12), "audio.m3u8?_HLS_msn=9"); err != nil || strings.Contains(w.Body.String(), "EXT-X-PART") {
		t.Errorf("a span that has ended: %v\n%s", err, w.Body)
	}
}
