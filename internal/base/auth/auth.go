// Package auth decides whether a request may do what it asks for. It knows static
// bearer tokens, HS256 JSON Web Tokens, accounts with passwords and their sessions, and
// URLs that are signed for one recording. Without any of these configured, it asks
// nobody.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/fault"
)

// Right is something that a token may allow.
type Right string

// The rights, spelled as in a token's "rights" claim. Admin has the others; of
// those, none has another.
const (
	Publish   Right = "publish"   // send a stream (WHIP)
	Subscribe Right = "subscribe" // watch it live (WHEP)
	View      Right = "view"      // list and play its recordings
	Record    Right = "record"    // start and stop recording it
	Delete    Right = "delete"    // delete its recordings, and protect them from that
	Admin     Right = "admin"
)

// Rights returns all rights.
func Rights() []Right { return []Right{Publish, Subscribe, View, Record, Delete, Admin} }

// The errors of Authenticate, all fault.Unauthenticated but ErrHost.
var (
	ErrMissing   = fault.New(fault.Unauthenticated, "credentials are required: send the header \"Authorization: Bearer TOKEN\"").Coded("credentials_missing")
	ErrMalformed = fault.New(fault.Unauthenticated, "the Authorization header is not of the form \"Bearer TOKEN\"").Coded("credentials_malformed")
	errExpired   = errors.New("auth: a token whose time is over")
	ErrInvalid   = fault.New(fault.Unauthenticated, "the token is not valid, or no longer").Coded("credentials_invalid")
	ErrHost      = fault.New(fault.Forbidden, "without auth.tokens, auth.secret or [[auth.users]] only requests to localhost are answered; configure one of them, or set auth.anonymous = true").Coded("localhost_only")
)

// Options configures New.
type Options struct {
	// Tokens are static bearer tokens that may do everything. Empty ones are
	// never accepted.
	Tokens []string
	// Secret is the HS256 key of JSON Web Tokens; none are accepted when empty.
	Secret string
	// Accounts may log in. One whose hash CheckHash refuses never gets in.
	Accounts []Account
	// Anonymous says that open access is meant where there are neither Tokens
	// nor Secret nor Accounts. With one of them it has no effect.
	Anonymous bool
	// Now is the clock that expiry is judged by; nil means time.Now.
	Now func() time.Time
}

// Auth checks credentials. It is safe for concurrent use.
type Auth struct {
	required    bool
	tokens      [][sha256.Size]byte
	secret      []byte
	anonymous   bool
	parser      *jwt.Parser
	now         func() time.Time
	linkKey     []byte
	accounts    *accounts
	sessions    *sessions
	bearers     *bearers
	origins     map[string]bool // tags of what links may come from, beside sessions
	cookieName  string
	crossOrigin *http.CrossOriginProtection
}

// New returns an Auth with o's rules.
func New(o Options) *Auth {
	if o.Now == nil {
		o.Now = time.Now
	}
	material := keyMaterial(o)
	a := &Auth{
		required:  len(o.Tokens) > 0 || o.Secret != "" || len(o.Accounts) > 0,
		secret:    []byte(o.Secret),
		anonymous: o.Anonymous,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithExpirationRequired(), // a token that never ends cannot be taken back
			jwt.WithTimeFunc(o.Now),
		),
		now:         o.Now,
		linkKey:     deriveKey(material, "playback link v3"),
		accounts:    newAccounts(o.Accounts, sessionMaterial(material), o.Now),
		sessions:    newSessions(),
		bearers:     newBearers(o.Now),
		origins:     make(map[string]bool),
		cookieName:  cookieName(material),
		crossOrigin: http.NewCrossOriginProtection(),
	}
	for _, t := range o.Tokens {
		// Digests have one length, so comparing them tells nothing about the length of
		// tokens. An empty token stays in the list, where nothing can match it: without
		// it the list might be empty, and the node open.
		sum := sha256.Sum256([]byte(t))
		a.tokens = append(a.tokens, sum)
		a.origins[string(a.originTag(string(KindToken), hex.EncodeToString(sum[:])))] = true
	}
	switch {
	case !a.required:
		a.origins[string(a.originTag(string(KindAnonymous), ""))] = true
	case o.Secret != "":
		a.origins[string(a.originTag(string(KindJWT), ""))] = true
	}
	return a
}

// Required reports whether requests need credentials.
func (a *Auth) Required() bool { return a.required }

// HasAccounts reports whether anybody can log in.
func (a *Auth) HasAccounts() bool { return len(a.accounts.list) > 0 }

