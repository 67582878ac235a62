package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/fault"
)

const address = "192.0.2.1:1234"

func testAccounts() []Account {
	return []Account{
		{Name: "anna", PasswordHash: cheapHash(password), Rights: []Right{View, Record}, Streams: []string{"room-*"}},
		{Name: "root", PasswordHash: cheapHash("another password"), Rights: []Right{Admin}, Streams: []string{"*"}},
	}
}

func login(t *testing.T, a *Auth) *Session {
	t.Helper()
	s, err := a.Login(t.Context(), "anna", password, address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fromPage is a request of a page with the session's cookie; headers are pairs.
func fromPage(t *testing.T, a *Auth, method string, s *Session, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://node.example/", nil)
	w := httptest.NewRecorder()
	a.SetCookie(w, r, s)
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestLogin(t *testing.T) {
	at := now
	a := New(Options{Accounts: testAccounts(), Secret: secret, Tokens: []string{"t0ken"}, Now: func() time.Time { return at }})
	if !a.Required() || !a.HasAccounts() {
		t.Fatal("accounts ask for nothing")
	}
	s := login(t, a)
	if want := now.Add(SessionTTL); !s.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", s.Expires, want)
	}
	for name, r := range map[string]*http.Request{"bearer": request(t, "Bearer "+s.Token), "cookie": fromPage(t, a, http.MethodGet, s)} {
		g, err := a.Authenticate(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if end, ok := g.Expires(); g.Kind() != KindAccount || g.Name() != "anna" || !ok || !end.Equal(s.Expires) ||
			!slices.Equal(g.Rights(), []Right{View, Record}) || !slices.Equal(g.Streams(), []string{"room-*"}) {
			t.Errorf("%s: %+v", name, g)
		}
		if g.Allows(View, "room-1") != nil || g.Allows(View, "hall") == nil || g.Allows(Delete, "room-1") == nil {
			t.Errorf("%s: wrong rights", name)
		}
	}
	at = s.Expires
	check(t, a.Authorize(request(t, "Bearer "+s.Token), View, "room-1"), fault.Unauthenticated)
	check(t, a.Authorize(fromPage(t, a, http.MethodGet, s), View, "room-1"), fault.Unauthenticated)
}

func TestLoginRefuses(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Now: clock})
	for _, c := range [][2]string{{"anna", "wrong password"}, {"anna", ""}, {"anna", "another password"}, {"nobody", password}, {"", ""}, {"Anna", password},
		{"anna ", password}, {"root", password}, {"anna", password + strings.Repeat("x", 10_000)}} {
		s, err := a.Login(t.Context(), c[0], c[1], address)
		if !errors.Is(err, ErrLogin) || s != nil {
			t.Errorf("%q: %v", c, err)
		}
	}
	_, err := New(Options{Secret: secret, Now: clock}).Login(t.Context(), "anna", password, address)
	check(t, err, fault.Unsupported)
	// A damaged hash opens nothing, neither the account nor the node.
	a = New(Options{Accounts: []Account{{Name: "anna", PasswordHash: ""}, {Name: "eve", PasswordHash: password}}, Anonymous: true, Now: clock})
	if _, err := a.Login(t.Context(), "anna", "", address); err == nil || a.HasAccounts() {
		t.Errorf("an account without a hash: %v", err)
	}
	check(t, a.Authorize(request(t), View, "room"), fault.Unauthenticated)
}

// Sessions count for who made them, at the server that they were made at, until it
// ends: that knows which have been ended.
func TestSessionsOfOthers(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Secret: secret, Now: clock})
	s := login(t, a)
	for name, tt := range map[string]struct {
		o  Options
		ok bool
	}{
		"restarted":   {Options{Accounts: testAccounts(), Secret: secret}, false}, // or an ended one would come back
		"no accounts": {Options{Secret: secret}, false},
	} {
		tt.o.Now = clock
		err := New(tt.o).Authorize(request(t, "Bearer "+s.Token), View, "room-1")
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.accounts.byName["anna"].Rights = []Right{Subscribe}
	check(t, a.Authorize(request(t, "Bearer "+s.Token), View, "room-1"), fault.Forbidden) // rights are those of now
	a.accounts.byName["anna"].Rights = testAccounts()[0].Rights
	parts := strings.Split(s.Token, ".")
	for name, token := range map[string]string{
		"root's name":      sign(t, jwt.SigningMethodHS256, a.accounts.byName["anna"].key, jwt.MapClaims{"sub": "root", "exp": s.Expires.Unix()}),
		"the secret's key": sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": "root", "exp": s.Expires.Unix()}),
		"no expiry":        sign(t, jwt.SigningMethodHS256, a.accounts.byName["root"].key, jwt.MapClaims{"sub": "root"}),
		"none":             sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "root", "exp": s.Expires.Unix()}),
		"no signature":     parts[0] + "." + parts[1] + ".",
		"a decoy":          sign(t, jwt.SigningMethodHS256, a.accounts.decoyKey, jwt.MapClaims{"sub": "nobody", "exp": s.Expires.Unix()}),
		"no name":          sign(t, jwt.SigningMethodHS256, []byte(nil), jwt.MapClaims{"exp": s.Expires.Unix()}),
		"HS512":            sign(t, jwt.SigningMethodHS512, a.accounts.byName["root"].key, jwt.MapClaims{"sub": "root", "exp": s.Expires.Unix()}),
	} {
		if err := a.Authorize(request(t, "Bearer "+token), View, "room-1"); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
}

