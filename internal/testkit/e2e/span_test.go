package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// Seconds of the archive that is played: a recording is rotated, the publisher goes and
// comes back with another codec, and the node dies and is started again.
const (
	rotatedAt = 12
	leftAt    = 16
	backAt    = 20
	diedAt    = 28
	againAt   = 31
	endsAt    = 38
)

// archiveShape is what is recorded.
func archiveShape() shapes.Shape {
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	take := func(codec string) []shapes.Take {
		return []shapes.Take{{Video: shapes.Video{Codec: codec, Width: 640, Height: 360, GOP: 2 * shapes.Rate}}}
	}
	sound := &shapes.Take{}
	return shapes.Shape{
		Name: "archive", For: second(endsAt), Rotate: second(rotatedAt), Crash: second(diedAt),
		Pubs: []shapes.Publication{
			{To: second(leftAt), Video: take("H264"), Audio: sound},
			{From: second(backAt), To: second(diedAt), Video: take("VP9"), Audio: sound},
			{From: second(againAt), To: second(endsAt), Video: take("H264"), Audio: sound},
		},
	}
}

// recordShape records a shape in a moment, and starts a node on what is on the disk then.
func recordShape(t *testing.T, shape shapes.Shape) (*shapes.Made, *server) {
	t.Helper()
	clips := t.TempDir()
	made, err := shapes.NewStudio(clips, int(shape.For/time.Second)).Record(t.Context(), shape, filepath.Join(t.TempDir(), "made"), shapes.Options{
		Speed: 15, Segment: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Rename(made.Root, filepath.Join(dir, "storage")); err != nil {
		t.Fatal(err)
	}
	made.Root = filepath.Join(dir, "storage")
	s := startIn(t, dir, "127.0.0.1", "[recorder]\nnode_alias = \"node\"\n")
	folders, err := filepath.Glob(filepath.Join(made.Root, shapes.Stream, "*"))
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the node knows its recordings", func() bool {
		made.Recordings = s.recordings(shapes.Stream)
		return len(made.Recordings) == len(folders)
	})
	return made, s
}

// openStage opens browsers that play.
func openStage(t *testing.T, parallel int, browsers ...string) *players.Stage {
	t.Helper()
	stage, err := players.NewStage(t.Context(), filepath.Join(repository, "web"), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, browser := range browsers {
		if err := stage.Open(t.Context(), browser, parallel); err != nil {
			t.Fatal(err)
		}
	}
	return stage
}

// playing is a player, and what it is to play.
type playing struct {
	player string          // "chromium/shaka", "ffmpeg"
	urls   []string        // of manifest.mpd or index.m3u8; of ffmpeg files too, which it plays one after the other
	begin  float64         // seconds of the shape
	less   []shapes.Second // what it has to show, where it cannot show all; nil: all
}

// play plays it once, as a job says.
func (p *playing) play(ctx context.Context, stage *players.Stage, made *shapes.Made, job players.Job) (showings []players.Showing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	browser, name, inBrowser := strings.Cut(p.player, "/")
	for _, url := range p.urls {
		s := players.Showing{Start: p.begin, Tolerance: made.Tolerance(), Timeless: !inBrowser}
		if inBrowser {
			job.Player, job.URL, job.Sound, job.Limit = name, url, true, 90
			s.Result, err = stage.Play(ctx, browser, job)
			if err != nil {
				return nil, err
			}
		} else if s.Result = players.FFmpegURL(ctx, url); p.less != nil {
			s.Result.Errors = nil // it complains of what it cannot show
		}
		showings = append(showings, s)
	}
	return showings, nil
}

// playAll plays all at the same time, and holds what they show against what was sent from
// a second on: once more, as slowly as the world goes, where something was not seen, for a
// busy machine has the page that looks at the picture miss some of it.
func playAll(t *testing.T, stage *players.Stage, made *shapes.Made, from int, list []playing) {
	t.Helper()
	var wg sync.WaitGroup
	for _, p := range list {
		wg.Go(func() {
			of := *made
			if p.less != nil {
				of.Seconds = p.less
			}
			var v *players.Verdict
			var seen []players.Showing // at other rates
			for _, rate := range []float64{2, 1} {
				showings, err := p.play(t.Context(), stage, made, players.Job{Rate: rate, Patience: 8})
				if err != nil {
					t.Errorf("%s: %v", p.player, err)
					return
				}
				if v = players.Judge(&of, slices.Concat(seen, showings), from); v.OK() || p.player == "ffmpeg" {
					break
				}
				for _, s := range showings {
					s.Result = &players.Result{End: "ended", Pictures: s.Result.Pictures, Sounds: s.Result.Sounds}
					seen = append(seen, s)
				}
			}
			t.Logf("%s: %d of %d s of picture, %d of %d s of sound, %d stalls: %s", p.player, v.Pictures, v.PicturesWanted, v.Sounds, v.SoundsWanted, v.Stalls, p.urls[0])
			if !v.OK() {
				t.Errorf("%s: %s", p.player, strings.Join(v.Missing, "; "))
			}
		})
	}
	wg.Wait()
}

// Players show every second of a span that goes over a rotation, a reconnect with another
// codec, and the death of the node, from the node and through a manager; and it is one
// timeline, which says what is missing.
func TestSpanInPlayers(t *testing.T) {
	t.Parallel()
	made, s := recordShape(t, archiveShape())
	manager := newService(t, "liveman", "[http]\nlisten = \"%s\"\n[fleet]\npoll_seconds = 1\n"+fmt.Sprintf("[[nodes]]\nalias = \"a\"\nurl = %q\n", s.url))
	await.Until(t, "the manager knows the recordings", func() bool {
		list, _ := manager.recordings([]string{shapes.Stream})
		return len(list) == len(made.Recordings)
	})
	from, to := 3.3, 36.4
	made.Seconds = made.Seconds[:int(to)]
	at := func(seconds float64) string {
		return strconv.FormatFloat(float64(made.Zero.UnixMilli())/1000+seconds, 'f', 3, 64)
	}
	span := "/api/archive/" + shapes.Stream + "/" + at(from) + "/" + at(to) + "/"
	begin := beginOf(t, s.url+span).Sub(made.Zero).Seconds()
	dash, hls := s.url+span+media.ManifestName, s.url+span+media.IndexName
	stage := openStage(t, 2, "chromium", "firefox")
	playAll(t, stage, made, int(from)+1, []playing{
		{player: "chromium/shaka", urls: []string{dash}, begin: begin},
		{player: "chromium/dashjs", urls: []string{dash}, begin: begin},
		{player: "chromium/hlsjs", urls: []string{hls}, begin: begin},
		{player: "firefox/shaka", urls: []string{dash}, begin: begin},
		{player: "chromium/hlsjs", urls: []string{manager.url + span + media.IndexName}, begin: begin},
		// ffmpeg follows a playlist over recordings, but to no other codec.
		{player: "ffmpeg", urls: []string{manager.url + span + media.IndexName}, less: withoutPictures(made, backAt, diedAt)},
		{player: "ffmpeg", urls: filesOf(t, s.url, span)},
	})
	s.oneTimeline(made)
}

// beginOf returns when a span's presentation begins.
func beginOf(t *testing.T, url string) time.Time {
	t.Helper()
	manifest := ask(t, http.MethodGet, url+media.ManifestName, "")
	_, text, _ := strings.Cut(string(manifest.body), `availabilityStartTime="`)
	text, _, _ = strings.Cut(text, `"`)
	start, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatalf("%d %s: %v", manifest.status, manifest.body, err)
	}
	return start
}