// Authorize is Authenticate and Grant.Allows in one.
func (a *Auth) Authorize(r *http.Request, right Right, stream string) error {
	g, err := a.Authenticate(r)
	if err != nil {
		return err
	}
	return g.Allows(right, stream)
}

// Authenticate finds out what the sender of r may do. Without valid credentials the
// error is a fault.Unauthenticated; it may also be ErrHost or ErrCrossOrigin.
func (a *Auth) Authenticate(r *http.Request) (*Grant, error) {
	if !a.Required() {
		if !a.anonymous && !localHost(r.Host) {
			return nil, ErrHost
		}
		return everything(KindAnonymous).from(a.originTag(string(KindAnonymous), "")), nil
	}
	token, fromCookie, err := a.credentials(r)
	if err != nil {
		return nil, err
	}
	if found, r, err := a.session(token); err == nil {
		return found.grant(r), nil
	}
	if fromCookie {
		return nil, ErrInvalid // a session that has ended
	}
	if len(a.secret) > 0 {
		switch g, err := a.parse(token); {
		case err == nil:
			return g, nil
		case errors.Is(err, errExpired):
			return nil, ErrInvalid // it is no guess
		}
	}
	if err := a.bearers.check(r, token, a.isStatic(token)); err != nil {
		return nil, err
	}
	g := everything(KindToken).of(token)
	return g.from(a.originTag(string(KindToken), g.digest)), nil
}

// credentials returns the token of the Authorization header or, where there is
// none, of the session's cookie.
func (a *Auth) credentials(r *http.Request) (token string, fromCookie bool, err error) {
	token, err = bearer(r.Header)
	if errors.Is(err, ErrMissing) {
		if value, ok, err := a.cookie(r); ok {
			return value, true, err
		}
	}
	return token, false, err
}

// Presents reports whether r has the given static token, which is none of
// Options.Tokens. Guesses are slowed as in Authenticate: the error is then a
// *fault.WaitError. A request with another token is no error.
func (a *Auth) Presents(r *http.Request, token string) (bool, error) {
	got, err := bearer(r.Header)
	if err != nil || token == "" {
		return false, nil //nolint:nilerr // it has none
	}
	want, sum := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(got))
	if subtle.ConstantTimeCompare(want[:], sum[:]) != 1 {
		return false, nil // Authenticate counts it, if it is not another one that is valid
	}
	return true, a.bearers.check(r, got, true)
}

// localHost reports whether a Host header names this machine. A web site can
// make its own name resolve to 127.0.0.1 and so speak to a local service as its
// same origin (DNS rebinding), but it cannot choose these names.
func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host = strings.ToLower(host)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// bearer returns the token of the Authorization header (RFC 6750 2.1). The URL is
// not looked at: it ends up in logs and histories.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", ErrMissing
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,\t") {
		return "", ErrMalformed
	}
	return token, nil
}

// isStatic compares token with all static ones, in a time that does not depend
// on which matches and how far.
func (a *Auth) isStatic(token string) bool {
	digest, found := sha256.Sum256([]byte(token)), 0
	for i := range a.tokens {
		found |= subtle.ConstantTimeCompare(digest[:], a.tokens[i][:])
	}
	return found == 1 && token != ""
}

// claims are what a JSON Web Token says: until when who may do what. Both lists
// are empty where the claim is missing, and then allow nothing, unless the token was made
// for the original live777 and has neither.
type claims struct {
	jwt.RegisteredClaims
	Streams []string `json:"streams"`
	Rights  []Right  `json:"rights"`
	original
}

func (a *Auth) parse(token string) (*Grant, error) {
	var c claims
	_, err := a.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return a.secret, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenExpired): // which is looked at when the signature is right
		return nil, errExpired
	case err != nil:
		return nil, ErrInvalid // the parser's reasons may quote the token
	}
	if c.Streams == nil && c.Rights == nil {
		c.Streams, c.Rights = c.grant()
	}
	g := &Grant{kind: KindJWT, name: c.Subject, streams: c.Streams, rights: c.Rights, expires: c.ExpiresAt.Time}
	return g.of(token).from(a.originTag(string(KindJWT), "")), nil
}

// Sign makes a token for rights on the streams that match patterns, valid
// until expires. It is for tools and tests; secret is Options.Secret.
func Sign(secret string, expires time.Time, streams []string, rights ...Right) (string, error) {
	c := claims{RegisteredClaims: jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(expires)}, Streams: streams, Rights: rights}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
}