func TestLogout(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Now: clock})
	s, other := login(t, a), login(t, a)
	check(t, a.Logout(fromPage(t, a, http.MethodPost, s, "Sec-Fetch-Site", "cross-site")), fault.Forbidden)
	if err := a.Authorize(request(t, "Bearer "+s.Token), View, "room-1"); err != nil {
		t.Errorf("a foreign page ended the session: %v", err)
	}
	for range 2 {
		if err := a.Logout(fromPage(t, a, http.MethodPost, s)); err != nil {
			t.Fatal(err)
		}
	}
	check(t, a.Authorize(request(t, "Bearer "+s.Token), View, "room-1"), fault.Unauthenticated)
	if err := a.Authorize(request(t, "Bearer "+other.Token), View, "room-1"); err != nil {
		t.Errorf("another session ended too: %v", err)
	}
	if err := a.Logout(request(t, "Bearer "+other.Token)); err != nil {
		t.Fatal(err)
	}
	check(t, a.Authorize(request(t, "Bearer "+other.Token), View, "room-1"), fault.Unauthenticated)
	if err := errors.Join(a.Logout(request(t)), a.Logout(request(t, "Bearer x"))); err != nil {
		t.Errorf("nothing to end: %v", err)
	}
}

// An account has so many sessions, and takes none from another; what made room, or
// was ended, does not come back.
func TestSessionsAreBounded(t *testing.T) {
	at := now
	a := New(Options{Accounts: testAccounts(), Now: func() time.Time { return at }})
	root, err := a.Login(t.Context(), "root", "another password", address)
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range a.accounts.list {
		account.hash = plain(password)
	}
	runs := func(s *Session) bool { return a.Authorize(request(t, "Bearer "+s.Token), View, "room-1") == nil }
	var list []*Session
	for range maxSessions + 1 {
		at = at.Add(time.Second)
		list = append(list, login(t, a))
	}
	select {
	case <-list[0].Grant.Ended():
	default:
		t.Error("who uses the session that made room is not told")
	}
	if runs(list[0]) || !runs(list[1]) || !runs(list[maxSessions]) || !runs(root) || len(a.sessions.running["anna"]) != maxSessions {
		t.Errorf("%d sessions are remembered, or the wrong ones", len(a.sessions.running["anna"]))
	}
	if err := a.Logout(request(t, "Bearer "+list[1].Token)); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxSessions {
		login(t, a)
	}
	if runs(list[0]) || runs(list[1]) {
		t.Error("a session that was ended came back")
	}
	at = at.Add(SessionTTL)
	login(t, a)
	if len(a.sessions.running["anna"]) != 1 || runs(root) {
		t.Errorf("%d sessions are remembered, whose time is over", len(a.sessions.running["anna"]))
	}
}

