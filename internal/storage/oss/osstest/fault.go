package osstest

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Request is what a fault can depend on.
type Request struct {
	Operation string // OSS's name, such as "PutObject"
	Key       string
}

// Fault says how a request goes wrong. The zero value lets it pass.
type Fault struct {
	// Delay is waited before anything else.
	Delay time.Duration
	// Rate bounds the bytes per second in both directions; 0 means no bound.
	Rate int
	// AfterBytes is how many bytes of the request's body (of GetObject: of the
	// answer's) pass before Status or Cut strikes.
	AfterBytes int64
	// Status and Code are the error that is answered, such as 503 and SlowDown;
	// nothing is stored. 0: no error.
	Status int
	Code   string
	// Corrupt changes the first byte of the request's body.
	Corrupt bool
	// Cut cuts the connection; nothing is stored.
	Cut bool
	// Lost does what the request asks for and cuts the connection instead of
	// answering.
	Lost bool
}

// SetFault has f decide how each request goes wrong; nil: none does. f is called
// concurrently.
func (s *Server) SetFault(f func(Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// apply does to a request what the fault says. What it returns is served, or
// the error is. A connection is cut by the panic that net/http has for it.
func (f Fault) apply(w http.ResponseWriter, r *http.Request, answers bool) (http.ResponseWriter, *http.Request, *apiError) {
	if wait(r.Context(), f.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
	if f.Rate > 0 {
		r.Body = &slowBody{ReadCloser: r.Body, ctx: r.Context(), rate: f.Rate}
		w = &slowWriter{ResponseWriter: w, ctx: r.Context(), rate: f.Rate}
	}
	if f.Corrupt {
		r.Body = &corruptBody{ReadCloser: r.Body}
	}
	if f.Cut && answers {
		return &cutWriter{ResponseWriter: w, left: f.AfterBytes}, r, nil
	}
	if f.Status != 0 || f.Cut {
		_, _ = io.CopyN(io.Discard, r.Body, f.AfterBytes) // less is as good
	}
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		return w, r, newError(f.Status, f.Code, "A fault that was asked for.", "")
	case f.Lost:
		return &lostWriter{header: http.Header{}}, r, nil
	}
	return w, r, nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// corruptBody changes the first byte.
type corruptBody struct {
	io.ReadCloser
	done bool
}

func (b *corruptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.done {
		p[0] ^= 1
		b.done = true
	}
	return n, err
}

// slowBody yields rate bytes per second.
type slowBody struct {
	io.ReadCloser
	ctx  context.Context
	rate int
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 4<<10)])
	if e := wait(b.ctx, time.Duration(n)*time.Second/time.Duration(b.rate)); e != nil {
		return n, e
	}
	return n, err
}

// slowWriter writes rate bytes per second.
type slowWriter struct {
	http.ResponseWriter
	ctx  context.Context
	rate int
}

func (w *slowWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = w.ResponseWriter.Write(p[:min(len(p), 4<<10)])
		written, p = written+n, p[n:]
		if err == nil {
			err = http.NewResponseController(w.ResponseWriter).Flush()
		}
		if err == nil {
			err = wait(w.ctx, time.Duration(n)*time.Second/time.Duration(w.rate))
		}
	}
	return written, err
}

// Unwrap serves http.ResponseController.
func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// cutWriter cuts the connection after left bytes.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(int64(len(p)), w.left)])
	if w.left -= int64(n); w.left == 0 || err != nil {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

// lostWriter takes an answer that nobody gets.
type lostWriter struct{ header http.Header }

func (w *lostWriter) Header() http.Header         { return w.header }
func (w *lostWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *lostWriter) WriteHeader(int)             {}
