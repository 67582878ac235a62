package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/fault"
)

const secret = "a secret of more than 16 bytes"

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func clock() time.Time { return now }

func request(t *testing.T, authorization ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://node.example/", nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	return r
}

func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != want {
		t.Errorf("error %v (kind %d), want kind %d", err, fault.KindOf(err), want)
	}
}

func TestHeader(t *testing.T) {
	a := New(Options{Tokens: []string{"t0ken", "other"}, Secret: secret, Now: clock})
	for _, h := range []string{"Bearer t0ken", "bearer other", "BEARER  t0ken "} {
		if err := a.Authorize(request(t, h), Admin, "room"); err != nil {
			t.Errorf("%q: %v", h, err)
		}
	}
	for _, h := range []string{"", " ", "Bearer", "Bearer ", "t0ken", "Basic t0ken", "Bearer t0ken x", "Bearer t0ken,", "Bearer\tt0ken",
		"Bearer T0KEN", "Bearer t0ke", "Bearer t0kenn", "Bearert0ken", "Bearer a.b.c", "Bearer ..", "Bearer " + strings.Repeat("x", 10000)} {
		check(t, a.Authorize(request(t, h), Subscribe, "room"), fault.Unauthenticated)
	}
	check(t, a.Authorize(request(t), Subscribe, "room"), fault.Unauthenticated)
	check(t, a.Authorize(request(t, "Bearer t0ken", "Bearer t0ken"), Subscribe, "room"), fault.Unauthenticated)

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://node.example/?token=t0ken&access_token=t0ken", nil)
	r.AddCookie(&http.Cookie{Name: "token", Value: "t0ken"})
	check(t, a.Authorize(r, Subscribe, "room"), fault.Unauthenticated)
}

func TestJWT(t *testing.T) {
	a := New(Options{Secret: secret, Now: clock})
	exp := now.Add(time.Minute).Unix()
	all := []string{"*"}
	tests := []struct {
		name   string
		claims jwt.MapClaims
		right  Right
		stream string
		want   fault.Kind // Internal: allowed
	}{
		{"right and stream", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"publish"}}, Publish, "room", 0},
		{"second right", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"publish", "subscribe"}}, Subscribe, "room", 0},
		{"admin implies publish", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"admin"}}, Publish, "room", 0},
		{"admin implies subscribe", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"admin"}}, Subscribe, "room", 0},
		{"admin implies delete", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"admin"}}, Delete, "room", 0},
		{"subscribe is not view", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"subscribe"}}, View, "room", fault.Forbidden},
		{"record is not delete", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"view", "record"}}, Delete, "room", fault.Forbidden},
		{"all but admin", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"publish", "subscribe", "view", "record", "delete"}}, Admin, "room", fault.Forbidden},
		{"publish is not subscribe", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"publish"}}, Subscribe, "room", fault.Forbidden},
		{"publish is not admin", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"publish", "subscribe"}}, Admin, "room", fault.Forbidden},
		{"no rights", jwt.MapClaims{"exp": exp, "streams": all}, Subscribe, "room", fault.Forbidden},
		{"no streams", jwt.MapClaims{"exp": exp, "rights": []string{"admin"}}, Subscribe, "room", fault.Forbidden},
		{"empty streams", jwt.MapClaims{"exp": exp, "streams": []string{}, "rights": []string{"admin"}}, Subscribe, "room", fault.Forbidden},
		{"unknown right", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"Admin", "root", ""}}, Subscribe, "room", fault.Forbidden},
		{"glob", jwt.MapClaims{"exp": exp, "streams": []string{"cam", "room-*"}, "rights": []string{"admin"}}, Admin, "room-1", 0},
		{"glob misses", jwt.MapClaims{"exp": exp, "streams": []string{"cam", "room-*"}, "rights": []string{"admin"}}, Admin, "room", fault.Forbidden},
		{"glob is anchored", jwt.MapClaims{"exp": exp, "streams": []string{"room"}, "rights": []string{"admin"}}, Admin, "room1", fault.Forbidden},
		{"bad glob matches nothing", jwt.MapClaims{"exp": exp, "streams": []string{"room["}, "rights": []string{"admin"}}, Admin, "room[", fault.Forbidden},
		{"all streams", jwt.MapClaims{"exp": exp, "streams": all, "rights": []string{"admin"}}, Admin, "", 0},
		{"all streams with a restricted token", jwt.MapClaims{"exp": exp, "streams": []string{"a*", "?*", ""}, "rights": []string{"admin"}}, Admin, "", fault.Forbidden},
		{"expired", jwt.MapClaims{"exp": now.Unix(), "streams": all, "rights": []string{"admin"}}, Admin, "room", fault.Unauthenticated},
		{"no expiry", jwt.MapClaims{"streams": all, "rights": []string{"admin"}}, Admin, "room", fault.Unauthenticated},
		{"expiry of a wrong type", jwt.MapClaims{"exp": "never", "streams": all, "rights": []string{"admin"}}, Admin, "room", fault.Unauthenticated},
		{"not yet", jwt.MapClaims{"exp": exp, "nbf": now.Add(time.Second).Unix(), "streams": all, "rights": []string{"admin"}}, Admin, "room", fault.Unauthenticated},
		{"streams of a wrong type", jwt.MapClaims{"exp": exp, "streams": "*", "rights": []string{"admin"}}, Admin, "room", fault.Unauthenticated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := a.Authorize(request(t, "Bearer "+sign(t, jwt.SigningMethodHS256, []byte(secret), tt.claims)), tt.right, tt.stream)
			if tt.want != 0 {
				check(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForgedJWT(t *testing.T) {
	claims := jwt.MapClaims{"exp": now.Add(time.Hour).Unix(), "streams": []string{"*"}, "rights": []string{"admin"}}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&key.PublicKey)})
	good := sign(t, jwt.SigningMethodHS256, []byte(secret), claims)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	forged := map[string]string{
		"none":             sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims),
		"none, signature":  none + "." + parts[1] + "." + parts[2],
		"no signature":     parts[0] + "." + parts[1] + ".",
		"two parts":        parts[0] + "." + parts[1],
		"four parts":       good + ".x",
		"RS256":            sign(t, jwt.SigningMethodRS256, key, claims),
		"HS512":            sign(t, jwt.SigningMethodHS512, []byte(secret), claims),
		"HS384":            sign(t, jwt.SigningMethodHS384, []byte(secret), claims),
		"wrong secret":     sign(t, jwt.SigningMethodHS256, []byte("another secret of enough bytes"), claims),
		"empty secret":     sign(t, jwt.SigningMethodHS256, []byte(""), claims),
		"public key":       sign(t, jwt.SigningMethodHS256, public, claims),
		"changed claims":   parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":9999999999,"streams":["*"],"rights":["admin"]}`)) + "." + parts[2],
		"the secret alone": strings.ReplaceAll(secret, " ", ""),
	}
	a := New(Options{Secret: secret, Now: clock})
	if err := a.Authorize(request(t, "Bearer "+good), Admin, ""); err != nil {
		t.Fatalf("the genuine token: %v", err)
	}
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			err := a.Authorize(request(t, "Bearer "+token), Admin, "room")
			check(t, err, fault.Unauthenticated)
			if err != nil && strings.Contains(err.Error(), token) {
				t.Errorf("the token is in the error: %v", err)
			}
			// With static tokens only, no signature counts at all.
			check(t, New(Options{Tokens: []string{"t"}, Now: clock}).Authorize(request(t, "Bearer "+token), Admin, "room"), fault.Unauthenticated)
		})
	}
	check(t, New(Options{Tokens: []string{"t"}, Now: clock}).Authorize(request(t, "Bearer "+good), Admin, "room"), fault.Unauthenticated)
}

