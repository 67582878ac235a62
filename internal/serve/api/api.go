// Package api is the HTTP interface of a node: the routes of docs/api.md, their
// JSON, who may use them, and the one place that maps errors to statuses.
package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/docs/openapi"
	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
)

// WHIP serves publishers and viewers. The path values "stream" and "session"
// of the requests are set, and the stream is a valid id. An error means that
// nothing was written but headers; the API answers it.
type WHIP interface {
	Publish(w http.ResponseWriter, r *http.Request) error
	Subscribe(w http.ResponseWriter, r *http.Request) error
	PatchSession(w http.ResponseWriter, r *http.Request) error
	DeleteSession(w http.ResponseWriter, r *http.Request) error
	// Options answers OPTIONS of both endpoints; CORS headers are set already.
	Options(w http.ResponseWriter, r *http.Request) error
	// SessionRight reports whether a session is a publisher's; ok is false if
	// there is no such session.
	SessionRight(stream, session string) (publisher, ok bool)
}

// Drainer takes no new publishers while it is draining.
type Drainer interface {
	SetDraining(draining bool)
}

// Recorder starts and stops recordings. Errors have a fault.Kind.
type Recorder interface {
	// Start records stream, or returns its running recording. It does not wait
	// for media. baseDir may be empty; else it may have slashes at its ends.
	Start(ctx context.Context, stream, baseDir string) (media.Recording, error)
	// Stop returns when the recording is sealed; stopped is false if there was none.
	Stop(ctx context.Context, stream string) (rec media.Recording, stopped bool, err error)
	// Pause pauses the running recording of a stream, or goes on with it; a
	// fault.NotFound if there is none.
	Pause(ctx context.Context, stream string, pause bool) (media.Recording, error)
	Status(stream string) RecordStatus
	// Recording is Status(stream).Recording.
	Recording(stream string) bool
	// Stopped reports whether Stop has ended the recording of a stream whose
	// publisher is still the same.
	Stopped(stream string) bool
}

// RecordStatus is the state of a stream's recording.
type RecordStatus struct {
	Recording bool
	Info      media.Recording // if Recording
	Error     string          // why nothing is recorded, if that is due to an error
}

// Playback serves what was recorded. Errors have a fault.Kind.
type Playback interface {
	// Object answers a GET or HEAD of the object with the given key, for which
	// media.CheckPath holds, to somebody who may have it until then; the zero time is
	// for ever. An error means that nothing was written but headers.
	Object(w http.ResponseWriter, r *http.Request, key string, until time.Time) error
	// RecordingOf returns the recording that has the object, or a fault.NotFound.
	// Its RecordDir is the name that no other recording has, where the object can be
	// asked for by several.
	RecordingOf(ctx context.Context, key string) (media.Recording, error)
	// Span answers a GET or HEAD of what a span of a stream has by a name, "manifest.mpd"
	// or "record_dir/v_seg_0001.m4s", as Object does.
	Span(w http.ResponseWriter, r *http.Request, stream string, s media.TimeSpan, name string, until time.Time) error
	// Streams lists streams that have recordings, by their ids.
	Streams(ctx context.Context, q media.StreamQuery) ([]media.StreamSummary, error)
	// Recordings returns a page of a stream's recordings, newest first.
	Recordings(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error)
	// KeyFrame returns the last key frame of a stream at a time or before it, or a
	// fault.NotFound.
	KeyFrame(ctx context.Context, q media.KeyFrameQuery) (media.Picture, error)
	// KeyFrames lists key frames of a stream.
	KeyFrames(ctx context.Context, q media.KeyFramesQuery) (media.KeyFrameList, error)
}

// Info is the answer of GET /api/info.
type Info struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Node     string   `json:"node"` // node_alias, may be empty
	Features []string `json:"features"`
	Codecs   []string `json:"codecs"`
}

// Options configures New.
type Options struct {
	Streams  *live.Streams
	WHIP     WHIP
	Drainer  Drainer  // nil: its routes answer 501
	Recorder Recorder // nil in a build without it: its routes answer 501
	Playback Playback // nil likewise
	Archive  Archive  // nil likewise
	// Recordings is nil likewise.
	Recordings Recordings
	Events     Events   // nil: nobody is told of events
	EventLog   EventLog // nil: nothing is noted
	Auth       *auth.Auth
	Metrics    http.Handler // nil: there are none
	Page       http.Handler // everything that is not the API
	// CORSOrigins are the origins whose pages may use the API, as in
	// http.cors_origins.
	CORSOrigins []string
	// BasePath is where a reverse proxy has the server: "/studio". Requests may come
	// with and without it.
	BasePath string
	// TrustedProxies are addresses and networks of reverse proxies whose X-Forwarded-For
	// and X-Forwarded-Prefix are believed.
	TrustedProxies []string
	Info           Info
	// RequestsPerAddress is how many requests a second one address may send; 0: any.
	RequestsPerAddress int
	// Refused counts what a limit refused; nil: nobody does.
	Refused func(of, limit string)
	// Config writes the configuration in effect as TOML, secrets masked; nil: it is not told.
	Config func(io.Writer) error
	// Load tells how much the node has to do; nil: nothing is known.
	Load func() NodeLoad
	// Problems tells what is wrong; nil: nothing is.
	Problems func() []health.Problem
	// Observe is told when the answer to a request begins: the pattern of the route,
	// "" where there is none, and how long it took. nil: nobody is.
	Observe func(route, method string, status int, after time.Duration)
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil means slog.Default()
}

