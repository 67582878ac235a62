package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/live777/recorder/internal/base/fault"
)

// statuses is the one mapping of errors to HTTP statuses.
var statuses = map[fault.Kind]int{
	fault.Internal:            http.StatusInternalServerError,
	fault.Invalid:             http.StatusBadRequest,
	fault.Unauthenticated:     http.StatusUnauthorized,
	fault.Forbidden:           http.StatusForbidden,
	fault.NotFound:            http.StatusNotFound,
	fault.Conflict:            http.StatusConflict,
	fault.PreconditionFailed:  http.StatusPreconditionFailed,
	fault.PreconditionMissing: http.StatusPreconditionRequired,
	fault.RangeNotSatisfiable: http.StatusRequestedRangeNotSatisfiable,
	fault.TooLarge:            http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia:    http.StatusUnsupportedMediaType,
	fault.Unprocessable:       http.StatusUnprocessableEntity,
	fault.Unsupported:         http.StatusNotImplemented,
	fault.Unavailable:         http.StatusServiceUnavailable,
	fault.StorageFull:         http.StatusInsufficientStorage,
	fault.TooMany:             http.StatusTooManyRequests,
}

// kindOf is fault.KindOf with the kinds of the standard library's errors.
func kindOf(err error) fault.Kind {
	kind := fault.KindOf(err)
	if kind != fault.Internal {
		return kind
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return fault.TooLarge
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Unavailable
	}
	return kind
}

// errorBody is an error for a person, and the same for a program, which may word it in
// another language.
type errorBody struct {
	Error  string         `json:"error"`
	Code   string         `json:"code,omitempty"`
	Params map[string]any `json:"params,omitempty"`
}

// internalError is all that is told of a defect or of this process's environment: more may
// name paths and hosts.
var internalError = errorBody{Error: "internal error; the log of the node tells more", Code: fault.Internal.Code()}

// bodyOf returns what is told of an error of a kind.
func bodyOf(kind fault.Kind, err error) errorBody {
	if kind == fault.Internal {
		return internalError
	}
	body := errorBody{Error: fault.Text(err)}
	if kind == fault.Invalid {
		body.Error = err.Error() // it is about what the client sent
	}
	if body.Code, body.Params = fault.Code(err); body.Code == fault.Internal.Code() {
		body.Code = kind.Code() // of the standard library's error
	}
	return body
}

// writeError answers r with err, and logs it if it is the server's fault.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if passed := (*NodeError)(nil); errors.As(err, &passed) {
		writeAnswer(w, passed.NodeAnswer)
		return
	}
	kind := kindOf(err)
	status, ok := statuses[kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	switch {
	case r.Context().Err() != nil:
		a.log.Debug("client left", "method", r.Method, "path", loggedPath(r.URL), "error", err)
	case kind == fault.Internal:
		if more, ok := a.causes.next("failed "+r.Method+" "+loggedPath(r.URL)+" "+err.Error(), a.now()); ok {
			a.log.Error("request failed", "method", r.Method, "path", loggedPath(r.URL), "error", err, "unlogged", more)
		}
	case kind == fault.Unavailable || kind == fault.StorageFull:
		if more, ok := a.causes.next("unavailable "+r.Method+" "+loggedPath(r.URL)+" "+fault.Text(err), a.now()); ok {
			a.log.Warn("request failed", "method", r.Method, "path", loggedPath(r.URL), "error", err, "unlogged", more)
		}
	}
	if rw, ok := w.(*response); ok && rw.status != 0 {
		// Too late for an answer. Ending the connection is the only way to tell
		// the client that what it has is not all.
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified"} {
		h.Del(name) // they were about the content that does not come
	}
	if kind != fault.RangeNotSatisfiable { // it tells the object's size then (RFC 9110 14.4)
		h.Del("Content-Range")
	}
	h.Set("Cache-Control", "no-store")
	switch kind {
	case fault.Unauthenticated:
		challenge := "Bearer" // RFC 6750 3: without an error code if nothing was tried
		if r.Header.Get("Authorization") != "" {
			challenge = `Bearer error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	case fault.Unavailable, fault.TooMany:
		if wait := (*fault.WaitError)(nil); errors.As(err, &wait) {
			h.Set("Retry-After", strconv.Itoa(wait.Seconds()))
		}
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "5")
		}
	}
	a.writeJSON(w, status, bodyOf(kind, err))
}

// refused logs that somebody was not let in whose client has credentials or is no page
// that asks a person for them: an operator looks here for why an encoder does not get
// through.
func (a *API) refused(rt route, r *http.Request, err error) {
	kind := kindOf(err)
	if kind != fault.Unauthenticated && kind != fault.Forbidden && kind != fault.TooMany {
		return
	}
	if r.Header.Get("Authorization") == "" && rt.access != publishStream && rt.access != subscribeStream {
		return
	}
	reason := fault.Text(err)
	if kind == fault.TooMany {
		reason = "it has to wait" // how long is another each time
	}
	more, ok := a.causes.next("refused "+rt.path+" "+reason+" "+hostOf(r), a.now())
	if !ok {
		return
	}
	a.log.Info("request refused", "method", r.Method, "path", loggedPath(r.URL), "client", r.RemoteAddr,
		"reason", fault.Text(err), "unlogged", more)
}

// writeUnmatched answers a request that has no route: 404, or 405 with the
// Allow header that the mux's own handler makes out.
func (a *API) writeUnmatched(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	probe := &headerProbe{header: make(http.Header)}
	handler.ServeHTTP(probe, r)
	if allow := probe.header.Get("Allow"); probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		a.writeJSON(w, probe.status, errorBody{Error: "method " + r.Method + " is not allowed here; allowed: " + allow, Code: "method_not_allowed"})
		return
	}
	a.writeError(w, r, fault.New(fault.NotFound, "there is no such path in the API; GET /api/openapi.json has those there are").Coded("path_unknown"))
}

// headerProbe takes a response's status and headers and drops its body.
type headerProbe struct {
	header http.Header
	status int
}

func (p *headerProbe) Header() http.Header         { return p.header }
func (p *headerProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *headerProbe) WriteHeader(status int)      { p.status = status }

// panicked answers for a handler that panicked with v.
func (a *API) panicked(w *response, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // wanted: net/http ends the connection without a log line
	}
	a.log.Error("handler panicked", "method", r.Method, "path", loggedPath(r.URL), "panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	a.writeJSON(w, http.StatusInternalServerError, internalError)
}
