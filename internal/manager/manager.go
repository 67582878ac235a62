package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/auth"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/health"
	"github.com/live777/recorder/internal/base/tlscert"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/library/retention"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/manager/signalling"
	"github.com/live777/recorder/internal/serve/api"
	"github.com/live777/recorder/internal/serve/eventlog"
	"github.com/live777/recorder/internal/serve/events"
	"github.com/live777/recorder/internal/serve/metrics"
	"github.com/live777/recorder/internal/serve/web"
)

// drainTimeout bounds how long requests may still take when the manager stops.
const drainTimeout = 5 * time.Second

// Options are what a manager needs beside its configuration.
type Options struct {
	Version string
	Logger  *slog.Logger     // nil means slog.Default()
	Now     func() time.Time // nil means time.Now
}

// Manager is a running liveman: its port is open from New on, and served by Run.
type Manager struct {
	cfg       *config.Liveman
	taken     atomic.Pointer[config.Liveman] // cfg, or what Reload has taken over last
	log       *slog.Logger
	catalogue *catalogue.DB
	database  *database
	health    *health.Watch
	metrics   *metrics.Manager
	storage   io.Closer
	fleet     *fleet
	keeper    *retention.Keeper // ends deletions in shared storage; nil without it
	bin       *retention.Bin    // deletions that can still be taken back
	auto      *autoRecorder
	signal    *signalling.Server // nil where it is off
	events    *events.Service
	happened  *eventlog.Log
	api       *api.API
	server    *http.Server
	listener  net.Listener
	redirect  *api.Redirect
}

// New opens the database, the storage and the port, and begins to follow the nodes. If
// the database is away, that is no error. An error names the option to change.
func New(ctx context.Context, cfg *config.Liveman, o Options) (m *Manager, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m = &Manager{cfg: cfg, log: o.Logger, happened: eventlog.New(o.Now)}
	m.taken.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close(ctx))
		}
	}()
	store, err := openStorage(ctx, cfg.Storage, o.Logger)
	m.storage = store.close
	if err != nil {
		return m, err
	}
	if m.catalogue, err = catalogue.OpenLater(ctx, string(cfg.Database.URL)); err != nil {
		return m, err
	}
	if m.events, err = events.Open(ctx, m.eventOptions()); err != nil {
		return m, err
	}
	if m.listener, err = api.Listen(ctx, cfg.HTTP.Listen); err != nil {
		return m, fmt.Errorf("open http.listen: %w", err)
	}
	tokens := sealTokens(m.catalogue, cfg, o.Logger)
	m.watchHealth(store, o)
	m.metrics = metrics.NewManager(m.sources())
	m.catalogue.Measure(m.metrics)
	if err := m.makeFleet(tokens, store, o); err != nil {
		return m, err
	}
	m.database = newDatabase(m.catalogue, o.Logger, func(ctx context.Context) error {
		if err := tokens.sealOld(ctx, m.catalogue.Scrub); err != nil {
			return err
		}
		return m.fleet.open(ctx, cfg.Nodes)
	})
	if !cfg.Playback.SignedRedirect {
		store.presign = nil
	}
	lib, err := newLibrary(m.fleet, store, cfg.Playback.SignedRedirectTTL.Duration())
	if err != nil {
		return m, err
	}
	shelf, err := m.makeShelf(store, o)
	if err != nil {
		return m, err
	}
	if err := m.serveWith(ctx, lib, shelf, o); err != nil {
		return m, err
	}
	if len(cfg.AutoRecord.Streams) > 0 {
		m.auto = &autoRecorder{
			fleet: m.fleet, patterns: cfg.AutoRecord.Streams, one: cfg.AutoRecord.Copies == "one",
			retry: cfg.AutoRecord.Retry.Duration(), now: o.Now, log: o.Logger,
		}
	}
	m.fleet.load(cfg.Nodes)
	return m, m.database.start(ctx)
}

