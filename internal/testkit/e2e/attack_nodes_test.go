package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// registrationToken is what nodes of the test register with.
const registrationToken = "registration-token-of-the-attack" //nolint:gosec // of a test

// hostileNode is what a manager takes for a node, and which answers whatever it
// likes.
type hostileNode struct {
	*httptest.Server
	name    string // what it calls itself
	dir     string // a recording of somebody else
	whose   string // the stream of that
	hostile atomic.Bool
	answers atomic.Int64
}

// newHostileNode starts one. Until it is told otherwise it behaves.
func newHostileNode(t *testing.T, name string) *hostileNode {
	t.Helper()
	n := &hostileNode{name: name}
	n.Server = httptest.NewServer(n)
	t.Cleanup(func() { n.CloseClientConnections(); n.Close() })
	return n
}

// ServeHTTP implements http.Handler.
func (n *hostileNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !n.hostile.Load():
		n.behave(w, r)
		return
	case r.URL.Path == "/api/info" && rand.IntN(4) > 0: // else nobody asks for more
		n.behave(w, r)
	default:
		answers := []http.HandlerFunc{
			endless, millions, wrongTypes, oddStatus, trickle, redirect, torn, noHTTP, hints, n.phantom, n.phantom, n.hugeFeed, manyEvents, deep, n.behave,
		}
		answers[rand.IntN(len(answers))](w, r)
	}
	n.answers.Add(1)
}

// behave answers as a node that has nothing.
func (n *hostileNode) behave(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/info":
		_, _ = fmt.Fprintf(w, `{"name":"live777","version":"1","node":%q,"features":["recorder"],"codecs":[]}`, n.name)
	case "/api/streams/":
		_, _ = io.WriteString(w, "[]")
	case "/api/load":
		_, _ = io.WriteString(w, "{}")
	case "/api/recordings":
		_, _ = fmt.Fprintf(w, `{"feed":%q,"changes":[],"next":1,"base":1}`, "of "+n.name)
	default:
		http.NotFound(w, r)
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// endless is a body without end.
func endless(w http.ResponseWriter, r *http.Request) {
	beginning := []string{"[", `{"name":"live777","version":"`, "data: [", `{"feed":"f","changes":[`, ""}[rand.IntN(5)]
	part := strings.Repeat([]string{"x", `{"id":"x"},`, " ", "\n", `"`}[rand.IntN(5)], 5000)
	for _, err := io.WriteString(w, beginning); err == nil && r.Context().Err() == nil; _, err = io.WriteString(w, part) {
	}
}

// millions is a list of as much as fits into an answer: of streams, of what they
// have, or of changes.
func millions(w http.ResponseWriter, r *http.Request) {
	beginning, one, end := "[{}", ",{}", "]"
	switch rand.IntN(4) {
	case 0:
		beginning, end = `[{"id":"phantom","tracks":[{}`, "]}]"
	case 1:
		beginning, end = `{"feed":"millions","next":2,"changes":[{}`, "]}"
	case 2:
		beginning, one, end = `{"name":"live777","features":["recorder"`, `,""`, "]}"
	}
	if strings.Contains(r.URL.Path, "/sse/") {
		beginning, end = "data: "+beginning, end+"\n\n"
	}
	part := strings.Repeat(one, 10_000)
	_, err := io.WriteString(w, beginning)
	for size := 0; err == nil && size < 60<<20; size += len(part) {
		_, err = io.WriteString(w, part)
	}
	_, _ = io.WriteString(w, end)
}

// deep is one thing in another, and so on.
func deep(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, strings.Repeat([]string{"[", `{"a":`, `[{"tracks":`}[rand.IntN(3)], 1_000_000))
}

// wrongTypes is JSON, and not what was asked for.
func wrongTypes(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", []string{"text/html", "image/png", "", "application/json"}[rand.IntN(4)])
	_, _ = io.WriteString(w, []string{
		"null", "17", `"live777"`, `{"a":1}`, "[1,2,3]", `[{"id":7}]`, `[{"id":"x","tracks":"none"}]`, "<html>", `{"name":["live777"]}`, "[null]",
		`{"feed":"f","changes":[{"seq":-1,"record_dir":"/../..","recording":{"stream":"../..","record_dir":"..","start":"yesterday"}}],"next":-5}`,
		`{"feed":"f","changes":[{"seq":9223372036854775807,"record_dir":"x/1","deleted":true}],"next":9223372036854775807}`, "\x00\xff\xfe",
	}[rand.IntN(13)])
}

func oddStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", []string{"-1", "99999999999999999999", "soon"}[rand.IntN(3)])
	w.WriteHeader([]int{204, 206, 304, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599, 600, 799, 999}[rand.IntN(16)])
	_, _ = io.WriteString(w, strings.Repeat(`{"error":"`+strings.Repeat("\u202e<script>\n", 1000), 10))
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request) {
	for _, err := io.WriteString(w, "["); err == nil && pauseFor(r.Context(), 50*time.Millisecond); _, err = io.WriteString(w, " ") {
		flush(w)
	}
}

// redirect leads back, or to where the manager alone could ask.
func redirect(w http.ResponseWriter, r *http.Request) {
	to := []string{r.URL.String(), "http://" + r.Host + "/api/info", "http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"}[rand.IntN(5)]
	http.Redirect(w, r, to, []int{301, 302, 303, 307, 308}[rand.IntN(5)])
}

// torn ends before what it announced.
func torn(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000000")
	_, _ = io.WriteString(w, `[{"id":"x"}`)
	flush(w)
	panic(http.ErrAbortHandler)
}

// noHTTP is no answer at all.
func noHTTP(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, []string{
		"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Long: "+strings.Repeat("x", 60_000)+"\r\n", 300), "HTTP/1.1 200 " + strings.Repeat("OK", 1_000_000),
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n[]", "HTTP/9.9 -1\r\n\r\n",
	}[rand.IntN(7)])
}

// hints are answers before the answer, which does not come.
func hints(w http.ResponseWriter, r *http.Request) {
	for range 10_000 {
		if r.Context().Err() != nil {
			return
		}
		w.WriteHeader(http.StatusEarlyHints)
	}
}

// phantom tells of what is somebody else's, as its own.
func (n *hostileNode) phantom(w http.ResponseWriter, r *http.Request) {
	streams := fmt.Sprintf(`[{"id":%q,"recording":true,"publish":{"sessions":[{"id":"phantom","state":"connected"}]}},{"id":"phantom-%d"}]`, n.whose, rand.IntN(100))
	switch r.URL.Path {
	case "/api/streams/":
		_, _ = io.WriteString(w, streams)
	case "/api/sse/streams":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: %s\n\n", streams)
		flush(w)
		pauseFor(r.Context(), time.Second)
	case "/api/recordings":
		since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
		page := map[string]any{"feed": "phantom", "next": since + 10, "base": 1}
		now := time.Now()
		var changes []map[string]any
		add := func(dir, stream string) {
			rec := media.Recording{
				Stream: stream, RecordDir: dir, MPDPath: dir + "/manifest.mpd", Node: n.name, Start: now.Add(-time.Hour), End: &now,
				Duration: 1, Bytes: 1, Status: media.StatusFailed, Tracks: []media.RecordingTrack{},
			}
			changes = append(changes, map[string]any{"seq": since + int64(len(changes)) + 1, "record_dir": dir, "recording": rec})
		}
		add(n.dir, n.whose)
		add("@main/"+n.dir, n.whose)
		add(fmt.Sprintf("phantom/%d", rand.IntN(1000)), "phantom")
		changes = append(changes, map[string]any{"seq": since + 5, "record_dir": n.dir, "deleted": true}, map[string]any{"seq": since + 6, "record_dir": "@main/" + n.dir, "deleted": true})
		page["changes"] = changes
		_ = json.NewEncoder(w).Encode(page)
	default:
		n.behave(w, r)
	}
}

// hugeFeed has pages as long as they may be, of recordings that say a lot.
func (n *hostileNode) hugeFeed(w http.ResponseWriter, r *http.Request) {
	since, _ := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	_, _ = fmt.Fprintf(w, `{"feed":"huge","next":%d,"changes":[`, since+200)
	for i := range 200 {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		rec := fmt.Sprintf(`"stream":"phantom","record_dir":"phantom/%d","mpd_path":"phantom/%[1]d/manifest.mpd","start":"2026-01-01T00:00:00Z","status":"complete","tracks":[]`, since+int64(i))
		_, _ = fmt.Fprintf(w, `{"seq":%d,"record_dir":"phantom/%[1]d","recording":{%s,"node":"main","reason":%q}}`, since+int64(i), rec, strings.Repeat("x", rand.IntN(100_000)))
	}
	_, _ = io.WriteString(w, "]}")
}

// manyEvents are more than anybody can look at.
func manyEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 100_000 {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: [{\"id\":\"phantom-%[1]d\"}]\n\n", i); err != nil || r.Context().Err() != nil {
			return
		}
	}
}

