package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// requestAdversaries attack by HTTP.
var requestAdversaries = []adversary{
	{"sessions that never connect", neverConnect},
	{"mutated offers", mutatedOffers},
	{"idle connections", idleConnections},
	{"headers that trickle", tricklingHeaders},
	{"answers that nobody reads", slowReaders},
	{"guessed tokens", guessedTokens},
	{"paths and ranges", oddRequests},
}

// do sends a request with a token to the node. Answers of 500 are errors.
func (a *attack) do(ctx context.Context, method, path, token, body string, header ...string) (int, string, error) {
	return a.doAt(ctx, a.server.url, method, path, token, body, header...)
}

// doAt is the same at a server.
func (a *attack) doAt(ctx context.Context, at, method, path, token, body string, header ...string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, at+path, strings.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("prepare %s %s: %w", method, path, err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return resp.StatusCode, string(data), fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode == http.StatusInternalServerError {
		return resp.StatusCode, "", fmt.Errorf("%s %s is answered with 500: %s", method, path, data)
	}
	return resp.StatusCode, string(data), nil
}

// offer makes an offer of WHEP, or of WHIP where it sends.
func offer(direction webrtc.RTPTransceiverDirection) (string, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", fmt.Errorf("make an offer: %w", err)
	}
	defer func() { _ = pc.Close() }()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
			return "", fmt.Errorf("make an offer: %w", err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("make an offer: %w", err)
	}
	return o.SDP, nil
}

var sdpHeader = []string{"Content-Type", "application/sdp"}

// neverConnect opens sessions, of a viewer and of publishers, and leaves it at that.
func neverConnect(ctx context.Context, a *attack) (n int, err error) {
	watch, err := offer(webrtc.RTPTransceiverDirectionRecvonly)
	if err != nil {
		return 0, err
	}
	send, err := offer(webrtc.RTPTransceiverDirectionSendonly)
	if err != nil {
		return 0, err
	}
	for ; pauseFor(ctx, 20*time.Millisecond); n++ {
		path, token, body := "/whep/prey", a.viewer, watch
		if n%2 == 0 {
			path, token, body = fmt.Sprintf("/whip/prey-%d", n), a.publisher, send
		}
		if _, _, err := a.do(ctx, http.MethodPost, path, token, body, sdpHeader...); err != nil {
			return n, err
		}
	}
	return n, nil
}

// mutatedOffers sends offers with bytes and lines that are changed, left out or
// repeated.
func mutatedOffers(ctx context.Context, a *attack) (n int, err error) {
	valid, err := offer(webrtc.RTPTransceiverDirectionRecvonly)
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for ; pauseFor(ctx, 20*time.Millisecond); n++ {
		lines := strings.SplitAfter(valid, "\n")
		for range 1 + rng.IntN(4) {
			i := rng.IntN(len(lines))
			switch rng.IntN(4) {
			case 0:
				lines[i] = ""
			case 1:
				lines[i] = strings.Repeat(lines[i], 1+rng.IntN(200))
			case 2:
				if b := []byte(lines[i]); len(b) > 0 {
					b[rng.IntN(len(b))] = byte(rng.IntN(256))
					lines[i] = string(b)
				}
			default:
				j := rng.IntN(len(lines))
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
		if _, _, err := a.do(ctx, http.MethodPost, "/whep/prey", a.viewer, strings.Join(lines, ""), sdpHeader...); err != nil {
			return n, err
		}
	}
	return n, nil
}

// dial connects to the node by TCP.
func (a *attack) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(a.server.url, "http://"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// idleConnections keeps connections that say nothing.
func idleConnections(ctx context.Context, a *attack) (n int, err error) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for ; n < 300 && pauseFor(ctx, 5*time.Millisecond); n++ {
		conn, err := a.dial(ctx)
		if err != nil {
			return n, err
		}
		conns = append(conns, conn)
	}
	<-ctx.Done()
	return n, nil
}

// tricklingHeaders sends requests a byte at a time.
func tricklingHeaders(ctx context.Context, a *attack) (n int, err error) {
	for ctx.Err() == nil {
		conn, err := a.dial(ctx)
		if err != nil {
			return n, err
		}
		for _, b := range []byte("GET /api/info HTTP/1.1\r\nX-Trickle: " + strings.Repeat("x", 1000)) {
			if _, err := conn.Write([]byte{b}); err != nil || !pauseFor(ctx, 100*time.Millisecond) {
				break // the node has ended it
			}
			n++
		}
		_ = conn.Close()
	}
	return n, nil
}

// slowReaders ask for what is large and do not read it.
func slowReaders(ctx context.Context, a *attack) (n int, err error) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for ; n < 100 && pauseFor(ctx, 20*time.Millisecond); n++ {
		conn, err := a.dial(ctx)
		if err != nil {
			return n, err
		}
		conns = append(conns, conn)
		if _, err := fmt.Fprintf(conn, "GET /api/streams/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", a.viewer); err != nil {
			return n, fmt.Errorf("send a request: %w", err)
		}
	}
	<-ctx.Done()
	return n, nil
}

// guessedTokens tries tokens that are none.
func guessedTokens(ctx context.Context, a *attack) (n int, err error) {
	for ; pauseFor(ctx, 10*time.Millisecond); n++ {
		code, _, err := a.do(ctx, http.MethodGet, "/api/streams/", fmt.Sprintf("guess-%d", n), "")
		if err != nil {
			return n, err
		}
		if code != http.StatusUnauthorized && code != http.StatusTooManyRequests {
			return n, fmt.Errorf("a guessed token is answered with %d", code)
		}
	}
	return n, nil
}

// oddRequests asks for what is not theirs, in every way.
func oddRequests(ctx context.Context, a *attack) (n int, err error) {
	paths := []string{
		"/api/record/bystander", "/api/playback/bystander", "/api/record/object/bystander/../bystander/manifest.mpd",
		"/api/record/object/%2e%2e/%2e%2e/etc/passwd", "/api/record/object/" + strings.Repeat("a/", 2000), "/whip/bystander",
		"/whep/bystander", "/api/streams/bystander", "/api/recordings/bystander", "/" + strings.Repeat("x", 60_000),
	}
	for ; pauseFor(ctx, 10*time.Millisecond); n++ {
		method := []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodPut}[n%5]
		path := paths[n/5%len(paths)]
		code, body, err := a.do(ctx, method, path, a.viewer, "{}", "Range", fmt.Sprintf("bytes=%d-%d", n, n/2), "Content-Type", "application/json")
		if err != nil {
			return n, err
		}
		if code < 300 && !strings.HasPrefix(path, "/wh") { // which answer GET to everybody, with nothing
			return n, fmt.Errorf("%s %.80s is answered with %d: %.200s", method, path, code, body)
		}
	}
	return n, nil
}