// makeShelf makes what deletes recordings.
func (m *Manager) makeShelf(store shared, o Options) (s *shelf, err error) {
	s = &shelf{Changes: m.catalogue, fleet: m.fleet}
	if store.backend != nil {
		keeping := retention.Options{Backend: store.backend, Catalogue: m.catalogue, Now: o.Now, Logger: o.Logger}
		if m.catalogue.Shared() {
			keeping.Claims = m.catalogue.Claims()
		}
		if m.keeper, err = retention.New(keeping); err != nil {
			return nil, err
		}
		s.keeper = m.keeper
	}
	m.bin, err = retention.NewBin(retention.BinOptions{List: m.catalogue, Recording: s.Recording, Delete: s.deleteDue, Logger: o.Logger})
	s.Bin = m.bin
	return s, err
}

// watchHealth makes what looks at what the manager depends on.
func (m *Manager) watchHealth(store shared, o Options) {
	m.health = health.New(o.Logger, o.Now)
	m.health.Add("clock", health.Clock())
	m.health.Add("events", m.events.Look)
	if store.look != nil {
		m.health.Add("storage", store.look)
	}
	m.health.Add("catalogue", func(context.Context) error { return m.database.ready() })
}

// makeFleet makes what follows the nodes.
func (m *Manager) makeFleet(tokens Catalogue, store shared, o Options) error {
	allow, err := peer.Networks(m.cfg.Registration.Allow)
	if err != nil {
		return err
	}
	var shared claims
	if m.catalogue.Shared() {
		shared = m.catalogue.Claims()
	}
	m.fleet = newFleet(fleetOptions{
		Allow: allow, Claims: shared, Catalogue: tokens, Storage: store.backend,
		Poll: m.cfg.Fleet.Poll.Duration(), Timeout: m.cfg.Fleet.Timeout.Duration(), Control: m.cfg.Fleet.ControlTimeout.Duration(),
		Meter: m.metrics, Now: o.Now, Logger: o.Logger,
	})
	return nil
}

// sources returns what the metrics are made of.
func (m *Manager) sources() metrics.FleetSources {
	return metrics.FleetSources{
		Nodes:      func() []metrics.NodeState { return m.fleet.measure() },
		Streams:    func() int { return len(m.fleet.Streams()) },
		Recordings: func() (int, bool) { return m.database.count() },
		Problems:   func() []health.Problem { return m.health.Problems() },
		Events:     m.events.Measure,
	}
}

