package api

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
)

// hash is that of "correct horse", of the least cost that is accepted.
const hash = "$argon2id$v=19$m=7168,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$eGXkgIa76o4OKzYYvaJQQhjF5a1dkaO3KuN2C/uRG1c"

func withAccounts(o *Options) {
	o.Auth = auth.New(auth.Options{Tokens: []string{token}, Secret: secret, Accounts: []auth.Account{
		{Name: "anna", PasswordHash: hash, Rights: []auth.Right{auth.View, auth.Record}, Streams: []string{"room-*"}},
	}})
}

const annaLogsIn = `{"name":"anna","password":"correct horse"}`

func TestLoginAndOut(t *testing.T) {
	n := newNode(t, withAccounts)
	w := n.do(t, http.MethodPost, "/api/login", annaLogsIn)
	expect(t, w, http.StatusOK)
	var session struct{ Token, Kind, Name string }
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil || session.Token == "" || session.Kind != "account" || session.Name != "anna" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	cookie := w.Result().Cookies()[0]
	if cookie.Value != session.Token || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("cookie %v", cookie)
	}
	asCookie, asToken := []string{"Cookie", cookie.Name + "=" + cookie.Value}, []string{"Authorization", "Bearer " + session.Token}
	for _, as := range [][]string{asCookie, asToken} {
		w := n.do(t, http.MethodGet, "/api/me", "", as...)
		if !strings.HasPrefix(w.Body.String(), `{"kind":"account","name":"anna","rights":["view","record"],"streams":["room-*"],"expires":"`) {
			t.Errorf("me: %d %s", w.Code, w.Body)
		}
		expect(t, n.do(t, http.MethodPost, "/api/record/room-1", "", as...), http.StatusOK)
		expect(t, n.do(t, http.MethodPost, "/api/record/hall", "", as...), http.StatusForbidden)
		expect(t, n.do(t, http.MethodDelete, "/api/streams/room-1", "", as...), http.StatusForbidden)
		expect(t, n.do(t, http.MethodGet, "/api/playback/room-1", "", as...), http.StatusOK)
	}
	w = n.do(t, http.MethodPost, "/api/logout", "", asCookie...)
	expect(t, w, http.StatusNoContent)
	if c := w.Result().Cookies()[0]; c.Name != cookie.Name || c.MaxAge != -1 {
		t.Errorf("cookie %v", c)
	}
	for _, as := range [][]string{asCookie, asToken} {
		expect(t, n.do(t, http.MethodGet, "/api/me", "", as...), http.StatusUnauthorized)
	}
	if log := n.logs.String(); strings.Contains(log, session.Token) || strings.Contains(log, "correct horse") || !strings.Contains(log, "account=anna") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestLoginRefusals(t *testing.T) {
	n := newNode(t, withAccounts)
	for body, status := range map[string]int{
		`{"name":"anna","password":"wrong"}`: 401, `{"name":"hunter2","password":"correct horse"}`: 401,
		"": 400, "{}": 400, `{"name":"anna"}`: 400, `{"password":"x"}`: 400, `{"name":"anna","password":1}`: 400, `{"name":"anna","password":"x","x":1}`: 400, "x": 400,
	} {
		w := n.do(t, http.MethodPost, "/api/login", body)
		expect(t, w, status)
		if len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: a cookie", body)
		}
	}
	for range 10 {
		if w := n.do(t, http.MethodPost, "/api/login", `{"name":"eve","password":"wrong"}`); w.Code != http.StatusUnauthorized {
			expect(t, w, http.StatusTooManyRequests)
			if w.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			break
		}
	}
	expect(t, n.do(t, http.MethodPost, "/api/login", `{"name":"eve","password":"wrong"}`), http.StatusTooManyRequests)
	if log := n.logs.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "a login failed") {
		t.Errorf("the log:\n%s", log)
	}
	expect(t, newNode(t, withAuth).do(t, http.MethodPost, "/api/login", annaLogsIn), http.StatusNotImplemented)
}

