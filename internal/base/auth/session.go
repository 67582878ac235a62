package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/fault"
)

// SessionTTL is how long a login lasts.
const SessionTTL = 12 * time.Hour

// ErrCrossOrigin is for a request that a page of another site has made with the
// cookie of this one's user.
var ErrCrossOrigin = fault.New(fault.Forbidden, "the session's cookie counts for requests of the server's own page only; send a token instead").Coded("cross_origin")

var errNoSession = errors.New("auth: no session of ours")

// Session is what a login is answered with.
type Session struct {
	// Token is a bearer token, and the value of the cookie of SetCookie.
	Token   string
	Grant   *Grant
	Expires time.Time
}

// Login starts a session. Besides its sentinels the error is a *fault.WaitError.
func (a *Auth) Login(ctx context.Context, name, password, remoteAddr string) (*Session, error) {
	found, err := a.accounts.check(ctx, name, password, remoteAddr)
	if err != nil {
		return nil, err
	}
	// Seconds, as the claim has them.
	now := a.now().Truncate(time.Second)
	expires := now.Add(SessionTTL)
	c := jwt.RegisteredClaims{
		Subject: found.Name, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires), ID: rand.Text(),
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(found.key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err) // nothing of the request is in it
	}
	r := &running{
		name: found.Name, id: c.ID, tag: string(a.originTag(string(KindAccount), found.Name+"\x00"+c.ID)), end: expires, ended: make(chan struct{}),
	}
	a.sessions.begin(r, now)
	return &Session{Token: token, Grant: found.grant(r), Expires: expires}, nil
}

// grant says what the account may do now in a session, which has its name alone, so
// that what the configuration takes away is gone at once.
func (a *account) grant(r *running) *Grant {
	return &Grant{
		kind: KindAccount, name: a.Name, streams: a.Streams, rights: a.Rights, expires: r.end, ended: r.ended, origin: r.tag,
	}
}

// session reads a token of Login.
func (a *Auth) session(token string) (*account, *running, error) {
	if len(a.accounts.list) == 0 {
		return nil, nil, errNoSession
	}
	c := new(jwt.RegisteredClaims)
	var found *account
	_, err := a.parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) {
		if found = a.accounts.byName[c.Subject]; found == nil {
			return a.accounts.decoyKey, nil // it takes the time of a name that exists
		}
		return found.key, nil
	})
	if err != nil || found == nil {
		return nil, nil, errNoSession // the parser's reasons may quote the token
	}
	r := a.sessions.get(c.Subject, c.ID)
	if r == nil {
		return nil, nil, errNoSession
	}
	return found, r, nil
}

// Logout ends the session that r comes with, wherever else it is used. A request
// without a session is no error. The error is ErrCrossOrigin if a foreign page asks.
func (a *Auth) Logout(r *http.Request) error {
	token, _, err := a.credentials(r)
	if errors.Is(err, ErrCrossOrigin) {
		return err
	}
	if _, r, err := a.session(token); err == nil {
		a.sessions.finish(r.name, r.id)
	}
	return nil
}

// CheckOrigin returns ErrCrossOrigin for a request that changes something and
// that a browser sent for a page of another origin.
func (a *Auth) CheckOrigin(r *http.Request) error {
	if a.crossOrigin.Check(r) != nil {
		return ErrCrossOrigin
	}
	return nil
}

// cookie returns the value of the session's cookie.
func (a *Auth) cookie(r *http.Request) (token string, ok bool, err error) {
	cookies := r.CookiesNamed(a.cookieName)
	if len(cookies) == 0 || len(a.accounts.list) == 0 {
		return "", false, nil
	}
	// Browsers send cookies by themselves, SameSite ones to other ports of the
	// same host too: what changes something has to come from our own page.
	return cookies[0].Value, true, a.CheckOrigin(r)
}

// SetCookie gives the session to the page that r comes from.
func (a *Auth) SetCookie(w http.ResponseWriter, r *http.Request, s *Session) {
	http.SetCookie(w, a.newCookie(r, s.Token, int(s.Expires.Sub(a.now())/time.Second)))
}

// ClearCookie takes the session from the page that r comes from.
func (a *Auth) ClearCookie(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, a.newCookie(r, "", -1))
}

func (a *Auth) newCookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: a.cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// Behind a proxy that does the TLS, the page's own origin tells.
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}

// cookieName differs where keys do: cookies are of a host, whatever its port, and
// two servers of one machine must not take each other's away.
func cookieName(material []byte) string {
	return "live777_session_" + hex.EncodeToString(deriveKey(material, "cookie name")[:4])
}

// maxSessions bounds the sessions of one account: the one that ends first makes room
// for another.
const maxSessions = 100

// sessions has the sessions that run, by the names of their accounts. A session that is
// not in it has ended and cannot come back. Safe for concurrent use.
type sessions struct {
	mu      sync.Mutex
	running map[string]map[string]*running // by name and id
	byTag   map[string]*running            // by what the links have of it
}

// running is a session that runs.
type running struct {
	name, id, tag string
	end           time.Time
	ended         chan struct{} // closed when it is over before its time
}

func newSessions() *sessions {
	return &sessions{running: make(map[string]map[string]*running), byTag: make(map[string]*running)}
}

// get returns the session of an account, nil if it does not run.
func (s *sessions) get(name, id string) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[name][id]
}

// tagged returns the session with the tag, nil if none runs.
func (s *sessions) tagged(tag string) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byTag[tag]
}

// begin notes a session that ends at r.end.
func (s *sessions) begin(r *running, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.running[r.name]
	if own == nil {
		own = make(map[string]*running)
		s.running[r.name] = own
	}
	var first *running
	for _, other := range own {
		if !now.Before(other.end) {
			s.remove(other)
		} else if first == nil || other.end.Before(first.end) {
			first = other
		}
	}
	if len(own) >= maxSessions {
		s.remove(first)
	}
	own[r.id], s.byTag[r.tag] = r, r
}

func (s *sessions) finish(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.running[name][id]; r != nil {
		s.remove(r)
	}
}

// remove ends a session, and with it what was opened by it.
func (s *sessions) remove(r *running) {
	delete(s.running[r.name], r.id)
	delete(s.byTag, r.tag)
	close(r.ended)
}
