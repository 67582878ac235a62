package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/eventlog"
)

// publicRoutes are all that ask nobody who they are: said here a second time, so
// that none becomes public by accident.
var publicRoutes = []string{
	"GET /healthz", "GET /readyz", "GET /api/health", "GET /api/info", "GET /api/openapi.json", "GET /api/docs", "GET /api/time", "POST /api/login", "POST /api/logout",
	"GET /api/record/object/time", "GET /api/record/object/{mount}/time", "GET /api/play/{token}/time", "GET /api/play/{token}/{mount}/time",
	"GET /api/archive/{stream}/{from}/{to}/time",
	"GET /session/{stream}/{session}", "GET /whep/{stream}", "GET /whip/{stream}", // nothing is there
	"OPTIONS /session/{stream}/{session}", "OPTIONS /whep/{stream}", "OPTIONS /whip/{stream}",
}

// filteredRoutes are all that somebody may use whose rights are for some streams, and
// that are of no stream: what they answer is to be about those streams alone
// (TestListsAreFiltered).
var filteredRoutes = []string{
	"GET /api/archive", "GET /api/events/log", "GET /api/me", "GET /api/playback", "GET /api/sse/streams", "GET /api/streams", "GET /api/streams/{$}",
}

// setup is a way to configure who may do what, and how somebody with certain
// rights shows them.
type setup struct {
	toml string
	// as returns the headers of somebody with rights for streams; nil where there can
	// be nobody like that.
	as func(t *testing.T, n *node, streams string, rights ...auth.Right) []string
}

func bearerHeader(token string) []string { return []string{"Authorization", "Bearer " + token} }

// accountName names an account with rights for streams.
func accountName(streams string, rights ...auth.Right) string {
	name := "for " + streams
	for _, r := range rights {
		name += " " + string(r)
	}
	return name
}

// accountsTOML has an account for each right, for all streams, for "room" and for "other".
func accountsTOML() string {
	var b strings.Builder
	for _, streams := range []string{"*", "room", "other"} {
		for _, right := range auth.Rights() {
			b.WriteString("[[auth.users]]\nname = '" + accountName(streams, right) + "'\npassword_hash = '" + hash +
				"'\nrights = ['" + string(right) + "']\nstreams = ['" + streams + "']\n")
		}
	}
	return b.String()
}

func jwtHeader(t *testing.T, _ *node, streams string, rights ...auth.Right) []string {
	t.Helper()
	list := []string{streams}
	if streams == "" {
		list = nil
	}
	return bearerHeader(jwtFor(t, list, rights...))
}

func staticHeader(_ *testing.T, _ *node, streams string, rights ...auth.Right) []string {
	if streams == "*" && slices.Equal(rights, []auth.Right{auth.Admin}) {
		return bearerHeader(token)
	}
	return nil // a static token has all rights
}

// accountHeader logs in, once for each account.
func accountHeader() func(t *testing.T, n *node, streams string, rights ...auth.Right) []string {
	type key struct {
		n    *node
		name string
	}
	sessions := map[key]string{}
	return func(t *testing.T, n *node, streams string, rights ...auth.Right) []string {
		t.Helper()
		if streams == "" || len(rights) != 1 {
			return nil // the configuration has no such account
		}
		k := key{n, accountName(streams, rights...)}
		if sessions[k] == "" {
			sessions[k] = logIn(t, n, k.name)
		}
		return bearerHeader(sessions[k])
	}
}

func logIn(t *testing.T, n *node, name string) string {
	t.Helper()
	w := n.do(t, http.MethodPost, "/api/login", `{"name":"`+name+`","password":"correct horse"}`)
	var session struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &session); err != nil || session.Token == "" {
		t.Fatalf("%s cannot log in: %d %s", name, w.Code, w.Body)
	}
	return session.Token
}

func setups() map[string]setup {
	tokens, key := "[auth]\ntokens = ['"+token+"']\n", "[auth]\nsecret = '"+secret+"'\n"
	return map[string]setup{
		"tokens only":   {tokens, staticHeader},
		"secret only":   {key, jwtHeader},
		"accounts only": {accountsTOML(), accountHeader()},
		"all, JWT":      {tokens + "secret = '" + secret + "'\n" + accountsTOML(), jwtHeader},
		"all, static":   {tokens + "secret = '" + secret + "'\n" + accountsTOML(), staticHeader},
	}
}

// thisMachine is an address whose wrong tokens are not counted.
const thisMachine = "127.0.0.1:1234"

