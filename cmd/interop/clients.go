package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// client is a program that publishes.
type client struct {
	name    string
	prepare func(ctx context.Context, t *trial) (absent string) // looks for what is needed; says what is not there
	publish func(ctx context.Context, t *trial) error
}

// trial is a client on its way.
type trial struct {
	bench     *bench
	stream    string
	place     *place
	program   string
	version   string
	published time.Duration
	leaves    time.Duration  // that it may take to stop in order, before it is interrupted
	left      chan time.Time // gets when it began to stop, once it has
	local     string         // the client's own recording, or what it copied; empty for none
	made      time.Duration  // by which a page made its beeps later than its flashes
	hasMade   bool
}

func (t *trial) endpoint() string { return t.bench.front + "/whip/" + t.stream }

func (t *trial) duration() time.Duration { return time.Duration(t.bench.o.seconds) * time.Second }

// clients are all of them. Those that README's quick starts name are run by the
// commands that stand there.
var clients = []client{
	{"OBS Studio", prepareOBS, func(ctx context.Context, t *trial) error { return publishOBS(ctx, t, 1, "") }},
	{"OBS Studio, 3 layers", prepareOBS, func(ctx context.Context, t *trial) error { return publishOBS(ctx, t, 3, "") }},
	{"OBS Studio, 3 layers, scenecut=0 keyint=60", prepareOBS, func(ctx context.Context, t *trial) error {
		return publishOBS(ctx, t, 3, "scenecut=0 keyint=60")
	}},
	{"ffmpeg", prepareFFmpeg, publishFFmpeg},
	{"ffmpeg -c copy", prepareFFmpeg, publishFFmpegCopy},
	{"whipclientsink", prepareGStreamer("whipclientsink"), publishGStreamer("whipclientsink")},
	{"whipsink", prepareGStreamer("whipsink"), publishGStreamer("whipsink")},
	{"webrtcbin", prepareWebRTCBin, publishScript("internal/testkit/e2e/clients/gst.py")},
	{"Chromium, H264", prepareBrowser("CHROMIUM", "chromium"), publishBrowser("chromium", "h264")},
	{"Chromium, VP9", prepareBrowser("CHROMIUM", "chromium"), publishBrowser("chromium", "vp9")},
	{"Firefox, VP9", prepareBrowser("FIREFOX", "firefox-esr"), publishBrowser("firefox", "vp9")},
	{"Firefox, VP8", prepareBrowser("FIREFOX", "firefox-esr"), publishBrowser("firefox", "vp8")},
	{"aiortc", prepareAiortc, publishScript("internal/testkit/e2e/clients/aiortc_client.py")},
	{"werift", prepareWerift, publishScript("web/e2e/werift.mjs")},
}

// find looks for a program: where a variable says, then in each place.
func (t *trial) find(variable, program string) bool {
	if name := os.Getenv(variable); variable != "" && name != "" {
		t.place, t.program = t.bench.places[len(t.bench.places)-1], name
		return t.place.has(name)
	}
	for _, p := range t.bench.places {
		if p.has(program) {
			t.place, t.program = p, program
			return true
		}
	}
	return false
}

// output runs a program of the trial's place and returns the first line of what it prints.
func (t *trial) output(ctx context.Context, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := t.place.command(ctx, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// run runs a command until it ends by itself, or for the trial's time after the
// stream is there, and then interrupts it.
func (t *trial) run(ctx context.Context, cmd *exec.Cmd, byItself bool) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	came := make(chan error, 1)
	go func() { came <- t.bench.awaitMedia(ctx, t.stream) }()
	select {
	case err := <-ended:
		return fmt.Errorf("it ended before it published: %w: %s", err, tail(out.String()))
	case err := <-came:
		if err != nil {
			_ = cmd.Process.Kill()
			<-ended
			return fmt.Errorf("%w: %s", err, tail(out.String()))
		}
	}
	began := time.Now()
	if !byItself {
		var until time.Time
		select {
		case err := <-ended:
			return fmt.Errorf("it ended too early: %w: %s", err, tail(out.String()))
		case <-time.After(t.duration() + t.leaves):
		case until = <-t.left:
		case <-ctx.Done():
		}
		if until.IsZero() {
			until = time.Now()
		}
		t.published = until.Sub(began)
		// Programs that were started by others are in the group, and an interrupt
		// is no success to everyone.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(endLimit):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		return nil
	}
	err := <-ended
	t.published = time.Since(began)
	if err != nil {
		return fmt.Errorf("%w: %s", err, tail(out.String()))
	}
	return nil
}

// endLimit is how long a program may take to end once it is interrupted.
const endLimit = 10 * time.Second

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}

// The test source, as arguments of ffmpeg.
const (
	flashing = "testsrc2=size=640x360:rate=30,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.1)'"
	beeping  = "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0.01*sin(2*PI*200*t))|if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0.01*sin(2*PI*200*t))':s=48000"
)

