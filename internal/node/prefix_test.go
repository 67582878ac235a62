//go:build !norecorder

package node

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/load"
)

// TestBelowPrefix: behind a reverse proxy that has the node below a path everything
// works that has a URL: WHIP, WHEP, the page, playback with its clock, signed URLs.
func TestBelowPrefix(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(*config.Config)
		strips  bool
		forward bool // X-Forwarded-Prefix
	}{
		"configured, the proxy strips it": {func(c *config.Config) { c.HTTP.BasePath = "/studio" }, true, false},
		"configured, passed on":           {func(c *config.Config) { c.HTTP.BasePath = "/studio" }, false, false},
		"told by a trusted proxy":         {func(c *config.Config) { c.HTTP.TrustedProxies = []string{"127.0.0.0/8"} }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, func(c *config.Config) {
				c.Recorder.AutoStreams = []string{"*"}
				tt.change(c)
			})
			p := behindProxy(t, n.url, tt.strips, tt.forward)
			p.page()
			p.publishesAndPlays(n)
		})
	}
}

// proxied is a node as clients of its proxy see it.
type proxied struct {
	t   *testing.T
	url string // with the prefix
}

func behindProxy(t *testing.T, node string, strips, forward bool) *proxied {
	t.Helper()
	target, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		if forward {
			r.Out.Header.Set("X-Forwarded-Prefix", "/studio/")
		}
	}}
	mux := http.NewServeMux() // what is outside of the prefix is not the node
	if strips {
		mux.Handle("/studio/", http.StripPrefix("/studio", proxy))
	} else {
		mux.Handle("/studio/", proxy)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &proxied{t, server.URL + "/studio"}
}

// get fetches a URL, which must be below the prefix and answer 200.
func (p *proxied) get(u string) string {
	p.t.Helper()
	return p.do(http.MethodGet, u, "", "")
}

func (p *proxied) do(method, u, contentType, body string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, u, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.HasPrefix(u, p.url+"/") || resp.StatusCode/100 != 2 {
		p.t.Errorf("%s %s: %d %s", method, u, resp.StatusCode, text)
	}
	if location := resp.Header.Get("Location"); location != "" {
		if !strings.HasPrefix(location, "/studio/") || strings.Contains(location, "..") { // OBS resolves nothing else
			p.t.Errorf("%s %s: Location %s", method, u, location)
		}
		return location
	}
	return string(text)
}

// resolve is how a client finds what a document at base refers to.
func (p *proxied) resolve(base, ref string) string {
	p.t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		p.t.Fatal(err)
	}
	u, err := b.Parse(ref)
	if err != nil {
		p.t.Fatal(err)
	}
	return u.String()
}

// page fetches the page and what it refers to.
func (p *proxied) page() {
	p.t.Helper()
	refs := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(p.get(p.url+"/"), -1)
	if len(refs) < 3 {
		p.t.Errorf("the page refers to %d files: was it built?", len(refs))
	}
	for _, ref := range refs {
		if strings.HasPrefix(ref[1], "data:") { // the icon stands in the page
			continue
		}
		p.get(p.resolve(p.url+"/", ref[1]))
	}
}

var timing = regexp.MustCompile(`<UTCTiming [^>]*value="([^"]+)"`)

func (p *proxied) publishesAndPlays(n *testNode) {
	p.t.Helper()
	pub, err := load.New(load.Options{
		URL: p.url + "/whip/cam", Video: open(p.t, "h264_baseline.h264"), Audio: open(p.t, "opus_stereo.ogg"),
		Duration: 9 * time.Second, SenderReports: true,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := pub.Run(p.t.Context())
		done <- err
	}()
	status := new(recordAnswer)
	await.Until(p.t, "the recording has a segment", func() bool {
		return n.call(http.MethodGet, "/api/record/cam", "", status) == 200 && status.MPDPath != "" &&
			n.call(http.MethodHead, "/api/record/object/"+status.MPDPath, "", nil) == 200
	})
	p.watches()
	manifest := p.url + "/api/record/object/" + status.MPDPath
	p.plays(manifest)
	var link struct{ URL string }
	n.call(http.MethodPost, "/api/sign/"+status.RecordDir, "{}", &link)
	if strings.HasPrefix(link.URL, "/studio/") { // asked for directly, the node knows by its configuration alone
		p.plays(p.resolve(p.url, link.URL))
	}
	text := p.do(http.MethodPost, p.url+"/api/sign/"+status.RecordDir, "application/json", "{}")
	u := regexp.MustCompile(`"url":\s*"([^"]+)"`).FindStringSubmatch(text)
	if u == nil {
		p.t.Fatalf("signed: %s", text)
	}
	p.plays(p.resolve(p.url, u[1]))
	if err := <-done; err != nil { // it has deleted its session: by its Location
		p.t.Error(err)
	}
}

// plays fetches a running recording's manifest and asks for the time as its players do.
func (p *proxied) plays(manifest string) {
	p.t.Helper()
	m := timing.FindStringSubmatch(p.get(manifest))
	if m == nil {
		p.t.Errorf("%s has no UTCTiming", manifest)
		return
	}
	if now, err := time.Parse(time.RFC3339, p.get(p.resolve(manifest, m[1]))); err != nil || time.Since(now).Abs() > time.Minute {
		p.t.Errorf("%s: the time is %v, %v", manifest, now, err)
	}
}

// watches makes a viewer's session and deletes it.
func (p *proxied) watches() {
	p.t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		p.t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	endpoint := p.url + "/whep/cam"
	location := p.do(http.MethodPost, endpoint, "application/sdp", offer.SDP)
	p.do(http.MethodDelete, p.resolve(endpoint, location), "", "")
}
