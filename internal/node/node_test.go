//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/testkit/load"
)

// useDirect lets the tests run with the node's own receiver.
var useDirect = flag.Bool("direct", false, "publish through the node's own receiver")

// testNode is a node on loopback, with its recordings in a temporary folder.
type testNode struct {
	t     *testing.T
	url   string
	root  string
	spool string
	said  string // to the person who started it
	node  *Node
	stop  func()
}

func startNode(t *testing.T, change func(*config.Config)) *testNode {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.HTTP.Listen, cfg.WebRTC.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Recorder.Storage.Root = filepath.Join(dir, "storage")
	cfg.Recorder.Segment = 2
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "live777.db"))
	if *useDirect {
		cfg.WebRTC.Receiver = "direct"
	}
	if change != nil {
		change(cfg)
	}
	level := slog.LevelInfo
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
	n, err := New(t.Context(), cfg, Options{Version: "test", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
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
				t.Errorf("node ended with: %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Error("node does not stop")
		}
	}
	t.Cleanup(stop)
	var said strings.Builder
	n.Welcome(&said)
	return &testNode{t: t, url: n.URL(), root: cfg.Recorder.Storage.Root, spool: cfg.Recorder.Spool.Dir, said: said.String(), node: n, stop: stop}
}

// TestWelcome: what the node says at its start can be copied as it is.
func TestWelcome(t *testing.T) {
	anonymous := startNode(t, nil)
	if want := "curl -X POST " + anonymous.url + "/api/record/STREAM\n"; !strings.Contains(anonymous.said, want) {
		t.Errorf("without credentials it says\n%swant %s", anonymous.said, want)
	}
	// What whip.Media says: who can reach it, and what to set for others.
	if _, media, _ := strings.Cut(anonymous.said, "media     UDP 127.0.0.1:"); !strings.Contains(media, ", from this machine only") {
		t.Errorf("of media it says\n%s", anonymous.said)
	}
	guarded := startNode(t, func(c *config.Config) { c.Auth.Tokens = []config.Secret{"a token"} })
	if want := "curl -H 'Authorization: Bearer TOKEN' -X POST " + guarded.url + "/api/record/STREAM\n"; !strings.Contains(guarded.said, want) {
		t.Errorf("with tokens it says\n%swant %s", guarded.said, want)
	}
	var answer struct{ Error string }
	if code := guarded.call(http.MethodPost, "/api/record/STREAM", "", &answer); code != 401 || !strings.Contains(answer.Error, `"Authorization: Bearer TOKEN"`) {
		t.Errorf("without a token: %d %q", code, answer.Error)
	}
}

// call makes an API call and decodes the answer into out if that is not nil.
func (n *testNode) call(method, path, body string, out any) int {
	n.t.Helper()
	code, data := n.ask(method, path, body)
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			n.t.Fatalf("%s %s: %d %s: %v", method, path, code, data, err)
		}
	}
	return code
}

// ask makes a request and returns the answer's status and body.
func (n *testNode) ask(method, path, body string) (code int, data []byte) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if data, err = io.ReadAll(resp.Body); err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, data
}

func open(t *testing.T, name string) *load.Source {
	t.Helper()
	if name == "" {
		return nil
	}
	s, err := load.Open(filepath.Join("..", "..", "testdata", "media", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type recordAnswer struct {
	ID        string `json:"id"`
	RecordID  string `json:"record_id"`
	RecordDir string `json:"record_dir"`
	MPDPath   string `json:"mpd_path"`
	Status    string `json:"status"`
	Recording bool   `json:"recording"`
	Error     string `json:"error"`
}

// decodes plays a recording through ffmpeg, which must have nothing to say.
func (n *testNode) decodes(mpd string) {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), "ffmpeg", "-v", "error", "-i", filepath.Join(n.root, mpd), "-enc_time_base", "-1", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		n.t.Errorf("ffmpeg (install the Debian package ffmpeg if it is missing): %v\n%s", err, out)
	}
}
