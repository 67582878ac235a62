package events

import (
	"container/heap"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/config"
)

const (
	// maxWaiting is how many events may wait for one receiver. Those that are no
	// recording's are left out from three quarters of it on.
	maxWaiting = 100_000
	// retryMin is how long it takes until an event is sent again that was not taken; each
	// time it is twice as long, up to retryMax.
	retryMin = time.Second
	retryMax = 5 * time.Minute
	// patience is how many events in a row a receiver may refuse before it counts as
	// failing. If they are not all of one subject, one is tried at a time from then on, at
	// most every probeMax. What it refuses of one subject alone holds up no other.
	patience = 5
	probeMax = 30 * time.Second
	// retryAfterMax bounds what a receiver may ask for with Retry-After.
	retryAfterMax = time.Hour
	// maxError bounds what is kept of an error, in bytes.
	maxError = 500
)

// The outcomes of a Delivery.
const (
	OutcomeDelivered = "delivered"
	OutcomeFailed    = "failed"  // and it will be tried again
	OutcomeExpired   = "expired" // it has waited for events.keep_hours
	// outcomeElsewhere is of an event that another program has told. The log has it not.
	outcomeElsewhere = "elsewhere"
)

// Delivery is one attempt to tell an event.
type Delivery struct {
	N       int64     `json:"n"` // of this entry of the log
	Time    time.Time `json:"time"`
	Target  string    `json:"target"`
	ID      string    `json:"id"` // of the event
	Type    string    `json:"type"`
	Subject string    `json:"subject"`
	Attempt int       `json:"attempt"` // from 1, since the program started
	Outcome string    `json:"outcome"`
	Status  int       `json:"status,omitempty"` // of HTTP, or the exit code of a command
	Error   string    `json:"error,omitempty"`
	TookMS  int64     `json:"took_ms"`
	seq     int64
}

// answer is what a receiver says to an event.
type answer struct {
	status int
	after  time.Duration // it does not want to be asked before that
	err    error         // nil: it has the event
}

// sender brings an event to a receiver. ctx has the deadline.
type sender interface {
	send(ctx context.Context, m message) answer
	close()
}

// receiver is one as it is configured.
type receiver struct {
	name     string
	kind     string // "webhook", "hook", "nats" or "mqtt"
	to       string // where it is, without secrets
	patterns []string
	signed   bool
	parallel int           // how many events, of different subjects, are told at once
	timeout  time.Duration // of one attempt
	setup    string        // of all its settings: another one means that it has changed
	open     func() sender
}

// target is a receiver, and what waits for it. Safe for concurrent use.
type target struct {
	receiver
	s      *Service
	sender sender
	wake   chan struct{} // capacity 1
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	lanes     map[string]*lane
	due       lanes // those that nobody is busy with
	running   int
	waiting   int
	failures  int       // in a row
	refused   string    // the subject of the first of these
	several   bool      // these are of more than one subject
	retrying  int       // lanes whose first event was refused
	pause     time.Time // nothing is tried before, while it is failing
	counts    Counts
	delivered time.Time // when the last was delivered
	failed    Delivery  // the last that failed
}

