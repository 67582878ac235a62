package tlscert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says for which hosts an authority signs certificates when they are needed (RFC
// 8555). Nobody but these is asked for.
type ACME struct {
	Hosts     []string
	Email     string // where the authority says that something is wrong; may be empty
	Directory string // the authority's URL; empty: that of Let's Encrypt
	Cache     string // the folder of certificates and keys, which is made

	client *http.Client // that the authority is asked with; nil: another
}

// Options says where a server's certificate comes from. The zero value is none: the server
// speaks plain HTTP.
type Options struct {
	Cert, Key string // PEM files
	ACME      ACME   // if it has hosts
}

// New returns what a server speaks TLS by, nil if that is plain HTTP, and what Issued
// returns beside it.
func New(o Options, log *slog.Logger) (config *tls.Config, challenges func(otherwise http.Handler) http.Handler, err error) {
	switch {
	case len(o.ACME.Hosts) > 0:
		config, challenges = Issued(o.ACME)
	case o.Cert != "":
		config, err = Config(o.Cert, o.Key, log)
	}
	return config, challenges, err
}

// Issued returns what a server with an authority's certificates speaks TLS by, and what
// answers the authority over plain HTTP and passes other requests on. The authority
// connects to one of both to see whether the host is this server: to port 443 or to port
// 80 of it.
func Issued(o ACME) (config *tls.Config, challenges func(otherwise http.Handler) http.Handler) {
	known := autocert.HostWhitelist(o.Hosts...)
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: func(ctx context.Context, host string) error {
			if h, _, err := net.SplitHostPort(host); err == nil {
				host = h // of a challenge that came to another port than 80
			}
			return known(ctx, host)
		}, Cache: autocert.DirCache(o.Cache), Email: o.Email,
	}
	if o.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: o.Directory, HTTPClient: o.client}
	}
	config = m.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return config, m.HTTPHandler
}
