package miniotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// Fault is what a Proxy does to requests. Of its actions those that are set
// happen in the order of the fields; without any the request passes.
type Fault struct {
	// Match chooses the requests; nil means all. Set one of the package's
	// matchers or an own function, which must not read the body.
	Match func(*http.Request) bool
	// Times is how many requests it happens to; 0 means until Clear.
	Times int

	// Delay holds the request before anything else happens to it.
	Delay time.Duration
	// Stall holds the request, its body unread, until Clear, Release or the end of
	// the test, and then closes the connection.
	Stall bool
	// CutRequest ends the request after that many bytes of its body: with the
	// answer of Status, or else by closing the connections to both sides.
	CutRequest int64
	// Status, with CutRequest or alone, is the answer; the server sees no whole request.
	// Code is the S3 error code in it, such as SlowDown.
	Status int
	Code   string
	// Instead answers; the server sees nothing of the request.
	Instead http.HandlerFunc
	// Then is called when the server has answered, before the client hears of it.
	Then func(*http.Request)
	// Alter changes the server's answer before the client gets it.
	Alter func(*http.Response)
	// LoseAnswer lets the server do what was asked, and closes the client's
	// connection instead of answering.
	LoseAnswer bool
	// CutAnswer closes the client's connection after that many bytes of the
	// answer's body.
	CutAnswer int64
	// Rate is how many bytes a second of the bodies pass, in each direction; 0
	// means all.
	Rate int
}

// Is returns a matcher of requests by method.
func Is(method string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method }
}

// Proxy is an HTTP server in front of an S3 server that forwards requests, with
// their Host and so their signature, or does to them what Inject says. It ends
// with the test. Safe for concurrent use.
type Proxy struct {
	Endpoint string // http://127.0.0.1:port

	server *httptest.Server

	mu       sync.Mutex
	faults   []*Fault
	cleared  chan struct{} // closed by Clear
	requests []string
}

// NewProxy starts a proxy in front of the server at endpoint.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{cleared: make(chan struct{})}
	transport := &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 64,
		ExpectContinueTimeout: time.Second, // else a body is sent that the server refuses
	}
	forward := &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // cut connections are what was asked for
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: modifyResponse,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // the server is gone: so is this connection
		},
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serve(forward, w, r)
	}))
	p.Endpoint = p.server.URL
	t.Cleanup(func() {
		p.Clear()
		p.server.CloseClientConnections()
		p.server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Inject adds a fault. Of several that match a request the oldest counts.
func (p *Proxy) Inject(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Clear removes all faults; requests under way keep theirs, but for Stall.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
	p.release()
}

// Release ends the requests that stand still. Faults stay.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
}

// release is called with p.mu locked.
func (p *Proxy) release() {
	close(p.cleared)
	p.cleared = make(chan struct{})
}

// Requests returns the requests that have come in, as "PUT /bucket/key?query",
// oldest first.
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// take logs r and returns the fault that happens to it, and what ends a stall.
func (p *Proxy) take(r *http.Request) (f Fault, cleared <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.URL.RequestURI())
	for i, f := range p.faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		fault := *f
		if f.Times == 1 {
			p.faults = slices.Delete(p.faults, i, i+1)
		} else if f.Times > 1 {
			f.Times--
		}
		return fault, p.cleared
	}
	return Fault{}, p.cleared
}

type faultKey struct{}

func (p *Proxy) serve(forward http.Handler, w http.ResponseWriter, r *http.Request) {
	f, cleared := p.take(r)
	ctx := r.Context()
	if f.Delay > 0 {
		wait(ctx, f.Delay)
	}
	if f.Stall {
		select { // a client that gives up is noticed only where the body is empty
		case <-ctx.Done():
		case <-cleared:
		}
		panic(http.ErrAbortHandler)
	}
	if f.Instead != nil {
		f.Instead(w, r)
		return
	}
	if f.Status != 0 {
		_, _ = io.CopyN(io.Discard, r.Body, f.CutRequest)
		refuse(w, f)
		return
	}
	if f.CutRequest > 0 {
		r.Body = body{io.MultiReader(io.LimitReader(r.Body, f.CutRequest), failing{}), r.Body}
	}
	if f.Rate > 0 {
		r.Body = body{&slow{ctx, r.Body, f.Rate}, r.Body}
	}
	forward.ServeHTTP(w, r.WithContext(context.WithValue(ctx, faultKey{}, f)))
}

// refuse answers as an S3 server does, and closes the connection, on which the
// rest of a body may still be on its way.
func refuse(w http.ResponseWriter, f Fault) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Connection", "close")
	w.WriteHeader(f.Status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>injected</Message></Error>`, f.Code)
}

func modifyResponse(r *http.Response) error {
	f, ok := r.Request.Context().Value(faultKey{}).(Fault)
	if f.Then != nil {
		f.Then(r.Request)
	}
	if f.Alter != nil {
		f.Alter(r)
	}
	switch {
	case !ok:
	case f.LoseAnswer:
		return errInjected
	case f.CutAnswer > 0:
		r.Body = body{io.MultiReader(io.LimitReader(r.Body, f.CutAnswer), failing{}), r.Body}
	case f.Rate > 0:
		r.Body = body{&slow{r.Request.Context(), r.Body, f.Rate}, r.Body}
	}
	return nil
}

var errInjected = errors.New("injected fault")

type body struct {
	io.Reader
	io.Closer
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errInjected }

// slow lets rate bytes a second through.
type slow struct {
	ctx  context.Context
	r    io.Reader
	rate int
}

// Read implements io.Reader, a twentieth of a second's bytes at a time.
func (s *slow) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), max(s.rate/20, 1))])
	wait(s.ctx, time.Duration(n)*time.Second/time.Duration(s.rate))
	return n, err
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
