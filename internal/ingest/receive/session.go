package receive

import (
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
)

// What a client may make a session keep.
const (
	// maxAddresses bounds the addresses of a client.
	maxAddresses = 256
	// maxSources bounds the SSRCs of its RTP, and maxSenders those of its RTCP: the SRTP
	// context keeps each for ever.
	maxSources = 4096
	maxSenders = 256
	// maxEarly bounds what has come before the keys, in bytes.
	maxEarly = 64 << 10
	// maxTries is how many packets a second of unknown addresses are tried with the keys.
	maxTries = 100
)

// pathSilent is how long the way that a client chose may be silent before another way,
// from which its checks come, is used. Clients also check ways that they do not use.
const pathSilent = time.Second

// State is that of a session, in the words of RTCPeerConnection.connectionState.
type State string

// The states of a session.
const (
	Connecting   State = "connecting"
	Connected    State = "connected"
	Disconnected State = "disconnected"
	Failed       State = "failed"
	Closed       State = "closed"
)

// Limit is something of which a client has used too much.
type Limit int

// The limits.
const (
	Addresses Limit = iota
	Sources
)

// Loss is why a packet of the client was not taken.
type Loss int

// The losses.
const (
	Undecrypted Loss = iota // it cannot be decrypted
	Early                   // it came before the keys, when too many waited
	Malformed               // its header cannot be read
)

// Packet is an RTP packet, decrypted.
type Packet struct {
	Header  rtp.Header // its extensions are valid until TakeRTP returns
	Payload []byte     // the handler's to keep; with padding
}

// Handler is told what happens to a session. Its methods must not block, nor call Close.
type Handler interface {
	// TakeRTP takes the packets that came together. They are called for by one goroutine
	// at a time, as is TakeRTCP.
	TakeRTP(packets []Packet, at time.Time)
	// TakeRTCP takes a compound packet of a source. b is the caller's.
	TakeRTCP(ssrc uint32, b []byte, at time.Time)
	// Checked is called for each valid connectivity check.
	Checked(at time.Time)
	// Moved tells that packets go to another address of the client from now on.
	Moved(old, now netip.AddrPort)
	StateChanged(State)
	Lost(Loss)
	TooMany(Limit)
}

// SessionOptions configures Receiver.Session.
type SessionOptions struct {
	Remote       Credentials
	Fingerprints []Fingerprint // one must be that of the client's certificate
	Client       bool          // the node is the DTLS client
	Handler      Handler
}

// path is a way to the client.
type path struct {
	socket *Socket
	to     netip.AddrPort
}

// Session is the transport of one publisher. It is safe for concurrent use.
type Session struct {
	r       *Receiver
	o       SessionOptions
	records *recordConn

	heard     atomic.Int64 // when the last packet came, after Receiver.began
	pathHeard atomic.Int64 // the same on the way in use
	path      atomic.Pointer[path]
	closed    atomic.Bool
	hungUp    atomic.Bool

	ctx    context.Context
	cancel context.CancelFunc

	mu          sync.Mutex
	wg          sync.WaitGroup
	credentials []*credentials // the last ones, and those before until the client uses the last
	addresses   []netip.AddrPort
	state       State
	began       bool // the handshake

	// in is of those who take packets: one goroutine as a rule, for a client's packets
	// come to one socket.
	in  sync.Mutex
	rtp inbound

	out outbound
}

// Session makes a session, which takes packets from now on. The caller closes it.
func (r *Receiver) Session(o SessionOptions) *Session {
	s := &Session{r: r, o: o, state: "new"}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.records = newRecordConn(s)
	s.Restart(o.Remote)
	return s
}

// Restart makes new credentials for those of the client, and returns them. The ones
// before are good until the client uses the new ones.
func (s *Session) Restart(remote Credentials) Credentials {
	c := &credentials{local: Credentials{Ufrag: rand.Text()[:16], Password: rand.Text() + rand.Text()[:6]}, remote: remote}
	c.username = c.local.Ufrag + ":" + remote.Ufrag
	s.mu.Lock()
	s.credentials = append(s.credentials, c)
	var old []*credentials
	if over := len(s.credentials) - 2; over > 0 {
		old, s.credentials = s.credentials[:over], slices.Clone(s.credentials[over:])
	}
	s.mu.Unlock()
	s.r.change(func(t *table) {
		if s.closed.Load() {
			return
		}
		t.names[c.local.Ufrag] = s
		for _, o := range old {
			delete(t.names, o.local.Ufrag)
		}
	})
	return c.local
}

// Local returns the node's credentials.
func (s *Session) Local() Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credentials[len(s.credentials)-1].local
}

// IsUp reports whether the client has chosen a way.
func (s *Session) IsUp() bool { return s.path.Load() != nil }

