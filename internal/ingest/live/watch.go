package live

import "sync"

// Watch tells that something about the streams changed: one came or went, or a
// publisher, a viewer or the state of one of them.
type Watch struct {
	c  chan struct{}
	ws *watches
}

// C returns the channel that gets a value after a change. Changes that happen
// before it is received are merged into one.
func (w *Watch) C() <-chan struct{} { return w.c }

// Close ends the watch. The channel is not closed.
func (w *Watch) Close() {
	w.ws.mu.Lock()
	defer w.ws.mu.Unlock()
	delete(w.ws.set, w)
}

// Watch starts to watch for changes. The caller closes it.
func (s *Streams) Watch() *Watch {
	w := &Watch{c: make(chan struct{}, 1), ws: &s.watches}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	if s.watches.set == nil {
		s.watches.set = make(map[*Watch]struct{})
	}
	s.watches.set[w] = struct{}{}
	return w
}

type watches struct {
	mu  sync.Mutex
	set map[*Watch]struct{}
}

func (ws *watches) notify() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