// Counts are of a receiver since the program started.
type Counts struct {
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`   // attempts
	Expired   int64 `json:"expired"`  // events that waited for too long
	LeftOut   int64 `json:"left_out"` // events for which there was no room
	// Elsewhere is how many events another manager of the same database has told.
	Elsewhere int64 `json:"elsewhere"`
}

// lane is what waits of one subject, in order.
type lane struct {
	subject  string
	seqs     []int64
	attempts int       // of the first
	at       time.Time // of the next one
	index    int       // in the heap; -1: somebody is busy with it
}

// lanes is a heap by time.
type lanes []*lane

func (l lanes) Len() int { return len(l) }
func (l lanes) Less(i, j int) bool {
	if !l[i].at.Equal(l[j].at) {
		return l[i].at.Before(l[j].at)
	}
	return l[i].seqs[0] < l[j].seqs[0]
}
func (l lanes) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

// Push implements heap.Interface.
func (l *lanes) Push(x any) {
	ln, _ := x.(*lane)
	ln.index = len(*l)
	*l = append(*l, ln)
}

// Pop implements heap.Interface.
func (l *lanes) Pop() any {
	old := *l
	ln := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	ln.index = -1
	return ln
}

func newTarget(s *Service, r receiver) *target {
	return &target{receiver: r, s: s, wake: make(chan struct{}, 1), lanes: map[string]*lane{}}
}

// start begins to tell what waits.
func (t *target) start(life context.Context) {
	t.sender = t.open()
	life, t.cancel = context.WithCancel(life)
	t.wg.Go(func() { t.run(life) })
}

// stop ends the attempts that are under way.
func (t *target) stop() {
	t.cancel()
	t.wg.Wait()
	t.sender.close()
}

// room reports whether an event may wait. One that may not is counted.
func (t *target) room(kind string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := maxWaiting
	if !strings.HasPrefix(kind, "recording.") || kind == config.EventSegment {
		most = maxWaiting * 3 / 4
	}
	if t.waiting < most {
		return true
	}
	t.counts.LeftOut++
	return false
}

// leftOut counts an event for which the queue has no room.
func (t *target) leftOut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.LeftOut++
}

// push adds what waits on the disk.
func (t *target) push(seq int64, subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ln := t.lanes[subject]
	if ln == nil {
		ln = &lane{subject: subject, at: time.Now(), index: -1}
		t.lanes[subject] = ln
	}
	ln.seqs = append(ln.seqs, seq)
	t.waiting++
	if len(ln.seqs) == 1 {
		heap.Push(&t.due, ln)
		t.awake()
	}
}

func (t *target) awake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run tells until ctx ends, and returns when all attempts have ended.
func (t *target) run(ctx context.Context) {
	var attempts sync.WaitGroup
	defer attempts.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		ln, seq, wait := t.take(time.Now())
		if ln != nil {
			attempts.Go(func() { t.tell(ctx, ln, seq) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-t.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// take returns a lane whose first event is to be told now, and which that is, or how long
// to wait.
func (t *target) take(now time.Time) (ln *lane, seq int64, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := t.parallel
	var pause time.Duration
	if t.paced() {
		most, pause = 1, t.pause.Sub(now)
	}
	if len(t.due) == 0 || t.running >= most {
		return nil, 0, time.Hour // somebody wakes it
	}
	if wait = max(t.due[0].at.Sub(now), pause); wait > 0 {
		return nil, 0, wait
	}
	ln, _ = heap.Pop(&t.due).(*lane)
	t.running++
	return ln, ln.seqs[0], 0
}

// tell tells the first event of a lane.
func (t *target) tell(ctx context.Context, ln *lane, seq int64) {
	m, err := t.s.queue.Load().load(ctx, seq)
	if ctx.Err() != nil {
		return // it waits on the disk
	}
	began := time.Now()
	d := Delivery{Target: t.name, ID: m.id, Type: m.kind, Subject: ln.subject, Attempt: ln.attempts + 1, seq: seq, Time: began.UTC()}
	a := answer{err: err}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		d.Outcome, d.Error = OutcomeExpired, "it is not in the queue any more"
	case err != nil:
	case began.Sub(m.time) > t.s.o.Keep:
		d.Outcome, d.Error = OutcomeExpired, "it has waited for longer than events.keep_hours"
	default:
		held, done := t.claim(ctx, m.id)
		if done {
			d.Outcome = outcomeElsewhere
			break
		}
		if !held {
			t.later(ln)
			return
		}
		a = t.attempt(ctx, m)
		if ctx.Err() != nil && a.err != nil {
			return
		}
	}
	d.TookMS = time.Since(began).Milliseconds()
	if d.Outcome == "" {
		d.Status, d.Outcome = a.status, OutcomeDelivered
		if a.err != nil {
			d.Outcome, d.Error = OutcomeFailed, shorten(a.err.Error())
		}
	}
	t.s.settle(ctx, &d)
	t.finish(ln, d, a.after)
}

// finish goes on with a lane after an attempt.
func (t *target) finish(ln *lane, d Delivery, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.running--
	if d.Outcome == OutcomeFailed {
		t.counts.Failed++
		t.failures++
		if t.failures == 1 {
			t.refused = ln.subject
		}
		t.several = t.several || t.refused != ln.subject
		t.failed = d
		if ln.attempts == 0 {
			t.retrying++
		}
		ln.attempts++
		ln.at = now.Add(max(backoff(ln.attempts, retryMax), min(after, retryAfterMax)))
		if over := t.failures - patience; over >= 0 {
			t.pause = now.Add(backoff(over+1, probeMax))
		}
		if t.failures == patience {
			t.s.log.Warn("a receiver of events takes none, will try again", "target", t.name, "error", d.Error)
		}
		heap.Push(&t.due, ln)
		t.awake()
		return
	}
	switch d.Outcome {
	case OutcomeExpired:
		t.counts.Expired++
		t.s.log.Error("an event was not told", "target", t.name, "type", d.Type, "subject", d.Subject, "id", d.ID, "error", d.Error)
	case outcomeElsewhere:
		t.counts.Elsewhere++
		t.recovered(now)
	default:
		t.counts.Delivered++
		t.delivered = d.Time
		t.recovered(now)
	}
	t.waiting--
	if ln.attempts > 0 {
		t.retrying--
	}
	ln.seqs, ln.attempts, ln.at = ln.seqs[1:], 0, now
	if len(ln.seqs) == 0 {
		delete(t.lanes, ln.subject)
	} else {
		heap.Push(&t.due, ln)
	}
	t.awake()
}

// paced reports whether one event is tried at a time. Called with mu held.
func (t *target) paced() bool { return t.failures >= patience && t.several }

// later has a lane looked at again whose first event somebody else tells just now.
func (t *target) later(ln *lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	ln.at = time.Now().Add(lookAgain)
	heap.Push(&t.due, ln)
	t.awake()
}

// recovered has all that waits tried at once when a receiver takes events again. Called
// with mu held.
func (t *target) recovered(now time.Time) {
	failing, paced := t.failures >= patience, t.paced()
	t.failures, t.several = 0, false
	if failing {
		t.s.log.Info("a receiver of events takes them again", "target", t.name)
	}
	if !paced {
		return
	}
	for _, other := range t.due {
		if other.at.After(now) {
			other.at = now
		}
	}
	heap.Init(&t.due)
}

// idle reports whether nothing is to be told now.
func (t *target) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running == 0 && (len(t.due) == 0 || t.failures >= patience || t.due[0].at.After(time.Now()))
}

// backoff returns how long to wait after so many attempts: a fifth more or less than what
// doubles each time, so that not all come back at once.
func backoff(attempts int, most time.Duration) time.Duration {
	wait := min(retryMin<<min(attempts-1, 20), most)
	return time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // not for secrets
}

// shorten bounds what is kept of an error.
func shorten(s string) string {
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "")
	}
	return strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
}
