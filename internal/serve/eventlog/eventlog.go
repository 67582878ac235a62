// Package eventlog keeps what has happened lately, for people who look at a program:
// recordings that began and ended, publishers and viewers that came and left, and what
// was wrong with what the program depends on, from when until when.
//
// It is in memory and bounded, each kind of event for itself: a hundred viewers that come
// and leave do not push out the outage of last night. Who has to be told of each event
// uses package events.
package eventlog

import (
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/live777/recorder/internal/media"
)

// Kind is what an event is about.
type Kind string

// The kinds.
const (
	Recordings Kind = "recording"
	Sessions   Kind = "session" // publishers and viewers
	Server     Kind = "server"  // the program, what it depends on, and its nodes
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Recordings, Sessions, Server} }

// Level is how much an event matters.
type Level string

// The levels, the least one first.
const (
	Info    Level = "info"
	Warning Level = "warning" // something is missing, or works less well
	Error   Level = "error"   // recordings are not made, or not whole
)

// Levels are all of them, the least one first.
func Levels() []Level { return []Level{Info, Warning, Error} }

// The types of events.
const (
	RecordingStarted  = "recording.started"
	RecordingDegraded = "recording.degraded" // the first loss of one that runs
	RecordingEnded    = "recording.ended"
	RecordingDeleted  = "recording.deleted"
	SessionCame       = "session.came"
	SessionLeft       = "session.left"
	ProblemBegan      = "problem.began"
	ProblemEnded      = "problem.ended"
	NodeDown          = "node.down"
	NodeUp            = "node.up"
	Started           = "server.started"
)

const (
	// How many events of a kind are kept.
	maxRecordings = 400
	maxSessions   = 400
	maxServer     = 200
	// maxText bounds the text of an event, in bytes: some come from other machines.
	maxText = 500
)

// Entry is an event.
type Entry struct {
	Seq   int64     `json:"seq"` // greater than those of the events noted before
	Time  time.Time `json:"time"`
	Kind  Kind      `json:"kind"`
	Type  string    `json:"type"`
	Level Level     `json:"level"`
	// Stream is that of a recording or a session, Node the node of a manager that it
	// happened on.
	Stream    string `json:"stream,omitempty"`
	Node      string `json:"node,omitempty"`
	RecordDir string `json:"record_dir,omitempty"`
	// Status is how a recording ended.
	Status media.Status `json:"status,omitempty"`
	// Cause is why media are missing, as media.Gap has it.
	Cause string `json:"cause,omitempty"`
	// Side is "publisher" or "viewer".
	Side    string `json:"side,omitempty"`
	Session string `json:"session,omitempty"`
	Place   string `json:"place,omitempty"` // of a problem
	// Text says why, or what is wrong, and Code and Params the same for programs.
	Text   string         `json:"text,omitempty"`
	Code   string         `json:"code,omitempty"`
	Params map[string]any `json:"params,omitempty"`
	// Seconds is how long something lasted that has ended.
	Seconds float64 `json:"seconds,omitempty"`
}

// Log is the events of a program. Safe for concurrent use; the zero value is not usable.
type Log struct {
	now   func() time.Time
	since time.Time

	mu   sync.Mutex
	last int64
	of   map[Kind]*ring
}

// New returns an empty Log; now is time.Now where it is nil.
func New(now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{now: now, since: now().UTC(), of: map[Kind]*ring{
		Recordings: {most: maxRecordings}, Sessions: {most: maxSessions}, Server: {most: maxServer},
	}}
}

// ring is the newest events of a kind.
type ring struct {
	most    int
	entries []Entry
	first   int // the oldest, once there are as many as may be
}

func (r *ring) add(e Entry) {
	if len(r.entries) < r.most {
		r.entries = append(r.entries, e)
		return
	}
	r.entries[r.first] = e
	r.first = (r.first + 1) % r.most
}

// Add notes an event. One of a kind that there is not is left out; one without a time
// happens now.
func (l *Log) Add(e Entry) {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	e.Time = e.Time.UTC().Round(time.Millisecond)
	if e.Level == "" {
		e.Level = Info
	}
	e.Text = cut(e.Text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.of[e.Kind]; r != nil {
		l.last++
		e.Seq = l.last
		r.add(e)
	}
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// Query selects events.
type Query struct {
	Kind   Kind   // empty: all
	Least  Level  // the least one; empty: all
	Stream string // empty: all
	Before int64  // Seq of the last one that is known; 0: from the newest on
	Limit  int    // at most so many; 0: all
	// Allow reports whether an event may be seen; nil: all may.
	Allow func(Entry) bool
}

// Page is what a Query selects, the newest event first.
type Page struct {
	Events []Entry `json:"events"`
	// Since is from when on the program has seen what happened.
	Since time.Time `json:"since"`
	// More says that there are older ones.
	More bool `json:"more"`
}

// List returns the events that q selects.
func (l *Log) List(q Query) Page {
	p := Page{Events: []Entry{}, Since: l.since}
	for _, e := range l.newestFirst() {
		if !q.selects(e) {
			continue
		}
		if q.Limit > 0 && len(p.Events) == q.Limit {
			p.More = true
			break
		}
		p.Events = append(p.Events, e)
	}
	return p
}

func (l *Log) newestFirst() []Entry {
	var all []Entry
	l.mu.Lock()
	for _, r := range l.of {
		all = append(all, r.entries...)
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Entry) int { return int(b.Seq - a.Seq) })
	return all
}

func (q *Query) selects(e Entry) bool {
	return (q.Kind == "" || e.Kind == q.Kind) && (q.Stream == "" || e.Stream == q.Stream) && (q.Before <= 0 || e.Seq < q.Before) &&
		(q.Least == "" || slices.Index(Levels(), e.Level) >= slices.Index(Levels(), q.Least)) && (q.Allow == nil || q.Allow(e))
}
