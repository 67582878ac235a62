package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/media"
)

// minTokenLen is the shortest static token beyond loopback, in characters.
const minTokenLen = 16

// minSecretLen is the shortest accepted HS256 key, in bytes: anything shorter
// can be guessed offline from one token.
const minSecretLen = 16

func (c *Config) validate(l *loader) {
	l.checkHTTP(&c.HTTP, &c.Auth)
	l.checkWebRTC(&c.WebRTC)
	l.checkAuth(&c.Auth)
	l.checkLimits(&c.Limits)
	l.checkDatabase(c.Database.URL)
	l.checkTracing(&c.Tracing)
	l.checkRecorder(&c.Recorder)
	l.checkStorage("recorder.storage", &c.Recorder.Storage)
	l.checkSpool(&c.Recorder)
	l.checkManager(c)
	l.checkEvents(c.Told())
}

// checkTags checks sizes, oneof, min and max.
func (l *loader) checkTags(f leaf) {
	if size, ok := f.value.Interface().(Size); ok {
		if _, err := parseSize(string(size)); err != nil {
			l.fail(f.path, "%v", err)
		}
	}
	if allowed := f.tag.Get("oneof"); allowed != "" {
		values := strings.Split(allowed, "|")
		if !slices.Contains(values, f.value.String()) {
			l.fail(f.path, "%q is not allowed; use %s", f.value.String(), orList(values))
		}
	}
	if f.tag.Get("min") == "" {
		return
	}
	lo, _ := strconv.ParseInt(f.tag.Get("min"), 10, 32)
	hi, _ := strconv.ParseInt(f.tag.Get("max"), 10, 32)
	if n := f.value.Int(); n < lo || n > hi {
		l.fail(f.path, "%d is not allowed; use %d to %d", n, lo, hi)
	}
}

func (l *loader) checkHTTP(h *HTTP, a *Auth) {
	for i, o := range h.CORSOrigins {
		if !validOrigin(o) {
			l.fail(element("http.cors_origins", i), `%q is no origin; write "*" or "https://host" or "http://host:port", without a path`, o)
		}
	}
	if b := h.BasePath; b != "" && (!strings.HasPrefix(b, "/") || path.Clean(b) != strings.TrimSuffix(b, "/") || strings.ContainsAny(b, "\\?#\"<>% \t\r\n")) {
		l.fail("http.base_path", `%q is no path; write it as it begins the URLs, such as "/studio"`, b)
	}
	l.checkNetworks("http.trusted_proxies", h.TrustedProxies)
	l.checkSecure(h)
	if path, ok := h.Socket(); ok {
		if !strings.HasPrefix(path, "/") {
			l.fail("http.listen", `%q is no path of a socket; write "unix:/run/live777/http.sock"`, h.Listen)
		}
		return // who reaches it is a matter of its folder
	}
	host, ok := l.checkAddress("http.listen", h.Listen)
	if ok && !loopback(host) && !a.Configured() && !a.Anonymous {
		l.fail("http.listen", "%q can be reached from other machines and no credentials are configured; "+
			"set auth.tokens or auth.secret or [[auth.users]], or listen on 127.0.0.1, or set auth.anonymous = true to let everybody do everything", h.Listen)
	}
	for i, t := range a.Tokens {
		l.checkLength(element("auth.tokens", i), h, t)
	}
}

// checkSecure checks what the server speaks HTTPS by, and who is sent there.
func (l *loader) checkSecure(h *HTTP) {
	t := &h.TLS
	switch {
	case t.Cert != "" && t.Key == "":
		l.fail("http.tls.key", "is missing; write the file that has the key of http.tls.cert")
	case t.Cert == "" && t.Key != "":
		l.fail("http.tls.cert", "is missing; write the file that has the certificate of http.tls.key")
	case t.Cert != "" && len(t.ACME) > 0:
		l.fail("http.tls.acme", "has no effect beside http.tls.cert; remove one or the other")
	}
	for i, host := range t.ACME {
		if u, err := url.Parse("https://" + host); err != nil || u.Host != host || u.Port() != "" || !strings.Contains(host, ".") || strings.ContainsAny(host, "*[]") {
			l.fail(element("http.tls.acme", i), `%q is no name of a host; write one that the authority can find, such as "live.example.com"`, host)
		}
	}
	if u, err := url.Parse(t.ACMEDirectory); t.ACMEDirectory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		l.fail("http.tls.acme_directory", "%q is no URL; write https://host/path", t.ACMEDirectory)
	}
	if h.Redirect == "" {
		return
	}
	l.checkAddress("http.redirect", h.Redirect)
	if h.Scheme() != "https" {
		l.fail("http.redirect", "has no effect without http.tls")
	}
}

