package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/live777/recorder/docs/openapi"
	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/ingest/live"
)

// Fleet is the nodes of a manager. What it tells is what is known: none of its
// methods but Record waits for a node. Errors have a fault.Kind.
type Fleet interface {
	// Nodes lists the nodes by their aliases.
	Nodes() []FleetNode
	// Register adds a node, or changes one that has registered before; created is
	// true if it was added. Who is no administrator has to be the node that is
	// changed, which is a fault.Conflict otherwise.
	Register(ctx context.Context, n NodeRegistration, admin bool) (node FleetNode, created bool, err error)
	// Remove forgets a node that has registered itself.
	Remove(ctx context.Context, alias string) error
	// Streams lists the streams of all nodes by their ids. Nobody changes the list.
	Streams() []FleetStream
	// Stream returns one of them.
	Stream(id string) (FleetStream, bool)
	// Snapshot is Streams, encoded. Nobody changes it.
	Snapshot() FleetSnapshot
	// Changed returns a channel that is closed when Streams has changed.
	Changed() <-chan struct{}
	// Drain says whether a node takes new publishers.
	Drain(ctx context.Context, alias string, drain bool) error
	// Record passes a request on to the node that it is for.
	Record(ctx context.Context, r RecordRequest) (NodeAnswer, error)
}

// FleetNode describes a node of a manager.
type FleetNode struct {
	Alias string `json:"alias"`
	URL   string `json:"url,omitempty"` // administrators see it
	// Kind is "recorder", of a node of this program, or "original", of the original
	// live777; absent while that is not known.
	Kind string `json:"kind,omitempty"`
	// Source is "configured" or "registered".
	Source string `json:"source"`
	// Storage is "shared", or "local" where the node keeps its recordings itself.
	Storage string `json:"storage"`
	// State is "connecting", "up" or "down", since when.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Error string    `json:"error,omitempty"` // why it is down, or what is wrong with it
	// SeenAt is when it last answered, LatencyMS how long that took.
	SeenAt    time.Time `json:"seen_at,omitzero"`
	LatencyMS float64   `json:"latency_ms,omitempty"`
	// ClockOffsetMS is how far its clock is ahead of the manager's; recordings have
	// the times of the node. Absent while that is not known.
	ClockOffsetMS *float64 `json:"clock_offset_ms,omitempty"`

	Version  string   `json:"version,omitempty"`
	Node     string   `json:"node,omitempty"` // its own node_alias
	Features []string `json:"features"`
	Codecs   []string `json:"codecs"`
	Load     NodeLoad `json:"load"`
	Feed     NodeFeed `json:"feed"`
}

// NodeFeed is how far the manager has followed the changes of a node's catalogue.
type NodeFeed struct {
	Seq       int64     `json:"seq"`                 // of the last change that was applied
	UpdatedAt time.Time `json:"updated_at,omitzero"` // when the manager was last level with the node
	Error     string    `json:"error,omitempty"`     // why it is not followed
}

// NodeRegistration is how a node introduces itself.
type NodeRegistration struct {
	Alias string `json:"alias"`
	URL   string `json:"url"`
	Token string `json:"token"` // for the manager; never shown
	// LocalStorage says that the node does not record to the manager's storage.
	LocalStorage bool `json:"local_storage"`
}

// FleetStream is a stream as a manager shows it: as a node does, of all nodes
// that have it together, and then node by node.
type FleetStream struct {
	NodeStream
	Nodes []StreamOnNode `json:"nodes"`
}

// StreamOnNode is a stream on one of the nodes.
type StreamOnNode struct {
	Node string `json:"node"` // alias
	NodeStream
}

// NodeStream is a stream as a node shows it.
type NodeStream struct {
	ID        string           `json:"id"`
	CreatedAt live.UnixMillis  `json:"createdAt"`
	Publish   StreamPresence   `json:"publish"`
	Subscribe StreamPresence   `json:"subscribe"`
	Tracks    []live.TrackInfo `json:"tracks"`
	Codecs    []live.CodecInfo `json:"codecs"`
	Recording bool             `json:"recording"`
	// RecordingSince is 0 where the node does not say.
	RecordingSince live.UnixMillis `json:"recordingSince,omitzero"`
	// Stopped says that somebody has stopped its recording, and that its publisher
	// is still the same.
	Stopped bool `json:"stopped"`
}

// StreamPresence is a live.Presence that can be read.
type StreamPresence struct {
	LeaveAt  live.UnixMillis `json:"leaveAt"`
	Sessions []StreamSession `json:"sessions"`
}

// StreamSession is a live.SessionInfo that can be read.
type StreamSession struct {
	ID        string          `json:"id"`
	CreatedAt live.UnixMillis `json:"createdAt"`
	LeaveAt   live.UnixMillis `json:"leaveAt"`
	State     string          `json:"state"`
	// HasDataChannel is of nodes that have such.
	HasDataChannel bool `json:"hasDataChannel"`
}

// RecordRequest is a request about the recording of a stream.
type RecordRequest struct {
	Method  string // POST, GET, PATCH or DELETE
	Stream  string
	Node    string // alias of the node that is meant; empty: of the one that has the stream
	BaseDir string // of POST
	Pause   bool   // of PATCH
}

