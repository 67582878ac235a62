package matrix

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/playback"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recorder"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/players"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// watched are the shapes that are watched while they are recorded.
var watched = []string{"picture-12s-late", "sound-6s-late", "camera-off", "still-6s", "one-key-frame", "reconnect"}

// latest is the second of a recording by which a player that was started with its
// first segment has to show it.
const latest = 12

// running serves what is being recorded as a node does, with the segments that are being
// written.
type running struct {
	mu      sync.Mutex
	servers map[string]*playback.Server // by the folder of the shape
}

// add serves what a recorder records below a folder.
func (r *running) add(root string, rec *recorder.Recorder) error {
	store, err := fs.New(root, fs.Options{NoSync: true})
	if err != nil {
		return fmt.Errorf("open storage: %w", err)
	}
	server, err := playback.New(playback.Options{Backend: store, Catalogue: anyRecording{}, Live: rec, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[filepath.Base(root)] = server
	return nil
}

func (r *running) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	folder, key, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	r.mu.Lock()
	server := r.servers[folder]
	r.mu.Unlock()
	if server == nil || server.Object(w, request, key) != nil {
		http.NotFound(w, request)
	}
}

// anyRecording is a catalogue that has each recording it is asked for.
type anyRecording struct{ playback.Catalogue }

func (anyRecording) FindByObject(_ context.Context, key string) (media.Recording, error) {
	dir := path.Dir(key)
	return media.Recording{Stream: shapes.Stream, RecordID: path.Base(dir), RecordDir: dir, Status: media.StatusRecording}, nil
}

// Players that follow a recording show every second from where they began, and
// come to its end.
func TestPlayersFollow(t *testing.T) {
	root := t.TempDir()
	handler := &running{servers: map[string]*playback.Server{}}
	stage := newStage(t, handler)
	open(t, stage, len(watched))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	studio := shapes.NewStudio(t.TempDir(), longest)
	list := slices.DeleteFunc(wanted(), func(s shapes.Shape) bool { return !slices.Contains(watched, s.Name) })
	rows := make([]*row, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 3)
	for i, shape := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			rows[i] = followed(ctx, t, follower{stage: stage, handler: handler, studio: studio, root: filepath.Join(root, shape.Name), players: live(i)}, shape)
		})
	}
	wg.Wait()
	write(t, slices.DeleteFunc(rows, func(r *row) bool { return r == nil }))
}

// live are the players that follow a shape.
func live(i int) []string {
	return slices.DeleteFunc(slices.Clone(chosen(i)), func(p string) bool { return !strings.Contains(p, "/") || strings.HasSuffix(p, "/file") })
}

type follower struct {
	stage   *players.Stage
	handler *running
	studio  *shapes.Studio
	root    string
	players []string
}

// followed records a shape with players that watch: again where they left something
// out, for that is what a busy machine has them do. What they cannot play they can
// play no better the next time.
func followed(ctx context.Context, t *testing.T, f follower, shape shapes.Shape) (r *row) {
	t.Helper()
	var problems []string
	root := f.root
	for try := range 3 {
		f.root = fmt.Sprintf("%s-%d", root, try)
		if r, problems = follow(ctx, t, &f, shape); len(problems) == 0 {
			break
		}
		t.Logf("try %d of %s: %s", try+1, shape.Name, strings.Join(problems, "; "))
	}
	for _, p := range problems {
		t.Error(p)
	}
	return r
}

// follow records a shape as it goes, with players that watch.
func follow(ctx context.Context, t *testing.T, f *follower, shape shapes.Shape) (*row, []string) {
	t.Helper()
	results := make([]*players.Result, len(f.players))
	var wg sync.WaitGroup
	started := func(made *shapes.Made, rec *recorder.Recorder, mpd string) {
		if err := f.handler.add(made.Root, rec); err != nil {
			t.Errorf("%s: %v", shape.Name, err)
			return
		}
		for i, player := range f.players {
			wg.Go(func() {
				browser, name, _ := strings.Cut(player, "/")
				r, err := f.stage.Play(ctx, browser, players.Job{
					Player: name, URL: "/r/" + filepath.Base(made.Root) + "/" + manifestFor(name, mpd), Rate: 1, Sound: made.Sounds(), Limit: shape.For.Seconds() + 30, Patience: 15,
				})
				if err != nil {
					t.Errorf("%s, %s: %v", shape.Name, player, err)
				}
				results[i] = r
			})
		}
	}
	made, err := f.studio.Record(ctx, shape, f.root, shapes.Options{
		Speed: 1, Segment: segment, Started: started, Logger: slog.New(slog.DiscardHandler),
	})
	wg.Wait()
	if err != nil {
		t.Errorf("%s: %v", shape.Name, err)
		return nil, nil
	}
	r := &row{made: made}
	var problems []string
	for i, player := range f.players {
		if results[i] == nil {
			continue
		}
		c, said := judgeLive(made, player, results[i])
		r.cells = append(r.cells, c)
		problems = append(problems, said...)
	}
	return r, problems
}

func judgeLive(made *shapes.Made, player string, r *players.Result) (c cell, problems []string) {
	c = cell{player: player, results: []*players.Result{r}}
	start := made.Recordings[0].Start.Sub(made.Zero).Seconds()
	from := len(made.Seconds)
	if len(r.Pictures) > 0 {
		from = int(r.Pictures[0].Time+start) + 2 // it may begin within a second
	}
	c.verdict = players.Judge(made, []players.Showing{{Result: r, Start: start, Duration: made.Recordings[0].Duration, Tolerance: made.Tolerance()}}, from)
	if from > latest+2 {
		problems = append(problems, fmt.Sprintf("%s, %s, live: begins at second %d", made.Name, player, from))
	}
	if !c.verdict.OK() {
		problems = append(problems, fmt.Sprintf("%s, %s, live: %s", made.Name, player, brief(c.verdict.Missing)))
	}
	return c, problems
}