// checkLength wants static tokens that cannot be guessed where others can try.
func (l *loader) checkLength(at string, h *HTTP, token Secret) {
	host, _, err := net.SplitHostPort(h.Listen)
	if err == nil && !loopback(host) && token != "" && len(token) < minTokenLen {
		l.fail(at, "has %d characters, and http.listen = %q can be reached from other machines; use at least %d random ones, such as of openssl rand -hex 32",
			len(token), h.Listen, minTokenLen)
	}
}

// checkNetworks checks the addresses and networks at a path.
func (l *loader) checkNetworks(at string, list []string) {
	for i, p := range list {
		_, err := netip.ParseAddr(p)
		if _, errNet := netip.ParsePrefix(p); err != nil && errNet != nil {
			l.fail(element(at, i), `%q is no address; write one, such as "127.0.0.1", or a network, such as "10.0.0.0/8"`, p)
		}
	}
}

// validOrigin reports whether o is "*" or an origin as browsers send it
// (RFC 6454 6.2), whose port may be "*".
func validOrigin(o string) bool {
	if o == "*" {
		return true
	}
	base, anyPort := strings.CutSuffix(o, ":*")
	u, err := url.Parse(base)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.Scheme+"://"+u.Host == base && !strings.Contains(base, "*") && (!anyPort || u.Port() == "")
}

// checkAddress checks a host:port and returns its host.
func (l *loader) checkAddress(key, address string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.fail(key, `%q is no address; write host:port, such as "127.0.0.1:7777" or ":7777" for all interfaces`, address)
		return "", false
	}
	return host, true
}

// loopback reports whether nothing but this machine can reach host. A name
// other than localhost may resolve to anything.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (l *loader) checkWebRTC(w *WebRTC) {
	if l.set["webrtc.listen"] { // else it follows http.listen, whose problem is reported
		l.checkAddress("webrtc.listen", w.Listen)
	}
	for i, ip := range w.PublicIPs {
		if a, err := netip.ParseAddr(ip); err != nil || a.IsUnspecified() {
			l.fail(element("webrtc.public_ips", i), "%q is no IP address", ip)
		}
	}
	if host, _, err := net.SplitHostPort(w.Listen); err == nil && loopback(host) && len(w.PublicIPs) > 0 {
		l.fail("webrtc.public_ips", "has no effect while webrtc.listen is %q, which only this machine can reach; set webrtc.listen, such as %q", w.Listen, ":7777")
	}
	for i, s := range w.ICEServers {
		p := element("webrtc.ice_servers", i)
		if len(s.URLs) == 0 {
			l.fail(p+".urls", `is missing; write urls = ["stun:host:3478"]`)
		}
		turn := false
		for j, u := range s.URLs {
			scheme, rest, _ := strings.Cut(u, ":")
			if !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) || rest == "" || strings.HasPrefix(rest, "//") {
				l.fail(element(p+".urls", j), `%q is no ICE server; write "stun:host:port" or "turn:host:port?transport=udp" (also stuns, turns)`, u)
			}
			turn = turn || strings.HasPrefix(scheme, "turn")
		}
		if turn && (s.Username == "" || s.Credential == "") {
			l.fail(p, "a TURN server needs username and credential")
		}
		l.checkMask(p+".credential", s.Credential)
	}
}

func (l *loader) checkAuth(a *Auth) {
	for i, t := range a.Tokens {
		p := element("auth.tokens", i)
		switch {
		case t == "":
			l.fail(p, "is empty; an empty token would let everybody in")
		case strings.ContainsFunc(string(t), func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }):
			// It could not be sent in a header as it is (RFC 6750 2.1), or not
			// be set by a variable.
			l.fail(p, "has a character that cannot be part of a bearer token; use letters, digits and -._~+/=")
		}
		l.checkMask(p, t)
	}
	if a.Secret != "" && len(a.Secret) < minSecretLen {
		l.fail("auth.secret", "has %d bytes; use at least %d random ones", len(a.Secret), minSecretLen)
	}
	l.checkMask("auth.secret", a.Secret)
	if a.Anonymous && a.Configured() {
		l.fail("auth.anonymous", "lets everybody do everything, so auth.tokens, auth.secret and auth.users would have no effect; remove one or the other")
	}
	l.checkUsers(a.Users)
}

// checkMask refuses the mask of a printed configuration as a secret.
func (l *loader) checkMask(path string, s Secret) {
	if s == mask {
		l.fail(path, "is the mask of a printed configuration; write the secret itself")
	}
}

func (l *loader) checkDatabase(u DatabaseURL) {
	scheme, rest, ok := strings.Cut(string(u), "://")
	_, err := url.Parse(string(u))
	if !ok || rest == "" || err != nil || !slices.Contains([]string{"sqlite", "postgres", "postgresql"}, scheme) {
		// Not shown: it may hold a password.
		l.fail("database.url", `is no database; write "sqlite://live777.db" or "postgres://user:password@host/name"`)
		return
	}
	if strings.Contains(string(u), mask) {
		l.fail("database.url", "has the mask of a printed configuration; write the password itself")
	}
}