func TestEmptyConfigurations(t *testing.T) {
	// An empty token must neither match nor open the node.
	a := New(Options{Tokens: []string{""}, Anonymous: true})
	if !a.Required() {
		t.Error("one empty token: nothing is required")
	}
	if a.isStatic("") {
		t.Error("the empty token is a valid one")
	}
	for _, h := range []string{"", "Bearer", "Bearer ", "Bearer  "} {
		check(t, a.Authorize(request(t, h), Subscribe, "room"), fault.Unauthenticated)
	}
	// Credentials win over anonymous.
	check(t, New(Options{Tokens: []string{"t"}, Anonymous: true}).Authorize(request(t), Subscribe, "room"), fault.Unauthenticated)
	check(t, New(Options{Secret: secret, Anonymous: true}).Authorize(request(t), Subscribe, "room"), fault.Unauthenticated)

	if err := New(Options{Anonymous: true}).Authorize(request(t), Admin, ""); err != nil {
		t.Errorf("anonymous: %v", err)
	}
}

func TestWithoutCredentialsLocalOnly(t *testing.T) {
	a := New(Options{})
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:7777": true, "LOCALHOST:1": true, "app.localhost:1": true, "127.0.0.1:7777": true,
		"127.8.9.10": true, "[::1]:7777": true, "[::1]": true, "[::ffff:127.0.0.1]:1": true,
		"": false, "evil.example": false, "evil.example:7777": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"192.168.1.1:7777": false, "0.0.0.0:7777": false, "[::]:7777": false, "evillocalhost": false,
	} {
		r := request(t)
		r.Host = host
		if err := a.Authorize(r, Admin, ""); (err == nil) != ok {
			t.Errorf("host %q: %v", host, err)
		} else if err != nil {
			check(t, err, fault.Forbidden)
		}
	}
}

func TestSign(t *testing.T) {
	token, err := Sign(secret, now.Add(time.Second), []string{"room-*"}, Publish)
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Secret: secret, Now: clock})
	if err := a.Authorize(request(t, "Bearer "+token), Publish, "room-1"); err != nil {
		t.Error(err)
	}
	check(t, a.Authorize(request(t, "Bearer "+token), Subscribe, "room-1"), fault.Forbidden)
	check(t, a.Authorize(request(t, "Bearer "+token), Publish, "hall"), fault.Forbidden)
}
