package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// played is what web/e2e/play.mjs prints for each player.
type played struct {
	Frames   int            `json:"frames"`
	Segments int            `json:"segments"`
	Periods  int            `json:"periods"`
	Ended    float64        `json:"ended"`
	Origins  map[string]int `json:"origins"` // segments by the server that they came from
}

// scriptLimit is how long a script may run: longer than any gives itself, so that one that
// hangs is named, with what it said, and does not take the time of all other tests.
const scriptLimit = 7 * time.Minute

// script is a running browser script of web/e2e.
type script struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	began          time.Time
	ended          bool
}

// startScript starts a browser script, by way of a command wrapper as in start.
func startScript(t *testing.T, wrapper []string, name string, args ...string) *script {
	t.Helper()
	return runScript(t, slices.Concat(wrapper, []string{"node", "web/e2e/" + name}, args)...)
}

// runScript starts a command that prints a line of JSON. What it said is logged where
// the test fails before it waited for it.
func runScript(t *testing.T, line ...string) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptLimit)
	t.Cleanup(cancel)
	s := &script{t: t, cmd: exec.CommandContext(ctx, line[0], line[1:]...), began: time.Now()}
	s.cmd.Dir = repository
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	s.cmd.WaitDelay = 10 * time.Second // its browser may still hold the pipes
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("%s (make deps installs what the tests run): %v", line[0], err)
	}
	t.Cleanup(func() {
		if s.ended {
			return
		}
		err := s.cmd.Wait() // the test's context has ended it
		if t.Failed() {
			t.Logf("%s: %v\n%s\n%s", strings.Join(line, " "), err, s.stdout.String(), s.stderr.String())
		}
	})
	return s
}

// wait waits for the script's end and decodes the line that it printed.
func (s *script) wait(result any) {
	s.t.Helper()
	name := filepath.Base(s.cmd.Path)
	s.ended = true
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("%s: %v after %v (of %v)\n%s\n%s", strings.Join(s.cmd.Args, " "), err, time.Since(s.began), scriptLimit, s.stdout.String(), s.stderr.String())
	}
	s.t.Logf("%s: %s", name, bytes.TrimSpace(s.stdout.Bytes()))
	if err := json.Unmarshal(s.stdout.Bytes(), result); err != nil {
		s.t.Fatalf("%s printed %q: %v", name, s.stdout.String(), err)
	}
}

// play has Shaka Player and dash.js, or those that are named, play a finished
// recording to its end and across all its Periods. Of several layers of video
// they choose by themselves, so that the number of frames is theirs.
func play(t *testing.T, s *server, rec *verify.Recording, players ...string) map[string]played {
	t.Helper()
	frames, layers := 0, 0
	for _, track := range rec.Tracks {
		if track.Kind == media.Video {
			frames += len(track.Samples)
			layers++
		}
	}
	if layers > 1 {
		frames = 0 // not known
	}
	// Where a player jumps, to the first frame or over a hole between Periods, some
	// frames are decoded twice, or are still in the decoder and get lost there.
	tolerance := 6 * len(rec.Periods)
	if len(players) == 0 {
		players = []string{"shaka", "dashjs"}
	}
	t.Cleanup(func() {
		if t.Failed() {
			mpd, _ := os.ReadFile(filepath.Join(s.root, rec.Dir, verify.ManifestName))
			t.Logf("the manifest:\n%s", mpd)
		}
	})
	var result map[string]played
	startScript(t, nil, "play.mjs", "--base", s.url, "--mpd", rec.Dir+"/"+verify.ManifestName,
		"--frames", strconv.Itoa(frames), "--tolerance", strconv.Itoa(tolerance),
		"--players", strings.Join(players, ","), "--out", t.ArtifactDir()).wait(&result)
	return result
}

// finish ends a stream's recording and reads it back.
func (s *server) finish(stream, dir string) *verify.Recording {
	s.t.Helper()
	if code, body := s.request(http.MethodDelete, "/api/record/"+stream, ""); code != http.StatusOK {
		s.t.Fatalf("DELETE /api/record/%s: %d %s", stream, code, body)
	}
	return read(s.t, s.root, dir)
}

// ledger is the recording.json of a recording.
func ledger(t *testing.T, s *server, dir string) (info media.Recording) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.root, dir, "recording.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	return info
}

// part is a publisher of a recording with many.
type part struct {
	name, file string
	after      time.Duration // pause before it comes
}

// publishParts has publishers come and go, each for a few seconds.
func publishParts(t *testing.T, s *server, stream string, parts []part) []*load.Log {
	t.Helper()
	var logs []*load.Log
	for _, p := range parts {
		time.Sleep(p.after) // the pause is what is tested
		pub, err := load.New(load.Options{
			URL: s.url + "/whip/" + stream, Video: source(t, p.file), Audio: source(t, "opus_stereo.ogg"),
			SenderReports: true, KeyFrameOnPLI: true, Duration: 3 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		log, err := pub.Run(ctx)
		cancel()
		if err = errors.Join(err, ctx.Err()); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", p.name, err)
		}
		logs = append(logs, log)
	}
	return logs
}

// Publishers come back with the same codec, another size, another codec, and
// after a while: one recording, which both players play across all its Periods.
func TestPlayersManyPeriods(t *testing.T) {
	t.Parallel()
	parts := []part{
		{name: "first", file: "h264_baseline.h264"},
		{name: "the same again", file: "h264_baseline.h264"},
		{name: "another size", file: "h264_small.h264"},
		{name: "another codec", file: "vp9.ivf"},
		{name: "another size of that", file: "vp9_small.ivf"},
		{name: "back after a while", file: "h264_high.h264", after: 4 * time.Second},
		{name: "in WebM", file: "vp8.ivf"},
	}
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\n")
	logs := publishParts(t, s, "camera", parts)
	rec := s.finish("camera", s.status("camera").RecordDir)
	if len(rec.Periods) != len(parts) {
		t.Fatalf("%d periods of %d publishers: %+v", len(rec.Periods), len(parts), rec.Periods)
	}
	for i, log := range logs {
		if err := compare.Recording(log, rec.InPeriods(i, i), compare.Options{}).Err(); err != nil {
			t.Errorf("%s: %v", parts[i].name, err)
		}
	}
	play(t, s, rec)
}

// sent is what a browser says that it sent of a track: see web/e2e/camera.mjs.
type sent struct {
	Kind          string `json:"kind"`
	SSRC          uint32 `json:"ssrc"`
	Packets       int    `json:"packets"`
	Retransmitted int    `json:"retransmitted"`
	Frames        int    `json:"frames"`
}

// camera is what web/e2e/camera.mjs prints.
type camera struct {
	Connections int    `json:"connections"`
	Sent        []sent `json:"sent"`
}