// checkPatterns checks the stream patterns at a path.
func (l *loader) checkPatterns(at string, patterns []string) {
	for i, pattern := range patterns {
		p := element(at, i)
		if _, err := path.Match(pattern, ""); err != nil {
			l.fail(p, `%q is no pattern; use * for any characters, ? for one, [a-z] for a range and \ before one that is meant literally`, pattern)
		}
		if pattern == "" {
			l.fail(p, `is empty; use "*" for all streams, or remove it`)
		}
	}
}

func (l *loader) checkTracing(t *Tracing) {
	if t.Endpoint != "" {
		l.checkBaseURL("tracing.endpoint", t.Endpoint)
	}
}

func (l *loader) checkRecorder(r *Recorder) {
	l.checkPatterns("recorder.auto_streams", r.AutoStreams)
	l.checkPatterns("recorder.preroll_streams", r.PrerollStreams)
	if strings.ContainsFunc(r.NodeAlias, media.IsHidden) {
		l.fail("recorder.node_alias", "%q has characters that are not seen; leave control and format characters out", r.NodeAlias)
	}
	if r.Chunk.Duration() > r.Segment.Duration() {
		l.fail("recorder.chunk_ms", "%d is longer than segment_seconds = %d", r.Chunk, r.Segment)
	}
}

// checkStorage checks the storage section at a path.
func (l *loader) checkStorage(at string, s *Storage) {
	oneOf := func(list string) bool { return slices.Contains(strings.Split(list, "|"), s.Type) }
	if !oneOf("fs|s3|oss") {
		return // reported by its tag; which keys belong to it cannot be said
	}
	for _, f := range leaves(reflect.ValueOf(s).Elem(), at) {
		types := f.tag.Get("for")
		if types != "" && !oneOf(types) && l.set[f.path] {
			l.fail(f.path, "belongs to storage of type %s, and type is %q", orList(strings.Split(types, "|")), s.Type)
		}
		if oneOf(f.tag.Get("required")) && f.value.String() == "" {
			l.fail(f.path, "is missing; storage of type %q needs it", s.Type)
		}
		if secret, ok := f.value.Interface().(Secret); ok {
			l.checkMask(f.path, secret)
		}
	}
	if s.Type == StorageFS {
		l.checkFileMode(at+".file_mode", s.FileMode)
	}
	if s.Root == "" && s.Type == StorageFS {
		l.fail(at+".root", `is empty; write a directory, such as "./storage"`)
	}
	if s.Type != StorageFS && slices.ContainsFunc(strings.Split(s.Root, "/"), func(e string) bool { return e == "." || e == ".." }) {
		l.fail(at+".root", `%q has an element "." or "..", which means nothing in a bucket`, s.Root)
	}
	if u, err := url.Parse(s.Endpoint); s.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil) {
		l.fail(at+".endpoint", "is no URL; write http://host:port or https://host")
	}
	l.checkKeyPair(at, s)
}

// minSpool is the smallest spool: a few segments of a few streams.
const minSpool = 64 << 20

func (l *loader) checkSpool(r *Recorder) {
	const at = "recorder.spool"
	if r.Storage.Type == StorageFS {
		return // it has no spool
	}
	if r.Spool.Dir == "" {
		l.fail(at+".dir", `is empty; write a directory, such as "./spool"`)
	}
	if r.Spool.MaxBytes.Bytes() < minSpool {
		l.fail(at+".max_bytes", "%q is too little; write at least 64MiB, and what an outage of storage that is to be survived takes", r.Spool.MaxBytes)
	}
	if r.Retention.MinFree.Bytes() > 0 {
		l.fail("recorder.retention.min_free_bytes", "belongs to storage of type %q, and type is %q", StorageFS, r.Storage.Type)
	}
}

// checkKeyPair checks that credentials are given whole or not at all.
func (l *loader) checkKeyPair(at string, s *Storage) {
	secret, key, token, tokenKey := s.SecretAccessKey, "secret_access_key", s.SessionToken, "session_token"
	if s.Type == StorageOSS {
		secret, key, token, tokenKey = s.AccessKeySecret, "access_key_secret", s.SecurityToken, "security_token"
	}
	switch {
	case s.AccessKeyID != "" && secret == "":
		l.fail(at+"."+key, "is missing; access_key_id needs it")
	case s.AccessKeyID == "" && secret != "":
		l.fail(at+".access_key_id", "is missing; %s needs it", key)
	case s.AccessKeyID == "" && token != "":
		l.fail(at+".access_key_id", "is missing; %s needs it and %s", tokenKey, key)
	}
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// orList renders values as "a", "b" or "c".
func orList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	last := len(quoted) - 1
	if last == 0 {
		return quoted[0]
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
