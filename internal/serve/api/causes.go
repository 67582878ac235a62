package api

import (
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// causeEvery is how often the log tells of one cause.
	causeEvery = time.Minute
	// maxCauses bounds those that are told apart: what is more is one cause.
	maxCauses = 100
)

// causes lets one event of each cause through in a minute, and counts the others: who
// sends requests does not fill the disk that the log is on. Safe for concurrent use.
type causes struct {
	mu   sync.Mutex
	last map[string]*lastEvent
}

// lastEvent is when an event of a cause was let through, and how many were not since.
type lastEvent struct {
	at      time.Time
	skipped int
}

// next reports whether an event may pass, and how many of its cause before it did not.
func (c *causes) next(cause string, now time.Time) (skipped int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = make(map[string]*lastEvent)
	}
	if c.last[cause] == nil && len(c.last) >= maxCauses {
		maps.DeleteFunc(c.last, func(_ string, l *lastEvent) bool { return now.Sub(l.at) >= causeEvery })
		if len(c.last) >= maxCauses {
			cause = ""
		}
	}
	l := c.last[cause]
	switch {
	case l == nil:
		c.last[cause] = &lastEvent{at: now}
		return 0, true
	case now.Sub(l.at) < causeEvery:
		l.skipped++
		return 0, false
	}
	skipped = l.skipped
	*l = lastEvent{at: now}
	return skipped, true
}

// hostOf returns the client's address without its port.
func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