// What a browser sends by itself counts for our own page only.
func TestCookieOrigin(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Now: clock})
	s := login(t, a)
	for _, tt := range []struct {
		method  string
		headers []string
		ok      bool
	}{
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-origin"}, true},
		{http.MethodPost, []string{"Sec-Fetch-Site", "none"}, true},
		{http.MethodPost, []string{"Sec-Fetch-Site", "same-site"}, false},
		{http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, false},
		{http.MethodDelete, []string{"Sec-Fetch-Site", "cross-site"}, false},
		{http.MethodPatch, []string{"Origin", "http://evil.example"}, false},
		{http.MethodPost, []string{"Origin", "http://node.example:81"}, false},
		{http.MethodPost, []string{"Origin", "null"}, false},
		{http.MethodPost, []string{"Origin", "http://node.example"}, true},
		{http.MethodPost, nil, true},                                     // no browser
		{http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, true}, // it changes nothing, and its answer is not shown
	} {
		err := a.Authorize(fromPage(t, a, tt.method, s, tt.headers...), View, "room-1")
		if (err == nil) != tt.ok {
			t.Errorf("%s %q: %v", tt.method, tt.headers, err)
		}
		if err != nil && !errors.Is(err, ErrCrossOrigin) {
			t.Errorf("%s %q: %v", tt.method, tt.headers, err)
		}
		// A header is nothing that a browser sends by itself; with one the cookie does not count.
		r := fromPage(t, a, tt.method, s, tt.headers...)
		r.Header.Set("Authorization", "Bearer "+s.Token)
		if err := a.Authorize(r, View, "room-1"); err != nil {
			t.Errorf("%s %q with a header: %v", tt.method, tt.headers, err)
		}
		r.Header.Set("Authorization", "Bearer x")
		check(t, a.Authorize(r, View, "room-1"), fault.Unauthenticated)
	}
}

func TestCookie(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Secret: secret, Now: clock})
	s := login(t, a)
	for _, tt := range []struct {
		change func(r *http.Request)
		secure bool
	}{
		{func(*http.Request) {}, false},
		{func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, true},
		{func(r *http.Request) { r.Header.Set("Origin", "https://node.example") }, true},
		{func(r *http.Request) { r.Header.Set("Origin", "http://node.example") }, false},
	} {
		r, w := request(t), httptest.NewRecorder()
		tt.change(r)
		a.SetCookie(w, r, s)
		c := w.Result().Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.MaxAge != int(SessionTTL/time.Second) || c.Secure != tt.secure || c.Domain != "" {
			t.Errorf("cookie %+v", c)
		}
		w = httptest.NewRecorder()
		a.ClearCookie(w, r)
		if gone := w.Result().Cookies()[0]; gone.Name != c.Name || gone.Value != "" || gone.MaxAge != -1 {
			t.Errorf("cleared by %+v", gone)
		}
	}
	if New(Options{Accounts: testAccounts(), Secret: "another secret of enough bytes"}).cookieName == a.cookieName {
		t.Error("two servers of one host take each other's cookies away")
	}
	// A cookie with a static token or a JWT in it is none of ours to accept, but harmless: it was put there on purpose.
	r := request(t)
	r.AddCookie(&http.Cookie{Name: a.cookieName, Value: "x"})
	check(t, a.Authorize(r, View, "room-1"), fault.Unauthenticated)
}

