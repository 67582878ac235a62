// Package quota counts what clients have of a node, and refuses what would be too
// much: for all, for each who has credentials, and by rules for some.
package quota

import (
	"fmt"
	"maps"
	"path"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

// Kind is what is counted.
type Kind uint8

// The kinds.
const (
	Sessions Kind = iota
	Publishers
	Viewers
	Recordings
	kinds
)

// String names a kind as the configuration does.
func (k Kind) String() string {
	return [kinds]string{"sessions", "publishers", "viewers", "recordings"}[k]
}

// bitrate is the name of that limit, which counts no things.
const bitrate = "bitrate"

// Counts has a number for each kind.
type Counts [kinds]int

// Limits is how much there may be; 0 is no limit.
type Limits struct {
	Count Counts
	// StreamBitrate is of one publisher, Bitrate of all together, in bits a second.
	StreamBitrate, Bitrate int64
}

// Rule is Limits for what has an owner and a stream, for all of it together.
type Rule struct {
	Streams string // pattern of path.Match; empty: all
	Owner   string // as live.Client has it; empty: all
	Limits
}

// Options configure New.
type Options struct {
	All   Limits
	Each  Limits // for each owner; what has none is not bounded by it
	Rules []Rule
	Now   func() time.Time // nil means time.Now
}

// Quotas counts. A nil one has no limits. It is safe for concurrent use.
type Quotas struct {
	o Options

	mu      sync.Mutex
	all     *scope
	rules   []*scope
	owners  map[string]*scope // that have something
	refused map[Refusal]int64
}

// Refusal is what was refused, by which limit.
type Refusal struct {
	Of    string // "node", "owner", "rule", "address"
	Limit string // "sessions", "unconnected", "publishers", "viewers", "streams", "recordings", "bitrate", "connections", "requests"
}

// New returns Quotas. The patterns of the rules are valid.
func New(o Options) *Quotas {
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Quotas{o: o, all: &scope{of: "node", Limits: o.All}, owners: map[string]*scope{}, refused: map[Refusal]int64{}}
	for _, r := range o.Rules {
		q.rules = append(q.rules, &scope{of: "rule", Limits: r.Limits})
	}
	return q
}

// Refused returns how often what was refused.
func (q *Quotas) Refused() map[Refusal]int64 {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.refused)
}

// Refuse counts what somebody else has refused.
func (q *Quotas) Refuse(r Refusal) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused[r]++
}

// scopes returns what bounds an owner and a stream. It is called with mu held.
func (q *Quotas) scopes(owner, stream string) []*scope {
	list := []*scope{q.all}
	if owner != "" {
		s := q.owners[owner]
		if s == nil {
			s = &scope{of: "owner", owner: owner, Limits: q.o.Each}
			q.owners[owner] = s
		}
		list = append(list, s)
	}
	for i, r := range q.o.Rules {
		if r.Owner != "" && r.Owner != owner {
			continue
		}
		if ok, _ := path.Match(r.Streams, stream); ok || r.Streams == "" {
			list = append(list, q.rules[i])
		}
	}
	return list
}

// Take counts one more of each kind, for an owner, which may be empty, and a stream,
// until the ticket is given back. The error is fault.Unavailable where the node has
// enough, and fault.TooMany where it is the owner or a rule.
func (q *Quotas) Take(owner, stream string, what ...Kind) (*Ticket, error) {
	if q == nil {
		return nil, nil //nolint:nilnil // a ticket of nothing
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &Ticket{q: q, scopes: q.scopes(owner, stream), kinds: what}
	for _, s := range t.scopes {
		if limit := s.full(what, q.o.Now()); limit != "" {
			q.refused[Refusal{s.of, limit}]++
			q.tidy(t.scopes)
			return nil, s.refusal(limit)
		}
	}
	for _, s := range t.scopes {
		s.add(what, 1)
	}
	return t, nil
}

// tidy forgets owners that have nothing. It is called with mu held.
func (q *Quotas) tidy(scopes []*scope) {
	for _, s := range scopes {
		if s.owner != "" && s.used == (Counts{}) {
			delete(q.owners, s.owner)
		}
	}
}

// Ticket is what was counted. A nil one is of nothing.
type Ticket struct {
	q      *Quotas
	scopes []*scope
	kinds  []Kind
	gone   bool
	own    meter
}

// Release gives it back; more than once is as once.
func (t *Ticket) Release() {
	if t == nil {
		return
	}
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	if t.gone {
		return
	}
	t.gone = true
	for _, s := range t.scopes {
		s.add(t.kinds, -1)
	}
	t.q.tidy(t.scopes)
}

// Received notes bytes that a publisher has sent since the last call. It returns why
// there are too many, "" where there are not. Where all of a scope together are too
// many those have too many that have more than their share.
func (t *Ticket) Received(bytes int64) (tooMany string) {
	if t == nil {
		return ""
	}
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	now := t.q.o.Now()
	own := t.own.add(bytes, now)
	for _, s := range t.scopes {
		all := s.meter.add(bytes, now)
		switch share := s.Bitrate / int64(max(1, s.used[Publishers])); {
		case s.StreamBitrate > 0 && own > s.StreamBitrate:
			tooMany = fmt.Sprintf("it sends %d kbit/s, and the limit of a stream is %d", own/1000, s.StreamBitrate/1000)
		case s.Bitrate > 0 && all > s.Bitrate && own > share:
			tooMany = fmt.Sprintf("%d kbit/s are sent, and the limit of %s is %d", all/1000, s.name(), s.Bitrate/1000)
		}
		if tooMany != "" {
			t.q.refused[Refusal{s.of, bitrate}]++
			return tooMany
		}
	}
	return ""
}

// scope is what is bounded together.
type scope struct {
	of    string
	owner string
	Limits
	used  Counts
	meter meter
}

func (s *scope) add(what []Kind, n int) {
	for _, k := range what {
		s.used[k] += n
	}
}

// full returns the limit that leaves no room for more, "" where there is.
func (s *scope) full(what []Kind, now time.Time) string {
	for _, k := range what {
		if s.Count[k] > 0 && s.used[k] >= s.Count[k] {
			return k.String()
		}
		if k == Publishers && s.Bitrate > 0 && s.meter.add(0, now) >= s.Bitrate {
			return bitrate
		}
	}
	return ""
}

func (s *scope) name() string {
	return map[string]string{"node": "the node", "owner": "these credentials", "rule": "a rule for it"}[s.of]
}

func (s *scope) refusal(limit string) error {
	kind := fault.TooMany
	if s.of == "node" {
		kind = fault.Unavailable
	}
	for k := range kinds {
		if k.String() == limit {
			return fault.Errorf(kind, "the limit of %s is %d %s: try again later", s.name(), s.Count[k], limit).Coded("quota_count", "most", s.Count[k], "of", limit)
		}
	}
	return fault.Errorf(kind, "the limit of %s is %d kbit/s: try again later", s.name(), s.Bitrate/1000).Coded("quota_bitrate", "most", s.Bitrate/1000)
}

// meterSpan is the time over which a bit rate is told.
const meterSpan = 5 * time.Second

// meter tells a bit rate.
type meter struct {
	began time.Time
	bytes int64
	rate  int64 // of the last span
}

// add returns the rate of the last whole span.
func (m *meter) add(bytes int64, now time.Time) int64 {
	if m.began.IsZero() {
		m.began = now
	}
	if span := now.Sub(m.began); span >= meterSpan {
		m.rate = int64(float64(8*m.bytes) / span.Seconds())
		m.began, m.bytes = now, 0
	}
	m.bytes += bytes
	return m.rate
}