// hostileNodes are those of a manager.
type hostileNodes []*hostileNode

// attack makes the nodes hostile until ctx ends.
func (l hostileNodes) attack(ctx context.Context, _ *attack) (n int, err error) {
	for _, node := range l {
		node.answers.Store(0)
		node.hostile.Store(true)
	}
	<-ctx.Done()
	for _, node := range l {
		node.hostile.Store(false)
		node.CloseClientConnections()
		n += int(node.answers.Load())
	}
	return n, nil
}

// registrations are of nodes that are none, in the place of others, and of ever
// more of them.
func (p *service) registrations(nodes hostileNodes) adversary {
	return adversary{"registrations", func(ctx context.Context, a *attack) (n int, err error) {
		for ; pauseFor(ctx, 50*time.Millisecond); n++ {
			of := nodes[n%len(nodes)]
			alias := []string{fmt.Sprintf("guest-%d", n%200), "main", "MAIN", "cloud", of.name, strings.Repeat("x", 10_000), "..", "@main", "guest-1\n"}[n/len(nodes)%9]
			url := []string{of.URL, of.URL + "/" + strings.Repeat("x", 3000), "file:///etc/passwd", "http://127.0.0.1:1", "http://[::1", p.url, of.URL}[n%7]
			body, err := json.Marshal(map[string]any{"alias": alias, "url": url, "token": strings.Repeat("x", n%5000), "local_storage": n%2 == 0})
			if err != nil {
				return n, fmt.Errorf("make a registration: %w", err)
			}
			code, answer, err := a.doAt(ctx, p.url, http.MethodPost, "/api/nodes", registrationToken, string(body), "Content-Type", "application/json")
			if err != nil {
				return n, err
			}
			if code < 300 && !strings.HasPrefix(alias, "guest") {
				return n, fmt.Errorf("the registration of %q is answered with %d: %s", alias, code, answer)
			}
		}
		return n, nil
	}}
}

// unregister removes what has registered.
func (p *service) unregister() {
	p.t.Helper()
	var nodes []struct{ Alias, Source string }
	if code := p.get("/api/nodes", &nodes); code != http.StatusOK {
		p.t.Errorf("the list of nodes is answered with %d", code)
	}
	for _, n := range nodes {
		if n.Source == "registered" {
			if a := p.ask(http.MethodDelete, "/api/nodes/"+n.Alias, ""); a.status != http.StatusNoContent {
				p.t.Errorf("the removal of %s is answered with %d: %s", n.Alias, a.status, a.body)
			}
		}
	}
}

// relayed asks a manager for what hostile nodes have, and does not always wait for it.
func (p *service) relayed() adversary {
	return adversary{"objects of hostile nodes", func(ctx context.Context, a *attack) (n int, err error) {
		for ; pauseFor(ctx, 30*time.Millisecond); n++ {
			path := []string{
				"/api/record/object/@liar/phantom/%d/manifest.mpd", "/api/record/object/@liar/phantom/%d/v_seg_0001.m4s", "/api/record/phantom-%d?node=liar",
				"/api/recordings/@liar/phantom/%d", "/api/playback/phantom?after=%d",
			}[n%5]
			asked, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(500))*time.Millisecond)
			_, _, err := a.doAt(asked, p.url, http.MethodGet, fmt.Sprintf(path, n/5%1000), attackToken, "")
			late := asked.Err() != nil
			cancel()
			if err != nil && !late && strings.Contains(err.Error(), "500") {
				return n, err
			}
		}
		return n, nil
	}}
}

// watchman looks at what a manager says of a recording that runs, while it is
// attacked.
func (p *service) watchman(dir, stream, node string) adversary {
	return adversary{"nobody: the manager tells of " + stream, func(ctx context.Context, a *attack) (n int, err error) {
		for ; pauseFor(ctx, 500*time.Millisecond); n++ {
			for _, ask := range []struct{ path, want string }{
				{"/api/playback/" + stream, `"record_dir":"` + dir + `"`},
				{"/api/streams/" + stream, `"node":"` + node + `"`},
				{"/api/nodes/" + node, `"state":"up"`},
			} {
				code, body, err := a.doAt(ctx, p.url, http.MethodGet, ask.path, attackToken, "")
				if err != nil {
					return n, err
				}
				if code != http.StatusOK || !strings.Contains(body, ask.want) {
					return n, fmt.Errorf("GET %s: %d, without %s: %.2000s", ask.path, code, ask.want, body)
				}
			}
		}
		return n, nil
	}}
}
