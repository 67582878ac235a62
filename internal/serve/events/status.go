package events

import (
	"context"
	"fmt"
	"time"
)

// Target is what there is to say of a receiver.
type Target struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // "webhook", "hook", "nats" or "mqtt"
	To     string   `json:"to"`   // without secrets
	Events []string `json:"events"`
	Signed bool     `json:"signed"`
	// Failing says that it takes no events at the moment, Error why.
	Failing bool   `json:"failing"`
	Error   string `json:"error,omitempty"`
	// Retrying is of how many subjects it has refused the event that is next, and NextTry
	// when the first of all is tried that wait.
	Retrying int       `json:"retrying"`
	NextTry  time.Time `json:"next_try,omitzero"`
	Waiting  int       `json:"waiting"` // events
	// OldestWaiting is when the first of these happened.
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	Counts
}

// Status is what there is to say of the events.
type Status struct {
	Targets []Target `json:"targets"`
	// WaitingBytes is what waits, and MaxBytes events.max_bytes.
	WaitingBytes int64 `json:"waiting_bytes"`
	MaxBytes     int64 `json:"max_bytes"`
	KeepHours    int   `json:"keep_hours"`
	// Unwritten is how many events were lost since the program started because the disk
	// did not take them.
	Unwritten int64  `json:"unwritten"`
	Error     string `json:"error,omitempty"`
}

// Status tells of all receivers, in the order of the configuration.
func (s *Service) Status(ctx context.Context) (Status, error) {
	st := Status{Targets: []Target{}, WaitingBytes: s.size.Load(), MaxBytes: s.o.Max, KeepHours: int(s.o.Keep.Hours()), Unwritten: s.lost.Load()}
	if text := s.failing.Load(); text != nil {
		st.Error = *text
	}
	for _, t := range s.receivers() {
		one := t.status()
		var err error
		if one.OldestWaiting, err = s.queue.Load().oldest(ctx, t.name); err != nil {
			return st, fmt.Errorf("read events.file: %w", err)
		}
		st.Targets = append(st.Targets, one)
	}
	return st, nil
}

// Measure returns what is counted of all receivers, without a look at the disk.
func (s *Service) Measure() []Target {
	var all []Target
	for _, t := range s.receivers() {
		all = append(all, t.status())
	}
	return all
}

func (t *target) status() Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := Target{Name: t.name, Kind: t.kind, To: t.to, Events: t.patterns, Signed: t.signed, Waiting: t.waiting, Counts: t.counts, LastDelivered: t.delivered}
	if one.Events == nil {
		one.Events = []string{}
	}
	one.Failing, one.Retrying = t.failures >= patience, t.retrying
	if t.failures > 0 || t.retrying > 0 {
		one.Error = t.failed.Error
	}
	if len(t.due) > 0 {
		one.NextTry = t.due[0].at
	}
	if t.paced() && len(t.due) > 0 && t.pause.After(one.NextTry) {
		one.NextTry = t.pause
	}
	one.NextTry = one.NextTry.UTC().Truncate(time.Millisecond)
	return one
}
