package matrix

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

const (
	web     = "../../../../web"
	segment = 2 * time.Second
	longest = 40 // seconds of a clip
)

// rates are how fast browsers play.
var rates = []float64{3, 1}

// all are the players, in the order of the table.
var all = []string{
	"chromium/shaka", "firefox/shaka", "chromium/dashjs", "firefox/dashjs", "chromium/hlsjs", "firefox/hlsjs", "ffmpeg", "ffmpeg-hls", "gstreamer",
	"chromium/file", "firefox/file",
}

// full reports whether each shape meets each player (make matrix). Else each shape
// meets each family once: Shaka and dash.js in turns in one browser and the other.
// For the same segments there are another manifest, which hls.js plays, and one file:
// some shapes meet these.
func full() bool { return os.Getenv("MATRIX") == "full" }

func chosen(shape int) []string {
	if names := os.Getenv("PLAYERS"); names != "" {
		return strings.Split(names, ",")
	}
	if full() {
		return all
	}
	names := []string{"firefox/shaka", "chromium/dashjs", "ffmpeg", "ffmpeg-hls", "gstreamer"}
	if shape%2 == 0 {
		names[0], names[1] = "chromium/shaka", "firefox/dashjs"
	}
	switch shape % 8 {
	case 0, 4:
		names = append(names, "chromium/hlsjs")
	case 2:
		names = append(names, "chromium/file")
	case 6:
		names = append(names, "firefox/file")
	}
	return names
}

// wanted are the shapes whose names have one of the words in SHAPES, or all.
func wanted() []shapes.Shape {
	words := strings.FieldsFunc(os.Getenv("SHAPES"), func(r rune) bool { return r == ',' })
	return slices.DeleteFunc(shapes.All(), func(s shapes.Shape) bool {
		return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(s.Name, w) })
	})
}

// cell is what one player showed of one shape.
type cell struct {
	player  string
	cannot  string
	verdict *players.Verdict
	results []*players.Result
}

// row is a shape with all that played it.
type row struct {
	made   *shapes.Made
	noFile string // why it cannot be one file
	cells  []cell
}

// Every second of picture and sound that a publisher sent is shown by every player.
func TestPlayersShowEverySecond(t *testing.T) {
	root := t.TempDir()
	if dir := os.Getenv("MATRIX_DIR"); dir != "" {
		root = dir // to look at afterwards
	}
	stage := newStage(t, http.FileServer(http.Dir(root)))
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Minute)
	defer cancel()
	rows := record(ctx, t, root)
	open(t, stage, 2)
	playAll(ctx, t, stage, rows)
	write(t, rows)
}

func newStage(t *testing.T, recordings http.Handler) *players.Stage {
	t.Helper()
	stage, err := players.NewStage(t.Context(), web, recordings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	})
	return stage
}

// open opens both browsers, each for some recordings at a time.
func open(t *testing.T, stage *players.Stage, parallel int) {
	t.Helper()
	for _, browser := range []string{"chromium", "firefox"} {
		if err := stage.Open(t.Context(), browser, parallel); err != nil {
			t.Fatal(err)
		}
	}
}

// record makes the recordings, some at a time: most of the time they wait.
func record(ctx context.Context, t *testing.T, root string) []*row {
	t.Helper()
	clips := filepath.Join(root, "clips")
	if err := os.MkdirAll(clips, 0o750); err != nil {
		t.Fatal(err)
	}
	studio := shapes.NewStudio(clips, longest)
	list := wanted()
	rows := make([]*row, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, shape := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			log, err := os.Create(filepath.Join(root, shape.Name+".log"))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = log.Close() }()
			made, err := studio.Record(ctx, shape, filepath.Join(root, shape.Name), shapes.Options{
				Speed: 15, Segment: segment, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			if err != nil {
				t.Errorf("%s: %v", shape.Name, err)
				return
			}
			rows[i] = &row{made: made}
			if err := writeFiles(ctx, made); fault.KindOf(err) == fault.Conflict {
				rows[i].noFile = err.Error()
			} else if err != nil {
				t.Errorf("%s: %v", shape.Name, err)
			}
		})
	}
	wg.Wait()
	return slices.DeleteFunc(rows, func(r *row) bool { return r == nil })
}

