package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// TestTrailingSlash: people and programs put one behind URLs of WHIP and WHEP.
func TestTrailingSlash(t *testing.T) {
	n := newNode(t, nil)
	n.unchecked = true // the document has no such paths
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/whip/cam/", 201},
		{http.MethodPost, "/whep/a%20b/", 201},
		{http.MethodDelete, "/session/cam/pub/", 200},
		{http.MethodOptions, "/whip/cam/", 204},
		{http.MethodPost, "/whip/", 404},
		{http.MethodPost, "/whip/cam//", 400},
	} {
		if w := n.do(t, tt.method, tt.path, ""); w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
	if got := n.called(); got != "publish(cam,) subscribe(a b,) delete(cam,pub) options(cam,)" {
		t.Errorf("calls %s", got)
	}
}

// TestPagesBelowPrefix: who follows the links of a list stays below the path that a proxy
// has the server at, whether it is configured or told, and finds WHIP there with a slash
// behind it, too.
func TestPagesBelowPrefix(t *testing.T) {
	for name, tt := range map[string]struct {
		base    string
		trusted []string
		headers []string
		path    string // at which the server sees the request
	}{
		"configured, passed on":           {base: "/studio", path: "/studio"},
		"configured, the proxy strips it": {base: "/studio"},
		"told by a trusted proxy":         {trusted: []string{"192.0.2.0/24"}, headers: []string{"X-Forwarded-Prefix", "/studio/"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.BasePath, o.TrustedProxies = tt.base, tt.trusted })
			n.unchecked = true // the document has no such paths
			n.summaries = []media.StreamSummary{{Stream: "a"}, {Stream: "b"}, {Stream: "c"}}
			w := n.do(t, http.MethodGet, tt.path+"/api/playback?limit=1", "", tt.headers...)
			if got, want := w.Header().Get("Link"), `</studio/api/playback?after=a&limit=1>; rel="next"`; w.Code != 200 || got != want {
				t.Errorf("%d, Link %s, want %s", w.Code, got, want)
			}
			expect(t, n.do(t, http.MethodPost, tt.path+"/whip/cam/", "", tt.headers...), 201)
			if got := n.called(); !strings.Contains(got, "publish(cam,)") {
				t.Errorf("calls %s", got)
			}
		})
	}
}

// owners keeps who publishes.
type owners struct {
	fakeWHIP
	of *string
}

func (o owners) Publish(w http.ResponseWriter, r *http.Request) error {
	*o.of = live.ClientOf(r.Context()).Owner
	return o.fakeWHIP.Publish(w, r)
}

// TestOwners: a publisher is known again by its credentials, whatever token of an account
// or a subject it has, so that it can take the place of its silent session, and is no other.
func TestOwners(t *testing.T) {
	const other = "another-static-token-of-the-node"
	var owner string
	n := newNode(t, func(o *Options) {
		o.Auth = auth.New(auth.Options{Tokens: []string{token, other}, Secret: secret})
		o.WHIP = owners{o.WHIP.(fakeWHIP), &owner}
	})
	signed := func(sub string, minutes int) string {
		claims := jwt.MapClaims{"exp": time.Now().Add(time.Duration(minutes) * time.Minute).Unix(), "streams": []string{"*"}, "rights": []string{"publish"}, "sub": sub}
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	seen := map[string]string{} // the credentials of an owner
	for _, c := range []struct{ whose, bearer string }{
		{"a", token}, {"b", other}, {"a", token}, {"anna", signed("anna", 10)}, {"anna", signed("anna", 20)}, {"bert", signed("bert", 10)},
	} {
		expect(t, n.do(t, http.MethodPost, "/whip/cam", "", "Authorization", "Bearer "+c.bearer), 201)
		if was, ok := seen[owner]; owner == "" || strings.Contains(owner, c.bearer) || ok && was != c.whose {
			t.Errorf("%s publishes as %q, as did %q", c.whose, owner, was)
		}
		for o, whose := range seen {
			if whose == c.whose && o != owner {
				t.Errorf("%s publishes as %q, and did as %q", whose, owner, o)
			}
		}
		seen[owner] = c.whose
	}
}

// TestRefusalsAreLogged: whoever runs the node sees from where a wrong token came, once
// a minute for a cause, and not the token.
func TestRefusalsAreLogged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := newNode(t, func(o *Options) {
		withAuth(o)
		o.Now = func() time.Time { return now }
	})
	lines := func() int { return strings.Count(n.logs.String(), "request refused") }
	for range 3 {
		expect(t, n.do(t, http.MethodPost, "/whip/cam", "", "Authorization", "Bearer wrong-token"), 401)
	}
	if lines() != 1 || !strings.Contains(n.logs.String(), "level=INFO") || !strings.Contains(n.logs.String(), "client=192.0.2.1:") {
		t.Errorf("log:\n%s", n.logs)
	}
	expect(t, n.do(t, http.MethodPost, "/whip/cam", ""), 401) // another cause
	if lines() != 2 {
		t.Errorf("log:\n%s", n.logs)
	}
	now = now.Add(causeEvery)
	expect(t, n.do(t, http.MethodPost, "/whip/cam", "", "Authorization", "Bearer wrong-token"), 401)
	if lines() != 3 || !strings.Contains(n.logs.String(), "unlogged=2") {
		t.Errorf("log:\n%s", n.logs)
	}
	now = now.Add(causeEvery)
	expect(t, n.do(t, http.MethodGet, "/api/me", ""), 401) // the page looks whether it needs a login
	if lines() != 3 || strings.Contains(n.logs.String(), "wrong-token") {
		t.Errorf("log:\n%s", n.logs)
	}
}

