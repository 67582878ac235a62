package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// unixScheme begins an address that is the path of a Unix socket.
const unixScheme = "unix:"

// socketMode lets the group of the process use its Unix socket.
const socketMode = 0o660

// Listen opens host:port, or a Unix socket, "unix:/run/live777/http.sock". A socket that
// nobody listens on any more is replaced.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, unixScheme)
	var listen net.ListenConfig
	if !ok {
		return listen.Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := listen.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes the socket of a process that was killed.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil // to listen fails where a file is in the way
	}
	if err != nil {
		return fmt.Errorf("look for a socket: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("%s: another process listens on it", path), conn.Close())
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("replace a socket: %w", err)
	}
	return nil
}

// ofSocket reports whether a client has come by a Unix socket, which has no address. Who
// may open it is a process of this machine that the socket's group says may: a reverse
// proxy.
func ofSocket(remote string) bool { return remote == "" || remote == "@" }

// Redirect is a server that sends to HTTPS who comes by plain HTTP.
type Redirect struct {
	server   *http.Server
	listener net.Listener
	log      *slog.Logger
}

// NewRedirect opens an address, from which it is redirected to the port of secure. No
// address is no error: nobody is redirected. Authorities that ask over plain HTTP are
// answered by challenges; nil: none is.
func NewRedirect(ctx context.Context, a *API, address string, secure net.Addr, challenges func(http.Handler) http.Handler) (*Redirect, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // its methods do nothing then
	}
	l, err := Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("open http.redirect: %w", err)
	}
	s := NewServer(a)
	s.Handler = redirect(secure)
	if challenges != nil {
		s.Handler = challenges(s.Handler)
	}
	return &Redirect{s, limited{l, a.conns}, a.log}, nil
}

// Run serves until ctx ends.
func (r *Redirect) Run(ctx context.Context) {
	if r == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = r.server.Close() }) // what is under way is no more than an answer
	defer stop()
	if err := r.server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
		r.log.Error("nobody is redirected to HTTPS any more", "error", err)
	}
}

// Close closes the address of a server that was not run.
func (r *Redirect) Close() error {
	if r == nil {
		return nil
	}
	return r.server.Close()
}

// redirect answers with the same URL over HTTPS. The method stays.
func redirect(secure net.Addr) http.HandlerFunc {
	_, port, _ := net.SplitHostPort(secure.String())
	return func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		host = strings.Trim(host, "[]")
		if host == "" || strings.ContainsAny(host, "/\\@?# ") {
			http.Error(w, "the request names no host", http.StatusBadRequest)
			return
		}
		if port != "443" {
			host = net.JoinHostPort(host, port)
		} else if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}
