package config

import (
	"net"
	"net/netip"
	"strings"

	"github.com/live777/recorder/internal/base/tlscert"
)

// unixScheme begins an http.listen that is a Unix socket.
const unixScheme = "unix:"

// Socket returns the path of the Unix socket that Listen names, if it names one.
func (h HTTP) Socket() (path string, ok bool) { return strings.CutPrefix(h.Listen, unixScheme) }

// Options returns where the certificate comes from.
func (t TLS) Options() tlscert.Options {
	return tlscert.Options{
		Cert: t.Cert, Key: t.Key,
		ACME: tlscert.ACME{Hosts: t.ACME, Email: t.ACMEEmail, Directory: t.ACMEDirectory, Cache: t.ACMECache},
	}
}

// Reached returns where this machine reaches the server, as net.Dial has it, and the
// scheme of its URLs.
func (h HTTP) Reached() (network, address, scheme string) {
	if path, ok := h.Socket(); ok {
		return "unix", path, h.Scheme()
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return "tcp", h.Listen, h.Scheme()
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port), h.Scheme()
}

// Reached is HTTP.Reached.
func (c *Config) Reached() (network, address, scheme string) { return c.HTTP.Reached() }

// Reached is HTTP.Reached.
func (c *Liveman) Reached() (network, address, scheme string) { return c.HTTP.Reached() }
