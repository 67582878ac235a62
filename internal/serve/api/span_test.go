package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
)

// A span is asked for by times in the path, which mean the same whenever they are.
func TestSpan(t *testing.T) {
	now := time.Unix(2000, 5e8)
	n := clockedNode(t, &now, auth.Options{Tokens: []string{token}})
	admin := []string{"Authorization", "Bearer " + token}
	for path, want := range map[string]string{
		"/1000/1030.25/manifest.mpd":                         "room 1000 1030.25 manifest.mpd",
		"/1970-01-01T00:16:40Z/+30s/index.m3u8":              "room 1000 1030 index.m3u8",
		"/1970-01-01T01:16:40.5+01:00/now/audio.m3u8":        "room 1000.5 now audio.m3u8",
		"/-30s/1030/room/1/v_seg_0001.m4s":                   "room 1000 1030 room/1/v_seg_0001.m4s",
		"/1970-01-01T00%3A16%3A40Z/%2B30s/room/1/v_init.m4s": "room 1000 1030 room/1/v_init.m4s",
	} {
		w := n.do(t, http.MethodGet, "/api/archive/room"+path, "", admin...)
		if expect(t, w, http.StatusOK); w.Body.String() != "bytes of "+want {
			t.Errorf("%s: %s, want %s", path, w.Body, want)
		}
	}
	for _, path := range []string{"/1030/1000/manifest.mpd", "/1030/1000/index.m3u8", "/1030/1000/file.mp4", "/1000/1000/manifest.mpd", "/soon/now/manifest.mpd", "/3000/now/manifest.mpd"} {
		expect(t, n.do(t, http.MethodGet, "/api/archive/room"+path, "", admin...), http.StatusBadRequest)
	}
	w := n.do(t, http.MethodGet, "/api/archive/room/-30s/now/manifest.mpd", "", admin...)
	if expect(t, w, http.StatusTemporaryRedirect); w.Header().Get("Location") != "/api/archive/room/1970.5/now/manifest.mpd" {
		t.Errorf("it is redirected to %s", w.Header().Get("Location"))
	}
	w = n.do(t, http.MethodGet, "/api/archive/room/-30s/now/file.mp4?tracks=audio", "", admin...)
	if expect(t, w, http.StatusTemporaryRedirect); w.Header().Get("Location") != "/api/archive/room/1970.5/now/file.mp4?tracks=audio" {
		t.Errorf("the file is at %q", w.Header().Get("Location"))
	}
	expect(t, n.do(t, http.MethodGet, "/api/archive/room/-30s/now/room/1/v_init.m4s", "", admin...), http.StatusNotFound)
	expect(t, n.do(t, http.MethodGet, "/api/archive/room/1000/now/time", ""), http.StatusOK)
}

// A signed URL of a span opens that span of that stream, and nothing else.
func TestLinksOfSpans(t *testing.T) {
	now := time.Unix(2000, 0)
	n := clockedNode(t, &now, auth.Options{Secret: secret, Tokens: []string{token}})
	sign := func(span string, headers ...string) (folder string) {
		w := n.do(t, http.MethodPost, "/api/archive/"+span+"/sign", `{"ttl_seconds":60}`, headers...)
		if w.Code != http.StatusOK {
			return ""
		}
		var a struct {
			URL, HLSURL string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(a.URL, "manifest.mpd")
	}
	jwt, err := auth.Sign(secret, now.Add(time.Hour), []string{"room"}, auth.View)
	if err != nil {
		t.Fatal(err)
	}
	if folder := sign("other/1000/+30s", "Authorization", "Bearer "+jwt); folder != "" {
		t.Errorf("the span of another stream is signed: %s", folder)
	}
	folder := sign("room/1000/+30s", "Authorization", "Bearer "+jwt)
	base, ok := strings.CutSuffix(folder, "/room/1000/1030/")
	if !ok {
		t.Fatalf("the span is at %s", folder)
	}
	for path, status := range map[string]int{
		"/room/1000/1030/manifest.mpd": 200, "/room/1000/1030/index.m3u8": 200, "/room/1000/1030/file.mp4": 200,
		"/room/1000/1030/room/1/v_seg_0001.m4s": 200, "/room/1000/1030/time": 200,
		"/room/1000/1031/manifest.mpd": 403, "/room/1000/now/manifest.mpd": 403, "/other/1000/1030/manifest.mpd": 403, "/room/1000/+30s/manifest.mpd": 403,
		"/room/1/manifest.mpd": 403, "/room/1000/1030": 403, "/room/1000/1030/../1031/manifest.mpd": 400,
	} {
		if w := n.do(t, http.MethodGet, base+path, ""); w.Code != status {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, status)
		}
	}
	now = now.Add(time.Minute)
	expect(t, n.do(t, http.MethodGet, folder+"manifest.mpd", ""), http.StatusForbidden)
}

// What is below a recording is served by its name too, to those who may see the recording.
func TestObjectsBelowRecordings(t *testing.T) {
	now := time.Unix(2000, 0)
	n := clockedNode(t, &now, auth.Options{Secret: secret})
	jwt, err := auth.Sign(secret, now.Add(time.Hour), []string{"room"}, auth.View)
	if err != nil {
		t.Fatal(err)
	}
	viewer := []string{"Authorization", "Bearer " + jwt}
	for path, status := range map[string]int{
		"room/1/manifest.mpd": 200, "room/1/index.m3u8": 200, "room/1/file.mp4": 200, "room/1/v_seg_0001.m4s": 200, "other/1/manifest.mpd": 404,
	} {
		w := n.do(t, http.MethodGet, "/api/recordings/"+path, "", viewer...)
		if w.Code != status || status == 200 && w.Body.String() != "bytes of "+path {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, status)
		}
	}
}
