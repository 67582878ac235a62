package live

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Stream is one stream of the node. It is safe for concurrent use.
type Stream struct {
	streams *Streams
	id      string
	since   time.Time
	packets atomic.Int64 // of all its publishers
	bytes   atomic.Int64 // of their payload

	// mu is held for reading while a packet is handed out, so that packets of
	// different tracks do not wait for each other, and for writing while
	// publishers and subscribers come and go: that alone puts Joined before the
	// first and Left behind the last packet of a publication.
	mu          sync.RWMutex
	created     bool // by Create: stays when idle
	ended       bool
	publication *Publication
	publishLeft time.Time
	subscribers []*Subscription
	viewerLeft  time.Time
}

func newStream(s *Streams, id string) *Stream {
	now := s.now()
	return &Stream{streams: s, id: id, since: now, publishLeft: now, viewerLeft: now}
}

// ID returns the stream's id.
func (st *Stream) ID() string { return st.id }

// Publication returns the current publication, if there is one.
func (st *Stream) Publication() (*Publication, bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.publication, st.publication != nil
}

// Subscribe adds a subscriber. Its first item is Joined when the stream has a
// publisher. The caller ends it with Subscription.Close. It fails with
// ErrNotFound when the stream has been removed meanwhile.
func (st *Stream) Subscribe(o SubscribeOptions) (*Subscription, error) {
	sub := newSubscription(st, o)
	st.mu.Lock()
	if st.ended {
		st.mu.Unlock()
		return nil, fmt.Errorf("subscribe to stream %q: %w", st.id, ErrNotFound)
	}
	st.subscribers = append(st.subscribers, sub)
	if st.publication != nil {
		sub.push(Item{Joined: st.publication})
	}
	st.mu.Unlock()
	st.streams.watches.notify()
	return sub, nil
}

// join makes p the publisher, unless there is one.
func (st *Stream) join(session SessionInfo, tracks []media.Track, p Publisher) (*Publication, error) {
	pub := newPublication(st, session, tracks, p)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.publication != nil {
		return nil, ErrPublishing
	}
	st.publication = pub
	for _, sub := range st.subscribers {
		sub.push(Item{Joined: pub})
	}
	return pub, nil
}

// leave ends pub, if it is the current publication, and reports whether it was.
func (st *Stream) leave(pub *Publication) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.publication != pub {
		return false
	}
	st.leaveLocked()
	return true
}

func (st *Stream) leaveLocked() {
	st.streams.onLeave(st.id, st.publication.Session())
	st.publication = nil
	st.publishLeft = st.streams.now()
	for _, sub := range st.subscribers {
		sub.push(Item{Left: true})
	}
}

// unsubscribe removes sub.
func (st *Stream) unsubscribe(sub *Subscription) {
	st.mu.Lock()
	if i := slices.Index(st.subscribers, sub); i >= 0 {
		st.subscribers = slices.Delete(st.subscribers, i, i+1)
		if sub.viewer {
			st.viewerLeft = st.streams.now()
		}
	}
	st.mu.Unlock()
	st.streams.removeIdle(st)
	st.streams.watches.notify()
}

// end closes the publisher and all subscriptions, for good.
func (st *Stream) end() {
	st.mu.Lock()
	st.ended = true
	pub := st.publication
	if pub != nil {
		st.leaveLocked()
	}
	subs := st.subscribers
	st.subscribers = nil
	st.mu.Unlock()

	if pub != nil {
		pub.keyFrames.close()
		pub.publisher.Close()
	}
	for _, sub := range subs {
		sub.end()
	}
}

// endIfIdle ends the stream when nothing holds it and reports whether it did.
func (st *Stream) endIfIdle() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.created || st.publication != nil || len(st.subscribers) > 0 {
		return false
	}
	st.ended = true
	return true
}

// forward hands item, which is no packet and belongs to pub, to all subscribers.
func (st *Stream) forward(pub *Publication, item Item) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if st.publication != pub {
		return
	}
	for _, sub := range st.subscribers {
		sub.push(item)
	}
}

// forwardPackets hands packets, which belong to pub, to all subscribers.
func (st *Stream) forwardPackets(pub *Publication, pkts []*media.Packet) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	if st.publication != pub {
		return
	}
	st.countReceived(pkts)
	for _, sub := range st.subscribers {
		sub.pushPackets(pkts)
	}
}
