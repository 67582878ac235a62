package manager

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
)

const (
	// sealed begins a token that is sealed. No bearer token has a space.
	sealed = "sealed v1 "
	// keyName is the file of the key where the configuration does not say.
	keyName = "liveman.key"
	keyLen  = 32
)

// sealedCatalogue is a catalogue that has the tokens of nodes sealed (AES-256-GCM): who
// can read the database, or a backup of it, has not the nodes. A token is sealed for its
// alias and URL, so that who can write the database cannot have it sent elsewhere.
// Safe for concurrent use.
type sealedCatalogue struct {
	Catalogue
	log  *slog.Logger
	key  func(make bool) ([]byte, error) // fs.ErrNotExist where there is none and none was to be made
	mu   sync.Mutex
	aead cipher.AEAD     // nil before it was needed
	told map[string]bool // aliases whose tokens cannot be opened
}

// sealTokens returns c with the tokens of nodes sealed as cfg has it. The key is made
// when it is first needed.
func sealTokens(c Catalogue, cfg *config.Liveman, log *slog.Logger) *sealedCatalogue {
	s := &sealedCatalogue{Catalogue: c, log: log, told: make(map[string]bool)}
	switch file := keyFile(cfg); {
	case cfg.Registration.SealKey != "":
		s.key = func(bool) ([]byte, error) {
			return hkdf.Key(sha256.New, []byte(cfg.Registration.SealKey), nil, "liveman tokens of nodes v1", keyLen)
		}
	case file == "": // the database ends with the process, and so may the key
		key := newKey()
		s.key = func(bool) ([]byte, error) { return key, nil }
	default:
		s.key = func(make bool) ([]byte, error) { return readKey(file, make) }
	}
	return s
}

// keyFile returns the file of the key: beside an SQLite database, if the configuration
// does not say; "" beside one in memory.
func keyFile(cfg *config.Liveman) string {
	if cfg.Registration.SealKeyFile != "" {
		return cfg.Registration.SealKeyFile
	}
	path, isSQLite := strings.CutPrefix(string(cfg.Database.URL), "sqlite://")
	switch {
	case path == ":memory:":
		return ""
	case isSQLite:
		return filepath.Join(filepath.Dir(path), keyName)
	}
	return keyName
}

func newKey() []byte {
	key := make([]byte, keyLen)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	return key
}

// readKey reads a key, which it makes where there is none if it is told to. It is
// there whole, or not at all: others may look for it at the same time.
func readKey(file string, make bool) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err = writeKey(file); err == nil || errors.Is(err, fs.ErrExist) {
			text, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the key of the nodes' tokens (registration.seal_key_file): %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keyLen {
		return nil, fmt.Errorf("registration.seal_key_file: %q has no key; restore it, or remove it: nodes register again by themselves", file)
	}
	return key, nil
}

func writeKey(file string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = fmt.Fprintln(f, hex.EncodeToString(newKey()))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	return os.Link(f.Name(), file)
}

// cipher returns what seals; fs.ErrNotExist where there is no key, and none is to be
// made.
func (s *sealedCatalogue) cipher(make bool) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	key, err := s.key(make)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	return s.aead, err
}

// of is what a token is sealed for.
func of(n *catalogue.Node) []byte { return []byte(n.Alias + "\x00" + n.URL) }

// PutNode implements Catalogue.
func (s *sealedCatalogue) PutNode(ctx context.Context, n catalogue.Node) error {
	if n.Token != "" {
		aead, err := s.cipher(true)
		if err != nil {
			return fmt.Errorf("seal the token of node %q: %w", n.Alias, err)
		}
		nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(n.Token)+aead.Overhead())
		_, _ = rand.Read(nonce) // never fails (crypto/rand)
		n.Token = sealed + base64.RawStdEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(n.Token), of(&n)))
	}
	return s.Catalogue.PutNode(ctx, n)
}

// Nodes implements Catalogue. A node whose token cannot be opened has none: it brings
// it again when it registers the next time.
func (s *sealedCatalogue) Nodes(ctx context.Context) ([]catalogue.Node, error) {
	nodes, err := s.Catalogue.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		n := &nodes[i]
		text, is := strings.CutPrefix(n.Token, sealed)
		if !is {
			continue // none, or of an earlier version
		}
		if n.Token, err = s.unseal(n, text); err != nil && s.tell(n.Alias) {
			s.log.Warn("the token of a node cannot be read, which registers again with it: was the key changed or lost?", "node", n.Alias, "error", err)
		}
	}
	return nodes, nil
}

// tell reports whether it has not been told yet that a node's token cannot be opened.
func (s *sealedCatalogue) tell(alias string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told[alias]
	s.told[alias] = true
	return !told
}

func (s *sealedCatalogue) unseal(n *catalogue.Node, text string) (string, error) {
	aead, err := s.cipher(false)
	if err != nil {
		return "", err
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) < aead.NonceSize() {
		return "", errors.New("it is damaged")
	}
	token, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], of(n))
	if err != nil {
		return "", errors.New("it was sealed with another key, or for another node or URL")
	}
	return string(token), nil
}

// sealOld seals the tokens that an earlier version has stored as they are. They are in
// the database's files no more when it returns, where scrub sees to that.
func (s *sealedCatalogue) sealOld(ctx context.Context, scrub func(context.Context) error) error {
	nodes, err := s.Catalogue.Nodes(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, n := range nodes {
		if n.Token == "" || strings.HasPrefix(n.Token, sealed) {
			continue
		}
		if err := s.PutNode(ctx, n); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return nil
	}
	s.log.Info("the tokens of nodes, which the database had as they are, are sealed now")
	return scrub(ctx)
}
