package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/lipsync"
)

// Where the programs are that the clients are made with. Debian's bindings of
// GStreamer belong to its own Python.
var (
	gstPython    = "/usr/bin/python3"
	aiortcPython = filepath.Join(".cache", "python", "bin", "python") // below the repository, where it is run
)

// Firefox publishes, watches and plays through the page. It pairs no loopback
// candidate: the node is the default one all the same. It has the machine for itself: a
// browser that has to wait for a processor makes less sound.
func TestFirefox(t *testing.T) {
	s := start(t, "[recorder]\nsegment_seconds = 2\n")
	var m measured
	startScript(t, nil, "firefox.mjs", "--base", s.url, "--stream", "camera", "--codec", "vp9", "--out", t.ArtifactDir()).wait(&m)
	rec := read(t, s.root, m.RecordDir)
	checkShown(t, s, rec, 12*time.Second)
}

// client is a program that publishes a file, and one that watches.
type client struct {
	name    string
	line    []string // the command, to which is added what to do
	seconds int
	tail    time.Duration // of what it published that may be missing: it leaves without a word
	maxAV   time.Duration // between sound and picture, beyond what the file has
}

var (
	webrtcbin = client{name: "webrtcbin", line: []string{gstPython, "internal/testkit/e2e/clients/gst.py"}, seconds: 20, maxAV: 40 * time.Millisecond}
	aiortc    = client{name: "aiortc", line: []string{aiortcPython, "internal/testkit/e2e/clients/aiortc_client.py"}, seconds: 20, tail: time.Second, maxAV: 60 * time.Millisecond}
	werift    = client{name: "werift", line: []string{"node", "web/e2e/werift.mjs"}, seconds: 20, maxAV: 60 * time.Millisecond}
)

// Stacks of WebRTC that are not pion, libwebrtc or Firefox's publish a file of
// flashes and beeps and watch it: all of it is recorded, and they are together. One after
// the other has the machine for itself: they encode and decode as they publish.
func TestClients(t *testing.T) {
	file := flashFile(t)
	want := offsetIn(t, file)
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\nreconnect_seconds = 2\n")
	for _, c := range []client{webrtcbin, aiortc, werift} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			publisher := runClient(t, &c, "publish", s.url+"/whip/"+c.name, file, strconv.Itoa(c.seconds))
			dir := s.await("a recording", c.name, func(st status) bool { return st.Recording && st.Duration > 0 }).RecordDir
			watched := runClient(t, &c, "watch", s.url+"/whep/"+c.name, "4")()
			publisher()
			for _, kind := range []string{"video", "audio"} {
				if w := watched[kind]; w.Seconds < 2.5 || w.Count+w.Packets < 50 {
					t.Errorf("watching for 4 s showed %+v of %s", w, kind)
				}
			}
			s.await("the end", c.name, func(st status) bool { return !st.Recording })
			rec := read(t, s.root, dir)
			found := checkShown(t, s, rec, time.Duration(c.seconds)*time.Second-c.tail)
			if offset, ok := found.Offset(); !ok || (offset-want).Abs() > c.maxAV {
				t.Errorf("beeps are %v later than flashes, in the file %v: %v", offset, want, found.Offsets())
			}
			if info := ledger(t, s, dir); info.Status != media.StatusComplete {
				t.Errorf("the recording is %s: %s", info.Status, info.Reason)
			}
		})
	}
}

// offsetIn returns by how much beeps are later than flashes in a file.
func offsetIn(t *testing.T, file string) time.Duration {
	t.Helper()
	source, err := lipsync.Find(t.Context(), "-i", file)
	if err != nil {
		t.Fatal(err)
	}
	offset, ok := source.Offset()
	if !ok {
		t.Fatalf("%s has no flashes and beeps", file)
	}
	return offset
}

// tally is what a client's script tells of a kind of media.
type tally struct {
	Count, Packets int
	Seconds        float64
}

// runClient starts a client's script; what it returns waits for its end.
func runClient(t *testing.T, c *client, args ...string) func() map[string]tally {
	t.Helper()
	script := runScript(t, slices.Concat(c.line, args)...)
	return func() (m map[string]tally) {
		t.Helper()
		var raw map[string]json.RawMessage
		script.wait(&raw)
		m = map[string]tally{}
		for kind, data := range raw {
			var one tally
			if err := json.Unmarshal(data, &one); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			m[kind] = one
		}
		return m
	}
}

// flashFile makes a file of flashes and beeps, H264 and Opus.
func flashFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flash.mkv")
	make := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-nostdin",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.1)'",
		"-f", "lavfi", "-i", "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0.01*sin(2*PI*200*t))':s=48000",
		"-t", "30", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-g", "60", "-bf", "0", "-c:a", "libopus", "-ac", "2", file)
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("make the test source: %v: %s", err, out)
	}
	return file
}

// checkShown decodes what was recorded: picture and sound from its beginning to
// its end but for holes between Periods, of at least so long.
func checkShown(t *testing.T, s *server, rec *verify.Recording, least time.Duration) *lipsync.Media {
	t.Helper()
	found, err := lipsync.Recorded(t.Context(), s.root, rec)
	if err != nil {
		t.Fatal(err)
	}
	const frame = 50 * time.Millisecond
	covered := time.Duration(0)
	for i, p := range rec.Periods {
		switch {
		case p.Duration > 0:
			covered += p.Duration
		case i+1 < len(rec.Periods):
			covered += rec.Periods[i+1].Start - p.Start
		default:
			covered += rec.Duration - p.Start
		}
	}
	tolerance := frame * time.Duration(len(rec.Periods))
	if found.Picture < least-tolerance || (found.Picture-covered).Abs() > tolerance {
		t.Errorf("%v of picture in %v", found.Picture, covered)
	}
	if found.Sound < least-tolerance || (found.Sound-covered).Abs() > tolerance {
		t.Errorf("%v of sound in %v", found.Sound, covered)
	}
	return found
}
