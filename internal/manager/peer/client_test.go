package peer

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/serve/api"
)

// many returns a list of so many.
func many(n int, of string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(of+",", n), ",") + "]"
}

// TestListsAreBounded: lists of a node that would be far more in memory than they are on
// their way are refused, and the longest that may be are not.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	type changes struct{ Changes ChangeList }
	for _, test := range []struct {
		data, why string
		into      any
	}{
		{many(MaxStreams, "{}"), "", new(StreamList)},
		{`[{"id":"a","tracks":` + many(maxTracks+1, "null") + "}]", "more than 64 tracks", new(StreamList)},
		{`[{"id":"a","codecs":` + many(maxTracks+1, "null") + "}]", "more than 64 tracks", new(StreamList)},
		{`[{"id":"a","publish":{"sessions":` + many(maxSessions, "{}") + `}},{"subscribe":{"sessions":[{}]}}]`, "more than 100000 sessions", new(StreamList)},
		{`[{"id":"a","tracks":` + many(MaxParts, "null") + "}]", "more than 600000 parts", new(StreamList)},
		{`{"id":"a"}`, "no list", new(StreamList)},
		{`{"changes":` + many(api.MaxPage, "{}") + "}", "", new(changes)},
		{`{"changes":` + many(api.MaxPage+1, "null") + "}", "more than 200 changes", new(changes)},
		{`{"changes":[{"recording":{"tracks":` + many(maxTracks+1, "{}") + "}}]}", "more than 64 tracks", new(changes)},
		{`{"changes":[{"recording":{"tracks":[{"gaps":` + many(MaxParts, "null") + "}]}}]}", "more than 600000 parts", new(changes)},
		{`{"changes":` + many(maxAnswerParts+1, "null") + "}", "more than 4000000 parts", new(changes)},
		{"null", "", new(StreamList)},
	} {
		err := Decode([]byte(test.data), test.into)
		if (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
			t.Errorf("%.60s: %v, want %q", test.data, err, test.why)
		}
	}
	var list StreamList
	if err := Decode([]byte(many(5*MaxStreams, "null")), &list); err != nil || len(list) != MaxStreams+1 {
		t.Errorf("%d streams of too many are decoded, %v; one too many tells it", len(list), err)
	}
}

// TestTextsAreBounded: what a node says of itself, and its header, is short when it is kept.
func TestTextsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	i := BoundedInfo(api.Info{Version: long, Node: long, Features: strings.Split(strings.Repeat(long+",", 200), ","), Codecs: []string{long}})
	if len(i.Version) > MaxText || len(i.Node) > MaxText || len(i.Features) > maxNames || len(i.Features[0]) > MaxText || len(i.Codecs[0]) > MaxText {
		t.Errorf("%d bytes of a version, %d of a name, %d features", len(i.Version), len(i.Node), len(i.Features))
	}
	if err := Short(errors.New("a little")); err.Error() != "a little" {
		t.Errorf("%v", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := range 10 {
			w.Header().Set("X-Long-"+strconv.Itoa(i), long)
		}
	}))
	defer s.Close()
	c := New(NewHTTP(), s.URL, "")
	resp, err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/", Wait: 10 * time.Second})
	if fault.KindOf(err) != fault.Unavailable {
		_ = resp.Body.Close()
		t.Errorf("a header of a megabyte: %v", err)
	}
}

// TestNoStatus: what is none is not passed on.
func TestNoStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{600, 999} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		c := New(NewHTTP(), s.URL, "")
		resp, err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/", Wait: 10 * time.Second})
		if err == nil {
			_ = resp.Body.Close()
		}
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%d: %v", status, err)
		}
		s.Close()
	}
}

// TestNodesDoNotSendElsewhere: a redirect of a node is not followed, for it would take the
// node's token along, wherever it points.
func TestNodesDoNotSendElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s went elsewhere, with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		for name, client := range map[string]*http.Client{"configured": NewHTTP(), "registered": NewGuarded([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				resp, err := New(client, s.URL, "secret").Do(t.Context(), Call{Method: method, Path: "/api/info", Wait: time.Minute})
				if err != nil {
					t.Errorf("%s: %s, %d: %v", name, method, status, err)
					continue
				}
				if _ = resp.Body.Close(); resp.StatusCode != status {
					t.Errorf("%s: %s is answered %d, want %d", name, method, resp.StatusCode, status)
				}
			}
		}
		s.Close()
	}
}

// The error itself has the address, for the log.
func TestErrorsOfNodes(t *testing.T) {
	t.Parallel()
	c := New(NewHTTP(), "http://127.0.0.1:1", "")
	err := c.GetJSON(t.Context(), "/api/info", time.Second, nil)
	if fault.KindOf(err) != fault.Unavailable || fault.Text(err) != "connection refused" || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("%v, shown as %q", err, fault.Text(err))
	}
}

// TestOriginalSaysWhere: what an original says of its storage is in the log, and not in
// answers.
func TestOriginalSaysWhere(t *testing.T) {
	body := []byte("Unexpected (permanent) at read, context: { uri: https://bucket.internal/x }")
	err := StatusError(http.StatusInternalServerError, body)
	if !strings.Contains(err.Error(), "bucket.internal") || strings.Contains(fault.Text(err), "internal") || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("log %q, answer %q", err, fault.Text(err))
	}
	for _, page := range []string{"<html>", "{}", "", "a\x00b"} {
		if got := plainText([]byte(page)); got != "" {
			t.Errorf("%q is taken for %q", page, got)
		}
	}
	if got := plainText(bytes.Repeat([]byte("x"), 4096)); len(got) != MaxText {
		t.Errorf("%d bytes of what it says", len(got))
	}
}

// stuckBody is an answer that brings something and then nothing, until its request
// is cancelled.
type stuckBody struct {
	ctx  context.Context
	some int
}

func (b *stuckBody) Read(p []byte) (int, error) {
	if b.some > 0 {
		b.some--
		return copy(p, "x"), nil
	}
	<-b.ctx.Done()
	return 0, context.Cause(b.ctx)
}

func (b *stuckBody) Close() error { return nil }

// What brings nothing is broken off; what nobody reads is not.
func TestIdleBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		body := newIdleBody(&stuckBody{ctx, 2}, cancel)
		defer func() { _ = body.Close() }()
		p := make([]byte, 8)
		for range 2 {
			if n, err := body.Read(p); n != 1 || err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			time.Sleep(10 * idleTimeout) // of the client
		}
		start := time.Now()
		if n, err := body.Read(p); n != 0 || !errors.Is(err, errIdle) || time.Since(start) != idleTimeout {
			t.Errorf("%d bytes after %v: %v", n, time.Since(start), err)
		}
	})
}