func TestLoginAttempts(t *testing.T) {
	at := now
	a := New(Options{Accounts: testAccounts(), Now: func() time.Time { return at }})
	for _, account := range a.accounts.list {
		account.hash = plain(map[string]string{"anna": password, "root": "another password"}[account.Name])
	}
	try := func(name, password, address string) time.Duration {
		t.Helper()
		_, err := a.Login(t.Context(), name, password, address)
		if wait := (*fault.WaitError)(nil); errors.As(err, &wait) {
			check(t, err, fault.TooMany)
			if wait.Seconds() < 1 {
				t.Errorf("a wait of %v", wait.Wait)
			}
			return wait.Wait
		}
		return 0
	}
	if wait := try("anna", password, address); wait > 0 {
		t.Errorf("the owner waits %v", wait)
	}
	for range freeByName + 1 {
		if wait := try("anna", "wrong password", address); wait > 0 {
			t.Fatalf("waits %v", wait)
		}
	}
	if try("anna", password, address) == 0 {
		t.Error("a name can be tried on and on")
	}
	if wait := try("anna", password, "198.51.100.1:1"); wait > 0 { // others cannot lock the owner out
		t.Errorf("the owner waits %v elsewhere", wait)
	}
	if wait := try("root", "another password", address); wait > 0 {
		t.Errorf("another name waits %v", wait)
	}
	for range 100 {
		at = at.Add(time.Minute)
		try("anna", "wrong password", address)
	}
	if wait := try("anna", password, address); wait > longestByName {
		t.Errorf("the owner waits %v", wait)
	}
	at = at.Add(longestByName)
	if wait := try("root", "another password", address); wait > 0 {
		t.Errorf("who has logged in from an address waits %v because of others there", wait)
	}
	at = at.Add(longestByAddress)
	if wait := try("anna", password, address); wait > 0 {
		t.Errorf("the owner waits %v", wait)
	}
	// Names that do not exist are slowed like those that do.
	for range freeByName + 1 {
		try("nobody", password, "198.51.100.3:1")
	}
	if try("nobody", password, "198.51.100.3:1") == 0 {
		t.Error("a name that does not exist can be told by its being let try")
	}
	at = at.Add(time.Hour)
	for i := range freeByAddress + 1 {
		try(string(rune('a'+i)), password, "[2001:db8::1]:5")
	}
	if try("x", password, "[2001:db8::2]:6") == 0 {
		t.Error("an address can try many names")
	}
	if try("anna", password, "[2001:db8:0:1::1]:5") > 0 {
		t.Error("another network waits")
	}
	// Logging in to an own account in between buys no attempts at others.
	const own = "198.51.100.9:1"
	for i := range freeByAddress + 1 {
		at = at.Add(longestByName)
		try(string(rune('A'+i)), password, own)
		try("anna", password, own)
	}
	if try("X", password, own) == 0 {
		t.Error("an address can try many names, if one is its own")
	}
	for range freeByAddress + 1 { // a proxy on this machine stands for everybody
		at = at.Add(longestByName)
		if try("x", password, "127.0.0.1:1") > 0 {
			t.Error("the reverse proxy waits")
		}
	}
	if sourceOf("[::1]:1") != "" || sourceOf("[::ffff:127.0.0.1]:1") != "" || sourceOf("[fe80::1%eth0]:1") != "fe80::/64" {
		t.Error("sources of addresses")
	}
}

// plain is a hash that costs nothing.
type plain string

func (p plain) matches(password []byte) bool { return string(p) == string(password) }

// Those who find the queue for hashing full, or give up, have not failed.
func TestBusyIsNoFailure(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Now: clock})
	done, err := a.accounts.turns.take(t.Context(), "a slow one")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * (freeByName + freeByAddress) {
		if _, err := a.Login(gone, "anna", password, address); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
	}
	for i := range maxQueued {
		if _, err := a.accounts.turns.enter(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * (freeByName + freeByAddress) {
		_, err = a.Login(t.Context(), "anna", password, address)
		if !errors.Is(err, ErrBusy) {
			t.Fatalf("error %v", err)
		}
	}
	check(t, err, fault.Unavailable)
	for range maxQueued + 1 {
		done()
	}
	login(t, a)
}

// A name that does not exist costs what one that does costs: a hash.
func TestUnknownNamesAreHashed(t *testing.T) {
	a := New(Options{Accounts: testAccounts(), Now: clock})
	counted := &countedHash{passwordHash: a.accounts.list[0].hash}
	for _, account := range a.accounts.list {
		account.hash = counted
	}
	for i, name := range []string{"nobody", "anna", "", strings.Repeat("x", 1000)} {
		if _, err := a.Login(t.Context(), name, "wrong password", address); !errors.Is(err, ErrLogin) {
			t.Errorf("%q: %v", name, err)
		}
		if counted.n != i+1 {
			t.Errorf("%q: %d hashes", name, counted.n)
		}
	}
	first := a.accounts.decoy("nobody")
	if first != a.accounts.decoy("nobody") {
		t.Error("a name is not always checked against the same hash")
	}
}

type countedHash struct {
	passwordHash
	n int
}

func (h *countedHash) matches(p []byte) bool {
	h.n++
	return h.passwordHash.matches(p)
}
