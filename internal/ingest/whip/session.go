package whip

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/quota"
	"github.com/live777/recorder/internal/ingest/live"
)

// gatherTimeout bounds the collection of local candidates, which involves no
// network.
const gatherTimeout = 5 * time.Second

// A publisher's last packets have all come when nothing has come for drainQuiet. If it
// goes on sending after its DELETE, it is not listened to for longer than drainMax.
const (
	drainQuiet = 30 * time.Millisecond
	drainMax   = 300 * time.Millisecond
)

// A publisher that is sent away sends until it knows: for as long as the network takes. It
// has stopped when nothing has come for dismissQuiet, and is listened to for dismissMax.
const (
	dismissQuiet = 100 * time.Millisecond
	dismissMax   = 500 * time.Millisecond
)

// session is one connection and its URL: what publishers' and viewers' sessions have in
// common.
type session struct {
	server    *Server
	stream    string
	id        string
	publisher bool
	owner     string        // who made it
	renewed   chan struct{} // gets something when lease has changed
	client    string        // address from which it was made
	ticket    *quota.Ticket
	created   time.Time
	received  atomic.Int64 // packets of a publisher that have been handed on
	log       *slog.Logger
	conn      connection
	pc        *webrtc.PeerConnection // nil where the node's own receiver carries the session
	link      link
	taker     taker // of what the client sends; nil for a viewer
	buffers   atomic.Int64
	senders   senders
	reads     []uint32                // SSRCs of which the RTCP is read: those that a viewer is sent
	over      atomic.Bool             // it has ended: what comes is not looked at any more
	rejected  []int                   // m-lines of the offer that are answered with port 0
	offered   *sdp.SessionDescription // as the client sent it

	// ctx ends when the session has to go. run waits for that and for the
	// goroutines that go started.
	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	ended     bool
	connected bool
	attached  attachment // nil until attach
	lease     live.Lease // of the credentials
	wg        sync.WaitGroup

	// ice serializes negotiation and guards what follows.
	ice       sync.Mutex
	etag      string
	remote    *sdp.SessionDescription // the offer as the connection has it
	ufrag     string
	password  string
	restarted string // the answer to the last ICE restart
	restarts  bucket
}

// attachment is the publication or the subscription of a session. Its methods
// do not block.
type attachment interface {
	SetState(string)
	Close()
}

// newSession makes a session for an offer. The caller starts it or abandons it.
func (s *Server) newSession(stream string, o *offer, cs []chosen, sd side) (*session, error) {
	se := &session{
		server:    s,
		stream:    stream,
		id:        newID(),
		publisher: sd == publishing,
		created:   s.o.Now(),
		renewed:   make(chan struct{}, 1),
		rejected:  o.rejected,
		offered:   o.desc,
		etag:      `"` + newID() + `"`,
		remote:    o.narrowed(cs, sd),
		ufrag:     o.ufrag,
		password:  o.password,
	}
	se.log = s.o.Logger.With("stream", stream, "session", se.id)
	se.link.now, se.link.began = s.o.Now, se.created
	se.ctx, se.cancel = context.WithCancel(context.Background())
	if sd == publishing && s.receiver != nil {
		se.conn = &direct{session: se, cs: cs, passive: o.passive, number: rand.Uint64() >> 1}
		return se, nil
	}
	if err := se.usePeerConnection(o, cs); err != nil {
		se.cancel()
		return nil, err
	}
	return se, nil
}

// usePeerConnection lets a PeerConnection carry the session.
func (se *session) usePeerConnection(o *offer, cs []chosen) error {
	registry, extensions := se.server.ingest, ingestExtensions
	if !se.publisher {
		registry, extensions = se.server.egress, nil
	}
	engine, err := mediaEngine(cs, extensions)
	if err != nil {
		return fault.Errorf(fault.Invalid, "the SDP offer cannot be used: %w", err)
	}
	role := webrtc.DTLSRoleServer
	if o.passive {
		role = webrtc.DTLSRoleClient
	}
	if err := se.connect(engine, registry, role); err != nil {
		return fmt.Errorf("create PeerConnection: %w", err)
	}
	se.conn = stack{se}
	se.pc.OnConnectionStateChange(se.stateChanged)
	return nil
}

// connect makes the PeerConnection, with what of the settings is the session's own.
func (se *session) connect(m *webrtc.MediaEngine, r *interceptor.Registry, role webrtc.DTLSRole) (err error) {
	s := se.server
	settings := s.settings
	settings.SetICEUDPMux(s.sockets.mux())
	settings.SetIncludeLoopbackCandidate(s.sockets.loopback())
	settings.SetICEBindingRequestHandler(se.checked)
	settings.BufferFactory = se.newBuffer
	settings.LoggerFactory = countingLogs{pionLogs{s.o.Logger}, se.discard, func() { se.senders.refused.Add(1) }, new(int)}
	if err := settings.SetAnsweringDTLSRole(role); err != nil {
		return fmt.Errorf("set DTLS role: %w", err)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(r), webrtc.WithSettingEngine(settings))
	se.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	return err
}

func (se *session) info() live.SessionInfo {
	return live.SessionInfo{ID: se.id, CreatedAt: se.created, State: webrtc.PeerConnectionStateNew.String()}
}

// withRejected inserts an m-line with port 0 (RFC 3264 section 6) for each rejected one
// of the offer. It has the MID of that: some clients look for it before they see the
// port.
func withRejected(answer, offer *sdp.SessionDescription, rejected []int) {
	for _, i := range rejected {
		offered := offer.MediaDescriptions[i]
		m := &sdp.MediaDescription{
			MediaName: offered.MediaName,
			ConnectionInformation: &sdp.ConnectionInformation{
				NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
			},
		}
		m.MediaName.Port = sdp.RangedPort{}
		if mid, ok := offered.Attribute(sdp.AttrKeyMID); ok {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: sdp.AttrKeyMID, Value: mid})
		}
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: sdp.AttrKeyInactive})
		i = min(i, len(answer.MediaDescriptions))
		answer.MediaDescriptions = slices.Insert(answer.MediaDescriptions, i, m)
	}
}