// servers are both programs with the configuration. Event streams end after the
// first event.
func (s setup) servers(t *testing.T) map[string]*node {
	t.Helper()
	load := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	live777, err := config.Load(load("live777.toml", s.toml), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	liveman, err := config.LoadLiveman(load("liveman.toml", s.toml), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*node{
		"live777": newNode(t, func(o *Options) { o.Auth = auth.New(live777.Auth.Options()) }),
		"liveman": newManager(t, func(o *ManagerOptions) { o.Auth = auth.New(liveman.Auth.Options()) }),
	}
	for _, n := range servers {
		n.remote = thisMachine
		n.Close()
	}
	return servers
}

// TestAccess tries every route of both programs, however they are configured,
// without credentials, with wrong ones, with insufficient ones and with those that
// are enough.
func TestAccess(t *testing.T) {
	for name, s := range setups() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for program, n := range s.servers(t) {
				t.Run(program, func(t *testing.T) {
					wrong := wrongCredentials(t, n, name)
					for _, rt := range n.table {
						for _, session := range sessionsOf(rt) {
							(&attempt{n, rt, session, s}).all(t, wrong)
						}
					}
				})
			}
		})
	}
}

// sessionsOf returns the sessions that a route is tried with: who may use it
// depends on whose it is.
func sessionsOf(rt route) []string {
	if rt.access == asSession {
		return []string{"pub", "view", "gone"}
	}
	return []string{"pub"}
}

// attempt is a route that is tried.
type attempt struct {
	n       *node
	rt      route
	session string
	setup   setup
}

// enough returns the rights that must do, beside admin.
func (a *attempt) enough(t *testing.T) []auth.Right {
	switch {
	case a.rt.access == known:
		return auth.Rights()
	case a.rt.access != asSession:
		enough, ok := sufficient[a.rt.access]
		if _, ruled := rules[a.rt.access]; !ok || !ruled || rightNames[a.rt.access] == "" {
			t.Fatalf("%s %s: no access is declared", a.rt.method, a.rt.path)
		}
		return enough
	case a.session == "pub":
		return []auth.Right{auth.Publish}
	case a.session == "view":
		return []auth.Right{auth.Subscribe}
	}
	return []auth.Right{auth.Publish, auth.Subscribe}
}

// try sends the request; want is a status, or 0 for one that is no refusal.
func (a *attempt) try(t *testing.T, what string, headers []string, want int) {
	t.Helper()
	before := a.n.called()
	w := a.n.do(t, a.rt.method, target(a.rt, "room", a.session), "", headers...)
	name := a.rt.method + " " + a.rt.path + " (" + a.session + ") " + what
	if refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden; want != 0 && w.Code != want || want == 0 && refused {
		t.Errorf("%s: status %d, want %d: %s", name, w.Code, want, w.Body)
	}
	if want != 0 && a.n.called() != before {
		t.Errorf("%s: refused, and yet called %s", name, a.n.called()[len(before):])
	}
	if w.Code == http.StatusUnauthorized && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%s: no WWW-Authenticate", name)
	}
}

func (a *attempt) all(t *testing.T, wrong map[string][]string) {
	t.Helper()
	route := a.rt.method + " " + a.rt.path
	switch a.rt.access {
	case public:
		if !slices.Contains(publicRoutes, route) {
			t.Errorf("%s is public", route)
		}
		if a.rt.path != "/api/login" { // it refuses what is no login
			a.try(t, "without credentials", nil, 0)
		}
		return
	case signedObject:
		for what, headers := range wrong {
			a.try(t, what, headers, http.StatusForbidden)
		}
		return // TestLinks
	}
	enough := a.enough(t)
	for what, headers := range wrong {
		if a.rt.access == registerNode && what == "the registration token" {
			a.try(t, what, headers, 0)
			continue
		}
		a.try(t, what, headers, http.StatusUnauthorized)
	}
	as := func(what string, want int, streams string, rights ...auth.Right) {
		t.Helper()
		if headers := a.setup.as(t, a.n, streams, rights...); headers != nil {
			a.try(t, what, headers, want)
		}
	}
	of := rules[a.rt.access].of
	if unbound := of == someStreams || of == nothing; unbound != slices.Contains(filteredRoutes, route) {
		t.Errorf("%s is for those who have a right for some streams: %v", route, unbound)
	}
	if of != nothing {
		as("without rights", http.StatusForbidden, "*")
		as("without streams", http.StatusForbidden, "", auth.Admin)
	}
	if of != someStreams && of != nothing { // there the answer is what differs
		for _, right := range auth.Rights() {
			want := http.StatusForbidden
			if byObject := of == theObject || of == theRecording; byObject && (right == auth.Admin || slices.Contains(enough, right)) {
				want = http.StatusNotFound // as of what is not there
			}
			as("for another stream, with right "+string(right), want, "other", right)
		}
	}
	for _, right := range auth.Rights() {
		sufficient := right == auth.Admin || slices.Contains(enough, right)
		want := http.StatusForbidden
		switch {
		case sufficient:
			want = 0
		case of == theSession && (right == auth.Publish || right == auth.Subscribe):
			want = http.StatusNotFound // as of what is not there
		}
		as("with right "+string(right), want, "*", right)
		if of == allStreams {
			want = http.StatusForbidden
		}
		as("for the stream, with right "+string(right), want, "room", right)
	}
}

