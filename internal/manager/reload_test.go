//go:build !norecorder

package manager

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
	"github.com/live777/recorder/internal/base/logging/logtest"
)

// TestReload changes a manager's configuration while it runs: who may do what, who is told
// of events and how much the log says. What needs a restart changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	dir, said := t.TempDir(), new(logtest.Buffer)
	cfg := config.DefaultLiveman()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "liveman.db"))
	cfg.Registration.SealKeyFile, cfg.Events.File = filepath.Join(dir, keyName), filepath.Join(dir, "events.db")
	cfg.Auth.Tokens = []config.Secret{"the-first"}
	log, err := logging.New(said, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(t.Context(), cfg, Options{Version: "test", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, m, "the-first")
	told := func() string {
		var status struct{ Targets []struct{ Name string } }
		if code := s.call(http.MethodGet, "/api/webhooks", "", &status); code != http.StatusOK || len(status.Targets) != 1 {
			return ""
		}
		return status.Targets[0].Name
	}
	if name := told(); name != "" || strings.Contains(said.String(), "level=DEBUG") {
		t.Errorf("before anything has changed %q is told, and the log says\n%s", name, said)
	}

	next := *cfg
	next.Auth.Tokens, next.Log.Level = []config.Secret{"the-second"}, "debug"
	next.Webhooks = []config.Webhook{{URL: "http://127.0.0.1:1/hook", Name: "hook"}}
	changed, err := m.Reload(&next)
	if got := strings.Join(changed, " "); err != nil || got != "webhooks auth.tokens log.level" {
		t.Errorf("changed: %s, %v", got, err)
	}
	if code := s.call(http.MethodGet, "/api/nodes/", "", nil); code != http.StatusUnauthorized {
		t.Errorf("the token of before: %d", code)
	}
	s.token = "the-second"
	if name := told(); name != "hook" || !strings.Contains(said.String(), "level=DEBUG") {
		t.Errorf("%q is told, and the log says\n%s", name, said)
	}

	wrong := next
	wrong.Auth.Tokens, wrong.Database.URL = []config.Secret{"the-third"}, "sqlite://elsewhere.db"
	if _, err := m.Reload(&wrong); err == nil || !strings.Contains(err.Error(), "database.url") {
		t.Errorf("what needs a restart: %v", err)
	}
	if code := s.call(http.MethodGet, "/api/nodes/", "", nil); code != http.StatusOK {
		t.Errorf("a configuration that was refused is taken over in part: %d", code)
	}
}
