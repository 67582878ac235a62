//go:build !norecorder

package node

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/testkit/load"
)

// TestReload changes a node's configuration while somebody publishes with a token that is
// taken away, and is recorded: the recording goes on.
func TestReload(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Auth.Tokens = []config.Secret{"the-first"}
		c.Recorder.AutoStreams = []string{"*"}
	})
	p, err := load.New(load.Options{URL: n.url + "/whip/camera", Token: "the-first", Video: open(t, "h264_baseline.h264"), Audio: open(t, "opus_mono.ogg"), Duration: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := p.Run(ctx); done <- err }()
	defer func() { cancel(); <-done }()
	before := n.awaitMedia("the-first", "camera")

	next := *n.node.cfg
	next.Auth.Tokens = []config.Secret{"the-second"}
	next.Auth.Users = anna(t)
	next.HTTP.CORSOrigins = []string{"https://page.example"}
	next.Recorder.Retention.MaxAge = 1
	changed, err := n.node.Reload(&next)
	if got := strings.Join(changed, " "); err != nil || got != "http.cors_origins auth.tokens auth.users recorder.retention.max_age_hours" {
		t.Errorf("changed: %s, %v", got, err)
	}
	if code := n.as("the-first", http.MethodGet, "/api/streams", "", nil); code != http.StatusUnauthorized {
		t.Errorf("the token of before: %d", code)
	}
	var info struct{ Features []string }
	if n.as("the-second", http.MethodGet, "/api/info", "", &info); !strings.Contains(strings.Join(info.Features, " "), "accounts") {
		t.Errorf("of accounts nobody is told: %q", info.Features)
	}
	if code := n.as("", http.MethodPost, "/api/login", `{"name":"anna","password":"correct horse"}`, nil); code != http.StatusOK {
		t.Errorf("a new account: %d", code)
	}
	wrong := next
	wrong.Auth.Tokens, wrong.HTTP.BasePath = []config.Secret{"the-third"}, "/studio"
	if _, err := n.node.Reload(&wrong); err == nil || !strings.Contains(err.Error(), "http.base_path") {
		t.Errorf("what needs a restart: %v", err)
	}
	if code := n.as("the-third", http.MethodGet, "/api/streams", "", nil); code != http.StatusUnauthorized {
		t.Errorf("a configuration that was refused is taken over in part: %d", code)
	}
	var after recordAnswer
	if n.as("the-second", http.MethodGet, "/api/record/camera", "", &after); !after.Recording || after.RecordDir != before.RecordDir {
		t.Errorf("the recording does not go on: %+v", after)
	}
}