// API is the http.Handler of a node or of a manager. It is safe for concurrent
// use.
type API struct {
	o        Options
	fleet    Fleet        // nil on a node
	ready    func() error // ManagerOptions.Ready
	now      func() time.Time
	log      *slog.Logger
	mux      *http.ServeMux
	table    []route // all that the mux has
	gate     gate
	document []byte                  // describes this API: OpenAPI 3.1, JSON
	cors     atomic.Pointer[origins] // see SetOrigins
	timing   timing
	causes   causes
	proxies  proxies
	conns    *connections
	pace     pace

	closeOnce sync.Once
	closing   chan struct{} // closed by Close
}

// New returns the handler of a node.
func New(o Options) (a *API, err error) {
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	if o.Streams == nil || o.WHIP == nil || o.Auth == nil || o.Page == nil {
		return nil, errors.New("api: Streams, WHIP, Auth and Page are needed")
	}
	a = newAPI(o)
	a.gate.sessionRight = o.WHIP.SessionRight
	a.handle(a.routes())
	a.proxies, err = newProxies(o.BasePath, o.TrustedProxies)
	return a, err
}

// newAPI returns an API without routes.
func newAPI(o Options) *API {
	a := &API{
		o: o, now: o.Now, log: o.Logger, mux: http.NewServeMux(),
		timing: defaultTiming, closing: make(chan struct{}),
		document: openapi.Live777(),
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.SetOrigins(o.CORSOrigins)
	a.conns, a.pace.rate = newConnections(a), o.RequestsPerAddress
	a.gate.auth.Store(o.Auth)
	if o.Playback != nil {
		a.gate.recordingOf = o.Playback.RecordingOf
	}
	return a
}

// handle is the only way into the mux: tests try all of the table.
func (a *API) handle(routes []route) {
	a.table = append(a.table, routes...)
	for _, rt := range routes {
		a.mux.Handle(rt.method+" "+rt.path, a.serve(rt))
	}
}

// Close ends the event streams, which would else keep a server from shutting
// down. Other requests are served as before.
func (a *API) Close() { a.closeOnce.Do(func() { close(a.closing) }) }

// apiPrefixes are the paths that the mux has; all others are the page's. The
// mux has no catch-all of its own, or it would not know which methods a path
// has.
var apiPrefixes = []string{"/api/", "/whip/", "/whep/", "/session/", "/metrics/", "/healthz/", "/readyz/", "/debug/pprof/"}

func isAPI(path string) bool {
	for _, p := range apiPrefixes {
		if strings.HasPrefix(path+"/", p) {
			return true
		}
	}
	return false
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = a.proxies.arrive(r)
	if base := a.proxies.base; base != "" && r.URL.Path == base {
		http.Redirect(w, r, base+"/", http.StatusPermanentRedirect) // the page's own URLs are relative
		return
	}
	rw := newResponse(w, r, a.timing.io)
	r, endSpan := traced(rw, r)
	defer endSpan()
	a.observe(rw, r)
	start := a.now()
	defer rw.finish()
	defer func() {
		a.log.Debug("request", "method", r.Method, "path", loggedPath(r.URL), "status", rw.status,
			"bytes", rw.bytes, "took", a.now().Sub(start), "remote", r.RemoteAddr)
	}()
	defer func() {
		if v := recover(); v != nil {
			a.panicked(rw, r, v)
		}
	}()

	if err := a.checkPace(rw, r); err != nil {
		a.writeError(rw, r, err)
		return
	}
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Referrer-Policy", "no-referrer")
	if !isAPI(r.URL.Path) {
		a.o.Page.ServeHTTP(rw, r)
		return
	}
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	rw.Header().Set("Cache-Control", "no-store") // handlers of objects say otherwise
	if done, err := a.checkOrigin(rw, r); err != nil {
		a.writeError(rw, r, err)
		return
	} else if done {
		return
	}
	if err := checkURL(r.URL.EscapedPath()); err != nil {
		a.writeError(rw, r, err)
		return
	}
	withoutSlash(r.URL)
	// What is no HandlerFunc is the mux's redirection to a path with one slash
	// more, which is not what was asked for.
	handler, pattern := a.mux.Handler(r)
	if _, ours := handler.(http.HandlerFunc); pattern == "" || !ours {
		a.writeUnmatched(rw, r, handler)
		return
	}
	a.mux.ServeHTTP(rw, r)
}

// observe has the answer to r counted.
func (a *API) observe(w *response, r *http.Request) {
	if a.o.Observe == nil {
		return
	}
	start := time.Now() // not a.now: it is measured, not shown
	w.answers = func(status int) {
		route := r.Pattern // the mux has set it
		if !isAPI(r.URL.Path) {
			route = "/"
		}
		a.o.Observe(route, r.Method, status, time.Since(start))
	}
}

// serve returns the handler of a route: access is decided, then the work done.
func (a *API) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, err := a.gate.authorize(rt.access, r)
		if err != nil {
			a.refused(rt, r, err)
		} else {
			err = rt.handle(w, withGrant(r, grant))
		}
		if err != nil {
			a.writeError(w, r, err)
		}
	})
}