// wrongCredentials are headers of those who must not get in, by what is wrong with
// them.
func wrongCredentials(t *testing.T, n *node, configured string) map[string][]string {
	t.Helper()
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) []string {
		claims := jwt.MapClaims{"exp": time.Now().Add(time.Hour).Unix(), "streams": []string{"*"}, "rights": []string{"admin"}, "sub": accountName("*", auth.Admin)}
		if change != nil {
			change(claims)
		}
		signed, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return bearerHeader(signed)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	key := []byte(secret)
	wrong := map[string][]string{
		"without credentials": nil, "with a wrong token": bearerHeader("x"), "with an empty token": bearerHeader(""), "with another scheme": {"Authorization", "Basic " + token},
		"with no scheme": {"Authorization", token}, "with two tokens": bearerHeader(token + ", " + token), "with a token in upper case": bearerHeader(strings.ToUpper(token)),
		"the registration token": bearerHeader(registrationToken), "with a token in a cookie": {"Cookie", "token=" + token},
		"alg none":            sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS384":               sign(jwt.SigningMethodHS384, key, nil),
		"HS512":               sign(jwt.SigningMethodHS512, key, nil),
		"ES256":               sign(jwt.SigningMethodES256, curve, nil),
		"with an empty key":   sign(jwt.SigningMethodHS256, []byte{}, nil),
		"with another key":    sign(jwt.SigningMethodHS256, []byte(secret+"x"), nil),
		"a token for a key":   sign(jwt.SigningMethodHS256, []byte(token), nil),
		"a hash for a key":    sign(jwt.SigningMethodHS256, []byte(hash), nil),
		"expired":             sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }),
		"without an end":      sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not valid yet":       sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Hour).Unix() }),
		"a playback URL's":    bearerHeader(n.o.Auth.SignLink(new(auth.Grant), "room/1", "room", now.Add(time.Hour))),
		"without a signature": bearerHeader(strings.TrimRight(strings.TrimPrefix(sign(jwt.SigningMethodHS256, key, nil)[1], "Bearer "), "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")),
		"an end that is none": sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["exp"] = "never" }),
	}
	// What is not configured lets nobody in.
	if configured == "tokens only" || configured == "accounts only" {
		wrong["a JWT where there is no secret"] = sign(jwt.SigningMethodHS256, key, nil)
	}
	if configured == "secret only" || configured == "accounts only" {
		wrong["a token where there are none"] = bearerHeader(token)
	}
	maps.Copy(wrong, endedSessions(t, n))
	return wrong
}

// endedSessions are those of an account that logged out, and of another server with
// the same accounts.
func endedSessions(t *testing.T, n *node) map[string][]string {
	t.Helper()
	wrong := map[string][]string{}
	if !n.o.Auth.HasAccounts() {
		return wrong
	}
	admin := accountName("*", auth.Admin)
	w := n.do(t, http.MethodPost, "/api/login", `{"name":"`+admin+`","password":"correct horse"}`)
	cookie := w.Result().Cookies()[0]
	wrong["the cookie of a session that was ended"] = []string{"Cookie", cookie.Name + "=" + cookie.Value}
	wrong["the token of a session that was ended"] = bearerHeader(cookie.Value)
	expect(t, n.do(t, http.MethodGet, "/api/me", "", wrong["the cookie of a session that was ended"]...), http.StatusOK)
	expect(t, n.do(t, http.MethodPost, "/api/logout", "", "Cookie", cookie.Name+"="+cookie.Value), http.StatusNoContent)
	other := setup{toml: accountsTOML()}.servers(t)["live777"]
	wrong["the session of another server"] = bearerHeader(logIn(t, other, admin))
	return wrong
}

