package auth

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const recordDir, recording = "camera/1762842203", "camera since 1762842203"

// checkLink is CheckLink and IsFor.
func checkLink(a *Auth, token, recordDir string) error {
	l, err := a.CheckLink(token, recordDir)
	if err == nil && !l.IsFor(recording) {
		return ErrLink
	}
	return err
}

// granted returns a grant that links may come from.
func granted(a *Auth) *Grant {
	for origin := range a.origins {
		return &Grant{origin: origin}
	}
	return new(Grant)
}

func signed(a *Auth, expires time.Time) string {
	return a.SignLink(granted(a), recordDir, recording, expires)
}

func TestLink(t *testing.T) {
	at := now
	a := New(Options{Secret: secret, Now: func() time.Time { return at }})
	expires := now.Add(time.Hour)
	token := a.SignLink(granted(a), recordDir, recording, expires)
	if err := checkLink(a, token, recordDir); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][2]string{
		"another recording":            {token, "camera/1762842204"},
		"the folder above":             {token, "camera"},
		"a folder within":              {token, recordDir + "/x"},
		"nothing":                      {token, ""},
		"no token":                     {"", recordDir},
		"cut":                          {token[:len(token)-1], recordDir},
		"longer":                       {token + "A", recordDir},
		"padded":                       {token + "=", recordDir},
		"a line feed":                  {token[:10] + "\n" + token[10:], recordDir},
		"signed for another recording": {a.SignLink(granted(a), recordDir, "camera since 1762842204", expires), recordDir},
		"another time":                 {a.SignLink(granted(a), recordDir, recording, expires.Add(time.Second))[:11] + token[11:], recordDir},
		"time and no MAC":              {token[:11], recordDir},
		"the secret":                   {linkEncoding.EncodeToString([]byte(secret)), recordDir},
		"of another secret":            {signed(New(Options{Secret: secret + "x", Now: clock}), expires), recordDir},
		"of no secret":                 {signed(New(Options{Now: clock}), expires), recordDir},
		"of an empty secret":           {signed(New(Options{Tokens: []string{""}, Now: clock}), expires), recordDir},
	} {
		if err := checkLink(a, bad[0], bad[1]); !errors.Is(err, ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range token { // every character counts
		changed := []byte(token)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		if err := checkLink(a, string(changed), recordDir); !errors.Is(err, ErrLink) {
			t.Errorf("changed at %d: %v", i, err)
		}
	}
	if l, err := a.CheckLink(token, recordDir); err != nil || l.IsFor("") || l.IsFor("camera") || l.Grant().HasAny(Rights()...) == nil {
		t.Errorf("it is for more than its recording: %v", err)
	} else if end, ok := l.Grant().Expires(); !ok || !end.Equal(expires) {
		t.Errorf("it ends %v", end)
	}
	at = expires.Add(-time.Second)
	if err := checkLink(a, token, recordDir); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	at = expires
	if err := checkLink(a, token, recordDir); !errors.Is(err, ErrLink) {
		t.Errorf("at its end: %v", err)
	}
}

// A link is no bearer token, and the other way round.
func TestLinkIsNoToken(t *testing.T) {
	a := New(Options{Secret: secret, Tokens: []string{"t0ken"}, Now: clock})
	link := a.SignLink(granted(a), recordDir, recording, now.Add(time.Hour))
	if err := a.Authorize(request(t, "Bearer "+link), View, "camera"); err == nil {
		t.Error("a link is a bearer token")
	}
	token, err := Sign(secret, now.Add(time.Hour), []string{"*"}, Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{token, "t0ken"} {
		if err := checkLink(a, s, recordDir); err == nil {
			t.Error("a bearer token is a link")
		}
	}
}

// Keys are the same after a restart where the credentials are, and never made of
// what can be guessed.
func TestLinkKeys(t *testing.T) {
	long, other := strings.Repeat("t", minKeyMaterial), strings.Repeat("u", minKeyMaterial)
	for _, tt := range []struct {
		name string
		a, b Options
		same bool
	}{
		{"the same secret", Options{Secret: secret}, Options{Secret: secret, Tokens: []string{long}}, true},
		{"the same tokens", Options{Tokens: []string{long, other}}, Options{Tokens: []string{long, other}}, true},
		{"a token less", Options{Tokens: []string{long, other}}, Options{Tokens: []string{long}}, false},
		{"split elsewhere", Options{Tokens: []string{long + "u", other}}, Options{Tokens: []string{long, "u" + other}}, false},
		{"a short token", Options{Tokens: []string{"short"}}, Options{Tokens: []string{"short"}}, false},
		{"an empty token", Options{Tokens: []string{""}}, Options{Tokens: []string{""}}, false},
		{"nothing", Options{}, Options{}, false},
	} {
		tt.a.Now, tt.b.Now = clock, clock
		a, b := New(tt.a), New(tt.b)
		token := a.SignLink(granted(a), recordDir, recording, now.Add(time.Hour))
		if err := checkLink(b, token, recordDir); (err == nil) != tt.same {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := checkLink(a, token, recordDir); err != nil {
			t.Errorf("%s: its own link: %v", tt.name, err)
		}
	}
}

func FuzzCheckLink(f *testing.F) {
	a := New(Options{Secret: secret, Now: clock})
	f.Add(a.SignLink(granted(a), recordDir, recording, now.Add(time.Hour)), recordDir)
	f.Add(a.SignLink(granted(a), recordDir, recording, now), recordDir)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, token, dir string) {
		if checkLink(a, token, dir) == nil && token != a.SignLink(granted(a), dir, recording, now.Add(time.Hour)) {
			raw, _ := linkEncoding.DecodeString(token)
			t.Errorf("%q is valid for %q: %x", token, dir, raw)
		}
	})
}

// TestLinksEnd: a link ends with the credentials that it was asked for with.
func TestLinksEnd(t *testing.T) {
	const first, second = "first-token-of-two", "other-token-of-two"
	at := now
	open := func(tokens ...string) *Auth {
		return New(Options{Tokens: tokens, Secret: secret, Accounts: testAccounts(), Now: func() time.Time { return at }})
	}
	sign := func(a *Auth, credentials string) string {
		t.Helper()
		g, err := a.Authenticate(request(t, "Bearer "+credentials))
		if err != nil {
			t.Fatal(err)
		}
		return a.SignLink(g, recordDir, recording, at.Add(time.Hour))
	}
	a := open(first, second)
	s, other := login(t, a), login(t, a)
	bySession, byOther, byToken, byJWT := sign(a, s.Token), sign(a, other.Token), sign(a, first), sign(a, mustSign(t, time.Hour))
	for _, token := range []string{bySession, byOther, byToken, byJWT} {
		if err := checkLink(a, token, recordDir); err != nil {
			t.Errorf("while its credentials are good: %v", err)
		}
	}
	l, err := a.CheckLink(bySession, recordDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Logout(request(t, "Bearer "+s.Token)); err != nil {
		t.Fatal(err)
	}
	if err := checkLink(a, bySession, recordDir); !errors.Is(err, ErrLink) {
		t.Errorf("after a logout: %v", err)
	}
	select {
	case <-l.Grant().Ended():
	default:
		t.Error("who uses the link is not told of the logout")
	}
	if err := checkLink(a, byOther, recordDir); err != nil {
		t.Errorf("of another session: %v", err)
	}
	b := open(second) // the secret, and so the key, is the same
	if err := checkLink(b, byToken, recordDir); !errors.Is(err, ErrLink) {
		t.Errorf("of a token that was removed: %v", err)
	}
	if err := checkLink(b, sign(a, second), recordDir); err != nil {
		t.Errorf("of a token that is still there: %v", err)
	}
	if err := checkLink(b, byJWT, recordDir); err != nil {
		t.Errorf("of a JWT: %v", err)
	}
	if err := checkLink(b, byOther, recordDir); !errors.Is(err, ErrLink) {
		t.Errorf("of a session of before the restart: %v", err)
	}
	if token := a.SignLink(new(Grant), recordDir, recording, at.Add(time.Hour)); checkLink(a, token, recordDir) == nil {
		t.Error("a link of nobody is good")
	}
}
