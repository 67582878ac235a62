package peer

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
	// MaxAnswer bounds answers that are read whole.
	MaxAnswer = 64 << 20
	// MaxEvent bounds the list of streams, as an answer or as an event.
	MaxEvent = 16 << 20
	// MaxShort bounds answers that are no lists.
	MaxShort = 4 << 20
	// MaxText bounds the bytes that are shown of a text of a node.
	MaxText = 500
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

// NewHTTP returns an HTTP client, which the clients of all nodes share. It does not follow
// redirects, which would send a node's token to wherever they point.
func NewHTTP() *http.Client {
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

// Client asks one node. Safe for concurrent use.
type Client struct {
	// Base is the node's URL, without a slash at its end.
	Base string
	http *http.Client
	// token is sent to the node and shown to nobody.
	token atomic.Pointer[string]
}

// Token returns the token of the node.
func (c *Client) Token() string { return *c.token.Load() }

// SetToken changes the token of the node.
func (c *Client) SetToken(token string) { c.token.Store(&token) }

// New returns a client of the node with the URL base.
func New(h *http.Client, base, token string) *Client {
	c := &Client{http: h}
	// Anything after the host would swallow the paths that are added.
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		u = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		c.Base = strings.TrimRight(u.String(), "/")
	}
	c.token.Store(&token)
	return c
}

// Call is a request to a node.
type Call struct {
	Method, Path string // the path is escaped
	Query        url.Values
	Header       http.Header
	Body         []byte        // JSON, if Header does not say otherwise
	Wait         time.Duration // how long the answer may take to begin
}

// Answer is what a node answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request. ctx is for the answer's body too, which the caller closes.
// Reading the body fails if nothing comes for idleTimeout. The error is a
// fault.Unavailable. It never has the token; it may have the node's address, which
// fault.Text leaves out.
func (c *Client) Do(ctx context.Context, q Call) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(q.Wait, func() { cancel(fmt.Errorf("no answer within %v", q.Wait)) })
	target := c.Base + q.Path
	if len(q.Query) > 0 {
		target += "?" + q.Query.Encode()
	}
	var body io.Reader
	if q.Body != nil {
		body = bytes.NewReader(q.Body)
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, target, body)
	if err != nil {
		late.Stop()
		cancel(nil)
		return nil, fault.New(fault.Invalid, "the URL of the node cannot be used")
	}
	for name, values := range q.Header {
		req.Header[name] = values
	}
	if token := c.Token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if q.Body != nil && req.Header.Get("Content-Type") == "" {
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
		err = Explain(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = newIdleBody(resp.Body, cancel)
	return resp, nil
}

// Explain removes the URL from an error of http.Client.Do, and adds why the request was
// cancelled.
func Explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fault.Wrap(fault.Unavailable, Short(err))
}

// Short shortens an error in which a library quotes what a node has sent.
func Short(err error) error {
	if text := err.Error(); len(text) > 2*MaxText {
		return errors.New(Cut(text))
	}
	return err
}

// listTimeout is how long a list may take after its answer has begun.
const listTimeout = time.Minute

// GetJSON decodes the answer of a GET into out. wait is for the whole answer: a node
// that begins to answer and does not end is no better than one that does not begin.
func (c *Client) GetJSON(ctx context.Context, path string, wait time.Duration, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("no answer within %v", wait))
	defer cancel()
	return c.Get(ctx, path, nil, wait, MaxShort, out)
}

// GetList is GetJSON for what may be long, up to most bytes: wait is for the beginning
// of the answer.
func (c *Client) GetList(ctx context.Context, path string, query url.Values, wait time.Duration, most int, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, wait+listTimeout, fmt.Errorf("no whole answer within %v", wait+listTimeout))
	defer cancel()
	return c.Get(ctx, path, query, wait, most, out)
}

// Get is GetList without the limit of its own on how long the answer may take.
func (c *Client) Get(ctx context.Context, path string, query url.Values, wait time.Duration, most int, out any) error {
	resp, err := c.Do(ctx, Call{Method: http.MethodGet, Path: path, Query: query, Wait: wait})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return Explain(ctx, err)
	case len(data) > most:
		return fault.Errorf(fault.Unavailable, "its answer to %s is longer than %d bytes", path, most)
	case resp.StatusCode != http.StatusOK:
		return StatusError(resp.StatusCode, data)
	}
	if err := Decode(data, out); err != nil {
		return fault.Errorf(fault.Unavailable, "its answer to %s is not what this version understands: %w", path, Short(err))
	}
	return nil
}

// ErrNoRoute says that the node does not have this route: it is another version, or was
// built without the recorder.
var ErrNoRoute = fault.New(fault.Unsupported, "the node does not have this")

// ErrorText returns the beginning of an error answer, for a message. If reading fails,
// what was read before is enough.
func ErrorText(resp *http.Response) []byte {
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorText))
	return said
}

// StatusError returns the error for a status that a node answered.
func StatusError(status int, body []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	text := http.StatusText(status)
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		text = Cut(said.Error)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Errorf(fault.Unavailable, "it refuses the manager's token (%d: %s); give the manager one of its auth.tokens", status, text).Coded("token_refused")
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return fmt.Errorf("%w (%d: %s)", ErrNoRoute, status, text)
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
	return Cut(strings.ToValidUTF8(line, ""))
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

// Cut returns the beginning of s, and keeps nothing of the rest.
func Cut(s string) string {
	if len(s) > MaxText {
		s = strings.Clone(strings.ToValidUTF8(s[:MaxText], ""))
	}
	return s
}
