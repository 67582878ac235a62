package e2e

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// notHere has what the README's commands begin with or hold that TestReadmeRecipes does not
// run: they install or build, or another test runs them.
var notHere = []string{
	"git clone", "make ", "sudo ", "go build", "go run", // TestRelease, the suites
	"gst-launch-1.0", "ffmpeg -re", // make interop
	"TOKEN",                     // TestAttack, TestFileInPlayers
	"LIVE777_RECORDER_STORAGE_", // TestReadmeStorage
	"liveman",                   // TestManager
}

// deletes is what the command that deletes a recording begins with.
const deletes = "curl -X DELETE http://127.0.0.1:7777/api/recordings/"

// TestReadmeRecipes runs the README's commands that record, play, save and check, as they
// stand there and in their order, but for a deletion, in the folder of a node that was started
// without a setting. Only the address, the recording and the times are the test's.
func TestReadmeRecipes(t *testing.T) {
	t.Parallel()
	r := &recipes{server: start(t, "")}
	if err := os.Symlink(filepath.Dir(program(t)), filepath.Join(r.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	p := r.publish("camera", 0)
	await.Until(t, "the publisher", func() bool {
		code, _ := r.request(http.MethodGet, "/api/streams/camera", "")
		return code == http.StatusOK
	})
	ran := 0
	for _, command := range readmeCommands(t) {
		switch {
		case command == "bin/live777": // TestReadmeStorage starts it
		case strings.HasPrefix(command, deletes): // last, for the others need the recording
			ran++
		case slices.ContainsFunc(notHere, func(part string) bool { return strings.Contains(command, part) }):
		case strings.HasPrefix(command, "ffplay "), strings.HasPrefix(command, "vlc "):
			r.plays(command)
			ran++
		default:
			r.run(command)
			ran++
		}
		switch command {
		case "curl -X POST http://127.0.0.1:7777/api/record/camera":
			r.await("media", "camera", func(st status) bool { return st.Duration >= 3 })
		case "curl -X DELETE http://127.0.0.1:7777/api/record/camera":
			p.end()
			r.rec = r.awaitEnd("camera")[0]
		}
	}
	r.run(`curl -X PATCH -d '{"protected": false}' http://127.0.0.1:7777/api/recordings/camera/1762842203`)
	r.run(deletes + "camera/1762842203")
	if code, _ := r.request(http.MethodGet, "/api/recordings/"+r.rec.RecordDir, ""); code != http.StatusNotFound {
		t.Errorf("the recording that was deleted: %d", code)
	}
	if ran < 17 {
		t.Errorf("%d commands of the README were run", ran)
	}
	if saved, err := filepath.Glob(filepath.Join(r.dir, "*.mp4")); err != nil || len(saved) != 2 {
		t.Errorf("saved: %v, %v", saved, err)
	}
}

// readmeCommands returns the commands of the README's shell blocks, without comments.
func readmeCommands(t *testing.T) []string {
	t.Helper()
	return pageCommands(t, "README.md")
}

// pageCommands returns those of any page.
func pageCommands(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line != "" {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// recipes runs the commands of the README.
type recipes struct {
	*server
	rec media.Recording // the recording that they name, once it is sealed
}

// here returns a command with the address and the recording of the test.
func (r *recipes) here(command string) string {
	return strings.NewReplacer(
		"http://127.0.0.1:7777", r.url,
		"camera/1762842203", r.rec.RecordDir,
		"2025-11-11T06:30:00Z", r.rec.Start.Format(time.RFC3339),
		"2026-11-30T14:30", r.rec.Start.Local().Format("2006-01-02T15:04:05"),
	).Replace(command)
}

// run runs a command of the README: curl has to get an answer that is no error.
func (r *recipes) run(command string) {
	r.t.Helper()
	asked := strings.Replace(r.here(command), "curl ", "curl -fsS ", 1)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", asked)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%s (%s): %v\n%s", command, asked, err, out)
	}
}

var outTime = regexp.MustCompile(`out_time_us=(\d+)`)

// plays has ffmpeg decode what a command of the README plays: it has to show the whole of
// the recording, and to say nothing.
func (r *recipes) plays(command string) {
	r.t.Helper()
	_, source, _ := strings.Cut(r.here(command), " ")
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(r.t.Context(), "ffmpeg", "-v", "warning", "-progress", "pipe:1", "-i", source, "-f", "null", "-")
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &stdout, &stderr
	err := cmd.Run()
	var seconds float64
	if all := outTime.FindAllStringSubmatch(stdout.String(), -1); len(all) > 0 {
		us, _ := strconv.ParseFloat(all[len(all)-1][1], 64)
		seconds = us / 1e6
	}
	if err != nil || stderr.Len() > 0 || math.Abs(seconds-r.rec.Duration) > 0.3 {
		r.t.Errorf("%s shows %.1f s of %.1f s, %v\n%s", command, seconds, r.rec.Duration, err, stderr.String())
	}
}
