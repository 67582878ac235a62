package oss

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/live777/recorder/internal/storage"
)

const (
	connectTimeout = 10 * time.Second
	// stallTimeout is how long a connection may stand still while a byte is
	// waited for in either direction.
	stallTimeout = 30 * time.Second
	// idleTimeout is less than the minute after which OSS closes a connection.
	idleTimeout = 30 * time.Second
)

// newHTTPClient returns a client without a deadline for a whole request, which
// depends on its size, but with one for every step.
func newHTTPClient() *http.Client {
	dialer := net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return storage.StallConn(conn, stallTimeout), nil
			},
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: connectTimeout,
			IdleConnTimeout:     idleTimeout,
			MaxIdleConnsPerHost: 32,
		},
		// A signature is good for one host: to follow is no use.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// knownLengths is an http.Client that the SDK's empty bodies do not mislead:
// net/http takes the length of a body that is there and has none for unknown,
// and sends it in chunks.
type knownLengths struct{ *http.Client }

// Do implements the SDK's HTTPClient.
func (c knownLengths) Do(r *http.Request) (*http.Response, error) {
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	return c.Client.Do(r)
}
