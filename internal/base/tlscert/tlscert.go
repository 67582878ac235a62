// Package tlscert has a server's certificate: one in files, which are read again when
// they change, and one that a server makes for itself where nobody else does.
package tlscert

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, while somebody connects.
const lookEvery = time.Second

// Config returns what a server with the certificate and key in two PEM files speaks TLS
// by: 1.2 or newer. Who renews the files needs to tell nobody. A pair that cannot be
// used is an error now; later the server goes on with the one before, and says so.
func Config(cert, key string, log *slog.Logger) (*tls.Config, error) {
	f := &files{cert: cert, key: key, now: time.Now, log: log}
	if err := f.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.certificate}, nil
}

// files is a certificate in files. Safe for concurrent use.
type files struct {
	cert, key string
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	state  [2]stamp  // of the files that were read last, also in vain
	looked time.Time // last
}

// stamp is what changes with a file.
type stamp struct {
	modified time.Time
	size     int64
}

// stampOf returns the zero stamp of a file that is not there: while the two are
// replaced.
func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// load reads the files. Called with mu held, or before anybody else has f.
func (f *files) load() error {
	f.state = [2]stamp{stampOf(f.cert), stampOf(f.key)} // before it is read: what changes meanwhile is read again
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("http.tls: read %s and %s: %w", f.cert, f.key, err)
	}
	f.pair = &pair
	return nil
}

// certificate is tls.Config.GetCertificate.
func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < lookEvery {
		return f.pair, nil
	}
	f.looked = now
	if f.state == [2]stamp{stampOf(f.cert), stampOf(f.key)} {
		return f.pair, nil
	}
	switch err := f.load(); {
	case err == nil:
		f.log.Info("the certificate was read again", "file", f.cert, "valid_until", f.pair.Leaf.NotAfter)
	case errors.Is(err, fs.ErrNotExist): // they are being replaced, or somebody looks at the time that is left
		f.log.Warn("the certificate is not there: the one before is used", "error", err)
	default:
		f.log.Error("the certificate cannot be used: the one before is", "error", err)
	}
	return f.pair, nil
}