// serveWith makes the server of the API.
func (m *Manager) serveWith(ctx context.Context, lib *library, shelf *shelf, o Options) (err error) {
	timelines, err := newTimelines(m.fleet, m.catalogue)
	if err != nil {
		return err
	}
	m.signal = m.newSignalling()
	features := []string{"manager", "recorder"}
	var whip api.WHIP
	if m.signal != nil {
		whip, features = m.signal, append(features, "signalling")
	}
	m.api, err = api.NewManager(api.ManagerOptions{
		WHIP:  whip,
		Fleet: m.fleet, Playback: lib, Archive: timelines, Recordings: shelf, Events: m.events, EventLog: m.happened, Auth: auth.New(m.cfg.Auth.Options()), Page: web.Handler(lib.redirectsTo),
		RegistrationToken: string(m.cfg.Registration.Token), CORSOrigins: m.cfg.HTTP.CORSOrigins,
		BasePath: m.cfg.HTTP.BasePath, TrustedProxies: m.cfg.HTTP.TrustedProxies,
		RequestsPerAddress: m.cfg.HTTP.RequestsPerAddress, Refused: m.metrics.Refused,
		Info:    api.Info{Name: "liveman", Version: o.Version, Features: features, Codecs: []string{}},
		Config:  func(w io.Writer) error { return m.taken.Load().Print(w) },
		Metrics: m.metrics.Handler(), Observe: m.metrics.Request, Ready: m.database.ready, Problems: m.health.Problems, Now: o.Now, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	m.server = api.NewServer(m.api)
	config, challenges, err := tlscert.New(m.cfg.HTTP.TLS.Options(), o.Logger)
	if err != nil {
		return err
	}
	m.server.TLSConfig = config
	m.redirect, err = api.NewRedirect(ctx, m.api, m.cfg.HTTP.Redirect, m.listener.Addr(), challenges)
	return err
}

// URL returns the address of the manager's page, as a user of this machine can
// open it.
func (m *Manager) URL() string { return api.LocalURL(m.cfg.HTTP.Scheme(), m.listener.Addr()) }

// Welcome tells a person where the manager listens, and what it manages.
func (m *Manager) Welcome(w io.Writer) {
	var nodes []string
	for _, n := range m.fleet.all() {
		nodes = append(nodes, n.alias)
	}
	known := strings.Join(nodes, ", ")
	if known == "" {
		known = "none yet: add [[nodes]] to liveman.toml, or let nodes register ([registration] token)"
	}
	storage := "each node's own; the manager relays recordings"
	if m.cfg.Storage.Type != config.StorageNone {
		storage = strings.Trim(m.cfg.Storage.Type+" "+m.cfg.Storage.Bucket+" "+m.cfg.Storage.Root, " ")
	}
	fmt.Fprintf(w, `liveman is running
  page      %[1]s/
  nodes     %[2]s
  record    %[4]s -X POST %[1]s/api/record/STREAM
  play      %[1]s/api/record/object/MPD_PATH   (GET %[1]s/api/playback/STREAM lists them)
  storage   %[3]s
`, m.URL(), known, storage, m.cfg.Auth.Curl())
}

// Run serves until ctx ends, then closes what New opened. It returns nil after an
// orderly end.
func (m *Manager) Run(ctx context.Context) error {
	var loops sync.WaitGroup
	loop, cancel := context.WithCancel(ctx)
	if m.auto != nil {
		loops.Go(func() { m.auto.run(loop) })
	}
	loops.Go(func() { m.database.run(loop) })
	loops.Go(func() { m.fleet.runAgreeing(loop) })
	loops.Go(func() { m.health.Run(loop) })
	loops.Go(func() { m.watchNodes(loop) })
	loops.Go(func() { m.tellRecordings(loop) })
	loops.Go(func() { m.happened.Follow(loop, m.catalogue, asOnNode) })
	loops.Go(func() { m.noteNodes(loop) })
	loops.Go(func() {
		if m.fleet.AwaitOpen(loop) {
			m.bin.Run(loop)
		}
	})
	loops.Go(func() { m.redirect.Run(loop) })
	if m.keeper != nil {
		loops.Go(func() {
			if m.fleet.AwaitOpen(loop) {
				m.keeper.Run(loop)
			}
		})
	}
	served := make(chan error, 1)
	go func() {
		m.health.AwaitFirst(ctx) // or nothing would seem to be wrong
		served <- api.Serve(m.server, m.api.Limit(m.listener, api.Connections{Max: m.cfg.HTTP.MaxConnections, PerAddress: m.cfg.HTTP.ConnectionsPerAddress}))
	}()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
		m.log.Info("stopping")
	}
	cancel()
	loops.Wait()
	ended := m.close(context.WithoutCancel(ctx))
	if err == nil {
		<-served // it closes the listener itself where it had not begun to serve
	}
	return errors.Join(err, ended)
}

// close ends what runs: first the requests, then what they use.
func (m *Manager) close(ctx context.Context) error {
	errs := []error{m.redirect.Close(), api.CloseServer(ctx, m.server, m.listener, drainTimeout)}
	if m.signal != nil {
		m.signal.Close()
	}
	if m.fleet != nil {
		m.fleet.close()
	}
	if m.events != nil {
		errs = append(errs, m.events.Close(ctx)) // which claims what it tells
	}
	if m.catalogue != nil {
		errs = append(errs, m.catalogue.Close())
	}
	if m.storage != nil {
		errs = append(errs, m.storage.Close())
	}
	return errors.Join(errs...)
}
