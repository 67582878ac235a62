//go:build unix && !norecorder

package manager

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/catalogue/pgtest"
	"github.com/live777/recorder/internal/serve/api"
)

// The manager starts without its PostgreSQL, does what needs none, says what does,
// and has everything when it comes; and the same when it goes away later.
func TestWithoutPostgres(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Start(t)
	database := postgres.Database()
	usePostgres := func(c *config.Liveman) {
		c.Database.URL = config.DatabaseURL(database)
		c.Registration.Token = "let-me-in"
	}
	edge := startNode(t, "edge", t.TempDir(), nil)
	late := startNode(t, "late", t.TempDir(), nil)

	// A node that has registered is known at the next start.
	dir := t.TempDir() // which has the key of the tokens
	m := startManager(t, dir, nil, usePostgres)
	if code := m.call(http.MethodPost, "/api/nodes/", `{"alias":"late","url":"`+late.url+`","token":"`+nodeToken+`"}`, nil); code != http.StatusCreated {
		t.Fatalf("register: %d", code)
	}
	m.stop()
	postgres.Kill()
	var log logtest.Buffer
	m = startManager(t, dir, map[string]*server{"edge": edge}, usePostgres, &log)
	edge.publish("cam")
	withoutDatabase(t, m, late, "cam")
	if text := log.String(); !strings.Contains(text, "the database cannot be used") || strings.Contains(text, url.QueryEscape(pgtest.Password)) || strings.Contains(text, pgtest.Password) {
		t.Errorf("the log:\n%s", text)
	}

	postgres.Restart()
	converges := func(what string, total int) {
		t.Helper()
		until(t, what, func() bool {
			if m.call(http.MethodGet, "/api/health", "", nil) != http.StatusOK {
				return false
			}
			ours, theirs := m.recordings("cam"), edge.recordings("cam")
			return len(ours) == total && len(theirs) == total && ours[0].RecordDir == theirs[0].RecordDir && ours[0].Status == theirs[0].Status && ours[0].Bytes == theirs[0].Bytes
		})
	}
	converges("the recording that began without the database is listed", 1)
	until(t, "the node that had registered is followed", func() bool {
		var n api.FleetNode
		return m.call(http.MethodGet, "/api/nodes/late", "", &n) == http.StatusOK && n.State == "up" && !n.Feed.UpdatedAt.IsZero()
	})

	postgres.Kill()
	until(t, "it is seen that the database is away", func() bool { return m.call(http.MethodGet, "/api/health", "", nil) == http.StatusServiceUnavailable })
	withoutDatabase(t, m, late, "cam")
	postgres.Restart()
	converges("the catalogue is as the node's again", 2)
	if !strings.Contains(log.String(), "the database answers again") {
		t.Error("the log does not say that the database answers again")
	}
}

// withoutDatabase holds what a manager answers while its database is away against
// what it should, and records a stream for a moment.
func withoutDatabase(t *testing.T, m, node *server, stream string) {
	t.Helper()
	until(t, "the stream is there", func() bool { return m.call(http.MethodGet, "/api/streams/"+stream, "", nil) == http.StatusOK })
	var said recordAnswer
	if code := m.call(http.MethodPost, "/api/record/"+stream, "", &said); code != http.StatusOK {
		t.Errorf("start a recording: %d %+v", code, said)
	}
	for path, want := range map[string]int{
		"/api/nodes/": 200, "/api/nodes/edge": 200, "/api/streams/": 200, "/api/record/" + stream: 200, "/api/record/nobody": 200,
		"/api/info": 200, "/metrics": 200,
		"/api/health": 503, "/api/playback": 503, "/api/playback/" + stream: 503, "/api/recordings": 503, "/api/sse/recordings": 503,
		"/api/recordings/" + said.RecordDir: 503, "/api/record/object/" + said.MPDPath: 503,
	} {
		var body string
		promptly(t, path, func() {
			var resp answer
			if resp, body = m.request(http.MethodGet, path, ""); resp.StatusCode != want {
				t.Errorf("%s: %d: %s", path, resp.StatusCode, body)
			}
		})
		if want == 503 && (!strings.Contains(body, `"error"`) || !strings.Contains(body, "database")) {
			t.Errorf("%s does not say what is wrong: %s", path, body)
		}
	}
	// Who may have an alias is in the database.
	register := fmt.Sprintf(`{"alias":"new","url":%q,"token":%q}`, node.url, nodeToken)
	if resp, said := m.request(http.MethodPost, "/api/nodes/", register); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("register: %d %s", resp.StatusCode, said)
	}
	if resp, said := m.request(http.MethodPost, "/api/sign/"+stream+"/1", ""); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("sign: %d %s", resp.StatusCode, said)
	}
	m.awaitMedia(stream)
	if code := m.call(http.MethodDelete, "/api/record/"+stream, "", &said); code != http.StatusOK || !said.Stopped {
		t.Errorf("stop the recording: %d %+v", code, said)
	}
}

// What will not pass by itself ends the start.
func TestWrongDatabase(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Start(t)
	good := postgres.Database()
	for name, change := range map[string]func(*url.URL){
		"password": func(u *url.URL) { u.User = url.UserPassword("recorder", "wr0ng") },
		"nothing":  func(u *url.URL) { u.Path = "nothing" },
		"sslmode":  func(u *url.URL) { u.RawQuery = "sslmode=wr0ng" },
	} {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		cfg := config.DefaultLiveman()
		cfg.HTTP.Listen, cfg.Database.URL = "127.0.0.1:0", config.DatabaseURL(u.String())
		_, err = New(t.Context(), cfg, Options{Logger: logger(t)})
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "database.url") || strings.Contains(err.Error(), pgtest.Password) || name == "password" && strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is done once when the database answers first is not done again where the
// database goes away before it has been used otherwise.
func TestDatabaseGoesAwayWhileItIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "liveman.db")
	db := openCatalogue(t, "sqlite://"+path)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	change := func(statement string) {
		if _, err := raw.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	opened := 0
	d := newDatabase(db, logger(t), func(context.Context) error {
		if opened++; opened == 1 {
			change("ALTER TABLE counts RENAME TO away")
		}
		return nil
	})
	if d.check(t.Context()) == nil || d.ready() == nil {
		t.Fatal("it cannot be used, and nobody says so")
	}
	change("ALTER TABLE away RENAME TO counts")
	if err := d.check(t.Context()); err != nil || d.ready() != nil {
		t.Errorf("it answers again: %v, %v", err, d.ready())
	}
	if opened != 1 {
		t.Errorf("it was opened %d times", opened)
	}
}
