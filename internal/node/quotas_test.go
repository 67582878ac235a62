//go:build !norecorder

package node

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/base/config"
)

// TestLimits: each limit of the configuration refuses what it is for, says when to come
// again, and is counted.
func TestLimits(t *testing.T) {
	offer, err := os.ReadFile("../ingest/whip/testdata/offers/" + firstOffer(t))
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, func(c *config.Config) {
		c.Auth.Tokens = []config.Secret{"first", "second"}
		c.Limits.Streams = 3
		c.Limits.Each.Publishers = 2
		c.Limits.Rules = []config.LimitRule{{Streams: "web-*", Publishers: 1}}
	})
	publish := func(stream, token string, want int, says string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/whip/"+stream, strings.NewReader(string(offer)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/sdp")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		said, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want || want != http.StatusCreated && (!strings.Contains(string(said), says) || resp.Header.Get("Retry-After") == "") {
			t.Errorf("%s: %d %s, Retry-After %q; want %d, %q", stream, resp.StatusCode, said, resp.Header.Get("Retry-After"), want, says)
		}
	}
	publish("web-1", "first", http.StatusCreated, "")
	publish("web-2", "first", http.StatusTooManyRequests, "a rule for it is 1 publishers")
	publish("cam-1", "first", http.StatusCreated, "")
	publish("cam-2", "first", http.StatusTooManyRequests, "these credentials is 2 publishers")
	publish("cam-2", "second", http.StatusCreated, "")
	publish("cam-3", "second", http.StatusServiceUnavailable, "limit of 3 streams")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer first")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	for _, want := range []string{`live777_refused_total{limit="publishers",of="rule"} 1`, `live777_refused_total{limit="publishers",of="owner"} 1`,
		`live777_refused_total{limit="streams",of="node"} 1`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// firstOffer is the name of an offer that a program made.
func firstOffer(t *testing.T) string {
	t.Helper()
	files, err := os.ReadDir("../ingest/whip/testdata/offers")
	if err != nil || len(files) == 0 {
		t.Fatalf("no offers: %v", err)
	}
	return files[0].Name()
}