// NodeAnswer is what a node answered.
type NodeAnswer struct {
	Node       string // alias
	Status     int
	Body       []byte // JSON
	RetryAfter string // the header
}

// NodeError is an answer of a node that is passed on as an error: as it is.
type NodeError struct{ NodeAnswer }

// Error implements error.
func (e *NodeError) Error() string { return fmt.Sprintf("node %q answers %d", e.Node, e.Status) }

// ManagerOptions configure NewManager. Fleet, Playback, Archive, Recordings, Auth
// and Page are needed.
type ManagerOptions struct {
	Fleet      Fleet
	Playback   Playback
	Archive    Archive
	Recordings Recordings
	WHIP       WHIP     // nil: publishers and viewers are refused
	Events     Events   // that of Options
	EventLog   EventLog // likewise
	Auth       *auth.Auth
	Page       http.Handler // everything that is not the API
	// RegistrationToken lets nodes register; empty: administrators only.
	RegistrationToken string
	CORSOrigins       []string
	BasePath          string   // that of Options
	TrustedProxies    []string // that of Options
	// RequestsPerAddress and Refused are those of Options.
	RequestsPerAddress int
	Refused            func(of, limit string)
	Info               Info
	Config             func(io.Writer) error // that of Options
	Metrics            http.Handler          // nil: there are none
	// Ready returns nil, or an error that says what of the manager cannot be used
	// now. nil: it always can.
	Ready    func() error
	Problems func() []health.Problem // that of Options
	// Observe is that of Options.
	Observe func(route, method string, status int, after time.Duration)
	Now     func() time.Time // nil means time.Now
	Logger  *slog.Logger     // nil means slog.Default()
}

// NewManager returns the handler of a manager.
func NewManager(o ManagerOptions) (*API, error) {
	if o.Fleet == nil || o.Playback == nil || o.Archive == nil || o.Recordings == nil || o.Auth == nil || o.Page == nil {
		return nil, errors.New("api: Fleet, Playback, Archive, Recordings, Auth and Page are needed")
	}
	if o.Metrics == nil {
		o.Metrics = http.NotFoundHandler()
	}
	a := newAPI(Options{
		Metrics: o.Metrics, Observe: o.Observe, Problems: o.Problems, Playback: o.Playback, Archive: o.Archive, Recordings: o.Recordings, Events: o.Events, EventLog: o.EventLog, Auth: o.Auth, Page: o.Page,
		CORSOrigins: o.CORSOrigins, RequestsPerAddress: o.RequestsPerAddress, Refused: o.Refused, Info: o.Info, Config: o.Config, Now: o.Now, Logger: o.Logger,
	})
	a.fleet, a.ready, a.document = o.Fleet, o.Ready, openapi.Liveman()
	a.gate.registration = o.RegistrationToken
	if a.o.WHIP = o.WHIP; o.WHIP != nil {
		a.gate.sessionRight = o.WHIP.SessionRight
	}
	a.handle(a.managerRoutes())
	var err error
	a.proxies, err = newProxies(o.BasePath, o.TrustedProxies)
	return a, err
}

func (a *API) managerRoutes() []route {
	return slices.Concat([]route{
		{http.MethodGet, "/api/nodes", viewAll, a.listNodes},
		{http.MethodGet, "/api/nodes/{$}", viewAll, a.listNodes},
		{http.MethodPost, "/api/nodes", registerNode, a.registerNode},
		{http.MethodPost, "/api/nodes/{$}", registerNode, a.registerNode},
		{http.MethodGet, "/api/nodes/{alias}", viewAll, a.getNode},
		{http.MethodDelete, "/api/nodes/{alias}", adminAll, a.removeNode},

		{http.MethodGet, "/api/streams", listStreams, a.listFleetStreams},
		{http.MethodGet, "/api/streams/{$}", listStreams, a.listFleetStreams},
		{http.MethodGet, "/api/streams/{stream}", anyStream, a.getFleetStream},
		{http.MethodGet, "/api/sse/streams", listStreams, a.watchFleetStreams},

		{http.MethodPost, "/api/record/{stream}", recordStream, a.forwardRecord},
		{http.MethodGet, "/api/record/{stream}", statusStream, a.forwardRecord},
		{http.MethodPatch, "/api/record/{stream}", recordStream, a.forwardRecord},
		{http.MethodDelete, "/api/record/{stream}", recordStream, a.forwardRecord},

		{http.MethodGet, "/api/health", public, a.getHealth},
		{http.MethodGet, "/metrics", viewAll, a.getMetrics},

		{http.MethodPost, "/api/nodes/{alias}/drain", adminAll, a.drainNode},
		{http.MethodDelete, "/api/nodes/{alias}/drain", adminAll, a.drainNode},
	}, a.signallingRoutes(), a.commonRoutes())
}

// noMedia answers WHIP and WHEP where a manager passes nothing on.
func noMedia(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.Unsupported, `this manager passes no publishers and viewers on (signalling.mode is "off"): publish to a node and watch there; GET /api/nodes/ lists them`).Coded("signalling_off")
}
