package signalling

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

// Fleet is the nodes, as this package needs them.
type Fleet interface {
	// Candidates returns all nodes, with what they have of a stream. It waits a moment
	// for nodes that have just come, because they may have the stream.
	Candidates(ctx context.Context, stream string) []Candidate
	// Ask sends a request to a node and returns its whole answer, whatever the status.
	// The error is a fault.Unavailable if there is none.
	Ask(ctx context.Context, alias string, q Request) (Answer, error)
	// Session reports whether a session that a node tells of is a publisher's.
	Session(alias, stream, session string) (publisher, ok bool)
}

// Request is sent to a node.
type Request struct {
	Method string
	Path   string // escaped
	Header http.Header
	Body   []byte
}

// Answer is what a node answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// The modes of signalling.
const (
	Relay    = "relay"    // requests are passed on to the node
	Redirect = "redirect" // clients are sent to the node (RFC 9725 section 4.5)
)

// Places are where all managers of a cluster have just sent publishers, so that two
// managers that place the same new stream at the same time agree.
type Places interface {
	// Place notes that a publisher is sent to a node, unless another manager has noted
	// another node a moment ago, and returns the node that is noted then. The node instead
	// does not count: it has not taken the publisher; "" for none.
	Place(ctx context.Context, stream, alias, instead string) (placed string, err error)
	// Placed returns the node that was noted a moment ago; "" for none.
	Placed(ctx context.Context, stream string) (alias string, err error)
	// Displace forgets what was noted, if it is this node.
	Displace(ctx context.Context, stream, alias string) error
}

// Options configure New.
type Options struct {
	Fleet  Fleet
	Places Places // nil: this manager is alone
	Mode   string // Relay or Redirect
	Rules  []Rule
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil means slog.Default()
}

// Server answers WHIP and WHEP for a cluster. It implements api.WHIP. Safe for
// concurrent use.
type Server struct {
	o      Options
	log    *slog.Logger
	memory *memory

	ctx    context.Context // of the goroutines that watch credentials
	cancel context.CancelFunc
	watch  sync.WaitGroup
}

var _ api.WHIP = (*Server)(nil)

// New returns a Server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{o: o, log: o.Logger, memory: newMemory(o.Now)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close ends what runs by itself. Sessions go on: they are the nodes'.
func (s *Server) Close() {
	s.cancel()
	s.watch.Wait()
}

const (
	// maxBody bounds an offer or a fragment, in bytes, as nodes do.
	maxBody = 64 << 10
	// maxTries bounds the nodes that one request is sent to.
	maxTries = 3
	// aliveTimeout bounds how long a node may take to answer before a client is sent there.
	aliveTimeout = 2 * time.Second
	// separator stands between a node's alias and its name of a session. It is in
	// neither, and URLs have it as it is.
	separator = "~"
	// retryAfter is how long a client should wait that no node takes, in seconds.
	retryAfter = "2"
)

// Publish handles POST /whip/{stream}.
func (s *Server) Publish(w http.ResponseWriter, r *http.Request) error {
	stream := r.PathValue("stream")
	if err := media.CheckNewStreamID(stream); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	done, err := s.memory.take(r.Context(), stream)
	if err != nil {
		return err
	}
	defer done()
	rule := ruleFor(s.o.Rules, stream)
	all := named(s.o.Fleet.Candidates(r.Context(), stream), r)
	var list []Candidate
	s.memory.choose(stream, func(placed string, recent map[string]int) string {
		if list = forPublisher(all, rule, placed, recent); len(list) == 0 {
			return ""
		}
		return list[0].Alias
	})
	if len(list) == 0 {
		w.Header().Set("Retry-After", retryAfter)
		return nobodyTakes(stream, all, rule)
	}
	return s.send(w, r, list, body, true)
}

// Subscribe handles POST /whep/{stream}.
func (s *Server) Subscribe(w http.ResponseWriter, r *http.Request) error {
	stream := r.PathValue("stream")
	if err := media.CheckStreamID(stream); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	placed, recent := s.memory.recent(stream)
	all := named(s.o.Fleet.Candidates(r.Context(), stream), r)
	list := forViewer(all, placed, recent)
	if len(list) == 0 {
		list = forViewer(all, s.placedByOthers(r.Context(), stream), recent)
	}
	if len(list) == 0 {
		w.Header().Set("Retry-After", retryAfter)
		return nobodyPublishes(stream, all)
	}
	return s.send(w, r, list, body, false)
}

// named returns the nodes that the request's parameter nodes names, or all.
func named(all []Candidate, r *http.Request) []Candidate {
	wanted := r.URL.Query()["nodes"]
	if len(wanted) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(c Candidate) bool { return !slices.Contains(wanted, c.Alias) })
}

