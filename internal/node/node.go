// Package node wires a live777 node together and runs it.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/base/tlscert"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/ingest/whip"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/eventlog"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
	"github.com/live777/recorder/internal/serve/web"
)

const (
	// drainTimeout bounds how long sessions and HTTP requests may still take when the
	// node stops. For how long recordings may take to be sealed see recorder.drain_seconds.
	drainTimeout = 5 * time.Second
)

// Options are what a node needs beside its configuration.
type Options struct {
	Version string
	Logger  *slog.Logger // slog.Default() when nil
}

// Node is a running live777: its ports are open from New on, and served by Run.
type Node struct {
	cfg      *config.Config
	taken    atomic.Pointer[config.Config] // cfg, or what Reload has taken over last
	log      *slog.Logger
	streams  *live.Streams
	whip     *whip.Server
	recorder recorder
	gauge    *gauge
	health   *health.Watch
	draining atomic.Int64 // since when, in Unix nanoseconds; 0: the node does not end
	metrics  *metrics.Node
	quotas   *quota.Quotas
	events   *events.Service
	happened *eventlog.Log
	api      *api.API
	server   *http.Server
	listener net.Listener
	redirect *api.Redirect
}

// recorder is what a build with the recorder adds to a node: see recorder.go
// and norecorder.go.
type recorder interface {
	// onPublish is live.Options.OnPublish.
	onPublish(*live.Stream)
	// api returns what the recorder's routes are served by; nil where they
	// are not.
	api() (api.Recorder, api.Playback)
	// archive returns what shows recordings as one timeline; nil likewise.
	archive() (api.Archive, error)
	// recordings returns what gives access to each recording; nil likewise.
	recordings() api.Recordings
	// measure adds what there is to say about recordings and storage.
	measure(*metrics.Sources)
	// watch adds what is to be looked at, and looks for what was wrong at the start.
	watch(*health.Watch)
	// load adds what there is to say about storage.
	load(*api.NodeLoad)
	// stopWaiting ends requests that wait for what is recorded.
	stopWaiting()
	// reload takes over what of a configuration can change while the node runs.
	reload(next config.Recorder) error
	// note notes what becomes of recordings, until ctx ends.
	note(ctx context.Context, log *eventlog.Log)
	// place says where recordings are kept, for people.
	place() string
	// features names what the build can do.
	features() []string
	// drain has no further recording begin, and has those that run go on after a restart.
	drain() error
	// seal seals the recordings that run.
	seal(ctx context.Context) error
	// close seals what is not sealed, and closes the rest.
	close(ctx context.Context) error
}

// New opens the storage, the catalogue and the ports. The error names the
// option to change.
func New(ctx context.Context, cfg *config.Config, o Options) (n *Node, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	n = &Node{cfg: cfg, log: o.Logger, quotas: quotasOf(cfg.Limits), metrics: metrics.NewNode(), happened: eventlog.New(nil)}
	n.taken.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close(ctx))
		}
	}()
	if n.events, err = events.Open(ctx, eventOptions(cfg, o.Logger)); err != nil {
		return n, err
	}
	n.streams = live.New(live.Options{
		Logger: o.Logger, Keeper: parameters, MaxStreams: cfg.Limits.Streams,
		OnPublish: n.published, OnLeave: n.left,
	})
	if n.recorder, err = newRecorder(ctx, cfg, n.streams, n.quotas, n.metrics, n.events, o.Logger); err != nil {
		return n, err
	}
	if n.listener, err = api.Listen(ctx, cfg.HTTP.Listen); err != nil {
		return n, fmt.Errorf("open http.listen: %w", err)
	}
	if n.whip, err = newWHIP(cfg, n.streams, n.quotas, o.Logger); err != nil {
		return n, fmt.Errorf("open webrtc.listen: %w", err)
	}
	n.gauge = newGauge(n.look)
	n.health = health.New(o.Logger, nil)
	n.health.Add("clock", health.Clock())
	n.health.Add("events", n.events.Look)
	n.recorder.watch(n.health)
	rec, play := n.recorder.api()
	timelines, err := n.recorder.archive()
	if err != nil {
		return n, err
	}
	n.api, err = api.New(api.Options{
		Streams: n.streams, WHIP: n.whip, Drainer: n.whip, Recorder: rec, Playback: play, Archive: timelines, Recordings: n.recorder.recordings(), Events: n.events, EventLog: n.happened,
		Auth: auth.New(cfg.Auth.Options()), Page: web.Handler(nil), Metrics: n.scraped(), Observe: n.metrics.Request, CORSOrigins: cfg.HTTP.CORSOrigins,
		BasePath: cfg.HTTP.BasePath, TrustedProxies: cfg.HTTP.TrustedProxies,
		RequestsPerAddress: cfg.HTTP.RequestsPerAddress, Refused: n.refused,
		Info: api.Info{
			Name: "live777", Version: o.Version, Node: cfg.Recorder.NodeAlias,
			Features: n.recorder.features(), Codecs: codecNames(),
		},
		Config: func(w io.Writer) error { return n.taken.Load().Print(w) },
		Load:   n.load, Problems: n.problems, Logger: o.Logger,
	})
	if err != nil {
		return n, err
	}
	n.server = api.NewServer(n.api)
	n.server.RegisterOnShutdown(n.recorder.stopWaiting)
	config, challenges, err := tlscert.New(cfg.HTTP.TLS.Options(), o.Logger)
	if err != nil {
		return n, err
	}
	n.server.TLSConfig = config
	n.redirect, err = api.NewRedirect(ctx, n.api, cfg.HTTP.Redirect, n.listener.Addr(), challenges)
	return n, err
}