// restart answers new remote ICE credentials with new local ones. DTLS and the media go
// on. The fragment for the client is then se.restarted. A restart that has begun is
// completed whatever happens to the request, so that the client can ask for the answer
// again.
func (se *session) restart(f fragment) error {
	remote := withCredentials(se.remote, f)
	if err := se.conn.setOffer(remote); err != nil {
		return err
	}
	answer, err := se.conn.answer(se.ctx)
	if err != nil {
		return err
	}
	se.remote, se.ufrag, se.password = remote, f.ufrag, f.password
	se.restarted, se.etag = answerFragment(answer), `"`+newID()+`"`
	return nil
}

// withCredentials returns the next version of an offer, with other credentials.
func withCredentials(offer *sdp.SessionDescription, f fragment) *sdp.SessionDescription {
	replace := func(attributes []sdp.Attribute) []sdp.Attribute {
		out := slices.Clone(attributes)
		for i := range out {
			switch out[i].Key {
			case "ice-ufrag":
				out[i].Value = f.ufrag
			case "ice-pwd":
				out[i].Value = f.password
			}
		}
		return out
	}
	next := *offer
	next.Origin.SessionVersion++
	next.Attributes = replace(offer.Attributes)
	next.MediaDescriptions = nil
	for _, m := range offer.MediaDescriptions {
		section := *m
		section.Attributes = replace(m.Attributes)
		next.MediaDescriptions = append(next.MediaDescriptions, &section)
	}
	return &next
}

// run waits for the end of the session and for everything that it started.
func (se *session) run() {
	timer := time.NewTimer(se.server.o.ConnectTimeout)
	defer timer.Stop()
	select {
	case <-se.ctx.Done():
	case <-timer.C:
		if !se.isConnected() {
			se.lost("it did not connect in time")
		}
		<-se.ctx.Done()
	}
	if err := se.conn.close(); err != nil {
		se.log.Debug("session did not close cleanly", "error", err)
	}
	se.wg.Wait()
}

// attach gives the session what it has to close at its end, which may have come
// already.
func (se *session) attach(a attachment) {
	se.mu.Lock()
	ended := se.ended
	se.attached = a
	se.mu.Unlock()
	if ended {
		a.Close()
	}
}

// drain waits a moment until the packets of a publisher that have arrived are handed
// on. Its last ones may still be on their way through the WebRTC stack when its DELETE
// comes.
func (se *session) drain(ctx context.Context) { se.drainWithin(ctx, drainQuiet, drainMax) }

func (se *session) drainWithin(ctx context.Context, quiet, limit time.Duration) {
	if !se.publisher || !se.isConnected() {
		return
	}
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for before := int64(-1); ; {
		now := se.received.Load()
		if now == before {
			return
		}
		before = now
		select {
		case <-tick.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		case <-se.ctx.Done():
			return
		}
	}
}

// dismiss ends the session of a publisher, with all that it had sent when it was told.
func (se *session) dismiss(ctx context.Context) {
	if se.conn.hangUp() {
		se.drainWithin(ctx, dismissQuiet, dismissMax)
	}
	se.end(endShutdown)
}

// end ends the session. It does not block and may be called from anywhere. The
// publication or subscription is closed when it returns.
func (se *session) end(reason string) {
	se.mu.Lock()
	ended, attached := se.ended, se.attached
	se.ended = true
	se.over.Store(true)
	se.mu.Unlock()
	if ended {
		return
	}
	se.log.Info("session ends", "reason", reason)
	if attached != nil {
		attached.Close()
	}
	se.cancel()
}

// lost is end for what may be a fault of the network: of a session that has not
// connected it says what to do.
func (se *session) lost(reason string) {
	if !se.isConnected() && se.ctx.Err() == nil {
		se.log.Warn("the client did not connect", "why", se.whyNot())
		se.countFailure()
	}
	se.end(reason)
}

// abandon closes a session that was not started.
func (se *session) abandon() {
	se.mu.Lock()
	se.ended = true
	se.over.Store(true)
	attached := se.attached
	se.mu.Unlock()
	if attached != nil {
		attached.Close()
	}
	se.cancel()
	se.ticket.Release()
	if err := se.conn.close(); err != nil {
		se.log.Debug("session did not close cleanly", "error", err)
	}
	se.wg.Wait()
}

// spawn runs f on a goroutine that run waits for, unless the session has ended.
func (se *session) spawn(f func()) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if !se.ended {
		se.wg.Go(f)
	}
}

func (se *session) isConnected() bool {
	se.mu.Lock()
	defer se.mu.Unlock()
	return se.connected
}

func (se *session) stateChanged(state webrtc.PeerConnectionState) {
	se.mu.Lock()
	attached := se.attached
	first := state == webrtc.PeerConnectionStateConnected && !se.connected
	if state == webrtc.PeerConnectionStateFailed && se.connected {
		se.server.failures.lost.Add(1)
	}
	se.connected = se.connected || first
	se.mu.Unlock()
	if first {
		se.server.arrived(se)
	}
	if attached != nil {
		attached.SetState(state.String())
	}
	switch state {
	case webrtc.PeerConnectionStateFailed:
		se.lost("the connection was lost")
	case webrtc.PeerConnectionStateClosed:
		se.lost("the client closed the connection")
	}
}