// Source notes that the session has a source: packets of it are tried that come from an
// unknown address.
func (s *Session) Source(ssrc uint32) {
	s.r.change(func(t *table) {
		switch other, ok := t.sources[ssrc]; {
		case s.closed.Load():
		case ok && other != s:
			t.sources[ssrc] = nil // cannot be told
		default:
			t.sources[ssrc] = s
		}
	})
}

// ForgetSource is the reverse.
func (s *Session) ForgetSource(ssrc uint32) {
	s.r.change(func(t *table) {
		if t.sources[ssrc] == s {
			delete(t.sources, ssrc)
		}
	})
}

// HangUp tells the client that the session ends. What the client sends until it knows is
// taken as before; Close is to follow.
func (s *Session) HangUp() {
	s.hungUp.Store(true)
	s.cancel()
}

// Close ends the session and waits for it. The client is told.
func (s *Session) Close() {
	s.mu.Lock()
	s.closed.Store(true)
	s.mu.Unlock()
	s.r.forget(s)
	s.cancel()
	s.wg.Wait()
	s.in.Lock() // who has it takes a packet still
	defer s.in.Unlock()
	s.rtp = inbound{}
}

// hear notes that something came.
func (s *Session) hear(at time.Time) { s.heard.Store(int64(at.Sub(s.r.began))) }

// hearFrom notes that something came from a known address.
func (s *Session) hearFrom(from netip.AddrPort, at time.Time) {
	s.hear(at)
	if p := s.path.Load(); p != nil && p.to == from {
		s.pathHeard.Store(int64(at.Sub(s.r.began)))
	}
}

// credentialsOf finds the credentials that a check is made with.
func (s *Session) credentialsOf(username string) *credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.credentials {
		if c.username == username {
			return c
		}
	}
	return nil
}

// checked is told of a valid connectivity check, and reports whether it is to be
// answered. Behind a NAT that gives it another port a client may not notice, and goes on
// sending as before: then the way is used from which its checks come.
func (s *Session) checked(nominated bool, c *credentials, p path, at time.Time) bool {
	if s.closed.Load() {
		return false
	}
	if !s.learn(p.to) {
		s.o.Handler.TooMany(Addresses)
		return false
	}
	s.hearFrom(p.to, at)
	s.o.Handler.Checked(at)
	s.settle(c)
	old := s.path.Load()
	silent := at.Sub(s.r.began) - time.Duration(s.pathHeard.Load())
	switch {
	case old != nil && *old == p:
	case nominated:
		s.path.Store(&p)
		s.begin()
	case old != nil && silent > pathSilent:
		s.path.Store(&p)
		s.o.Handler.Moved(old.to, p.to)
	}
	return true
}

// settle forgets the credentials before those that the client uses.
func (s *Session) settle(c *credentials) {
	s.mu.Lock()
	i := slices.Index(s.credentials, c)
	if i <= 0 {
		s.mu.Unlock()
		return
	}
	old := s.credentials[:i]
	s.credentials = slices.Clone(s.credentials[i:])
	s.mu.Unlock()
	s.r.change(func(t *table) {
		for _, o := range old {
			delete(t.names, o.local.Ufrag)
		}
	})
}

// learn notes an address of the client. It is false if there are too many.
func (s *Session) learn(a netip.AddrPort) bool {
	if s.r.now.Load().addresses[a] == s {
		return true
	}
	s.mu.Lock()
	known := slices.Contains(s.addresses, a)
	if !known && len(s.addresses) == maxAddresses {
		s.mu.Unlock()
		return false
	}
	if !known {
		s.addresses = append(s.addresses, a)
	}
	s.mu.Unlock()
	s.r.change(func(t *table) {
		if !s.closed.Load() {
			t.addresses[a] = s
		}
	})
	return true
}

// begin begins the handshake, once.
func (s *Session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began || s.closed.Load() {
		return
	}
	s.began = true
	s.wg.Go(s.connect)
}

// become changes the state. Nothing is told after Close.
func (s *Session) become(state State) {
	s.mu.Lock()
	changed := s.state != state && s.state != Closed && s.state != Failed && !s.closed.Load()
	if changed {
		s.state = state
	}
	s.mu.Unlock()
	if changed {
		s.o.Handler.StateChanged(state)
	}
}

// tend looks whether the client is still there.
func (s *Session) tend(now time.Time) {
	s.mu.Lock()
	established := s.state == Connected || s.state == Disconnected
	s.mu.Unlock()
	if !established {
		return
	}
	switch silent := now.Sub(s.r.began) - time.Duration(s.heard.Load()); {
	case silent > failedAfter:
		s.become(Failed)
	case silent > disconnectedAfter:
		s.become(Disconnected)
	default:
		s.become(Connected)
	}
}