// withoutPictures returns the seconds of a shape, of which some need not be seen.
func withoutPictures(made *shapes.Made, from, to int) []shapes.Second {
	list := slices.Clone(made.Seconds)
	for i := from; i < to; i++ {
		list[i].Picture = shapes.Nothing
	}
	return list
}

// spanTexts are the spans that can be had as one file, in the answer of one that cannot.
var spanTexts = regexp.MustCompile(`(\S+Z)/(\S+Z) \(`)

// filesOf returns the URLs of the files that a span can be had as, which is not one.
func filesOf(t *testing.T, node, span string) (urls []string) {
	t.Helper()
	a := ask(t, http.MethodGet, node+span+media.FileName, "")
	found := spanTexts.FindAllStringSubmatch(string(a.body), -1)
	if a.status != http.StatusConflict || len(found) != 3 {
		t.Fatalf("a file of two codecs: %d %s", a.status, a.body)
	}
	for _, f := range found {
		urls = append(urls, node+"/api/archive/"+shapes.Stream+"/"+f[1]+"/"+f[2]+"/"+media.FileName)
	}
	return urls
}

// oneTimeline holds the archive against what was recorded.
func (s *server) oneTimeline(made *shapes.Made) {
	s.t.Helper()
	var timeline struct {
		MediaSeconds float64 `json:"media_seconds"`
		Spans        []struct {
			From, To    time.Time
			Kind, Cause string
		}
	}
	query := fmt.Sprintf("?from=%d&to=%d", made.Zero.Unix(), made.Zero.Unix()+endsAt)
	if code, body := s.request(http.MethodGet, "/api/archive/"+shapes.Stream+query, ""); json.Unmarshal(body, &timeline) != nil || code != http.StatusOK {
		s.t.Fatalf("%d %s", code, body)
	}
	var gaps []string
	for _, span := range timeline.Spans {
		if span.Kind == "gap" {
			gaps = append(gaps, fmt.Sprintf("%s %.0f-%.0f", span.Cause, span.From.Sub(made.Zero).Seconds(), span.To.Sub(made.Zero).Seconds()))
		}
	}
	if got, want := strings.Join(gaps, ", "), fmt.Sprintf("reconnect %d-%d, reconnect %d-%d", leftAt, backAt, diedAt, againAt); got != want {
		s.t.Errorf("the timeline has the gaps %s, want %s", got, want)
	}
	if short := float64(endsAt-(backAt-leftAt)-(againAt-diedAt)) - timeline.MediaSeconds; short < 0 || short > 1 {
		s.t.Errorf("the timeline has %g s of media", timeline.MediaSeconds)
	}
	// Where nothing is, it says where something is.
	span := fmt.Sprintf("/api/archive/%s/%d/%d/", shapes.Stream, made.Zero.Unix()+leftAt+1, made.Zero.Unix()+backAt-1)
	for _, name := range []string{media.ManifestName, media.IndexName, media.FileName} {
		code, body := s.request(http.MethodGet, span+name, "")
		for _, second := range []int{leftAt, backAt} {
			if nearest := made.Zero.Add(time.Duration(second) * time.Second).Format("2006-01-02T15:04:05.000Z"); code != http.StatusNotFound || !strings.Contains(string(body), nearest) {
				s.t.Errorf("%s of a span without media: %d %s, want 404 with %s", name, code, body, nearest)
			}
		}
	}
}
