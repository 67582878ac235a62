package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/live777/recorder/internal/base/logging/logtest"
)

// pebble is an authority for tests; make prepare builds it.
const pebble = "../../../.cache/bin/release/pebble"

// TestIssued has an authority sign certificates for a server, which it looks up and
// connects to: by TLS, and where that does not answer, by plain HTTP.
func TestIssued(t *testing.T) {
	for _, by := range []string{"tls", "http"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			plain, secure := listen(t), listen(t)
			p := startAuthority(t, by, plain, secure)
			cache := filepath.Join(t.TempDir(), "acme")
			config, challenges := Issued(ACME{Hosts: []string{"live.example"}, Directory: p.directory, Cache: cache, client: p.client})
			serve(t, plain, challenges(http.NotFoundHandler()))
			serve(t, tls.NewListener(secure, config), http.NotFoundHandler())

			dial := func(host string) (net.Conn, error) {
				d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}} //nolint:gosec // the authority is nobody's
				return d.DialContext(t.Context(), "tcp", secure.Addr().String())
			}
			conn, err := dial("live.example")
			if err != nil {
				t.Fatalf("%v\n%s", err, p.log)
			}
			defer func() { _ = conn.Close() }()
			leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
			if err := leaf.VerifyHostname("live.example"); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(cache, "live.example")); err != nil {
				t.Errorf("a restart would ask the authority again: %v", err)
			}
			if _, err := dial("other.example"); err == nil {
				t.Error("there is a certificate for a host that is not configured")
			}
		})
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func serve(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
}

// authority is a pebble that runs.
type authority struct {
	directory string
	client    *http.Client
	log       *logtest.Buffer
}

// startAuthority starts one that looks at the server by plain HTTP or by TLS alone.
func startAuthority(t *testing.T, by string, plain, secure net.Listener) authority {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := Own(cert, key, []string{"127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	own := listen(t)
	address := own.Addr().String()
	_ = own.Close() // pebble has no other way to have a free port
	nobody := 1     // where no server is
	ports := map[string]int{"httpPort": plain.Addr().(*net.TCPAddr).Port, "tlsPort": secure.Addr().(*net.TCPAddr).Port}
	for name := range ports {
		if name != by+"Port" {
			ports[name] = nobody
		}
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address, "certificate": cert, "privateKey": key, "httpPort": ports["httpPort"], "tlsPort": ports["tlsPort"],
		"profiles": map[string]any{"default": map[string]any{"description": "a day", "validityPeriod": 86400}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(logtest.Buffer)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, pebble, "-config", file, "-dnsserver", names(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("make prepare builds it: %v", err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	p := authority{"https://" + address + "/dir", &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, log}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.directory, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := p.client.Do(req); err == nil {
			_ = resp.Body.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("the authority does not answer\n%s", log)
		}
	}
}

// names starts a name server by which every host is this machine. It is asked by TCP.
func names(t *testing.T) (address string) {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_ = answer(conn) // who asks says what is wrong
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// answer answers one question; its length stands before each message.
func answer(conn net.Conn) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return err
	}
	text, err := resolve(query)
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)) //nolint:gosec // it is short
	return err
}

// resolve answers a question for an IPv4 address; to others there is no answer.
func resolve(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(m.Questions))
	}
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return m.Pack()
}