// media makes a file of the test source in the trial's place, once, and returns
// its name on this machine.
func (t *trial) media(ctx context.Context, name string, codecs ...string) (string, error) {
	file := filepath.Join(t.place.scratch, name)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	args := slices.Concat([]string{"-v", "error", "-nostdin", "-f", "lavfi", "-i", flashing, "-f", "lavfi", "-i", beeping,
		"-t", strconv.Itoa(t.bench.o.seconds + 40)}, codecs, []string{file})
	if out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("make test source: %w: %s", err, out)
	}
	return file, nil
}

// encoded is a file with H264 and Opus.
func (t *trial) encoded(ctx context.Context) (string, error) {
	return t.media(ctx, "flash.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
		"-pix_fmt", "yuv420p", "-g", "60", "-bf", "0", "-c:a", "libopus", "-ac", "2")
}

// quickStart returns README's command that has a text, without the line breaks.
func quickStart(repository, text string) (string, error) {
	data, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		return "", fmt.Errorf("read README: %w", err)
	}
	for _, block := range strings.Split(string(data), "```sh\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, text) {
			return strings.ReplaceAll(strings.TrimSpace(block), "\\\n", " "), nil
		}
	}
	return "", fmt.Errorf("the README has no command with %s", text)
}

// readmeEndpoint is what README publishes to.
const readmeEndpoint = "http://127.0.0.1:7777/whip/camera"

// substitute replaces texts that have to be there.
func substitute(command string, pairs ...string) (string, error) {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(command, pairs[i]) {
			return "", fmt.Errorf("README's command has no %s", pairs[i])
		}
		command = strings.ReplaceAll(command, pairs[i], pairs[i+1])
	}
	return command, nil
}

func prepareFFmpeg(ctx context.Context, t *trial) string {
	if !t.find("FFMPEG", "ffmpeg") {
		return "no ffmpeg"
	}
	list, _ := t.place.command(ctx, t.program, "-hide_banner", "-muxers").Output()
	if !bytes.Contains(list, []byte(" whip ")) {
		return "no ffmpeg 8 or newer with the WHIP muxer; name one by FFMPEG, or make a Debian unstable (scripts/unstable.sh)"
	}
	fields := strings.Fields(t.output(ctx, t.program, "-version"))
	if len(fields) > 2 {
		t.version = fields[2]
	}
	return ""
}

// publishFFmpeg is README's command with the test source, which also writes a file.
func publishFFmpeg(ctx context.Context, t *trial) error {
	command, err := quickStart(t.bench.o.repository, "-f whip")
	if err != nil {
		return err
	}
	own := filepath.Join(t.place.scratch, t.stream+".mkv")
	command, err = substitute(command,
		"testsrc2=size=1280x720:rate=30", `"`+flashing+`"`,
		"sine=frequency=440:sample_rate=48000", `"`+beeping+`"`,
		readmeEndpoint, t.endpoint())
	if err != nil {
		return err
	}
	_, options, _ := strings.Cut(command, "-c:v")
	options, _, _ = strings.Cut(options, "-strict")
	command += " -map 0 -map 1 -c:v " + options + " " + t.place.inside(own)
	t.local = own
	command = strings.Replace(command, "ffmpeg ", t.program+" -nostdin -v error ", 1)
	return t.run(ctx, t.place.command(ctx, "sh", "-c", "exec "+command), false)
}

// publishFFmpegCopy sends a file as it is, whose access units begin with SEI.
func publishFFmpegCopy(ctx context.Context, t *trial) error {
	file, err := t.encoded(ctx)
	if err != nil {
		return err
	}
	t.local = file
	return t.run(ctx, t.place.command(ctx, t.program, "-nostdin", "-v", "error", "-re", "-i", t.place.inside(file), "-c", "copy",
		"-strict", "experimental", "-f", "whip", t.endpoint()), false)
}

func prepareGStreamer(element string) func(context.Context, *trial) string {
	return func(ctx context.Context, t *trial) string {
		if !t.find("GST_LAUNCH", "gst-launch-1.0") {
			return "no gst-launch-1.0"
		}
		inspect := filepath.Join(filepath.Dir(t.program), "gst-inspect-1.0")
		if out := t.output(ctx, "env", "GST_PLUGIN_PATH="+pluginPath(), inspect, element); out == "" {
			return "no GStreamer with " + element + "; it is in GStreamer's Rust plugins, which Debian does not have: name their folder by GST_PLUGIN_PATH"
		}
		t.version = strings.TrimPrefix(t.output(ctx, t.program, "--version"), "gst-launch-1.0 version ")
		return ""
	}
}

