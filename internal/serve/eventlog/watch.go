package eventlog

import (
	"context"
	"time"

	"github.com/live777/recorder/internal/base/health"
)

// Condition is something that is so for a while, such as a session or a problem.
type Condition struct {
	// Key tells conditions apart. One that ends and comes back has the same, or another.
	Key string
	// Began is noted when it has begun, and Ended when it is over. A time that is missing
	// is when that is seen, and Seconds of Ended become how long it lasted.
	Began, Ended Entry
}

// Problem returns the condition of a problem, of a node of a manager where node is not
// empty.
func Problem(node string, p health.Problem) Condition {
	e := Entry{Time: p.Since, Kind: Server, Type: ProblemBegan, Level: Warning, Node: node, Place: p.Place, Text: p.Text, Code: p.Code, Params: p.Params}
	if p.Serious {
		e.Level = Error
	}
	over := Entry{Kind: Server, Type: ProblemEnded, Node: node, Place: p.Place}
	return Condition{Key: "problem " + node + "/" + p.Place + "/" + string(e.Level), Began: e, Ended: over}
}

// Watch notes the conditions that begin and end, until ctx ends: what now returns every so
// often. Conditions that are there at first have begun. One that begins and ends between
// two looks is not seen.
func (l *Log) Watch(ctx context.Context, every time.Duration, now func() []Condition) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	w := watcher{log: l, are: map[string]Condition{}}
	for {
		w.look(now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// watcher knows the conditions that are.
type watcher struct {
	log *Log
	are map[string]Condition
}

func (w *watcher) look(conditions []Condition) {
	next := make(map[string]Condition, len(conditions))
	for _, c := range conditions {
		if was, ok := w.are[c.Key]; ok {
			next[c.Key] = was
			continue
		}
		if c.Began.Time.IsZero() {
			c.Began.Time = w.log.now()
		}
		next[c.Key] = c
	}
	for key, c := range w.are { // first: what takes the place of another comes after it
		if _, ok := next[key]; !ok {
			over := c.Ended
			if over.Time.IsZero() {
				over.Time = w.log.now()
			}
			over.Seconds = max(over.Time.Sub(c.Began.Time).Seconds(), 0)
			w.log.Add(over)
		}
	}
	for _, c := range conditions {
		if _, ok := w.are[c.Key]; !ok {
			w.log.Add(next[c.Key].Began)
			w.are[c.Key] = c // once, also where it is there twice
		}
	}
	w.are = next
}