// writeFiles stores each recording as one file beside its manifest.
func writeFiles(ctx context.Context, made *shapes.Made) (err error) {
	store, err := fs.New(made.Root, fs.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for _, rec := range made.Recordings {
		manifest, err := os.ReadFile(filepath.Join(made.Root, rec.MPDPath))
		if err != nil {
			return err
		}
		m, _, err := movie.Open(ctx, store, rec.RecordDir, manifest, movie.Title{Name: rec.Stream})
		if err != nil {
			return err
		}
		data, err := io.ReadAll(m.NewReader(ctx, store))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(made.Root, rec.RecordDir, media.FileName), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// playAll has each player play each recording. Browsers take two at a time each.
func playAll(ctx context.Context, t *testing.T, stage *players.Stage, rows []*row) {
	t.Helper()
	var wg sync.WaitGroup
	slots := map[string]chan struct{}{}
	for _, player := range all {
		kind, _, _ := strings.Cut(player, "/")
		slots[kind] = make(chan struct{}, 2)
	}
	for i, r := range rows {
		for _, player := range chosen(i) {
			c := cell{player: player, cannot: r.made.Cannot[player]}
			if strings.HasSuffix(player, "/file") {
				c.cannot = cmp.Or(c.cannot, r.noFile)
			}
			r.cells = append(r.cells, c)
		}
		for j := range r.cells {
			c := &r.cells[j]
			if c.cannot != "" {
				continue
			}
			wg.Go(func() {
				kind, _, _ := strings.Cut(c.player, "/")
				slots[kind] <- struct{}{}
				defer func() { <-slots[kind] }()
				play(ctx, t, stage, r.made, c)
			})
		}
	}
	wg.Wait()
}

// play plays all recordings of a shape with one player, and judges: again more
// slowly where something was not shown, for players that a busy machine keeps
// waiting leave something out. What cannot be played is no better for being played
// slowly.
func play(ctx context.Context, t *testing.T, stage *players.Stage, made *shapes.Made, c *cell) {
	t.Helper()
	for _, rate := range rates {
		if err := playOnce(ctx, stage, made, c, rate); err != nil {
			t.Errorf("%s, %s: %v", made.Name, c.player, err)
			return
		}
		if c.verdict.OK() || !strings.Contains(c.player, "/") {
			break
		}
	}
	keep(t, made, c)
	if !c.verdict.OK() && made.Less[c.player] == "" {
		t.Errorf("%s, %s: %s", made.Name, c.player, brief(c.verdict.Missing))
	}
}

func playOnce(ctx context.Context, stage *players.Stage, made *shapes.Made, c *cell, rate float64) error {
	var showings []players.Showing
	c.results = nil
	for _, rec := range made.Recordings {
		s, err := show(ctx, stage, made, rec, c.player, rate)
		if err != nil {
			return err
		}
		c.results = append(c.results, s.Result)
		showings = append(showings, *s)
	}
	c.verdict = players.Judge(made, showings, 0)
	return nil
}

// keep writes what a player showed beside the recordings, to look at afterwards.
func keep(t *testing.T, made *shapes.Made, c *cell) {
	t.Helper()
	data, err := json.MarshalIndent(c.results, "", " ")
	if err != nil {
		t.Error(err)
		return
	}
	name := fmt.Sprintf("%s.%s.json", made.Name, strings.ReplaceAll(c.player, "/", "-"))
	if err := os.WriteFile(filepath.Join(filepath.Dir(made.Root), name), data, 0o600); err != nil {
		t.Error(err)
	}
}

func show(ctx context.Context, stage *players.Stage, made *shapes.Made, rec media.Recording, player string, rate float64) (*players.Showing, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	manifest := filepath.Join(made.Root, filepath.FromSlash(rec.MPDPath))
	root := "/r/" + filepath.Base(made.Root) + "/"
	s := &players.Showing{Start: rec.Start.Sub(made.Zero).Seconds(), Duration: rec.Duration, Tolerance: made.Tolerance()}
	switch player {
	case "ffmpeg":
		s.Result = players.FFmpeg(ctx, manifest)
	case "ffmpeg-hls":
		s.Result = players.FFmpegHLS(ctx, filepath.Join(filepath.Dir(manifest), media.IndexName))
	case "gstreamer":
		s.Timeless = true
		s.Result = gstreamer(ctx, stage.URL+root+rec.MPDPath)
	default:
		browser, name, _ := strings.Cut(player, "/")
		var err error
		s.Result, err = stage.Play(ctx, browser, players.Job{Player: name, URL: root + manifestFor(name, rec.MPDPath), Rate: rate, Sound: made.Sounds(), Limit: 90, Patience: 8})
		return s, err
	}
	return s, nil
}

// manifestFor returns what of a recording a player plays.
func manifestFor(player, mpd string) string {
	switch player {
	case "hlsjs":
		return path.Join(path.Dir(mpd), media.IndexName)
	case "file":
		return path.Join(path.Dir(mpd), media.FileName)
	}
	return mpd
}

// gstreamer plays with GStreamer: as fast as it goes, and by the clock where that does not
// come to an end. The playbin of GStreamer 1.22 stands still now and then where a Period ends
// while it decodes without a clock (4 of 10 runs on a busy machine). By the clock, as people
// watch, it did so in none.
func gstreamer(ctx context.Context, url string) *players.Result {
	fast, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if r := players.GStreamer(fast, url, false); fast.Err() == nil {
		return r
	}
	return players.GStreamer(ctx, url, true)
}

func brief(missing []string) string {
	const most = 6
	if len(missing) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(missing[:most], "; "), len(missing)-most)
	}
	return strings.Join(missing, "; ")
}

// write writes the table, for docs/players.md and for who looks at what failed.
func write(t *testing.T, rows []*row) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "| shape | what was sent | seconds | %s |\n|---|---|---|%s\n", strings.Join(all, " | "), strings.Repeat("---|", len(all)))
	for _, r := range rows {
		pictures, sounds := 0, 0
		for _, s := range r.made.Seconds {
			if s.Picture == shapes.Media {
				pictures++
			}
			if s.Sound == shapes.Media {
				sounds++
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %d / %d |", r.made.Name, r.made.What, pictures, sounds)
		for _, player := range all {
			fmt.Fprintf(&b, " %s |", r.text(player))
		}
		b.WriteString("\n")
	}
	t.Logf("seconds of picture / of sound that were shown:\n%s", b.String())
	path := os.Getenv("MATRIX_TABLE")
	if path == "" {
		return
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Error(err)
	}
}

func (r *row) text(player string) string {
	i := slices.IndexFunc(r.cells, func(c cell) bool { return c.player == player })
	switch {
	case i < 0:
		return ""
	case r.cells[i].cannot != "":
		return "cannot"
	case r.cells[i].verdict == nil:
		return "failed"
	}
	v := r.cells[i].verdict
	text := fmt.Sprintf("%d / %d", v.Pictures, v.Sounds)
	if !v.OK() {
		text = "**" + text + "**"
	}
	if v.Stalls > 0 {
		text += fmt.Sprintf(", %d stalls", v.Stalls)
	}
	return text
}