// A foreign page can neither log its visitor in, nor out, nor use the session.
func TestSessionsAndForeignPages(t *testing.T) {
	for _, origins := range [][]string{nil, {"*"}, {"http://evil.example"}} { // whatever CORS lets pages with tokens do
		n := newNode(t, func(o *Options) {
			withAccounts(o)
			o.CORSOrigins = origins
		})
		foreign := []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"}
		expect(t, n.do(t, http.MethodPost, "/api/login", annaLogsIn, foreign...), http.StatusForbidden)
		w := n.do(t, http.MethodPost, "/api/login", annaLogsIn, "Origin", "http://example.com", "Sec-Fetch-Site", "same-origin")
		expect(t, w, http.StatusOK)
		cookie := w.Result().Cookies()[0]
		foreign = append(foreign, "Cookie", cookie.Name+"="+cookie.Value)
		expect(t, n.do(t, http.MethodPost, "/api/logout", "", foreign...), http.StatusForbidden)
		expect(t, n.do(t, http.MethodPost, "/api/record/room-1", "", foreign...), http.StatusForbidden)
		expect(t, n.do(t, http.MethodDelete, "/api/record/room-1", "", foreign...), http.StatusForbidden)
		if w := n.do(t, http.MethodGet, "/api/me", "", foreign...); w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Error("a foreign page can read what its visitor may")
		}
		if n.called() != "" {
			t.Errorf("got through: %s", n.called())
		}
		own := []string{"Origin", "http://example.com", "Sec-Fetch-Site", "same-origin", "Cookie", cookie.Name + "=" + cookie.Value}
		expect(t, n.do(t, http.MethodPost, "/api/record/room-1", "", own...), http.StatusOK)
	}
}

func TestMe(t *testing.T) {
	n := newNode(t, withAccounts)
	all := []any{"publish", "subscribe", "view", "record", "delete", "admin"}
	jwt := jwtFor(t, []string{"a", "b-*"}, auth.View, "nonsense")
	for name, tt := range map[string]struct {
		node    *node
		headers []string
		want    map[string]any
	}{
		"static":    {n, []string{"Authorization", "Bearer " + token}, map[string]any{"kind": "token", "name": "", "rights": all, "streams": []any{"*"}}},
		"jwt":       {n, []string{"Authorization", "Bearer " + jwt}, map[string]any{"kind": "jwt", "name": "", "rights": []any{"view"}, "streams": []any{"a", "b-*"}}},
		"anonymous": {newNode(t, nil), nil, map[string]any{"kind": "anonymous", "name": "", "rights": all, "streams": []any{"*"}}},
	} {
		w := tt.node.do(t, http.MethodGet, "/api/me", "", tt.headers...)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if expires, ok := got["expires"].(string); ok != (name == "jwt") {
			t.Errorf("%s: expires %v", name, got["expires"])
		} else if _, err := time.Parse(time.RFC3339, expires); ok && err != nil {
			t.Error(err)
		}
		delete(got, "expires")
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	expect(t, n.do(t, http.MethodGet, "/api/me", ""), http.StatusUnauthorized)
	w := n.do(t, http.MethodGet, "/api/info", "")
	if !strings.Contains(w.Body.String(), `"features":["recorder","accounts"]`) {
		t.Errorf("info: %s", w.Body)
	}
}

// An event stream ends with the session that it was opened with, and with the time of
// its token: at once, not when it is looked at next.
func TestEventsEndWithTheSession(t *testing.T) {
	then := time.Now()
	var later atomic.Bool
	n := newNode(t, func(o *Options) {
		o.Now = func() time.Time {
			if later.Load() {
				return then.Add(time.Minute)
			}
			return then
		}
		o.Auth = auth.New(auth.Options{Secret: secret, Now: func() time.Time { return then }, Accounts: []auth.Account{
			{Name: "anna", PasswordHash: hash, Rights: []auth.Right{auth.View}, Streams: []string{"*"}},
		}})
	})
	n.timing.heartbeat, n.timing.poll = time.Hour, time.Hour
	addr, _ := n.listen(t)
	ends := func(path string, r io.Reader) {
		t.Helper()
		if _, err := io.Copy(io.Discard, r); err != nil { // or the connection's deadline ends it
			t.Errorf("%s goes on: %v", path, err)
		}
	}
	for _, path := range []string{"/api/sse/streams", "/api/sse/recordings"} {
		session := logIn(t, n, "anna")
		r := subscribe(t, addr, path, "Authorization: Bearer "+session+"\r\n")
		next(t, r)
		expect(t, n.do(t, http.MethodPost, "/api/logout", "", bearerHeader(session)...), http.StatusNoContent)
		ends(path+" after a logout", r)
	}
	jwt, err := auth.Sign(secret, then.Add(time.Minute), []string{"*"}, auth.View)
	if err != nil {
		t.Fatal(err)
	}
	later.Store(true)
	for _, path := range []string{"/api/sse/streams", "/api/sse/recordings"} {
		ends(path+" after the time of its token", subscribe(t, addr, path, "Authorization: Bearer "+jwt+"\r\n"))
	}
}
