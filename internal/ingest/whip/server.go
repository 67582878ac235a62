// Package whip has the WHIP (RFC 9725) and WHEP endpoints: it negotiates
// PeerConnections over HTTP and moves packets between them and the streams of
// package live.
package whip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/ingest/receive"
)

// The defaults of Options.
const (
	DefaultConnectTimeout = 15 * time.Second
	DefaultMaxSessions    = 1000
	DefaultMaxUnconnected = 200
)

// An established session without any packet, not even a STUN consent check, is
// disconnected after the first and closed after the sum of the two.
const (
	iceDisconnected = 5 * time.Second
	iceFailed       = 5 * time.Second
)

// A session from which nothing has come for takeOverAfter, though media had flowed
// until then, may be replaced by one of the same owner. A healthy publisher sends some
// fifty packets of sound in a second, or a picture; one that has paused both sends
// connectivity checks and reports, some clients every five seconds only: where no media
// flowed it is takeOverIdle.
const (
	takeOverAfter = 2 * time.Second
	takeOverIdle  = 7 * time.Second
	// flowing is how long before the last packet of all the last one of media may have
	// come, for media to have flowed.
	flowing = time.Second
)

// receiveMTU bounds one packet, in bytes. RTP senders stay under 1,500.
const receiveMTU = 2048

// ICEServer is a STUN or TURN server that clients are told of.
type ICEServer struct {
	URLs       []string // "stun:host:port", "turn:host:port?transport=udp"
	Username   string
	Credential string
}

// Options configures New.
type Options struct {
	// Streams is where publishers go to and viewers read from. Required.
	Streams *live.Streams
	// Listen is the UDP address that all sessions share: "127.0.0.1:7777". An
	// unspecified host ("0.0.0.0", "") offers the addresses of all interfaces;
	// port 0 takes a free one. With a loopback address the others of this machine
	// are offered as well, for clients that pair no loopback candidates, and take
	// media from this machine only.
	Listen string
	// PublicIPs are offered to clients in place of the addresses that Listen
	// gives: for a node behind a 1:1 NAT.
	PublicIPs []string
	// ICEServers are sent to clients as Link headers. The node itself does not
	// use them: it is an ICE-lite agent with host candidates.
	ICEServers []ICEServer
	// ConnectTimeout ends a session whose ICE and DTLS are not up by then; 0
	// means DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// Grace is how long a session goes on after the credentials that it was made with
	// have expired. If they are taken back, it ends at once.
	Grace time.Duration
	// Direct lets the node's own receiver take what publishers send, and not the WebRTC
	// stack.
	Direct bool
	// MaxSessions bounds the sessions of all streams that are connected; further ones
	// are answered with fault.Unavailable. 0 means DefaultMaxSessions.
	MaxSessions int
	// MaxUnconnected bounds the sessions that are not connected yet. They are counted
	// apart, so that clients that never connect take no place from others. 0 means
	// DefaultMaxUnconnected.
	MaxUnconnected int
	// Quotas bounds what those have who publish and view; nil is no bound.
	Quotas *quota.Quotas
	// Logger may be nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	addresses addressLister // nil means those of the machine; tests have others
}

// Server holds the sessions of all publishers and viewers, over one UDP port.
// It is safe for concurrent use.
type Server struct {
	o         Options
	sockets   *sockets
	receiver  *receive.Receiver // nil: the WebRTC stack takes what publishers send, too
	settings  webrtc.SettingEngine
	ingest    *interceptor.Registry
	egress    *interceptor.Registry
	iceLinks  []string
	failures  failures
	closeOnce sync.Once
	draining  atomic.Bool

	mu       sync.Mutex
	sessions map[sessionKey]*session
	gone     []goneSession // the last ones that ended, the oldest first
	pending  int           // admitted, not yet in sessions
	closed   bool
	wg       sync.WaitGroup // the run goroutines of sessions
}

type sessionKey struct{ stream, id string }

// maxGone bounds the sessions that have ended and can still be deleted.
const maxGone = 1000

// goneSession is one that has ended.
type goneSession struct {
	sessionKey
	publisher bool
}

