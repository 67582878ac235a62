// Package health looks now and then at what a program depends on, such as its storage,
// and tells what is wrong with it, in words and since when.
package health

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// every is how often a place is looked at.
	every = 2 * time.Second
	// patience is how long a look may take before that itself is what is wrong: a disk
	// that hangs returns no error.
	patience = 10 * time.Second
	// firstPatience is how long the first looks are waited for before anybody is told
	// of a place that it has not been looked at yet.
	firstPatience = 2 * time.Second
)

// Problem is what is wrong with a place.
type Problem struct {
	Place string `json:"place"` // such as "storage"
	Text  string `json:"text"`
	Code  string `json:"code,omitempty"` // what Text says, for programs, as in the errors of the API
	// Params is what a text about Code has to name.
	Params map[string]any `json:"params,omitempty"`
	Since  time.Time      `json:"since"`
	// Serious says that the program cannot do its work while it lasts: it is not ready.
	Serious bool `json:"serious"`
}

// Minor marks an error that is worth knowing and keeps nobody from working.
func Minor(err error) error {
	if err == nil {
		return nil
	}
	return minor{err}
}

type minor struct{ error }

// Unwrap returns the error as it was.
func (m minor) Unwrap() error { return m.error }

// IsMinor reports whether err is not serious.
func IsMinor(err error) bool { return !serious(err) }

// serious reports whether not all of what was joined in err is Minor.
func serious(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // what a look has joined
		return slices.ContainsFunc(joined.Unwrap(), serious)
	}
	var m minor
	return !errors.As(err, &m)
}

// Watch is the places that are looked at. Safe for concurrent use.
type Watch struct {
	now    func() time.Time
	log    *slog.Logger
	since  time.Time
	places []*place
}

// place is one of them.
type place struct {
	name string
	look func(context.Context) error
	// looked is closed when it has been looked at once.
	looked func()
	first  chan struct{}

	mu      sync.Mutex
	began   time.Time // of the look that is under way; zero: none is
	problem *Problem
}

// New returns a Watch without places; now is time.Now where it is nil.
func New(log *slog.Logger, now func() time.Time) *Watch {
	if now == nil {
		now = time.Now
	}
	return &Watch{now: now, log: log, since: now().UTC()}
}

// Add adds a place, before Run. look returns what is wrong with it, and may join
// several errors.
func (w *Watch) Add(name string, look func(context.Context) error) {
	first := make(chan struct{})
	w.places = append(w.places, &place{name: name, look: look, first: first, looked: sync.OnceFunc(func() { close(first) })})
}

// AwaitFirst waits until all places have been looked at, for a while: who asks before
// that is told that they have not.
func (w *Watch) AwaitFirst(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstPatience)
	defer cancel()
	for _, p := range w.places {
		select {
		case <-p.first:
		case <-ctx.Done():
			return
		}
	}
}

// Run looks at all places, each for itself, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range w.places {
		all.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for w.Look(ctx, p.name); ; w.Look(ctx, p.name) {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// Look looks at a place once.
func (w *Watch) Look(ctx context.Context, name string) {
	i := slices.IndexFunc(w.places, func(p *place) bool { return p.name == name })
	if i < 0 {
		return
	}
	p := w.places[i]
	p.mu.Lock()
	p.began = w.now()
	p.mu.Unlock()
	err := p.look(ctx)
	if ctx.Err() != nil {
		return
	}
	p.found(err, w.now(), w.log)
}

// isLooked reports whether a place has been looked at.
func (p *place) isLooked() bool {
	select {
	case <-p.first:
		return true
	default:
		return false
	}
}

// found takes note of what a look has returned, and logs it when that is new.
func (p *place) found(err error, now time.Time, log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.looked()
	p.began = time.Time{}
	before := p.problem
	if err == nil {
		if p.problem = nil; before != nil {
			log.Info("what was wrong is mended", "place", p.name, "lasted", now.Sub(before.Since).Round(time.Second))
		}
		return
	}
	text := strings.ReplaceAll(fault.Text(err), "\n", "; ")
	p.problem = &Problem{Place: p.name, Text: text, Since: now.UTC(), Serious: serious(err)}
	if kind := fault.KindOf(err); kind != fault.Internal && !strings.Contains(fault.Text(err), "\n") { // of several, one would hide the others
		p.problem.Code, p.problem.Params = fault.Code(err)
	}
	if before != nil {
		p.problem.Since = before.Since
	}
	switch {
	case before != nil && before.Serious == p.problem.Serious: // what differs is a number, or the like
	case p.problem.Serious:
		log.Error("something is wrong", "place", p.name, "error", err)
	default:
		log.Warn("something is wrong", "place", p.name, "error", err)
	}
}

// Problems returns what is wrong now, in the order of the places.
func (w *Watch) Problems() []Problem {
	all := []Problem{}
	for _, p := range w.places {
		p.mu.Lock()
		switch {
		case !p.began.IsZero() && w.now().Sub(p.began) > patience:
			all = append(all, Problem{Place: p.name, Text: "it does not answer", Code: "no_answer", Since: p.began.UTC(), Serious: true})
		case !p.isLooked():
			all = append(all, Problem{Place: p.name, Text: "it has not been looked at yet", Code: "not_looked", Since: w.since, Serious: true})
		case p.problem != nil:
			all = append(all, *p.problem)
		}
		p.mu.Unlock()
	}
	return all
}
