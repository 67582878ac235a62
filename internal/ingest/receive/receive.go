// Package receive has the network side of publishers' sessions: it reads UDP sockets in
// batches, answers connectivity checks as an ICE-lite agent, makes the DTLS handshake and
// decrypts SRTP. What else comes to a socket goes to whoever reads its Rest.
package receive

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
)

// An established session of which nothing has come, not even a connectivity check, is
// disconnected after the first, and has failed after the second.
const (
	disconnectedAfter = 5 * time.Second
	failedAfter       = 10 * time.Second
)

// tendInterval is how often sessions are looked at of which nothing comes.
const tendInterval = 500 * time.Millisecond

// Options configures New.
type Options struct {
	// Replay is how many packets before the newest of a source are still taken.
	Replay uint
	// Logger and Logs are the log and that of the DTLS stack. Required.
	Logger *slog.Logger
	Logs   logging.LoggerFactory
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Receiver holds the sessions of all sockets. It is safe for concurrent use.
type Receiver struct {
	o           Options
	began       time.Time
	certificate tls.Certificate
	fingerprint string

	// now is replaced and never changed, so that those who read sockets wait for nobody.
	now atomic.Pointer[table]
	mu  sync.Mutex // of those who replace it

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// table tells the session of a packet.
type table struct {
	addresses map[netip.AddrPort]*Session // from which a valid connectivity check came
	names     map[string]*Session         // by the node's ICE username fragment
	sources   map[uint32]*Session         // nil: several have that SSRC
}

// New returns a receiver without sockets. The caller closes it.
func New(o Options) (*Receiver, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{o: o, began: o.Now()}
	var err error
	if r.certificate, r.fingerprint, err = newCertificate(); err != nil {
		return nil, err
	}
	r.now.Store(&table{
		addresses: make(map[netip.AddrPort]*Session), names: make(map[string]*Session), sources: make(map[uint32]*Session),
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() { r.tend(ctx) })
	return r, nil
}

// Fingerprint returns the value of a=fingerprint.
func (r *Receiver) Fingerprint() string { return r.fingerprint }

// Close ends what goes on beside the sockets. They are closed by whoever opened them.
func (r *Receiver) Close() {
	r.cancel()
	r.wg.Wait()
}

// change replaces the table by a changed one.
func (r *Receiver) change(f func(t *table)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.now.Load()
	next := &table{addresses: maps.Clone(old.addresses), names: maps.Clone(old.names), sources: maps.Clone(old.sources)}
	f(next)
	r.now.Store(next)
}

// forget removes all of a session.
func (r *Receiver) forget(s *Session) {
	r.change(func(t *table) {
		maps.DeleteFunc(t.addresses, func(_ netip.AddrPort, other *Session) bool { return other == s })
		maps.DeleteFunc(t.names, func(_ string, other *Session) bool { return other == s })
		// An SSRC that several have is forgotten, too: of what is not known nothing is made.
		maps.DeleteFunc(t.sources, func(_ uint32, other *Session) bool { return other == s || other == nil })
	})
}

// tend tells sessions that nothing comes any more.
func (r *Receiver) tend(ctx context.Context) {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, seen := r.o.Now(), make(map[*Session]bool)
		for _, s := range r.now.Load().names {
			if !seen[s] {
				seen[s] = true
				s.tend(now)
			}
		}
	}
}
