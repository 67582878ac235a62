//go:build !norecorder

package manager

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/serve/api"
)

const plainToken = "the-admin-token-of-a-node"

// sealing is a database in a folder, with what seals the tokens in it.
type sealing struct {
	dir    string
	db     *catalogue.DB
	tokens *sealedCatalogue
	log    bytes.Buffer
}

func newSealing(t *testing.T, dir string, change func(*config.Liveman)) *sealing {
	t.Helper()
	cfg := config.DefaultLiveman()
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "liveman.db"))
	if change != nil {
		change(cfg)
	}
	db, err := catalogue.Open(t.Context(), string(cfg.Database.URL))
	if err != nil {
		t.Fatal(err)
	}
	s := &sealing{dir: dir, db: db}
	t.Cleanup(func() { _ = db.Close() })
	s.tokens = sealTokens(db, cfg, slog.New(slog.NewTextHandler(&s.log, nil)))
	return s
}

// token returns that of the only node.
func (s *sealing) token(t *testing.T) string {
	t.Helper()
	nodes, err := s.tokens.Nodes(t.Context())
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%d nodes, %v", len(nodes), err)
	}
	return nodes[0].Token
}

// shows reports whether a file of the database has the token.
func (s *sealing) shows(t *testing.T) bool {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(filepath.Join(s.dir, "liveman.db"+suffix))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(plainToken)) {
			return true
		}
	}
	return false
}

var edge = catalogue.Node{Alias: "edge", URL: "http://10.0.0.5:7777", Token: plainToken, Registered: true}

// TestTokensAreSealed: the database of a manager has no token that could be used, its
// key is beside it, and rows of an earlier version are sealed.
func TestTokensAreSealed(t *testing.T) {
	dir := t.TempDir()
	s := newSealing(t, dir, nil)
	if err := s.db.PutNode(t.Context(), edge); err != nil { // as an earlier version did
		t.Fatal(err)
	}
	if !s.shows(t) || s.token(t) != plainToken {
		t.Fatal("a token of an earlier version is not there as it is")
	}
	if err := s.tokens.sealOld(t.Context(), s.db.Scrub); err != nil {
		t.Fatal(err)
	}
	if s.shows(t) || s.token(t) != plainToken {
		t.Errorf("it is still there as it is, or %q", s.token(t))
	}
	info, err := os.Stat(filepath.Join(dir, keyName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	other := edge
	other.Alias = "other"
	if err := s.tokens.PutNode(t.Context(), other); err != nil || s.shows(t) {
		t.Errorf("a new one is there as it is: %v", err)
	}
	if err := s.db.DeleteNode(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%v, %v; want the database, its -wal and -shm, and the key", entries, err)
	}

	again := newSealing(t, dir, nil) // the next start
	if err := again.tokens.sealOld(t.Context(), func(context.Context) error { return errors.New("nothing is to be scrubbed") }); err != nil || again.token(t) != plainToken {
		t.Errorf("after a restart: %q, %v", again.token(t), err)
	}
	if err := os.Remove(filepath.Join(dir, keyName)); err != nil {
		t.Fatal(err)
	}
	lost := newSealing(t, dir, nil)
	if got := lost.token(t) + lost.token(t); got != "" || strings.Count(lost.log.String(), "cannot be read") != 1 || strings.Contains(lost.log.String(), plainToken) {
		t.Errorf("without the key: %q, %s", got, lost.log.String())
	}
	if _, err := os.Stat(filepath.Join(dir, keyName)); err == nil {
		t.Error("a key was made only to look")
	}
	if err := os.WriteFile(filepath.Join(dir, keyName), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := newSealing(t, dir, nil)
	if err := damaged.tokens.PutNode(t.Context(), edge); err == nil || !strings.Contains(err.Error(), "registration.seal_key_file") {
		t.Errorf("with a damaged key: %v", err)
	}
}

// TestSealedTokensAreBound: who can write the database gets no token sent elsewhere.
func TestSealedTokensAreBound(t *testing.T) {
	configured := func(c *config.Liveman) { c.Registration.SealKey = "sixteen bytes or more" }
	s := newSealing(t, t.TempDir(), configured)
	if err := s.tokens.PutNode(t.Context(), edge); err != nil {
		t.Fatal(err)
	}
	raw, err := s.db.Nodes(t.Context())
	if err != nil || s.token(t) != plainToken {
		t.Fatalf("%q, %v", s.token(t), err)
	}
	for _, change := range []func(*catalogue.Node){
		func(n *catalogue.Node) { n.URL = "http://evil:7777" },
		func(n *catalogue.Node) { n.Token = n.Token[:len(n.Token)-2] },
		func(n *catalogue.Node) { n.Token = sealed },
	} {
		n := raw[0]
		change(&n)
		if err := s.db.PutNode(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if got := s.token(t); got != "" {
			t.Errorf("%+v: %q", n, got)
		}
	}
	if err := s.db.PutNode(t.Context(), raw[0]); err != nil || s.token(t) != plainToken {
		t.Errorf("as it was: %v", err)
	}
	same := newSealing(t, s.dir, configured)
	if same.token(t) != plainToken {
		t.Error("another manager with the same key cannot read it")
	}
	other := newSealing(t, s.dir, func(c *config.Liveman) { c.Registration.SealKey = "another key of 16" })
	if other.token(t) != "" {
		t.Error("another key reads it")
	}
	if _, err := os.Stat(filepath.Join(s.dir, keyName)); err == nil {
		t.Error("a key was made beside that of the configuration")
	}
}

// TestLostKey: nodes whose tokens cannot be read register again by themselves.
func TestLostKey(t *testing.T) {
	server := newIdentifying(t, map[string]string{plainToken: allRights})
	dir := t.TempDir()
	register := func(s *sealing) error {
		f := newFleet(fleetOptions{
			Catalogue: s.tokens, Poll: time.Hour, Timeout: time.Second, Control: time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		defer f.close()
		close(f.opened)
		_, _, err := f.Register(t.Context(), api.NodeRegistration{Alias: "edge", URL: server.URL, Token: plainToken}, false)
		return err
	}
	s := newSealing(t, dir, nil)
	if err := register(s); err != nil || s.token(t) != plainToken {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, keyName)); err != nil {
		t.Fatal(err)
	}
	lost := newSealing(t, dir, nil)
	if lost.token(t) != "" {
		t.Fatal("it is read without the key")
	}
	if err := register(lost); err != nil || lost.token(t) != plainToken {
		t.Errorf("registered again: %v, %q", err, lost.token(t))
	}
}