// scraped returns what answers Prometheus.
func (n *Node) scraped() http.Handler {
	s := metrics.Sources{Traffic: n.streams.Traffic, PerStream: n.streams.TrafficOfStreams, Failures: n.failures, Sessions: n.sessions, Streams: func() (publishing, watching int) {
		for _, st := range n.streams.List() {
			publishing += len(st.Publish.Sessions)
			watching += len(st.Subscribe.Sessions)
		}
		return publishing, watching
	}, Refused: n.refusals}
	s.Problems, s.Events = n.health.Problems, n.events.Measure
	n.recorder.measure(&s)
	return n.metrics.Handler(s)
}

// failures counts sessions that failed by cause.
func (n *Node) failures() map[string]int64 {
	f := n.whip.Failures()
	return map[string]int64{"ice": f.ICE, "dtls": f.DTLS, "lost": f.Lost}
}

// sessions counts those of all streams by side and state.
func (n *Node) sessions() map[metrics.Session]int {
	counts := map[metrics.Session]int{}
	for _, st := range n.streams.List() {
		for _, s := range st.Publish.Sessions {
			counts[metrics.Session{Side: "publisher", State: s.State}]++
		}
		for _, s := range st.Subscribe.Sessions {
			counts[metrics.Session{Side: "viewer", State: s.State}]++
		}
	}
	return counts
}

func newWHIP(cfg *config.Config, streams *live.Streams, quotas *quota.Quotas, log *slog.Logger) (*whip.Server, error) {
	servers := make([]whip.ICEServer, len(cfg.WebRTC.ICEServers))
	for i, s := range cfg.WebRTC.ICEServers {
		servers[i] = whip.ICEServer{URLs: s.URLs, Username: s.Username, Credential: string(s.Credential)}
	}
	return whip.New(whip.Options{
		Streams: streams, Listen: cfg.WebRTC.Listen, PublicIPs: cfg.WebRTC.PublicIPs, ICEServers: servers,
		ConnectTimeout: cfg.WebRTC.ConnectTimeout.Duration(), Grace: cfg.WebRTC.Grace.Duration(), MaxSessions: cfg.Limits.Sessions,
		MaxUnconnected: cfg.Limits.Unconnected, Quotas: quotas, Logger: log, Direct: cfg.WebRTC.Receiver == "direct",
	})
}

func codecNames() []string {
	var names []string
	for _, c := range codec.All() {
		names = append(names, c.Name)
	}
	return names
}

// URL returns the address of the node's page, as a user of this machine can
// open it.
func (n *Node) URL() string { return api.LocalURL(n.cfg.HTTP.Scheme(), n.listener.Addr()) }

