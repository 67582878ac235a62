package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/live777/recorder/internal/ingest/live"
)

// proxies is what is known of reverse proxies in front of the server.
type proxies struct {
	base    string         // http.base_path: "/studio", or empty
	trusted []netip.Prefix // whose headers are believed
}

// newProxies reads Options.BasePath and Options.TrustedProxies.
func newProxies(base string, trusted []string) (proxies, error) {
	p := proxies{base: strings.TrimSuffix(base, "/")}
	if p.base != "" && !isPrefix(p.base) {
		return p, fmt.Errorf("api: the base path %q is no path", base)
	}
	for _, t := range trusted {
		prefix, err := ParseProxy(t)
		if err != nil {
			return p, fmt.Errorf("api: %w", err)
		}
		p.trusted = append(p.trusted, prefix)
	}
	return p, nil
}

// ParseProxy reads an address, or a network such as "10.0.0.0/8".
func ParseProxy(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an IP address nor a network such as \"10.0.0.0/8\"", s)
	}
	return p.Masked(), nil
}

// arrive takes from r what proxies have added: the base path off its URL, the client's
// own address, and the prefix below which that sees the server.
func (p *proxies) arrive(r *http.Request) *http.Request {
	client := live.Client{Prefix: p.base}
	if p.trusts(r.RemoteAddr) {
		if prefix := strings.TrimSuffix(r.Header.Get("X-Forwarded-Prefix"), "/"); isPrefix(prefix) {
			client.Prefix = prefix
		}
		r = r.Clone(r.Context())
		r.RemoteAddr = p.clientOf(r)
	}
	if client.Prefix != "" {
		r = r.WithContext(live.WithClient(r.Context(), client))
		p.strip(r)
	}
	return r
}

// strip takes the base path off, where a proxy has passed it on.
func (p *proxies) strip(r *http.Request) {
	if p.base == "" || !strings.HasPrefix(r.URL.Path, p.base+"/") {
		return
	}
	u := *r.URL
	u.Path = strings.TrimPrefix(u.Path, p.base)
	u.RawPath = strings.TrimPrefix(u.RawPath, p.base)
	r.URL = &u
}

// trusts reports whether an address, with its port, is of a proxy.
func (p *proxies) trusts(remote string) bool {
	if ofSocket(remote) {
		return true
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, t := range p.trusted {
		if t.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// clientOf finds the client's address: the last one that a proxy has added which is
// none of theirs. What is before that the client may have made up. Proxies add to one of
// two headers, and may pass on what a client has put into the other: where both are
// there and differ, the client is who the proxy is.
func (p *proxies) clientOf(r *http.Request) string {
	remote := r.RemoteAddr
	forwarded, standard := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	if len(forwarded) > 0 {
		remote = p.firstOf(strings.Split(strings.Join(forwarded, ","), ","), r.RemoteAddr)
	}
	if len(standard) == 0 {
		return remote
	}
	other := p.firstOf(forwardedFor(strings.Join(standard, ",")), r.RemoteAddr)
	if len(forwarded) > 0 && other != remote {
		return r.RemoteAddr
	}
	return other
}

// firstOf returns the last of hops that is no proxy's, and else what is given.
func (p *proxies) firstOf(hops []string, otherwise string) string {
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if host, _, err := net.SplitHostPort(hop); err == nil {
			hop = host
		}
		a, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if err != nil {
			break
		}
		if !p.trusts(a.String()) {
			return net.JoinHostPort(a.Unmap().String(), "0")
		}
	}
	return otherwise
}

// forwardedFor returns the "for" of each element of a Forwarded header (RFC 7239), ""
// where it has none.
func forwardedFor(header string) []string {
	var hops []string
	for _, element := range splitUnquoted(header, ',') {
		hop := ""
		for _, pair := range splitUnquoted(element, ';') {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				hop = strings.ReplaceAll(strings.Trim(value, `"`), `\`, "")
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// splitUnquoted splits s at the separators that are in no quoted string (RFC 9110
// 5.6.4).
func splitUnquoted(s string, separator byte) []string {
	var parts []string
	quoted, begin := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:])
}

// isPrefix tells a path that URLs may begin with: "/studio", "/a/b".
func isPrefix(s string) bool {
	if len(s) > 200 || !strings.HasPrefix(s, "/") || checkURL(s) != nil {
		return false
	}
	return !strings.ContainsAny(s, "\\?#\"<>%\r\n\t ")
}

// prefixOf is what URLs in an answer to r begin with.
func prefixOf(r *http.Request) string { return live.ClientOf(r.Context()).Prefix }
