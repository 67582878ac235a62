package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// signed asks for a playback URL, with a host of its own if dir has one; headers are pairs.
func (n *node) signed(t *testing.T, dir, body string, headers ...string) (place string, expires time.Time) {
	t.Helper()
	target := "/api/sign/" + dir
	if host, rest, ok := strings.Cut(dir, "|"); ok {
		target = "http://" + host + "/api/sign/" + rest
	}
	w := n.do(t, http.MethodPost, target, body, headers...)
	expect(t, w, http.StatusOK)
	var answer struct {
		URL     string
		Expires time.Time
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.URL, answer.Expires
}

// clockedNode is a node whose time stands still.
func clockedNode(t *testing.T, now *time.Time, o auth.Options) *node {
	clock := func() time.Time { return *now }
	o.Now = clock
	return newNode(t, func(options *Options) { options.Auth, options.Now = auth.New(o), clock })
}

func TestLinks(t *testing.T) {
	for name, o := range map[string]auth.Options{
		"secret": {Secret: secret}, "tokens": {Tokens: []string{token}}, "no authentication": {Anonymous: true}, "local": {},
	} {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		n := clockedNode(t, &now, o)
		dir, headers := "localhost|room/1", []string(nil) // without credentials only requests to localhost are answered
		if o.Secret != "" {
			jwt, err := auth.Sign(secret, now.Add(48*time.Hour), []string{"room"}, auth.View)
			if err != nil {
				t.Fatal(err)
			}
			headers = []string{"Authorization", "Bearer " + jwt}
		} else if len(o.Tokens) > 0 {
			headers = []string{"Authorization", "Bearer " + token}
		}
		place, expires := n.signed(t, dir, "", headers...)
		if want := now.Add(time.Hour); !expires.Equal(want) {
			t.Errorf("%s: expires %v, want %v", name, expires, want)
		}
		base, ok := strings.CutSuffix(place, "/manifest.mpd")
		if !ok || !strings.HasSuffix(base, "/room/1") {
			t.Fatalf("%s: url %s", name, place)
		}
		for _, object := range []string{"manifest.mpd", "index.m3u8", "file.mp4", "v_init.m4s", "v_seg_0001.m4s"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				if w := n.do(t, method, base+"/"+object, ""); w.Code != http.StatusOK || w.Body.String() != "bytes of room/1/"+object {
					t.Errorf("%s: %s %s: %d %s", name, method, object, w.Code, w.Body)
				}
			}
		}
		_, long := n.signed(t, dir, `{"ttl_seconds":86400}`, headers...)
		if want := now.Add(24 * time.Hour); !long.Equal(want) {
			t.Errorf("%s: expires %v, want %v", name, long, want)
		}
		now = expires
		expect(t, n.do(t, http.MethodGet, place, ""), http.StatusForbidden)
	}
}

