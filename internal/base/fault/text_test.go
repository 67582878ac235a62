package fault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
)

// opaque is an error of this module that does not show what it wraps.
type opaque struct{ error }

func (opaque) Error() string   { return "it did not work" }
func (o opaque) Unwrap() error { return o.error }

func TestText(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 9000}, Err: syscall.ECONNREFUSED}
	proxied := &net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}
	asked := &url.Error{Op: "Get", URL: "http://10.1.2.3:9000/bucket?X-Amz-Signature=abc", Err: refused}
	full := &fs.PathError{Op: "write", Path: "/srv/secret/cam", Err: syscall.ENOSPC}
	name := &net.DNSError{Err: "read udp 10.1.2.3:5->10.1.2.9:53: i/o timeout", Name: "db.internal", Server: "10.1.2.9:53", IsTimeout: true}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{New(Conflict, "it runs; stop it first"), "it runs; stop it first"},
		{fmt.Errorf("node %q: %w", "edge", refused), `node "edge": connection refused`},
		{Errorf(Unavailable, "node %q: %w", "edge", proxied), `node "edge": connection refused`},
		{Errorf(Unavailable, "get %q: %w", "a/b", asked), `get "a/b": connection refused`},
		{fmt.Errorf("%w: %w", New(StorageFull, "no space left"), full), "no space left: no space left on device"},
		{errors.Join(fmt.Errorf("one: %w", asked), full), "one: connection refused\nno space left on device"},
		{Wrap(Unavailable, name), "the name of the host cannot be resolved"},
		{fmt.Errorf("read: %w", &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, Err: fmt.Errorf("x: %w", io.EOF)}), "read: the connection was closed"},
		{&url.Error{Op: "Get", URL: "https://db.internal", Err: &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"db.internal"}}, Host: "db.internal"}}},
			"the TLS certificate is not accepted"},
		{&url.Error{Op: "Get", URL: "https://db.internal", Err: context.DeadlineExceeded}, "no answer in time"},
		{&url.Error{Op: "Get", URL: "https://db.internal", Err: context.Canceled}, "it was broken off"},
		{&url.Error{Op: "Get", URL: "https://db.internal", Err: errors.New("strange")}, "the log tells more"},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), "wait: context deadline exceeded"},
		{opaque{asked}, "it did not work"},
		{fmt.Errorf("twice: %w, %w", refused, refused), "twice: connection refused, connection refused"},
	} {
		got := Text(tt.err)
		if got != tt.want {
			t.Errorf("Text(%q) = %q, want %q", tt.err, got, tt.want)
		}
		for _, secret := range []string{"10.1.2", "internal", "X-Amz", "/srv"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q tells %q", got, secret)
			}
		}
	}
}