// TestProxies: what proxies say is believed of those alone that are configured.
func TestProxies(t *testing.T) {
	var got *http.Request
	make := func(base string, trusted ...string) *node {
		return newNode(t, func(o *Options) {
			o.BasePath, o.TrustedProxies = base, trusted
			o.Page = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })
		})
	}
	for name, tt := range map[string]struct {
		n                    *node
		target               string
		headers              []string
		path, client, prefix string
	}{
		"nothing":           {make(""), "/a", nil, "/a", "192.0.2.1:1234", ""},
		"not believed":      {make(""), "/a", []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Prefix", "/x"}, "/a", "192.0.2.1:1234", ""},
		"base path":         {make("/studio/"), "/studio/a", nil, "/a", "192.0.2.1:1234", "/studio"},
		"base path, direct": {make("/studio"), "/a", nil, "/a", "192.0.2.1:1234", "/studio"},
		"a name like it":    {make("/studio"), "/studios", nil, "/studios", "192.0.2.1:1234", "/studio"},
		"trusted":           {make("", "192.0.2.0/24"), "/a", []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-Prefix", "/x/"}, "/a", "198.51.100.7:0", "/x"},
		"two proxies": {make("", "192.0.2.1", "2001:db8::1"), "/a", []string{"X-Forwarded-For", "9.9.9.9, 198.51.100.7, [2001:db8::1]:99"},
			"/a", "198.51.100.7:0", ""},
		"standard": {make("", "192.0.2.1", "2001:db8::1"), "/a", []string{"Forwarded", `for=9.9.9.9;by="a,b;for=8.8.8.8", For="[2001:db8:0:1::7]:4711";proto=https, for="[2001:db8::1]"`},
			"/a", "[2001:db8:0:1::7]:0", ""},
		"standard, unknown":       {make("", "192.0.2.1"), "/a", []string{"Forwarded", `for=198.51.100.7, for=unknown`}, "/a", "192.0.2.1:1234", ""},
		"standard, none":          {make("", "192.0.2.1"), "/a", []string{"Forwarded", `for=198.51.100.7, proto=https`}, "/a", "192.0.2.1:1234", ""},
		"standard, torn":          {make("", "192.0.2.1"), "/a", []string{"Forwarded", `for="198.51.100.7, for=198.51.100.8`}, "/a", "192.0.2.1:1234", ""},
		"standard, not trusted":   {make(""), "/a", []string{"Forwarded", `for=198.51.100.7`}, "/a", "192.0.2.1:1234", ""},
		"both alike":              {make("", "192.0.2.1"), "/a", []string{"X-Forwarded-For", "198.51.100.7", "Forwarded", "for=198.51.100.7"}, "/a", "198.51.100.7:0", ""},
		"one is the client's":     {make("", "192.0.2.1"), "/a", []string{"X-Forwarded-For", "198.51.100.7", "Forwarded", "for=9.9.9.9"}, "/a", "192.0.2.1:1234", ""},
		"the other is":            {make("", "192.0.2.1"), "/a", []string{"X-Forwarded-For", "9.9.9.9", "Forwarded", "for=198.51.100.7"}, "/a", "192.0.2.1:1234", ""},
		"an IPv4 address as IPv6": {make("", "192.0.2.1"), "/a", []string{"X-Forwarded-For", "::ffff:198.51.100.7"}, "/a", "198.51.100.7:0", ""},
		"no address":              {make("", "192.0.2.1"), "/a", []string{"X-Forwarded-For", "198.51.100.7, unknown"}, "/a", "192.0.2.1:1234", ""},
		"no prefix":               {make("/s", "192.0.2.1"), "/a", []string{"X-Forwarded-Prefix", "//evil.example"}, "/a", "192.0.2.1:1234", "/s"},
	} {
		got = nil
		tt.n.unchecked = true
		tt.n.do(t, http.MethodGet, tt.target, "", tt.headers...)
		if got == nil || got.URL.Path != tt.path || got.RemoteAddr != tt.client || prefixOf(got) != tt.prefix {
			t.Errorf("%s: %+v, want path %s, client %s, prefix %q", name, got, tt.path, tt.client, tt.prefix)
		}
	}
	n := make("/studio")
	n.unchecked = true
	if w := n.do(t, http.MethodGet, "/studio", ""); w.Code != 308 || w.Header().Get("Location") != "/studio/" {
		t.Errorf("without the slash: %d %q", w.Code, w.Header().Get("Location"))
	}
	if _, err := New(Options{BasePath: "studio"}); err == nil {
		t.Error("a base path that is none is taken")
	}
}