// A URL opens one recording, however its path is spelt.
func TestLinksOpenNothingElse(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := clockedNode(t, &now, auth.Options{Secret: secret, Tokens: []string{token}})
	place, _ := n.signed(t, "room/1", "", "Authorization", "Bearer "+token)
	signature, _, _ := strings.Cut(strings.TrimPrefix(place, playPrefix), "/")
	calls := n.called()
	for path, status := range map[string]int{
		"/room/2/manifest.mpd": 403, "/room/manifest.mpd": 403, "/manifest.mpd": 403, "/room/1": 403, "/room/1/x/manifest.mpd": 403,
		"/room/1/../2/manifest.mpd": 400, "/room/1/%2e%2e/2/manifest.mpd": 400, "/room/1/%2E./2/manifest.mpd": 400, "/room//1/manifest.mpd": 400,
		"//room/1/manifest.mpd": 400, "/room/1/..%2f2%2fmanifest.mpd": 400, "/room/1%2f..%2f2/manifest.mpd": 400, "/room/1%2fmanifest.mpd/": 400,
		"/room/1/%00": 400, "/room/1/.hidden": 400, "/room%5c1/manifest.mpd": 400, "": 404, "/": 400, "/room/1/": 400, "/ROOM/1/manifest.mpd": 403,
	} {
		if w := n.do(t, http.MethodGet, playPrefix+signature+path, ""); w.Code != status {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, status)
		}
	}
	for _, other := range []string{"x", token, signature[1:], signature + "=", signature[:len(signature)-2] + "AA", "%20" + signature, signature + "%0a", signature + "%00"} {
		if w := n.do(t, http.MethodGet, playPrefix+other+"/room/1/manifest.mpd", ""); w.Code != http.StatusForbidden {
			t.Errorf("token %q: %d %s", other, w.Code, w.Body)
		}
	}
	// It is for playing, and no token of the API.
	for _, r := range [][2]string{{http.MethodGet, "/api/playback/room"}, {http.MethodGet, "/api/record/object/room/1/manifest.mpd"}, {http.MethodPost, "/api/sign/room/1"}} {
		expect(t, n.do(t, r[0], r[1], "", "Authorization", "Bearer "+signature), http.StatusUnauthorized)
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut} {
		expect(t, n.do(t, method, place, ""), http.StatusMethodNotAllowed)
	}
	if n.called() != calls {
		t.Errorf("got through: %s", n.called())
	}
	// What is the same path after decoding is the same object.
	if w := n.do(t, http.MethodGet, playPrefix+signature+"/room%2f1/manifest.mpd", ""); w.Code != http.StatusOK {
		t.Errorf("an encoded slash: %d", w.Code)
	}
}

