package players

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Job is a recording that a browser is to play.
type Job struct {
	Player string  `json:"player"` // "shaka", "dashjs", "hlsjs", or "file": the browser alone
	URL    string  `json:"url"`    // of a manifest or the file, relative to the Stage
	Rate   float64 `json:"rate"`
	Sound  bool    `json:"sound"`          // there is some, which is listened to
	From   float64 `json:"from,omitempty"` // seconds
	// Seeks are the times at which pictures are looked at, in turn, of a file that is not
	// played.
	Seeks    []float64 `json:"seeks,omitempty"`
	Limit    float64   `json:"limit"`    // seconds of real time
	Patience float64   `json:"patience"` // seconds for which it may stand still

	ID      int `json:"id"`
	Columns int `json:"columns"`
}

// Stage is a server with a page that plays recordings, and the browsers that show it.
type Stage struct {
	URL string // its root

	server   *http.Server
	browsers []*browser

	mu      sync.Mutex
	closed  bool
	next    int
	queue   map[string]chan *pending // by browser
	running map[int]*pending
}

type pending struct {
	job  Job
	done chan *Result
}

// NewStage returns a Stage that serves recordings at /r/ from a handler. web is
// the folder of that name in the repository.
func NewStage(ctx context.Context, web string, recordings http.Handler) (*Stage, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Stage{URL: "http://" + listener.Addr().String(), queue: map[string]chan *pending{}, running: map[int]*pending{}}
	mux := http.NewServeMux()
	mux.Handle("/matrix/", http.StripPrefix("/matrix/", http.FileServer(http.Dir(filepath.Join(web, "e2e", "matrix")))))
	mux.Handle("/modules/", http.StripPrefix("/modules/", http.FileServer(http.Dir(filepath.Join(web, "node_modules")))))
	mux.Handle("/r/", http.StripPrefix("/r", recordings))
	mux.HandleFunc("POST /jobs", s.take)
	mux.HandleFunc("POST /results", s.result)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Open starts a browser, "chromium" or "firefox", that plays some recordings at a time.
func (s *Stage) Open(ctx context.Context, name string, parallel int) error {
	s.mu.Lock()
	s.queue[name] = make(chan *pending)
	s.mu.Unlock()
	b, err := startBrowser(ctx, name, fmt.Sprintf("%s/matrix/index.html?browser=%s&parallel=%d", s.URL, name, parallel))
	if err != nil {
		return err
	}
	s.browsers = append(s.browsers, b)
	return nil
}

// Close ends the browsers and the server.
func (s *Stage) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, q := range s.queue {
		close(q)
	}
	s.mu.Unlock()
	var errs []error
	for _, b := range s.browsers {
		errs = append(errs, b.close())
	}
	return errors.Join(append(errs, s.server.Close())...)
}

// Play has a browser play a recording.
func (s *Stage) Play(ctx context.Context, browser string, job Job) (*Result, error) {
	s.mu.Lock()
	s.next++
	job.ID, job.Columns = s.next, columns
	p := &pending{job: job, done: make(chan *Result, 1)}
	queue := s.queue[browser]
	s.mu.Unlock()
	select {
	case queue <- p:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s takes no recording: %w", browser, ctx.Err())
	}
	select {
	case r := <-p.done:
		return r, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s does not come to an end: %w", browser, ctx.Err())
	}
}

// take gives a page its next job. It waits for one.
func (s *Stage) take(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	queue := s.queue[r.FormValue("browser")]
	s.mu.Unlock()
	select {
	case p, ok := <-queue:
		if !ok {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.mu.Lock()
		s.running[p.job.ID] = p
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.job)
	case <-r.Context().Done():
	}
}

// posted is what the page posts.
type posted struct {
	End      string       `json:"end"`
	Errors   []string     `json:"errors"`
	Stalls   [][2]float64 `json:"stalls"`
	Samples  [][3]float64 `json:"samples"`
	Time     float64      `json:"time"`
	Duration *float64     `json:"duration"` // null: no number
	Took     float64      `json:"took"`
	Buffered [][2]float64 `json:"buffered"`
	Width    int          `json:"width"`
	Height   int          `json:"height"`
	Ready    int          `json:"readyState"`
	Context  string       `json:"context"`
}