// pluginPath is where GStreamer's Rust plugins are looked for.
func pluginPath() string {
	if path := os.Getenv("GST_PLUGIN_PATH"); path != "" {
		return path
	}
	return "/usr/local/lib/gst"
}

// publishGStreamer is README's command with the test source.
func publishGStreamer(element string) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		file, err := t.media(ctx, "raw.mkv", "-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le", "-ac", "2")
		if err != nil {
			return err
		}
		command, err := quickStart(t.bench.o.repository, element+" name=whip")
		if err != nil {
			return err
		}
		command, err = substitute(command,
			"videotestsrc is-live=true", "filesrc location="+t.place.inside(file)+" ! matroskademux name=demux "+
				"demux.video_0 ! queue ! jpegdec ! clocksync ! videoconvert ! videoscale",
			"audiotestsrc is-live=true", "demux.audio_0 ! queue ! clocksync ! audioconvert ! audioresample",
			readmeEndpoint, t.endpoint())
		if err != nil {
			return err
		}
		t.local = file
		command = strings.Replace(command, "gst-launch-1.0 ", t.program+" -q -e ", 1)
		return t.run(ctx, t.place.command(ctx, "env", "GST_PLUGIN_PATH="+pluginPath(), "sh", "-c", "exec "+command), false)
	}
}

// gstPython is the Python that Debian's bindings of GStreamer belong to.
const gstPython = "/usr/bin/python3"

func prepareWebRTCBin(ctx context.Context, t *trial) string {
	t.place = t.bench.places[len(t.bench.places)-1]
	t.program = gstPython
	t.version = t.output(ctx, gstPython, "-c", "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstWebRTC', '1.0'); "+
		"from gi.repository import Gst; Gst.init(None); print(Gst.version_string() if Gst.ElementFactory.find('nicesrc') else '')")
	if t.version == "" {
		return "no python3-gi with GStreamer's webrtcbin and libnice; scripts/deps.sh installs them"
	}
	t.version = strings.TrimPrefix(t.version, "GStreamer ")
	return ""
}

func prepareAiortc(ctx context.Context, t *trial) string {
	t.place = t.bench.places[len(t.bench.places)-1]
	t.program = filepath.Join(t.bench.o.repository, ".cache", "python", "bin", "python")
	if t.version = t.output(ctx, t.program, "-c", "import aiortc; print(aiortc.__version__)"); t.version == "" {
		return "no aiortc; scripts/python.sh installs it"
	}
	return ""
}

func prepareWerift(ctx context.Context, t *trial) string {
	t.place = t.bench.places[len(t.bench.places)-1]
	t.program = "node"
	t.version = t.output(ctx, "node", "-p", "require("+strconv.Quote(filepath.Join(absolute(t.bench.o.repository), "web", "node_modules", "werift", "package.json"))+").version")
	if t.version == "" {
		return "no werift; scripts/web.sh install installs it"
	}
	return ""
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// publishScript publishes a file by a script that takes an endpoint, a file and seconds.
func publishScript(script string) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		file, err := t.encoded(ctx)
		if err != nil {
			return err
		}
		t.local = file
		script := filepath.Join(absolute(t.bench.o.repository), script)
		return t.run(ctx, t.place.command(ctx, t.program, script, "publish", t.endpoint(), file, strconv.Itoa(t.bench.o.seconds)), true)
	}
}

func prepareBrowser(variable, program string) func(context.Context, *trial) string {
	return func(_ context.Context, t *trial) string {
		t.place = t.bench.places[len(t.bench.places)-1]
		if name := os.Getenv(variable); name != "" {
			program = name
		}
		if !t.place.has(program) {
			return fmt.Sprintf("no %s; name one by %s", program, variable)
		}
		return ""
	}
}

// publishBrowser publishes what a page makes, as the quick start of the page does
// with a camera.
func publishBrowser(browser, codec string) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		t.local = filepath.Join(t.bench.dir, t.stream+".webm")
		cmd := exec.CommandContext(ctx, "node", "web/e2e/flash.mjs", "--browser", browser, "--base", t.bench.front, "--stream", t.stream,
			"--codec", codec, "--seconds", strconv.Itoa(t.bench.o.seconds), "--local", t.local)
		cmd.Dir = t.bench.o.repository
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends the browser
		cmd.WaitDelay = endLimit
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.local = ""
			return fmt.Errorf("%w: %s", err, stderr.String())
		}
		var result struct {
			Version   string
			Published float64
			Late      float64
		}
		if err := json.Unmarshal(out, &result); err != nil {
			return errors.Join(err, errors.New(string(out)))
		}
		t.version = result.Version
		t.published = time.Duration(result.Published * float64(time.Second))
		t.made, t.hasMade = -time.Duration(result.Late*float64(time.Second))-picture/2, true
		return nil
	}
}

// picture is how long a page waits for the next picture of a canvas at most, when it has
// drawn one.
const picture = time.Second / 30