// New opens the UDP port and returns a server that is ready for requests.
func New(o Options) (*Server, error) {
	if o.Streams == nil {
		return nil, errors.New("whip: Options.Streams is missing")
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	if o.MaxUnconnected <= 0 {
		o.MaxUnconnected = DefaultMaxUnconnected
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	links, err := iceLinks(o.ICEServers)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, iceLinks: links, sessions: make(map[sessionKey]*session)}
	if err := s.registerInterceptors(); err != nil {
		return nil, err
	}
	if o.Direct {
		s.receiver, err = receive.New(receive.Options{Replay: nackMaxGap, Logger: o.Logger, Logs: pionLogs{o.Logger}, Now: o.Now})
		if err != nil {
			return nil, err
		}
	}
	if s.sockets, err = openSockets(o.Listen, len(o.PublicIPs) == 0, o.addresses, s.receiver, o.Logger); err != nil {
		s.closeReceiver()
		return nil, err
	}
	if err := s.configure(); err != nil {
		s.closeSockets()
		return nil, err
	}
	return s, nil
}

// Addr returns the UDP address that the server listens on.
func (s *Server) Addr() *net.UDPAddr { return net.UDPAddrFromAddrPort(s.sockets.listen) }

// Media tells where the server takes media.
func (s *Server) Media() Media { return s.sockets.media() }

func (s *Server) configure() error {
	se := &s.settings
	se.LoggerFactory = pionLogs{s.o.Logger}
	se.SetLite(true)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetICETimeouts(iceDisconnected, iceFailed, 2*time.Second)
	se.SetReceiveMTU(receiveMTU)
	// A sender without RTX repeats lost packets under their old sequence numbers.
	se.SetSRTPReplayProtectionWindow(nackMaxGap)
	if len(s.o.PublicIPs) == 0 {
		return nil
	}
	for _, ip := range s.o.PublicIPs {
		if net.ParseIP(ip) == nil {
			return fmt.Errorf("public IP %q is not an IP address", ip)
		}
	}
	err := se.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
		External:        s.o.PublicIPs,
		AsCandidateType: webrtc.ICECandidateTypeHost,
		Mode:            webrtc.ICEAddressRewriteReplace,
	})
	if err != nil {
		return fmt.Errorf("set public IPs: %w", err)
	}
	return nil
}

// SessionRight reports what a session is, so that the right to change it can be
// checked: publisher tells a publisher's from a viewer's, ok is false where
// there is no such session, nor was one lately.
func (s *Server) SessionRight(stream, session string) (publisher, ok bool) {
	if se, ok := s.session(stream, session); ok {
		return se.publisher, true
	}
	return s.ended(stream, session)
}

// ended is SessionRight for a session that has ended.
func (s *Server) ended(stream, id string) (publisher, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.gone, func(g goneSession) bool { return g.sessionKey == sessionKey{stream, id} })
	if i < 0 {
		return false, false
	}
	return s.gone[i].publisher, true
}

func (s *Server) session(stream, id string) (*session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	se, ok := s.sessions[sessionKey{stream, id}]
	return se, ok
}

// start makes se known and runs it until it ends.
func (s *Server) start(se *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the node is shutting down").Coded("shutting_down")
	}
	s.sessions[sessionKey{se.stream, se.id}] = se
	if se.currentLease() != (live.Lease{}) {
		se.spawn(se.obey)
	}
	s.wg.Go(func() {
		se.run()
		s.forget(se)
	})
	return nil
}

func (s *Server) forget(se *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sessionKey{se.stream, se.id}
	if _, ok := s.sessions[key]; !ok {
		return // forgotten already
	}
	delete(s.sessions, key)
	se.ticket.Release()
	if len(s.gone) == maxGone {
		s.gone = slices.Delete(s.gone, 0, 1)
	}
	s.gone = append(s.gone, goneSession{key, se.publisher})
}

// endShutdown is why sessions end with the node.
const endShutdown = "the node is shutting down"

// Dismiss sends the publishers away. It returns when what they had sent is handed on.
func (s *Server) Dismiss(ctx context.Context) {
	s.mu.Lock()
	var wg sync.WaitGroup
	for _, se := range s.sessions {
		if se.publisher {
			wg.Go(func() { se.dismiss(ctx) })
		}
	}
	s.mu.Unlock()
	wg.Wait()
}

// Close ends all sessions, waits for them and closes the UDP port. It returns
// ctx's error when they do not end in time.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	sessions := make([]*session, 0, len(s.sessions))
	for _, se := range s.sessions {
		sessions = append(sessions, se)
	}
	s.mu.Unlock()
	for _, se := range sessions {
		se.end(endShutdown)
	}
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.closeOnce.Do(s.closeSockets)
		return nil
	case <-ctx.Done():
		s.closeOnce.Do(s.closeSockets) // sessions that hang on it end
		return fmt.Errorf("close sessions: %w", ctx.Err())
	}
}

func (s *Server) closeSockets() {
	s.sockets.close()
	s.closeReceiver()
}

func (s *Server) closeReceiver() {
	if s.receiver != nil {
		s.receiver.Close()
	}
}

// newID returns 128 random bits in hexadecimal: a session URL must not be
// guessable (RFC 9725 section 4.2).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand documents it
	return hex.EncodeToString(b[:])
}
