package events

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
)

// Test sends an event of the type "test" to all receivers, past the queue and whatever
// types they want, and writes what each answers. ok is false where one has not taken it.
func Test(ctx context.Context, cfg config.Events, source string, w io.Writer) (ok bool, err error) {
	all := receivers(cfg, nil)
	if len(all) == 0 {
		return false, fault.New(fault.Invalid, "nobody is told of events: the configuration has no [[webhooks]] and no [[hooks]]")
	}
	ok = true
	for _, r := range all {
		m, err := encode(Event{Type: config.EventTest, Subject: "test", Data: map[string]string{"target": r.name}}, source, time.Now())
		if err != nil {
			return false, err
		}
		a, took := r.try(ctx, m)
		said := "has taken it"
		if a.err != nil {
			ok, said = false, "has not taken it: "+shorten(a.err.Error())
		}
		if _, err := fmt.Fprintf(w, "%s %s: %s (%d ms, event %s)\n", r.kind, r.name, said, took.Milliseconds(), m.id); err != nil {
			return false, err
		}
	}
	return ok, nil
}

// try tells a receiver an event once.
func (r receiver) try(ctx context.Context, m message) (a answer, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	s := r.open()
	defer s.close()
	began := time.Now()
	a = s.send(ctx, m)
	return a, time.Since(began)
}
