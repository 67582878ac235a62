package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/load"
)

// repository is the root of the checkout, from here.
const repository = "../../.."

// server is a running bin/live777.
type server struct {
	t    *testing.T
	url  string
	dir  string // working directory
	root string // storage
	// token is sent along with requests, and by publishers, where it is set.
	token string
	// roots are whom its certificate is trusted by, where it has one.
	roots *x509.CertPool
	cmd   *exec.Cmd
	log   *logtest.Buffer
	done  chan error

	ended bool
}

// start runs the server with a configuration file, by way of the command
// wrapper if there is one: {"sh", "-c", "...", "sh"} gets the server's command
// line as its arguments.
func start(t *testing.T, config string, wrapper ...string) *server {
	t.Helper()
	return startAt(t, "127.0.0.1", config, wrapper...)
}

// startAt is start with the address to listen on.
func startAt(t *testing.T, address, config string, wrapper ...string) *server {
	t.Helper()
	return startIn(t, t.TempDir(), address, config, wrapper...)
}

// program returns the path of bin/live777.
func program(t *testing.T) string {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join(repository, "bin", "live777"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("the server is not built, run make build: %v", err)
	}
	return binary
}

// configure writes the configuration file of a server in dir.
func configure(t *testing.T, dir, address, config string) {
	t.Helper()
	config = fmt.Sprintf("[http]\nlisten = \"%s:0\"\n[webrtc]\nlisten = \"%[1]s:0\"\n%s", address, config)
	if err := os.WriteFile(filepath.Join(dir, "live777.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startIn is startAt with the working directory, in which a server may have run
// before.
func startIn(t *testing.T, dir, address, config string, wrapper ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, log: &logtest.Buffer{}, done: make(chan error, 1)}
	s.root = filepath.Join(s.dir, "storage")
	configure(t, dir, address, config)
	line := slices.Concat(wrapper, []string{program(t)})
	s.cmd = exec.CommandContext(context.Background(), line[0], line[1:]...)
	s.cmd.Dir, s.cmd.Stderr = s.dir, s.log
	stdout, w := io.Pipe()
	s.cmd.Stdout = w
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := s.cmd.Wait()
		_ = w.Close()
		s.done <- err
	}()
	t.Cleanup(func() {
		_ = s.stop(syscall.SIGKILL) // how it ends does not matter any more
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	s.url = s.readURL(stdout)
	go func() { _, _ = io.Copy(io.Discard, stdout) }() // until Wait closes it
	return s
}

// readURL finds the page's address in what the server says when it starts.
func (s *server) readURL(stdout io.Reader) string {
	s.t.Helper()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "http://"); ok {
			return "http://" + strings.TrimRight(url, "/ ")
		}
	}
	s.ended = true
	s.t.Fatalf("the server did not say where it listens; it ended: %v", <-s.done)
	return ""
}

// stop sends a signal and returns how the server ended; it may have before.
func (s *server) stop(sig syscall.Signal) error {
	s.t.Helper()
	if s.ended {
		return nil
	}
	s.ended = true
	_ = s.cmd.Process.Signal(sig) // it may be gone
	select {
	case err := <-s.done:
		return err
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
		return errors.New("the server did not end within a minute")
	}
}

// request sends a request and returns the status and the body.
func (s *server) request(method, path, body string) (int, []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, data
}

// client returns what requests are sent by.
func (s *server) client() *http.Client {
	if s.roots == nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
}

// status is GET /api/record/{stream}.
type status struct {
	Recording bool         `json:"recording"`
	RecordDir string       `json:"record_dir"`
	MPDPath   string       `json:"mpd_path"`
	Duration  float64      `json:"duration"`
	Durable   float64      `json:"durable_through"`
	Status    media.Status `json:"status"`
	Error     string       `json:"error"`
}

func (s *server) status(stream string) (st status) {
	s.t.Helper()
	_, body := s.request(http.MethodGet, "/api/record/"+stream, "")
	if err := json.Unmarshal(body, &st); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	return st
}

// in returns the server for a subtest, in which what goes wrong is the subtest's.
func (s *server) in(t *testing.T) *server {
	of := *s
	of.t = t
	return &of
}

// await asks until ok is content with the answer.
func (s *server) await(what, stream string, ok func(status) bool) status {
	s.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		st := s.status(stream)
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waiting for %s: %+v", what, st)
		}
		time.Sleep(50 * time.Millisecond) // the API tells nobody of a recording's progress
	}
}

