package recorder

import (
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
)

// Unfinished is a stream that was being recorded when the node ended in order. Its
// recording is sealed, as nobody knows whether there will be another start; another one
// begins where the publisher comes back soon after that start.
type Unfinished struct {
	Stream    string `json:"stream"`
	BaseDir   string `json:"base_dir,omitempty"` // as asked for in Start
	RecordDir string `json:"record_dir"`         // of what is sealed
}

// Drain has no further recording begin, and returns those that run and are not paused,
// which Close is to end.
func (r *Recorder) Drain() []Unfinished {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var all []Unfinished
	for _, s := range r.sessions {
		if info := s.info(); !s.ending() && info.RecordDir != "" && info.PausedSince == nil {
			all = append(all, Unfinished{s.stream, s.baseDir, info.RecordDir})
		}
	}
	slices.SortFunc(all, func(a, b Unfinished) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}

// GoOn has each of the streams be recorded again, once, if it is published before until.
// It is called before anybody publishes.
func (r *Recorder) GoOn(streams []Unfinished, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unfinished, r.unfinishedUntil = map[string]Unfinished{}, until
	for _, u := range streams {
		r.unfinished[u.Stream] = u
	}
}

// takeUnfinished returns what is to go on with a stream that is published now. Called
// with mu held.
func (r *Recorder) takeUnfinished(st *live.Stream) (u Unfinished, ok bool) {
	if u, ok = r.unfinished[st.ID()]; !ok {
		return u, false
	}
	delete(r.unfinished, st.ID())
	return u, r.o.Now().Before(r.unfinishedUntil)
}
