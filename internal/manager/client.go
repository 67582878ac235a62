package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// maxAnswer bounds answers that are read whole, maxEvent the list of streams (as an
	// answer or an event), and maxShort everything that is no list.
	maxAnswer = 64 << 20
	maxEvent  = 16 << 20
	maxShort  = 4 << 20
	// maxErrorText bounds what is read of an error that only a message is made of.
	maxErrorText = 4096
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
	// idleTimeout is how long a body may bring nothing before it counts as broken
	// off. Nodes send a comment into event streams every 15 seconds.
	idleTimeout = 40 * time.Second
	// dialTimeout and keepAlive are of connections to nodes.
	dialTimeout = 5 * time.Second
	keepAlive   = 15 * time.Second
	// idlePerNode bounds the connections to a node that are kept for later.
	idlePerNode = 16
)

// newTransport returns the transport that all clients share. It does not follow
// redirects, which would send a node's token to wherever they point.
func newTransport() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			ExpectContinueTimeout:  time.Second,
			MaxIdleConnsPerHost:    idlePerNode,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // media do not compress, and ranges are of what is stored
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// client asks one node. Safe for concurrent use.
type client struct {
	http *http.Client
	base string // URL without a slash at its end
	// token is sent to the node and shown to nobody.
	token atomic.Pointer[string]
}

func newClient(h *http.Client, base, token string) *client {
	c := &client{http: h}
	// Anything after the host would swallow the paths that are added.
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		u = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		c.base = strings.TrimRight(u.String(), "/")
	}
	c.token.Store(&token)
	return c
}

// call is a request to a node.
type call struct {
	method, path string // the path is escaped
	query        url.Values
	header       http.Header
	body         []byte        // JSON
	wait         time.Duration // how long the answer may take to begin
}

// do sends a request. ctx is for the answer's body too, which the caller closes.
// Reading the body fails if nothing comes for idleTimeout. The error is a
// fault.Unavailable. It never has the token; it may have the node's address, which
// fault.Text leaves out.
func (c *client) do(ctx context.Context, q call) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(q.wait, func() { cancel(fmt.Errorf("no answer within %v", q.wait)) })
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		late.Stop()
		cancel(nil)
		return nil, fault.New(fault.Invalid, "the URL of the node cannot be used")
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	if token := *c.token.Load(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if !late.Stop() && err == nil {
		_ = resp.Body.Close()
		err = context.Cause(ctx)
	}
	if err == nil && (resp.StatusCode < 200 || resp.StatusCode > 599) { // nothing that can be passed on
		_ = resp.Body.Close()
		err = fmt.Errorf("it answers %d, which is no status", resp.StatusCode)
	}
	if err != nil {
		err = explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = newIdleBody(resp.Body, cancel)
	return resp, nil
}

// explain removes the URL from an error of http.Client.Do, and adds why the request was
// cancelled.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fault.Wrap(fault.Unavailable, short(err))
}

// short shortens an error in which a library quotes what a node has sent.
func short(err error) error {
	if text := err.Error(); len(text) > 2*maxText {
		return errors.New(cut(text))
	}
	return err
}

// listTimeout is how long a list may take after its answer has begun.
const listTimeout = time.Minute

// getJSON decodes the answer of a GET into out. wait is for the whole answer: a node
// that begins to answer and does not end is no better than one that does not begin.
func (c *client) getJSON(ctx context.Context, path string, wait time.Duration, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("no answer within %v", wait))
	defer cancel()
	return c.get(ctx, path, nil, wait, maxShort, out)
}

// getList is getJSON for what may be long, up to most bytes: wait is for the beginning
// of the answer.
func (c *client) getList(ctx context.Context, path string, query url.Values, wait time.Duration, most int, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wait+listTimeout, fmt.Errorf("no whole answer within %v", wait+listTimeout))
	defer cancel()
	return c.get(ctx, path, query, wait, most, out)
}

func (c *client) get(ctx context.Context, path string, query url.Values, wait time.Duration, most int, out any) error {
	resp, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, wait: wait})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return explain(ctx, err)
	case len(data) > most:
		return fault.Errorf(fault.Unavailable, "its answer to %s is longer than %d bytes", path, most)
	case resp.StatusCode != http.StatusOK:
		return statusError(resp.StatusCode, data)
	}
	if err := decode(data, out); err != nil {
		return fault.Errorf(fault.Unavailable, "its answer to %s is not what this version understands: %w", path, short(err))
	}
	return nil
}

// errNoRoute says that the node does not have this route: it is another version, or was
// built without the recorder.
var errNoRoute = fault.New(fault.Unsupported, "the node does not have this")

// errorText returns the beginning of an error answer, for a message. If reading fails,
// what was read before is enough.
func errorText(resp *http.Response) []byte {
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	return said
}

// statusError returns the error for a status that a node answered.
func statusError(status int, body []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	text := http.StatusText(status)
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		text = cut(said.Error)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Errorf(fault.Unavailable, "it refuses the manager's token (%d: %s); give the manager one of its auth.tokens", status, text)
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return fmt.Errorf("%w (%d: %s)", errNoRoute, status, text)
	case http.StatusConflict:
		return fault.Errorf(fault.Conflict, "%s", text)
	}
	if line := plainText(body); line != "" && said.Error == "" {
		// Not as text of this module: the original live777 says where its storage is.
		return fault.Errorf(fault.Unavailable, "it answers %d: %w", status, &textproto.Error{Code: status, Msg: line})
	}
	return fault.Errorf(fault.Unavailable, "it answers %d: %s", status, text)
}

// plainText returns the first line of a body, "" where that is a page or JSON.
func plainText(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if strings.HasPrefix(line, "<") || strings.HasPrefix(line, "{") || strings.ContainsFunc(line, unicode.IsControl) {
		return ""
	}
	return cut(strings.ToValidUTF8(line, ""))
}

// idleBody is a body that breaks off when nothing comes.
type idleBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func newIdleBody(body io.ReadCloser, cancel context.CancelCauseFunc) *idleBody {
	b := &idleBody{ReadCloser: body, cancel: cancel}
	b.timer = time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	b.timer.Stop()
	return b
}

var errIdle = fmt.Errorf("nothing came for %v", idleTimeout)

// Read reads. Time in which nobody reads does not count as idle.
func (b *idleBody) Read(p []byte) (int, error) {
	b.timer.Reset(idleTimeout)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *idleBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