// publish sends H264 and Opus in the background until the test ends it or the
// duration is over.
func (s *server) publish(stream string, d time.Duration) *publisher {
	s.t.Helper()
	return s.publishSources(stream, d, source(s.t, "h264_baseline.h264"), source(s.t, "opus_stereo.ogg"))
}

// publishSources is publish with what to send.
func (s *server) publishSources(stream string, d time.Duration, video, audio *load.Source) *publisher {
	s.t.Helper()
	return publish(s.t, load.Options{
		URL: s.url + "/whip/" + stream, Token: s.token, Roots: s.roots, Video: video, Audio: audio, SenderReports: true, Duration: d,
	})
}

// publish sends in the background until the test ends it or the duration is over.
func publish(t *testing.T, o load.Options) *publisher {
	t.Helper()
	p := &publisher{t: t, done: make(chan struct{})}
	pub, err := load.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.done)
		p.log, p.err = pub.Run(ctx)
	}()
	t.Cleanup(p.end)
	return p
}

type publisher struct {
	t      *testing.T
	cancel func()
	done   chan struct{}
	log    *load.Log
	err    error
}

// end makes the publisher leave.
func (p *publisher) end() { p.cancel(); <-p.done }

func source(t *testing.T, name string) *load.Source {
	t.Helper()
	s, err := load.Open(filepath.Join(repository, "testdata", "media", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read reads a recording below root back; anything wrong with it fails the test.
func read(t *testing.T, root, dir string) *verify.Recording {
	t.Helper()
	store, err := fs.New(root, fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	rec, err := verify.ReadRecording(context.Background(), store, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Concat(rec.Problems, verify.Audit(rec)) {
		t.Errorf("%s: %s", dir, p)
	}
	return rec
}

// decode plays a manifest through ffmpeg, which must have nothing to say. A
// camera's frames do not come at one rate, so ffmpeg is told to keep their times:
// by itself it counts in frames, and complains of two that come close together.
func decode(t *testing.T, mpd string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", mpd, "-enc_time_base", "-1", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg -i %s (Debian package ffmpeg): %v\n%s", mpd, err, out)
	}
}

// validate holds an MPD against the DASH schema, where that is on the machine:
// ISO's terms keep it out of the project (see package manifest's tests).
func validate(t *testing.T, mpd []byte) {
	t.Helper()
	dir := os.Getenv("DASH_XSD_DIR")
	if dir == "" {
		dir = filepath.Join(repository, "..", "shared", "dash-xsd")
	}
	schema := filepath.Join(dir, "5th-Ed-AMD1", "DASH-MPD.xsd")
	if _, err := os.Stat(schema); err != nil {
		t.Logf("NOT RUN: validation by the schema, which is not here: %v", err)
		return
	}
	cmd := exec.CommandContext(t.Context(), "xmllint", "--nonet", "--noout", "--schema", schema, "-")
	cmd.Stdin = bytes.NewReader(mpd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("xmllint (Debian package libxml2-utils): %v\n%s\n%s", err, out, mpd)
	}
}

// inNamespace is a wrapper for start: the server finds a tmpfs with the given
// mount options at ./storage, which nobody else sees but by its process.
func inNamespace(options string) []string {
	return []string{"unshare", "--mount", "--map-root-user", "sh", "-c",
		fmt.Sprintf(`mkdir -p storage && mount -t tmpfs -o %s tmpfs storage && exec "$@"`, options), "sh"}
}