// nobodyTakes says why no node takes a publisher.
func nobodyTakes(stream string, all []Candidate, rule *Rule) error {
	var down, draining, full, excluded int
	for _, c := range all {
		switch {
		case !c.Up:
			down++
		case !rule.allows(c):
			excluded++
		case c.Draining:
			draining++
		default:
			full++
		}
	}
	return fault.Errorf(fault.Unavailable, "no node takes stream %q: of %d nodes that may be asked %d are down, %d are draining, %d have all the sessions that they take, %d are excluded by [[placement]]",
		stream, len(all), down, draining, full, excluded).Coded("no_node", "stream", stream)
}

func nobodyPublishes(stream string, all []Candidate) error {
	if slices.ContainsFunc(all, func(c Candidate) bool { return c.Has }) {
		return fault.Errorf(fault.Conflict, "stream %q has no publisher now: try again later", stream).Coded("publisher_away", "stream", stream)
	}
	if i := slices.IndexFunc(all, func(c Candidate) bool { return !c.Up }); i >= 0 {
		return fault.Errorf(fault.NotFound, "there is no stream %q on the nodes that answer; node %q does not: try again later", stream, all[i].Alias).Coded("stream_unknown", "stream", stream)
	}
	return fault.Errorf(fault.NotFound, "there is no stream %q", stream).Coded("stream_unknown", "stream", stream)
}

// send passes an offer on to the first node that takes it, or sends the client there.
func (s *Server) send(w http.ResponseWriter, r *http.Request, list []Candidate, body []byte, publisher bool) error {
	var last error
	refused := "" // who was asked before
	for range min(len(list), maxTries) {
		c := list[0]
		if publisher { // before it is asked, or all that come now would go there
			c = s.agree(r.Context(), r.PathValue("stream"), list, refused)
			s.memory.place(r.PathValue("stream"), c.Alias)
		}
		a, err := s.ask(r, c, body)
		if s.redirects(r) && err == nil && !another(a.Status) {
			return redirect(w, r, c)
		}
		if err == nil && a.Status == http.StatusCreated {
			return s.created(w, r, c, a, publisher)
		}
		if publisher && !c.Publishing {
			s.memory.displace(r.PathValue("stream"))
		}
		if r.Context().Err() != nil {
			return context.Cause(r.Context())
		}
		if err == nil {
			err = refusal(w, c.Alias, a)
		}
		last, refused = err, c.Alias
		if !another(a.Status) {
			break
		}
		s.log.Warn("node does not take a session, the next is asked", "stream", r.PathValue("stream"), "node", c.Alias, "error", err)
		list = slices.DeleteFunc(list, func(one Candidate) bool { return one.Alias == refused })
	}
	if publisher {
		s.displace(r.PathValue("stream"), refused)
	}
	return last
}

// ask passes an offer on to a node, or where clients are sent there themselves asks whether the
// node answers: a client that is sent to a dead node has nobody to ask for another one.
func (s *Server) ask(r *http.Request, c Candidate, body []byte) (Answer, error) {
	if !s.redirects(r) {
		return s.o.Fleet.Ask(r.Context(), c.Alias, requestFor(r, r.URL.EscapedPath(), body))
	}
	ctx, cancel := context.WithTimeout(r.Context(), aliveTimeout)
	defer cancel()
	return s.o.Fleet.Ask(ctx, c.Alias, Request{Method: http.MethodOptions, Path: r.URL.EscapedPath(), Header: http.Header{}})
}

// redirects reports whether a client is sent to the node. The manager's own page is not: a browser
// sends no credentials to another origin, and the page's policy lets it ask none.
func (s *Server) redirects(r *http.Request) bool {
	if s.o.Mode != Redirect || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return false
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	return err != nil || origin.Host == "" || origin.Host != r.Host
}

// redirect sends the client to the node. It sends the same request there, with the same
// credentials.
func redirect(w http.ResponseWriter, r *http.Request, c Candidate) error {
	w.Header().Set("Location", strings.TrimRight(c.URL, "/")+r.URL.EscapedPath())
	w.WriteHeader(http.StatusTemporaryRedirect)
	return nil
}

// another reports whether another node may do what one has answered with a status. 0 is
// of a node that has not answered.
func another(status int) bool { return status == 0 || status >= 500 }