// Welcome tells a person where the node listens and records, and how to
// publish.
func (n *Node) Welcome(w io.Writer) {
	url := n.URL()
	fmt.Fprintf(w, `live777 is running
  page      %[1]s/
  publish   %[1]s/whip/STREAM   (WHIP: the page, OBS, GStreamer, ffmpeg 8)
  watch     %[1]s/whep/STREAM   (WHEP)
  record    %[4]s -X POST %[1]s/api/record/STREAM
  media     UDP %[2]s
  storage   %[3]s
`, url, n.whip.Media(), n.recordsTo(), n.cfg.Auth.Curl())
}

// recordsTo says what is recorded, and where to.
func (n *Node) recordsTo() string {
	if rec, _ := n.recorder.api(); rec == nil {
		return "none: this build has no recorder"
	}
	auto := "nothing is recorded by itself (recorder.auto_streams is empty)"
	if patterns := n.cfg.Recorder.AutoStreams; len(patterns) > 0 {
		auto = fmt.Sprintf("streams recorded by themselves: %q", patterns)
	}
	return n.recorder.place() + "; " + auto
}

// Run serves until ctx ends, then seals every recording and closes what New
// opened. It returns nil after an orderly end.
func (n *Node) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() {
		n.health.AwaitFirst(ctx) // or nothing would seem to be wrong
		served <- api.Serve(n.server, n.api.Limit(n.listener, api.Connections{Max: n.cfg.HTTP.MaxConnections, PerAddress: n.cfg.HTTP.ConnectionsPerAddress}))
	}()
	looping, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { n.gauge.run(looping) })
	loops.Go(func() { n.health.Run(looping) })
	loops.Go(func() { n.watchLevels(looping) })
	loops.Go(func() { n.noteSessions(looping) })
	loops.Go(func() { n.noteProblems(looping) })
	loops.Go(func() { n.recorder.note(looping, n.happened) })
	loops.Go(func() { n.redirect.Run(looping) })
	if n.cfg.Manager.URL != "" {
		loops.Go(func() { n.register(looping) })
	}
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
		n.log.Info("stopping: sealing the recordings")
	}
	cancel()
	loops.Wait()
	ending := context.WithoutCancel(ctx)
	ended := errors.Join(n.drain(ending), n.close(ending))
	if err == nil {
		<-served // it closes the listener itself where it had not begun to serve
	}
	return errors.Join(err, ended)
}

// parameters keeps the parameter sets of a track for who joins late.
func parameters(t media.Track) live.Keeper {
	if k := codec.NewKeeper(t); k != nil {
		return k
	}
	return nil
}

// drain lets nobody new in, sends the publishers away, and seals what has arrived: what a
// publisher sends while it does not know of the end would be missing. Other requests are
// answered as ever, for who plays a recording has nothing to do with it.
func (n *Node) drain(ctx context.Context) error {
	if !n.draining.CompareAndSwap(0, time.Now().UnixNano()) {
		return nil
	}
	n.whip.SetDraining(true)
	sealing, cancel := context.WithTimeout(ctx, n.cfg.Recorder.Drain.Duration())
	defer cancel()
	errs := []error{n.recorder.drain()}
	dismissing, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	n.whip.Dismiss(dismissing)
	errs = append(errs, n.recorder.seal(sealing))
	closing, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	return errors.Join(append(errs, n.whip.Close(closing))...)
}

// problems is what is wrong, to which belongs that the node ends.
func (n *Node) problems() []health.Problem {
	all := n.health.Problems()
	if since := n.draining.Load(); since != 0 {
		all = append(all, health.Problem{Place: "node", Text: "the node is shutting down", Since: time.Unix(0, since).UTC(), Serious: true})
	}
	return all
}

// close ends what runs.
func (n *Node) close(ctx context.Context) error {
	errs := []error{n.redirect.Close(), api.CloseServer(ctx, n.server, n.listener, drainTimeout)}
	if n.recorder != nil {
		sealing, cancel := context.WithTimeout(ctx, n.cfg.Recorder.Drain.Duration())
		defer cancel()
		errs = append(errs, n.recorder.close(sealing))
	}
	if n.whip != nil {
		closing, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		errs = append(errs, n.whip.Close(closing))
	}
	if n.streams != nil {
		n.streams.Close()
	}
	if n.events != nil {
		errs = append(errs, n.events.Close(ctx))
	}
	return errors.Join(errs...)
}