func (s *Stage) result(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.FormValue("id"))
	s.mu.Lock()
	p := s.running[id]
	delete(s.running, id)
	s.mu.Unlock()
	if p == nil {
		http.Error(w, "no such job", http.StatusNotFound)
		return
	}
	var in posted
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		p.done <- &Result{End: "error", Errors: []string{err.Error()}}
		return
	}
	p.done <- in.result()
	w.WriteHeader(http.StatusNoContent)
}

func (in *posted) result() *Result {
	out := &Result{End: in.End, Errors: in.Errors, Time: in.Time, Took: in.Took, Width: in.Width, Height: in.Height}
	if in.Duration != nil {
		out.Duration = finite(*in.Duration)
	}
	for _, st := range in.Stalls {
		out.Stalls = append(out.Stalls, Stall{Time: st[0], Took: st[1]})
	}
	for _, v := range in.Samples {
		out.Pictures = append(out.Pictures, Shown{Time: v[0], Code: int(v[1])})
		out.Sounds = append(out.Sounds, Shown{Time: v[0], Pitch: v[2]})
	}
	out.Note = fmt.Sprintf("%dx%d ready %d buffered %v context %s", in.Width, in.Height, in.Ready, in.Buffered, in.Context)
	return out
}

// browser is a running browser with a profile of its own.
type browser struct {
	cmd     *exec.Cmd
	profile string
	done    chan struct{}
}

// Both browsers may speak to this machine alone.
var chromiumFlags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
	"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
	"--proxy-server=http://127.0.0.1:1", "--proxy-bypass-list=127.0.0.1", "--window-size=1400,900",
}

const firefoxPrefs = `
user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("media.autoplay.block-webaudio", false);
user_pref("media.hardware-video-decoding.enabled", false);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 1);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 1);
user_pref("network.proxy.no_proxies_on", "127.0.0.1");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("termsofuse.bypassNotification", true);
user_pref("app.update.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("dom.min_background_timeout_value", 10);
`

// soundServer begins a server of sound that nobody hears, without which Firefox has
// no clock for Web Audio. It ends with the browser, whose group it is in.
const soundServer = `pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no --disable-shm=yes \
  -L "module-null-sink" -L "module-native-protocol-unix auth-anonymous=1 socket=$HOME/sound" 2>"$HOME/sound.log" &
until [ -S "$HOME/sound" ]; do sleep 0.1; done
exec firefox-esr --headless --no-remote --profile "$HOME" "$0"`

func startBrowser(ctx context.Context, name, url string) (*browser, error) {
	profile, err := os.MkdirTemp("", "player-")
	if err != nil {
		return nil, fmt.Errorf("make a profile: %w", err)
	}
	b := &browser{profile: profile, done: make(chan struct{})}
	switch name {
	case "chromium":
		b.cmd = exec.CommandContext(ctx, "chromium", append(chromiumFlags, "--user-data-dir="+profile, url)...)
	case "firefox":
		if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
			return nil, fmt.Errorf("write preferences: %w", err)
		}
		b.cmd = exec.CommandContext(ctx, "sh", "-c", soundServer, url)
		b.cmd.Env = append(os.Environ(), "HOME="+profile, "XDG_RUNTIME_DIR="+profile, "PULSE_SERVER=unix:"+profile+"/sound", "MOZ_CRASHREPORTER_DISABLE=1")
	default:
		return nil, fmt.Errorf("browser %q", name)
	}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // they have children
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), os.RemoveAll(profile))
	}
	go func() {
		defer close(b.done)
		_ = b.cmd.Wait() // it is killed in the end
	}()
	return b, nil
}

func (b *browser) close() error {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-b.done
	var err error
	// Children may still write for a moment.
	for range 20 {
		if err = os.RemoveAll(b.profile); err == nil || !strings.Contains(err.Error(), "not empty") {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