// refusal makes an error of a node's answer. What is about the manager's token is not
// for the client.
func refusal(w http.ResponseWriter, alias string, a Answer) error {
	if a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden {
		return fault.Errorf(fault.Unavailable, "node %q refuses the manager's token (%d); give the manager one of its auth.tokens", alias, a.Status).Coded("node_refuses_token", "node", alias)
	}
	for _, name := range []string{"Accept-Post", "Accept-Patch", "ETag"} {
		if v := a.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	return &api.NodeError{NodeAnswer: api.NodeAnswer{Node: alias, Status: a.Status, Body: a.Body, RetryAfter: a.Header.Get("Retry-After")}}
}

// requestFor returns a client's request as a node gets it: with what the client says of
// its body, and who it is.
func requestFor(r *http.Request, path string, body []byte) Request {
	q := Request{Method: r.Method, Path: path, Body: body, Header: http.Header{}}
	for _, name := range []string{"Content-Type", "If-Match"} {
		if v := r.Header.Values(name); len(v) > 0 {
			q.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	api.Introduce(q.Header, r)
	return q
}

// created passes on that a session was made.
func (s *Server) created(w http.ResponseWriter, r *http.Request, c Candidate, a Answer, publisher bool) error {
	stream := r.PathValue("stream")
	id := sessionIn(a.Header.Get("Location"))
	if id == "" {
		return fault.Errorf(fault.Unavailable, "node %q made a session and does not say where it is", c.Alias)
	}
	key := sessionKey{stream, c.Alias + separator + id}
	s.memory.keep(key, &kept{publisher: publisher, forget: s.obey(r, c.Alias, key, id)})
	if publisher {
		s.log.Info("publisher placed", "stream", stream, "node", c.Alias)
	}
	passHeader(w.Header(), a.Header)
	w.Header().Set("Location", live.ClientOf(r.Context()).Prefix+sessionPath(stream, key.session))
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(a.Body) // a client that is gone never connects: the node ends its session
	return nil
}

// sessionIn returns the name of a session, which its URL ends with.
func sessionIn(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	id := u.Path[strings.LastIndex(u.Path, "/")+1:]
	if strings.Contains(id, separator) {
		return ""
	}
	return id
}

// passHeader passes on what a node says of a session and its answer.
func passHeader(to, from http.Header) {
	for _, name := range []string{"Content-Type", "ETag", "Link", "Accept-Patch", "Retry-After"} {
		if v := from.Values(name); len(v) > 0 {
			to[http.CanonicalHeaderKey(name)] = v
		}
	}
}

// obey ends a session when the credentials that it was made with are taken back. That
// they expire, the node has been told (api.Introduce). It returns nil where they cannot
// be taken back.
func (s *Server) obey(r *http.Request, alias string, key sessionKey, id string) context.CancelFunc {
	ended := live.ClientOf(r.Context()).Lease.Ended
	if ended == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.watch.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
		q := Request{Method: http.MethodDelete, Path: sessionPath(key.stream, id), Header: http.Header{}}
		if _, err := s.o.Fleet.Ask(ctx, alias, q); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot end a session whose credentials were taken back", "stream", key.stream, "node", alias, "error", err)
		}
	})
	return cancel
}

func sessionPath(stream, id string) string {
	return "/session/" + url.PathEscape(stream) + "/" + url.PathEscape(id)
}

// PatchSession handles PATCH /session/{stream}/{session}.
func (s *Server) PatchSession(w http.ResponseWriter, r *http.Request) error {
	_, err := s.pass(w, r)
	return err
}

// DeleteSession handles DELETE /session/{stream}/{session}.
func (s *Server) DeleteSession(w http.ResponseWriter, r *http.Request) error {
	status, err := s.pass(w, r)
	if err == nil || status == http.StatusNotFound {
		key := sessionKey{r.PathValue("stream"), r.PathValue("session")}
		if publisher, ok := s.memory.session(key); ok && publisher {
			s.memory.displace(key.stream)
			alias, _, _ := strings.Cut(key.session, separator)
			s.displace(key.stream, alias)
		}
		s.memory.forget(key)
	}
	return err
}

// pass passes a request on to the node of its session.
func (s *Server) pass(w http.ResponseWriter, r *http.Request) (status int, err error) {
	alias, id, ok := strings.Cut(r.PathValue("session"), separator)
	if !ok {
		return 0, fault.New(fault.NotFound, "no such session: it has ended or never was").Coded("session_unknown")
	}
	body, err := readBody(w, r)
	if err != nil {
		return 0, err
	}
	a, err := s.o.Fleet.Ask(r.Context(), alias, requestFor(r, sessionPath(r.PathValue("stream"), id), body))
	if err != nil {
		return 0, err
	}
	if a.Status >= 300 {
		return a.Status, refusal(w, alias, a)
	}
	passHeader(w.Header(), a.Header)
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
	return a.Status, nil
}

// SessionRight implements api.WHIP.
func (s *Server) SessionRight(stream, session string) (publisher, ok bool) {
	if publisher, ok = s.memory.session(sessionKey{stream, session}); ok {
		return publisher, true
	}
	alias, id, found := strings.Cut(session, separator)
	if !found {
		return false, false
	}
	return s.o.Fleet.Session(alias, stream, id) // another manager has passed it on
}

// Options handles OPTIONS of the endpoints and sessions.
func (s *Server) Options(w http.ResponseWriter, r *http.Request) error {
	if r.PathValue("session") != "" {
		w.Header().Set("Accept-Patch", "application/trickle-ice-sdpfrag")
	} else {
		w.Header().Set("Accept-Post", "application/sdp")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fault.Errorf(fault.TooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, fault.New(fault.Invalid, "the body did not come whole")
	}
	return body, nil
}
