package signalling

import (
	"context"
	"sync"
	"time"
)

const (
	// PlacedFor is how long a place counts that the node has not told of yet. Nodes tell
	// of their streams within a second, and of their load within five.
	PlacedFor = 10 * time.Second
	// maxPlaced bounds the places that are remembered.
	maxPlaced = 20_000
	// maxSessions bounds the sessions that are remembered.
	maxSessions = 50_000
)

// memory has what was passed on and cannot be seen on the nodes yet. The zero value is
// not usable. Safe for concurrent use.
type memory struct {
	now func() time.Time

	choosing sync.Mutex // taken before mu

	mu       sync.Mutex
	placed   map[string]place     // by stream
	sessions map[sessionKey]*kept // what this manager has made
	order    []sessionKey         // of sessions, the oldest first
	streams  map[string]*turn     // publishers that are being placed now
}

type place struct {
	alias string
	at    time.Time
}

type sessionKey struct{ stream, session string }

// kept is a session that this manager has made.
type kept struct {
	publisher bool
	forget    context.CancelFunc // ends watching its credentials; may be nil
}

// turn is the lock of one stream.
type turn struct {
	waiting int
	token   chan struct{} // capacity 1: whoever puts something in has the turn
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, placed: map[string]place{}, sessions: map[sessionKey]*kept{}, streams: map[string]*turn{}}
}

// take waits until nobody else places the publisher of a stream: two that come at the
// same time must not go to two nodes. done ends the turn.
func (m *memory) take(ctx context.Context, stream string) (done func(), err error) {
	m.mu.Lock()
	t := m.streams[stream]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		m.streams[stream] = t
	}
	t.waiting++
	m.mu.Unlock()
	leave := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(m.streams, stream)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// choose places a stream's publisher by what was placed before, on a node or nowhere (""). Of
// two publishers that come at the same time the second knows of the first.
func (m *memory) choose(stream string, by func(placed string, recent map[string]int) (alias string)) {
	m.choosing.Lock()
	defer m.choosing.Unlock()
	if alias := by(m.recent(stream)); alias != "" {
		m.place(stream, alias)
	}
}

// place notes where a stream's publisher went.
func (m *memory) place(stream, alias string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.placed[stream] = place{alias, m.now()}
	if len(m.placed) <= maxPlaced {
		return
	}
	m.dropOld()
	if len(m.placed) > maxPlaced {
		delete(m.placed, stream) // the nodes tell of it soon
	}
}

func (m *memory) dropOld() {
	for stream, p := range m.placed {
		if m.now().Sub(p.at) >= PlacedFor {
			delete(m.placed, stream)
		}
	}
}

// recent returns where a stream was placed a moment ago, "" if nowhere, and how many
// streams were placed on each node.
func (m *memory) recent(stream string) (alias string, counts map[string]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropOld()
	counts = map[string]int{}
	for _, p := range m.placed {
		counts[p.alias]++
	}
	return m.placed[stream].alias, counts
}

// displace forgets where a stream was placed: its session is over.
func (m *memory) displace(stream string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.placed, stream)
}

// keep remembers a session.
func (m *memory) keep(key sessionKey, k *kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sessions[key]; !ok {
		m.order = append(m.order, key)
	}
	m.sessions[key] = k
	for len(m.sessions) > maxSessions {
		m.drop(m.order[0])
		m.order = m.order[1:]
	}
	if len(m.order) > 2*maxSessions {
		m.compact()
	}
}

// compact takes out of order what was dropped since.
func (m *memory) compact() {
	order := m.order[:0:0]
	for _, key := range m.order {
		if _, ok := m.sessions[key]; ok {
			order = append(order, key)
		}
	}
	m.order = order
}

// session returns what is remembered of a session.
func (m *memory) session(key sessionKey) (publisher, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.sessions[key]
	if k == nil {
		return false, false
	}
	return k.publisher, true
}

// forget is for a session that is over.
func (m *memory) forget(key sessionKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
}

// drop is called with mu held.
func (m *memory) drop(key sessionKey) {
	if k := m.sessions[key]; k != nil && k.forget != nil {
		k.forget()
	}
	delete(m.sessions, key)
}
