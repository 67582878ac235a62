//go:build !norecorder

package node

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// as is call with a bearer token.
func (n *testNode) as(token, method, target, body string, out any) int {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.url+target, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		n.t.Fatalf("%s %s: %d %s: %v", method, target, resp.StatusCode, data, err)
	}
	return resp.StatusCode
}

// anna is an account with streams of its own.
func anna(t *testing.T) []config.User {
	t.Helper()
	hash, err := auth.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	return []config.User{{Name: "anna", PasswordHash: config.Secret(hash), Rights: []string{"publish", "view", "record"}, Streams: []string{"anna-*"}}}
}

// anna logs in as that account, and returns its token, and a publisher of anna-cam with it.
func (n *testNode) anna(d time.Duration) (token string, p *load.Publisher) {
	n.t.Helper()
	var session struct{ Token string }
	if code := n.as("", http.MethodPost, "/api/login", `{"name":"anna","password":"correct horse"}`, &session); code != http.StatusOK {
		n.t.Fatalf("login: %d", code)
	}
	p, err := load.New(load.Options{
		URL: n.url + "/whip/anna-cam", Token: session.Token, Video: open(n.t, "h264_baseline.h264"), Audio: open(n.t, "opus_stereo.ogg"),
		Duration: d, SenderReports: true,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return session.Token, p
}

// TestAccountRecordsAndShares: somebody logs in, publishes and records, and hands
// a URL to a player that can neither log in nor send a header.
func TestAccountRecordsAndShares(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Recorder.AutoStreams = []string{"*"}
		c.Auth.Users = anna(t)
	})
	session, p := n.anna(6 * time.Second)
	published := make(chan error, 1)
	go func() { _, err := p.Run(t.Context()); published <- err }()

	// While it runs: a player needs nothing but the URL.
	state := n.awaitMedia(session, "anna-cam")
	var signed struct{ URL string }
	if code := n.as(session, http.MethodPost, "/api/sign/"+state.RecordDir, "", &signed); code != http.StatusOK {
		t.Fatalf("sign: %d", code)
	}
	for name, want := range map[string]int{"manifest.mpd": 200, "v_init.m4s": 200, "v_seg_0001.m4s": 200, "../manifest.mpd": 400, "no_seg_0001.m4s": 404} {
		if code := n.as("", http.MethodGet, strings.TrimSuffix(signed.URL, "manifest.mpd")+name, "", nil); code != want {
			t.Errorf("%s of a running recording: %d, want %d", name, code, want)
		}
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if code := n.as(session, http.MethodDelete, "/api/record/anna-cam", "", nil); code != http.StatusOK {
		t.Errorf("stop: %d", code)
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", n.url+signed.URL, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg (install the Debian package ffmpeg if it is missing): %v\n%s", err, out)
	}

	// Everything else asks for credentials, and rights.
	token := strings.Split(signed.URL, "/")[3]
	for target, want := range map[string]int{
		"/api/record/object/" + state.MPDPath: 401, "/api/playback": 401,
		"/api/play/" + token + "/anna-cam/1/manifest.mpd": 403, "/api/play/" + path.Join(token[1:], state.MPDPath): 403,
	} {
		if code := n.as("", http.MethodGet, target, "", nil); code != want {
			t.Errorf("%s without credentials: %d, want %d", target, code, want)
		}
	}
	if code := n.as(session, http.MethodDelete, "/api/recordings/"+state.RecordDir, "", nil); code != http.StatusForbidden {
		t.Errorf("deleting without the right: %d", code)
	}
}

// TestLogoutEndsWhatWasOpened: who logs out publishes no more, and the URLs that were
// signed play no more; what was recorded is sealed.
func TestLogoutEndsWhatWasOpened(t *testing.T) {
	t.Parallel()
	const admin = "an-administrator's-token"
	n := startNode(t, func(c *config.Config) {
		c.Recorder.AutoStreams, c.Recorder.Reconnect = []string{"*"}, 0
		c.Auth.Tokens = []config.Secret{admin}
		c.Auth.Users = anna(t)
	})
	session, p := n.anna(2 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() { _, err := p.Run(ctx); published <- err }()
	defer func() { <-published }()
	defer cancel()

	state := n.awaitMedia(session, "anna-cam")
	var signed, other struct{ URL string }
	if code := n.as(session, http.MethodPost, "/api/sign/"+state.RecordDir, "", &signed); code != http.StatusOK {
		t.Fatalf("sign: %d", code)
	}
	if code := n.as(admin, http.MethodPost, "/api/sign/"+state.RecordDir, "", &other); code != http.StatusOK {
		t.Fatalf("sign: %d", code)
	}
	if code := n.as(session, http.MethodPost, "/api/logout", "", nil); code != http.StatusNoContent {
		t.Fatalf("logout: %d", code)
	}
	if code := n.as("", http.MethodGet, signed.URL, "", nil); code != http.StatusForbidden {
		t.Errorf("a URL that was signed for who has logged out: %d", code)
	}
	if code := n.as("", http.MethodGet, other.URL, "", nil); code != http.StatusOK {
		t.Errorf("a URL that was signed for somebody else: %d", code)
	}
	var rec media.Recording
	await.Until(t, "who has logged out publishes no more", func() bool {
		n.as(admin, http.MethodGet, "/api/recordings/"+state.RecordDir, "", &rec)
		return rec.Status == media.StatusComplete
	})
}

// awaitMedia waits until a segment of both tracks of the stream's recording is
// closed: the manifest lists nothing before.
func (n *testNode) awaitMedia(token, stream string) (state recordAnswer) {
	n.t.Helper()
	await.Until(n.t, "both tracks of "+stream+" have a segment", func() bool {
		var answer struct {
			recordAnswer
			Tracks []media.RecordingTrack
		}
		n.as(token, http.MethodGet, "/api/record/"+stream, "", &answer)
		waits := func(t media.RecordingTrack) bool { return t.Segments == 0 }
		state = answer.recordAnswer
		return answer.Recording && len(answer.Tracks) == 2 && !slices.ContainsFunc(answer.Tracks, waits)
	})
	return state
}
