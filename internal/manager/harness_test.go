//go:build !norecorder

package manager

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	live777 "github.com/live777/recorder/internal/node"
	"github.com/live777/recorder/internal/testkit/load"
)

const nodeToken = "secret-of-the-node"

// server is a node or a manager that runs in this process.
type server struct {
	t     *testing.T
	url   string
	token string
	stop  func()
}

// runner is a live777.Node or a Manager.
type runner interface {
	Run(ctx context.Context) error
	URL() string
}

func serve(t *testing.T, r runner, token string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("ended with: %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Error("does not stop")
		}
	}
	t.Cleanup(stop)
	return &server{t: t, url: r.URL(), token: token, stop: stop}
}

// logger writes to the test's output, and to also.
func logger(t *testing.T, also ...io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(io.MultiWriter(append(also, t.Output())...), &slog.HandlerOptions{Level: level}))
}

// startNode runs a real node with its storage and catalogue in dir.
func startNode(t *testing.T, alias, dir string, change func(*config.Config)) *server {
	t.Helper()
	cfg := config.Default()
	cfg.HTTP.Listen, cfg.WebRTC.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Auth.Tokens = []config.Secret{nodeToken}
	cfg.Recorder.NodeAlias = alias
	cfg.Recorder.Storage.Root = filepath.Join(dir, "storage")
	cfg.Recorder.Segment, cfg.Recorder.Reconnect = 1, 1
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "live777.db"))
	if change != nil {
		change(cfg)
	}
	n, err := live777.New(t.Context(), cfg, live777.Options{Version: "test", Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, n, nodeToken)
}

// startManager runs a manager of nodes, by their aliases.
func startManager(t *testing.T, dir string, nodes map[string]*server, change func(*config.Liveman), also ...io.Writer) *server {
	t.Helper()
	cfg := config.DefaultLiveman()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "liveman.db"))
	cfg.Registration.SealKeyFile = filepath.Join(dir, keyName) // whatever the database is
	cfg.Fleet.Poll, cfg.Fleet.Timeout = 1, 2
	for alias, n := range nodes {
		cfg.Nodes = append(cfg.Nodes, config.Node{Alias: alias, URL: n.url, Token: nodeToken})
	}
	if change != nil {
		change(cfg)
	}
	m, err := New(t.Context(), cfg, Options{Version: "test", Logger: logger(t, also...)})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, m, "")
}

// request makes a request; header is pairs of names and values.
func (s *server) request(method, path, body string, header ...string) (answer, string) {
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
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := noRedirects.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header}, string(data)
}

// answer is a response without its body.
type answer struct {
	StatusCode int
	Header     http.Header
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call is request with the answer decoded into out, if that is not nil.
func (s *server) call(method, path, body string, out any) int {
	s.t.Helper()
	resp, data := s.request(method, path, body)
	if out != nil {
		if err := json.Unmarshal([]byte(data), out); err != nil {
			s.t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, data, err)
		}
	}
	return resp.StatusCode
}

// until waits for ok; what says what for.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// promptly makes a call that must not wait for what hangs, a node or the database,
// which would take two seconds at least, each time.
func promptly(t *testing.T, what string, call func()) {
	t.Helper()
	within(t, what, 1900*time.Millisecond, func() time.Duration {
		start := time.Now()
		call()
		return time.Since(start)
	})
}

// within measures something that takes no longer than limit. What takes longer because
// the machine is busy has other chances.
func within(t *testing.T, what string, limit time.Duration, measure func() time.Duration) {
	t.Helper()
	var took []time.Duration
	for range 5 {
		d := measure()
		if d <= limit {
			return
		}
		took = append(took, d)
	}
	t.Errorf("%s takes %v, not %v", what, took, limit)
}

// awaitMedia waits until a stream that a node records has media in its recording.
func (s *server) awaitMedia(stream string) {
	s.t.Helper()
	until(s.t, "the recording of "+stream+" has media", func() bool {
		var status struct {
			Duration float64 `json:"duration"`
		}
		return s.call(http.MethodGet, "/api/record/"+stream, "", &status) == http.StatusOK && status.Duration > 0
	})
}

// publish sends a stream to a node until the test ends or stop is called.
func (s *server) publish(stream string) (stop func()) {
	s.t.Helper()
	open := func(name string) *load.Source {
		src, err := load.Open(filepath.Join("..", "..", "testdata", "media", name))
		if err != nil {
			s.t.Fatal(err)
		}
		return src
	}
	p, err := load.New(load.Options{
		URL: s.url + "/whip/" + stream, Token: s.token, Video: open("h264_baseline.h264"), Audio: open("opus_stereo.ogg"),
		SenderReports: true, KeyFrameOnPLI: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Run(ctx) // its end is what the test is about
	}()
	stop = func() { cancel(); <-done }
	s.t.Cleanup(stop)
	return stop
}

// recordings lists a stream's recordings.
func (s *server) recordings(stream string) []media.Recording {
	s.t.Helper()
	var page struct {
		Total      int               `json:"total"`
		Recordings []media.Recording `json:"recordings"`
	}
	if code := s.call(http.MethodGet, "/api/playback/"+stream, "", &page); code != http.StatusOK {
		s.t.Fatalf("list %s: %d", stream, code)
	}
	return page.Recordings
}

type recordAnswer struct {
	ID        string `json:"id"`
	RecordDir string `json:"record_dir"`
	MPDPath   string `json:"mpd_path"`
	Status    string `json:"status"`
	Recording bool   `json:"recording"`
	Stopped   bool   `json:"stopped"`
	Error     string `json:"error"`
}
