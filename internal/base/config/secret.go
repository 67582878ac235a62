package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// mask is what stands for a secret wherever one is shown. It is no secret that
// Load accepts: a printed configuration must not become a known password.
const mask = "********"

// Secret is a string that shows itself as "********" to fmt, slog and the
// encoding packages; string(s) has the value. An empty one stays empty.
type Secret string

// String returns the mask.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString returns the mask (%#v).
func (s Secret) GoString() string { return s.String() }

// LogValue returns the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// DatabaseURL is a URL that shows itself without its passwords; string(u) has
// the value.
type DatabaseURL string

// String returns the URL with the mask in place of passwords.
func (u DatabaseURL) String() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return mask
	}
	_, found := parsed.User.Password()
	if found {
		parsed.User = url.UserPassword(parsed.User.Username(), mask)
	}
	if q := parsed.Query(); maskPasswords(q) {
		parsed.RawQuery = q.Encode()
		found = true
	}
	if !found {
		return string(u)
	}
	// The mask has no character that needs escaping in these places.
	return strings.ReplaceAll(parsed.String(), "%2A", "*")
}

// maskPasswords masks the parameters that hold a password, such as PostgreSQL's
// password and sslpassword, and reports whether there was one.
func maskPasswords(q url.Values) bool {
	found := false
	for k := range q {
		if strings.Contains(strings.ToLower(k), "password") {
			q.Set(k, mask)
			found = true
		}
	}
	return found
}

// GoString returns the masked URL (%#v).
func (u DatabaseURL) GoString() string { return u.String() }

// LogValue returns the masked URL.
func (u DatabaseURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText returns the masked URL.
func (u DatabaseURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
