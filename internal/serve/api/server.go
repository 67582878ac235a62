package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The bounds of a connection. There is none on a whole request or response:
// each read and write has its own (see timing).
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// NewServer returns a server for a that outlasts hostile clients. Its Shutdown
// ends event streams and waits for other requests; the caller sets no Handler.
func NewServer(a *API) *http.Server {
	s := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         a.conns.state,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
	s.RegisterOnShutdown(a.Close)
	return s
}

// Serve serves what comes in by l, by TLS and with HTTP/2 where the server has a
// TLSConfig.
func Serve(s *http.Server, l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// CloseServer ends a server of NewServer: the requests that run have until timeout,
// and are then broken off. Of a server that was never made, which is nil, only the
// listener is closed, if there is one.
func CloseServer(ctx context.Context, s *http.Server, l net.Listener, timeout time.Duration) error {
	switch {
	case s != nil:
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			return s.Close()
		}
	case l != nil:
		return l.Close()
	}
	return nil
}

// LocalURL returns the URL of a server that listens on addr, as a user of this
// machine can open it.
func LocalURL(scheme string, addr net.Addr) string {
	if addr.Network() == "unix" {
		return unixScheme + addr.String()
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
