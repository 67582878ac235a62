package live

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/media"
)

// The defaults of SubscribeOptions.
const (
	DefaultMaxItems = 4096
	DefaultMaxBytes = 8 << 20
)

// SubscribeOptions configures Stream.Subscribe. The zero value is usable.
type SubscribeOptions struct {
	// Session describes a viewer. A subscription without one is not listed
	// among the viewers.
	Session *SessionInfo
	// OnClose is called once when the subscription has ended, by Close or with
	// its stream, on the goroutine that ended it and with no lock held. It may
	// be nil, may call Close and must not block.
	OnClose func()
	// MaxItems and MaxBytes (of payload) bound the packets that wait to be read;
	// 0 means the default. A packet that does not fit is dropped.
	MaxItems int
	MaxBytes int
	// Gather is how long the reader waits after a read before it takes what has come
	// since. A reader that need not be prompt saves most of its wake-ups with it.
	Gather time.Duration
}

// Subscription receives what happens on a stream. One goroutine reads; all
// other methods are safe for concurrent use.
type Subscription struct {
	stream  *Stream
	viewer  bool
	session SessionInfo // without State
	state   atomic.Pointer[string]
	onClose func()

	ready  chan struct{} // one signal when the queue stops being empty, one when it is closed
	urgent chan struct{} // one signal when the reader is to come at once: after Interrupt, or closed
	gather time.Duration
	timer  *time.Timer // of the reader; nil before it has waited for a time

	mu     sync.Mutex
	queue  queue
	closed bool
}

func newSubscription(st *Stream, o SubscribeOptions) *Subscription {
	if o.MaxItems <= 0 {
		o.MaxItems = DefaultMaxItems
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	sub := &Subscription{
		stream:  st,
		onClose: o.OnClose,
		ready:   make(chan struct{}, 1),
		urgent:  make(chan struct{}, 1),
		gather:  o.Gather,
		queue:   queue{maxPackets: o.MaxItems, maxBytes: o.MaxBytes},
	}
	if o.Session != nil {
		sub.viewer = true
		sub.session = *o.Session
	}
	sub.state.Store(&sub.session.State)
	return sub
}

// Read moves waiting items to dst and returns how many, at least one: it blocks
// until there is one or ctx is done. When the stream or the subscription has
// ended and everything was read it returns io.EOF. A reader that comes seldom
// gets many items at once and is woken once for them.
func (s *Subscription) Read(ctx context.Context, dst []Item) (int, error) {
	if len(dst) == 0 {
		return 0, io.ErrShortBuffer
	}
	for {
		if n, err := s.pop(dst); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// ReadWithin is Read for a reader that also looks at the clock: it returns no items and
// no error if there is none for a time, or after Interrupt. It waits for
// SubscribeOptions.Gather first.
func (s *Subscription) ReadWithin(ctx context.Context, within time.Duration, dst []Item) (int, error) {
	if len(dst) == 0 {
		return 0, io.ErrShortBuffer
	}
	interrupted := false
	if s.gather > 0 {
		select {
		case <-s.after(s.gather):
		case <-s.urgent:
			interrupted = true
		case <-ctx.Done():
		}
	}
	for timeout := (<-chan time.Time)(nil); ; {
		if n, err := s.pop(dst); n > 0 || err != nil || interrupted {
			return n, err
		}
		if timeout == nil {
			timeout = s.after(within)
		}
		select {
		case <-s.ready:
		case <-s.urgent:
			interrupted = true
		case <-timeout:
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Interrupt lets ReadWithin return at once: the one that waits, or else the next.
func (s *Subscription) Interrupt() {
	select {
	case s.urgent <- struct{}{}:
	default:
	}
}

// after is time.After with the reader's own timer.
func (s *Subscription) after(d time.Duration) <-chan time.Time {
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	return s.timer.C
}

// pop moves waiting items to dst. It returns io.EOF when none will come.
func (s *Subscription) pop(dst []Item) (int, error) {
	s.mu.Lock()
	n := s.queue.pop(dst)
	closed := s.closed
	if n == 0 && closed && s.queue.dropped > 0 {
		dst[0], n = Item{Dropped: s.queue.dropped}, 1
		s.queue.dropped = 0
	}
	s.mu.Unlock()
	switch {
	case n > 0:
		if s.viewer {
			s.countSent(dst[:n])
		}
		return n, nil
	case closed:
		return 0, io.EOF
	}
	return 0, nil
}

// push queues item, if it fits, and wakes the reader if it may be waiting.
func (s *Subscription) push(item Item) {
	s.mu.Lock()
	wake := s.queue.push(item) && s.queue.len == 1
	s.mu.Unlock()
	if wake {
		s.wake()
	}
}

// pushPackets queues packets that fit, and wakes the reader once if it may be waiting.
func (s *Subscription) pushPackets(pkts []*media.Packet) {
	s.mu.Lock()
	wake := s.queue.len == 0
	for _, p := range pkts {
		s.queue.push(Item{Packet: p})
	}
	wake = wake && s.queue.len > 0
	s.mu.Unlock()
	if wake {
		s.wake()
	}
}

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// RequestKeyFrame asks the current publisher for a key frame of a video track.
// All subscribers together cause one request per track and interval: one that
// comes too early is deferred to the interval's end, never dropped.
func (s *Subscription) RequestKeyFrame(track media.TrackID) {
	if pub, ok := s.stream.Publication(); ok {
		pub.keyFrames.request(track)
	}
}

// SetState notes the state of the viewer's connection, an
// RTCPeerConnection.connectionState.
func (s *Subscription) SetState(state string) {
	if old := s.state.Swap(&state); *old != state {
		s.stream.streams.watches.notify()
	}
}

// Close ends the subscription. What is queued can still be read. Further calls
// do nothing.
func (s *Subscription) Close() {
	s.stream.unsubscribe(s)
	s.end()
}

// end closes the queue and tells the owner, once. The owner may call Close from
// there.
func (s *Subscription) end() {
	s.mu.Lock()
	ended := s.closed
	s.closed = true
	s.mu.Unlock()
	if ended {
		return
	}
	s.wake()
	s.Interrupt()
	if s.onClose != nil {
		s.onClose()
	}
}

func (s *Subscription) info() SessionInfo {
	i := s.session
	i.State = *s.state.Load()
	return i
}