func TestSignRequests(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := clockedNode(t, &now, auth.Options{Secret: secret, Tokens: []string{token}})
	admin := []string{"Authorization", "Bearer " + token}
	for body, want := range map[string]string{
		`{"ttl_seconds":0}`: "from 1 to 86400", `{"ttl_seconds":-1}`: "from 1", `{"ttl_seconds":86401}`: "from 1", `{"ttl_seconds":9223372036854775807}`: "from 1",
		`{"ttl_seconds":1.5}`: "ttl_seconds", `{"ttl_seconds":"1h"}`: "ttl_seconds", `{"ttl":1}`: "unknown field", "[]": "object",
	} {
		w := n.do(t, http.MethodPost, "/api/sign/room/1", body, admin...)
		expect(t, w, http.StatusBadRequest)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
	expect(t, n.do(t, http.MethodPost, "/api/sign/a/../b", "", admin...), http.StatusBadRequest)
	expect(t, n.do(t, http.MethodPost, "/api/sign/%2e%2e", "", admin...), http.StatusBadRequest)

	// Never longer than the token that it was asked for with.
	jwt, err := auth.Sign(secret, now.Add(time.Minute), []string{"*"}, auth.View)
	if err != nil {
		t.Fatal(err)
	}
	if _, expires := n.signed(t, "room/1", "", "Authorization", "Bearer "+jwt); !expires.Equal(now.Add(time.Minute)) {
		t.Errorf("expires %v", expires)
	}
	// Names with characters that a URL does not have.
	place, _ := n.signed(t, "a%20b%23/%C3%A9%3F", "", admin...)
	if w := n.do(t, http.MethodGet, place, ""); w.Body.String() != "bytes of a b#/é?/manifest.mpd" {
		t.Errorf("%s: %d %s", place, w.Code, w.Body)
	}
	// Nothing is signed that is not there.
	n.missing = fault.New(fault.NotFound, "no recording has this object")
	expect(t, n.do(t, http.MethodPost, "/api/sign/room/1", "", admin...), http.StatusNotFound)
}

// Who has a log must not have the recordings.
func TestLinksAreNotLogged(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := clockedNode(t, &now, auth.Options{Secret: secret, Tokens: []string{token}})
	place, _ := n.signed(t, "room/1", "", "Authorization", "Bearer "+token)
	signature, _, _ := strings.Cut(strings.TrimPrefix(place, playPrefix), "/")
	for _, err := range []error{nil, fmt.Errorf("disk"), fault.New(fault.Unavailable, "away")} {
		n.err = err
		for _, p := range []string{place, playPrefix + "/" + strings.TrimPrefix(place, playPrefix), "/api//play/" + signature + "/x", playPrefix + signature, place + "?" + signature} {
			n.do(t, http.MethodGet, p, "")
		}
	}
	n.err = nil
	n.serveObjects(func(http.ResponseWriter, *http.Request) error { panic("a defect") })
	n.do(t, http.MethodGet, place, "")
	if log := n.logs.String(); strings.Contains(log, signature) || !strings.Contains(log, "/api/play/…/room/1/manifest.mpd") {
		t.Errorf("the log:\n%s", log)
	}
	if got := loggedPath(&url.URL{Path: "/api/record/room"}); got != "/api/record/room" {
		t.Errorf("another path is logged as %s", got)
	}
}

// A URL is for the recording that it was asked for, by the one name that no other
// recording has, and not for what somebody records to the same folder later.
func TestLinksAreForOneRecording(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := clockedNode(t, &now, auth.Options{Secret: secret, Tokens: []string{token}})
	as := []string{"Authorization", "Bearer " + token}
	start := now.Add(-time.Hour)
	n.found = media.Recording{Stream: "room", Duration: 10, Start: start}
	place, expires := n.signed(t, "local/1", "", as...)
	if !strings.HasSuffix(place, "/@n1/local/1/manifest.mpd") {
		t.Errorf("signed for %s", place)
	}
	play := func(place string) int { return n.do(t, http.MethodGet, place, "").Code }
	if code := play(place); code != http.StatusOK || !n.until.Equal(expires) {
		t.Errorf("its recording: %d, until %v", code, n.until)
	}
	if code := play(strings.Replace(place, "@n1/", "", 1)); code != http.StatusForbidden {
		t.Errorf("by another name: %d", code)
	}
	for name, other := range map[string]media.Recording{
		"of another stream":          {Stream: "hall", Duration: 10, Start: start},
		"of the stream, later":       {Stream: "room", Duration: 10, Start: now.Add(time.Minute)},
		"of another, without media":  {Stream: "hall"},
		"of a stream that begins so": {Stream: "room\x00", Duration: 10, Start: start},
	} {
		if n.found = other; play(place) != http.StatusNotFound {
			t.Errorf("what is recorded to the folder afterwards, %s, can be played", name)
		}
	}
	n.missing = fault.New(fault.NotFound, "no recording has this object")
	if code := play(place); code != http.StatusNotFound {
		t.Errorf("a deleted recording: %d", code)
	}
	// One that begins has no time of its own yet.
	n.missing, n.found = nil, media.Recording{Stream: "room", Start: now}
	place, _ = n.signed(t, "room/x", "", as...)
	n.found.Duration, n.found.Start = 6, now.Add(time.Second)
	if code := play(place); code != http.StatusOK {
		t.Errorf("a recording that had no media yet: %d", code)
	}
	if n.found.Stream = "hall"; play(place) != http.StatusNotFound {
		t.Error("another stream's recording can be played")
	}
	// Who has no link of ours has nothing looked for.
	n.missing = fault.New(fault.Unavailable, "the catalogue was asked")
	if code := play(playPrefix + "x" + "/room/x/manifest.mpd"); code != http.StatusForbidden {
		t.Errorf("a made-up token: %d", code)
	}
	// Tokens that end bound what is sent from elsewhere, too.
	n.missing, n.found = nil, media.Recording{}
	jwt, err := auth.Sign(secret, now.Add(time.Minute), []string{"room"}, auth.View)
	if err != nil {
		t.Fatal(err)
	}
	n.do(t, http.MethodGet, "/api/record/object/room/1/manifest.mpd", "", "Authorization", "Bearer "+jwt)
	if !n.until.Equal(now.Add(time.Minute)) {
		t.Errorf("a token's objects: until %v", n.until)
	}
	n.do(t, http.MethodGet, "/api/record/object/room/1/manifest.mpd", "", as...)
	if !n.until.IsZero() {
		t.Errorf("a static token's objects: until %v", n.until)
	}
}