// hallFleet has the streams "room-1" and "hall".
type hallFleet struct{ fakeFleet }

func (f hallFleet) Streams() []FleetStream {
	room, hall := fleetStream(), fleetStream()
	room.ID, hall.ID = "room-1", "hall"
	return []FleetStream{hall, room}
}

func (f hallFleet) Stream(id string) (FleetStream, bool) {
	for _, s := range f.Streams() {
		if s.ID == id {
			return s, true
		}
	}
	return FleetStream{}, false
}

func (f hallFleet) Snapshot() FleetSnapshot {
	s := snapshotOf(f.Streams())
	s.Removed = []RemovedStream{{ID: "hall-2", Version: 1}}
	return s
}

// What somebody whose rights are for some streams gets from any route that can be
// read says nothing of another stream: lists and events have theirs alone, and what
// cannot be divided they do not get.
func TestListsAreFiltered(t *testing.T) {
	happened := eventlog.New(nil)
	for _, id := range []string{"room-1", "hall"} {
		happened.Add(eventlog.Entry{Kind: eventlog.Recordings, Type: eventlog.RecordingStarted, Stream: id})
	}
	live777 := newNode(t, func(o *Options) { withAuth(o); o.EventLog = happened })
	for _, id := range []string{"room-1", "hall"} {
		if _, err := live777.streams.Create(id); err != nil {
			t.Fatal(err)
		}
	}
	liveman := newManager(t, func(o *ManagerOptions) {
		managerWithAuth(o)
		o.Fleet, o.EventLog = hallFleet{o.Fleet.(fakeFleet)}, happened
	})
	for program, n := range map[string]*node{"live777": live777, "liveman": liveman} {
		n.unchecked = true
		n.Close() // event streams end after the first event
		n.summaries = []media.StreamSummary{{Stream: "room-1"}, {Stream: "hall"}}
		lists := 0
		for _, rt := range n.table {
			if rt.method != http.MethodGet {
				continue
			}
			for _, query := range []string{"", "?streams=hall", "?streams=room-1&streams=hall", "?stream=hall", "?since=0", "?changes=true", "?limit=1", "?after=h"} {
				path := target(rt, "room-1", "pub") + query
				for _, right := range auth.Rights() {
					w := n.do(t, http.MethodGet, path, "", bearerHeader(jwtFor(t, []string{"room-*"}, right))...)
					if strings.Contains(w.Body.String(), "hall") || strings.Contains(w.Header().Get("Link"), "hall") {
						t.Errorf("%s: %s with right %s tells of another stream: %d %s", program, path, right, w.Code, w.Body)
					}
					if query == "" && right == auth.Admin && strings.Contains(w.Body.String(), `"room-1"`) {
						lists++
					}
				}
				if w := n.do(t, http.MethodGet, path, "", bearerHeader(token)...); query == "" && slices.Contains(filteredRoutes, rt.method+" "+rt.path) &&
					rt.path != "/api/me" && !strings.Contains(w.Body.String(), "hall") {
					t.Errorf("%s: %s with all rights: %s", program, path, w.Body)
				}
			}
		}
		if lists < 4 {
			t.Errorf("%s: %d lists have the stream", program, lists)
		}
		for path, want := range map[string]int{ // by name it is no better
			"/api/streams/hall": 403, "/api/playback/hall": 403, "/api/record/hall": 403, "/api/record/object/hall/1/manifest.mpd": 404, "/api/recordings/hall/1": 404,
			"/api/recordings": 403, "/api/sse/recordings": 403, "/metrics": 403, "/api/streams/room-1": 200,
		} {
			expect(t, n.do(t, http.MethodGet, path, "", bearerHeader(jwtFor(t, []string{"room-*"}, auth.Admin))...), want)
		}
	}
	expect(t, liveman.do(t, http.MethodGet, "/api/nodes", "", bearerHeader(jwtFor(t, []string{"room-*"}, auth.Admin))...), http.StatusForbidden)
}

// TestOneWayIn: what is not in the table of routes cannot be asked for.
func TestOneWayIn(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			found += strings.Count(string(text), "mux.Handle(") + strings.Count(string(text), "mux.HandleFunc(")
		}
	}
	if found != 1 {
		t.Errorf("%d places add routes, want one: API.handle, whose table the tests try", found)
	}
	for program, n := range map[string]*node{"live777": newNode(t, nil), "liveman": newManager(t, nil)} {
		if len(n.table) < 20 {
			t.Errorf("%s has %d routes", program, len(n.table))
		}
	}
}
