package tlscert

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/logging/logtest"
)

// TestRenewal replaces the files of a certificate while a server has it.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	renew := func() {
		t.Helper()
		for _, name := range []string{cert, key} {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := Own(cert, key, []string{"camera.example", "192.0.2.1"}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var log logtest.Buffer
	if _, err := Config(cert, key, slog.Default()); err == nil {
		t.Error("a certificate that is not there is no error")
	}
	renew()
	if err := Own(cert, key, []string{"other"}, time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key is written over: %v", err)
	}
	now := time.Now()
	f := &files{cert: cert, key: key, now: func() time.Time { return now }, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		now = now.Add(lookEvery)
		pair, err := f.certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	for _, host := range []string{"camera.example", "192.0.2.1"} {
		roots := x509.NewCertPool()
		roots.AddCert(f.pair.Leaf)
		if _, err := f.pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	renew()
	second := serial()
	if second == first {
		t.Error("the renewed certificate is not used")
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if serial() != second {
		t.Error("a broken file takes the certificate away")
	}
	renew()
	if third := serial(); third == second || third == first {
		t.Error("after a broken file no other is read")
	}
}
