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
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
	"github.com/live777/recorder/internal/serve/web"
)

const (
	// drainTimeout bounds how long HTTP requests may still take when the node
	// stops, sealTimeout how long the recordings may take to be sealed.
	sealTimeout  = 30 * time.Second
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
	taken    *config.Config // cfg, or what Reload has taken over last
	log      *slog.Logger
	streams  *live.Streams
	whip     *whip.Server
	recorder recorder
	gauge    *gauge
	health   *health.Watch
	metrics  *metrics.Node
	quotas   *quota.Quotas
	events   *events.Service
	api      *api.API
	server   *http.Server
	listener net.Listener
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
	// setAutoStreams changes recorder.auto_streams.
	setAutoStreams(patterns []string) error
	// place says where recordings are kept, for people.
	place() string
	// features names what the build can do.
	features() []string
	// close seals the recordings that run.
	close(ctx context.Context) error
}

// New opens the storage, the catalogue and the ports. The error names the
// option to change.
func New(ctx context.Context, cfg *config.Config, o Options) (n *Node, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	n = &Node{cfg: cfg, taken: cfg, log: o.Logger, quotas: quotasOf(cfg.Limits), metrics: metrics.NewNode()}
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
	var listen net.ListenConfig
	if n.listener, err = listen.Listen(ctx, "tcp", cfg.HTTP.Listen); err != nil {
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
		Streams: n.streams, WHIP: n.whip, Drainer: n.whip, Recorder: rec, Playback: play, Archive: timelines, Recordings: n.recorder.recordings(), Events: n.events,
		Auth: auth.New(cfg.Auth.Options()), Page: web.Handler(nil), Metrics: n.scraped(), Observe: n.metrics.Request, CORSOrigins: cfg.HTTP.CORSOrigins,
		BasePath: cfg.HTTP.BasePath, TrustedProxies: cfg.HTTP.TrustedProxies,
		RequestsPerAddress: cfg.HTTP.RequestsPerAddress, Refused: n.refused,
		Info: api.Info{
			Name: "live777", Version: o.Version, Node: cfg.Recorder.NodeAlias,
			Features: n.recorder.features(), Codecs: codecNames(),
		},
		Load: n.load, Problems: n.health.Problems, Logger: o.Logger,
	})
	if err != nil {
		return n, err
	}
	n.server = api.NewServer(n.api)
	n.server.RegisterOnShutdown(n.recorder.stopWaiting)
	if t := cfg.HTTP.TLS; t.Cert != "" {
		n.server.TLSConfig, err = tlscert.Config(t.Cert, t.Key, o.Logger)
	}
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
	return errors.Join(err, n.close(context.WithoutCancel(ctx)))
}

// parameters keeps the parameter sets of a track for who joins late.
func parameters(t media.Track) live.Keeper {
	if k := codec.NewKeeper(t); k != nil {
		return k
	}
	return nil
}

// close ends what runs: nobody new is let in first, then what has arrived is
// recorded and sealed, and then the publishers are sent away.
func (n *Node) close(ctx context.Context) error {
	errs := []error{api.CloseServer(ctx, n.server, n.listener, drainTimeout)}
	if n.recorder != nil {
		sealing, cancel := context.WithTimeout(ctx, sealTimeout)
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
