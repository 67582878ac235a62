package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/testkit/await"
)

// documentedRoute is a route as the OpenAPI document of a program has it, which its
// tests hold against the routes themselves.
type documentedRoute struct {
	method, path string
	public       bool
	body         string // its type; "" for none
}

// documentedRoutes reads a document.
func documentedRoutes(t *testing.T, document []byte) (list []documentedRoute) {
	t.Helper()
	var d struct {
		Paths map[string]map[string]struct {
			Security    []map[string][]string
			RequestBody struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	for path, methods := range d.Paths {
		for method, o := range methods {
			r := documentedRoute{method: strings.ToUpper(method), path: path, public: o.Security != nil && len(o.Security) == 0}
			for of := range o.RequestBody.Content {
				r.body = of
			}
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b documentedRoute) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	if len(list) < 30 {
		t.Fatalf("%d routes are documented", len(list))
	}
	return list
}

// owned is what somebody has, by the names of path values.
type owned map[string]string

// intruder tries all routes of a program, with each right alone, for what is not its
// own.
type intruder struct {
	attack *attack
	url    string
	routes []documentedRoute
	tokens map[string]string // by what they are
	whose  owned             // the bystander's
	secret []string          // what no answer may have
	offer  string
	rng    *rand.Rand
	tried  int
}

// newIntruder returns one for a program. Its tokens have single rights for the
// stream "prey".
func newIntruder(t *testing.T, a *attack, url string, document []byte, whose owned) *intruder {
	t.Helper()
	i := &intruder{
		attack: a, url: url, routes: documentedRoutes(t, document), whose: whose, rng: rand.New(rand.NewPCG(7, 8)),
		tokens: map[string]string{"nothing": "", "a guess": "guess-of-a-token-that-is-none"},
	}
	for _, right := range auth.Rights() {
		i.tokens["right "+string(right)] = rights(t, right)
	}
	for _, name := range []string{"stream", "session", "record_dir"} {
		if whose[name] != "" {
			i.secret = append(i.secret, whose[name])
		}
	}
	var err error
	if i.offer, err = offer(webrtc.RTPTransceiverDirectionRecvonly); err != nil {
		t.Fatal(err)
	}
	return i
}

// control makes sure that what is refused to the others is there for who may have it.
func (i *intruder) control(t *testing.T) {
	t.Helper()
	for _, r := range i.routes {
		path := i.named(r.path, func(s string) string { return s })
		if r.method != http.MethodGet || r.public || path == r.path {
			continue
		}
		if strings.HasSuffix(path, "/keys") { // asks for a span
			path += "?from=" + i.whose["from"] + "&to=now"
		}
		await.Until(t, "GET "+path+" with all rights", func() bool {
			code, body, err := i.attack.doAt(t.Context(), i.url, r.method, path, attackToken, "")
			return err == nil && code == http.StatusOK && len(body) > 0
		})
	}
}

// named puts what is the bystander's into a path.
func (i *intruder) named(path string, spell func(string) string) string {
	for name, value := range i.whose {
		path = strings.ReplaceAll(path, "{"+name+"}", spell(value))
	}
	return path
}

// run tries every route with every token as it stands in the document, and then, as
// long as there is time, in other spellings. It goes on where it was.
func (i *intruder) run(ctx context.Context, _ *attack) (n int, err error) {
	what := slices.Sorted(maps.Keys(i.tokens))
	for pace := 5 * time.Millisecond; pauseFor(ctx, pace); n++ {
		if i.complete() {
			pace = 20 * time.Millisecond
		}
		r, as := i.routes[i.tried/len(what)%len(i.routes)], what[i.tried%len(what)]
		if err := i.try(ctx, r, i.tokens[as], !i.complete()); err != nil {
			return n, fmt.Errorf("with %s: %w", as, err)
		}
		i.tried++
	}
	return n, nil
}

// complete reports whether every route has been tried with every token.
func (i *intruder) complete() bool { return i.tried >= len(i.routes)*len(i.tokens) }

// finish tries what there was no time for.
func (i *intruder) finish(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	what := slices.Sorted(maps.Keys(i.tokens))
	for ; !i.complete(); i.tried++ {
		r, as := i.routes[i.tried/len(what)], what[i.tried%len(what)]
		if err := i.try(ctx, r, i.tokens[as], true); err != nil {
			t.Errorf("with %s: %v", as, err)
		}
	}
}

// attackSpellings are other names for what a path value names, as somebody may hope.
var attackSpellings = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return fmt.Sprintf("%%%02x", s[0]) + s[1:] },
	strings.ToUpper,
	func(s string) string { return s + "/" },
	func(s string) string { return s + "%00" },
	func(s string) string { return s + "%2f" },
	func(s string) string { return s + "." },
	func(s string) string { return s + ";prey" },
	func(s string) string { return s + "?stream=prey&streams=prey" },
	func(s string) string { return "prey/../" + s },
	func(s string) string { return "prey%2f..%2f" + s },
	func(s string) string { return "%2e/" + s },
	func(s string) string { return "/" + s },
}

// attackQueries are queries by which lists may tell more.
var attackQueries = []string{"", "", "?streams=%s", "?stream=%s", "?streams=prey&streams=%s", "?since=0", "?since_ts=0&stream=%s", "?changes=true", "?limit=200", "?after=a", "?node=main"}

// try sends one request; the error says what came of it that must not.
func (i *intruder) try(ctx context.Context, r documentedRoute, token string, plain bool) error {
	spell := attackSpellings[0]
	if !plain {
		spell = attackSpellings[i.rng.IntN(len(attackSpellings))]
	}
	path := i.named(r.path, spell)
	about := path != r.path
	header := []string{"Content-Type", r.body}
	if !plain {
		if q := attackQueries[i.rng.IntN(len(attackQueries))]; !strings.Contains(path, "?") {
			path += strings.ReplaceAll(q, "%s", i.whose["stream"])
		}
		header = append(header, "X-HTTP-Method-Override", "GET", "X-Original-URL", "/api/info", "X-Forwarded-Prefix", "/api", "Cookie", "session="+token)
	}
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if strings.Contains(path, "/sse/") { // which does not end
		asked, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
	}
	code, body, err := i.attack.doAt(asked, i.url, r.method, path, token, i.bodyFor(r.body), header...)
	if err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)) {
		err = nil
	}
	if err != nil {
		return err
	}
	if code == http.StatusTooManyRequests && plain {
		i.tried-- // again
	}
	if code >= 300 || code == 0 {
		return nil
	}
	if about && !r.public {
		return fmt.Errorf("%s %s is answered with %d: %.300s", r.method, path, code, body)
	}
	for _, secret := range i.secret {
		if strings.Contains(body, secret) {
			return fmt.Errorf("%s %s is answered with %d, and tells of %s: %.300s", r.method, path, code, secret, body)
		}
	}
	return nil
}

// bodyFor returns a body of a type, in which the bystander's is meant as well.
func (i *intruder) bodyFor(of string) string {
	switch of {
	case "":
		return ""
	case "application/sdp":
		return i.offer
	case "application/json":
		bodies := []string{
			`{}`, `{"protected":true}`, `{"ttl_seconds":600}`, `{"name":"admin","password":"guess"}`,
			fmt.Sprintf(`{"base_dir":%q}`, i.whose["record_dir"]), fmt.Sprintf(`{"stream":%q,"ids":["1"]}`, i.whose["stream"]),
			fmt.Sprintf(`{"alias":%q,"url":"http://127.0.0.1:9","token":"x"}`, i.whose["alias"]),
		}
		return bodies[i.rng.IntN(len(bodies))]
	}
	return "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1387637174 1 udp 2122260223 127.0.0.1 9 typ host\r\n"
}

// takeOver has the right to record its own stream, and wants its recordings to be
// where the bystander's are.
func takeOver(ctx context.Context, a *attack) (n int, err error) {
	for ; pauseFor(ctx, 100*time.Millisecond); n++ {
		if _, _, err := a.do(ctx, http.MethodDelete, "/api/record/prey", a.recordist, ""); err != nil {
			return n, err
		}
		dir := []string{a.dir, a.dir + "/below", a.dir + "/manifest.mpd", "bystander", "../" + a.dir, a.dir + "/.", strings.ToUpper(a.dir)}[n%7]
		code, body, err := a.do(ctx, http.MethodPost, "/api/record/prey", a.recordist, fmt.Sprintf(`{"base_dir":%q}`, dir), "Content-Type", "application/json")
		if err != nil {
			return n, err
		}
		if code < 300 && strings.Contains(body, a.dir) {
			return n, fmt.Errorf("a recording in %s is answered with %d: %s", dir, code, body)
		}
	}
	return n, nil
}
