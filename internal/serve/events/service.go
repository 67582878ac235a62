package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/base/health"
)

const (
	// maxUnwritten is how many events may wait to be written to the queue: while a disk
	// stands still, or is full.
	maxUnwritten = 4096
	// batch is how many changes are written at once.
	batch = 256
	// writeRetry is how long it takes until a write is tried again that failed.
	writeRetry = time.Second
	// lastWords is how long the end of the program waits for receivers to be told of it.
	lastWords = 2 * time.Second
)

// Options configure Open.
type Options struct {
	// Source is the CloudEvents source of all events: "/live777/ALIAS".
	Source  string
	File    string        // of the queue; made when there is somebody to tell
	Keep    time.Duration // how long an event is tried to be told
	Max     int64         // bytes of events that wait
	Targets config.Events // who is told
	Logger  *slog.Logger  // nil means slog.Default()
	// Claims are those of all programs that tell the same events; nil: this one is alone.
	Claims Claims

	transport http.RoundTripper // of webhooks; nil: by the network
}

// Service is the events of a program. Safe for concurrent use. Without anybody to tell it
// does nothing, and has no file.
type Service struct {
	o   Options
	log *slog.Logger

	in      chan change
	between chan func() // run by the writer between two writes
	writing sync.WaitGroup
	life    context.Context // of what the queue does: ends with Close
	cancel  context.CancelFunc

	order   atomic.Pointer[[]*target] // who is told
	awake   chan struct{}             // capacity 1: order has changed
	closed  atomic.Bool
	size    atomic.Int64           // bytes of the events that wait
	lost    atomic.Int64           // events that were left out because in was full
	failing atomic.Pointer[string] // why the disk takes nothing; nil: it does

	changing sync.Mutex            // held while who is told changes
	queue    atomic.Pointer[queue] // nil until there is somebody to tell

	levelMu sync.Mutex
	levels  map[string]bool // what is told to be wrong
}

// change is what is to be written at once: all of it or nothing.
type change struct {
	events []Event
	apply  func(*sql.Tx) error // more to write; nil: nothing
	result *Delivery
	done   chan error // gets what came of it, capacity 1; nil: nobody waits
}

// Open opens the queue, if anybody is to be told, and begins to tell what waits.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Service{
		o: o, log: o.Logger, in: make(chan change, maxUnwritten), between: make(chan func()),
		awake: make(chan struct{}, 1), levels: map[string]bool{},
	}
	s.order.Store(new([]*target))
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.Replace(ctx, o.Targets); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// Replace takes over who is told. What waits for somebody who is not told any more is
// dropped; who is new is told of what happens from now on.
func (s *Service) Replace(ctx context.Context, cfg config.Events) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	wanted := receivers(cfg, s.o.transport)
	if s.closed.Load() || len(wanted) == 0 && s.queue.Load() == nil {
		return nil
	}
	var ended map[string]string
	if s.queue.Load() == nil {
		var err error
		if ended, err = s.open(ctx); err != nil {
			return err
		}
	}
	next, begin, end := s.compare(wanted)
	for _, t := range end {
		t.stop()
	}
	result := make(chan error, 1)
	select {
	case s.between <- func() { result <- s.swap(next, begin) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-result; err != nil {
		return fmt.Errorf("read what waits in events.file: %w", err)
	}
	for _, t := range begin {
		t.start(s.life)
	}
	for stream := range ended {
		s.Left(stream, map[string]string{"reason": "the program stopped"})
	}
	select {
	case s.awake <- struct{}{}:
	default:
	}
	return nil
}

// compare returns who is told from now on, who of these is new or has changed, and who is
// not told any more.
func (s *Service) compare(wanted []receiver) (next, begin, end []*target) {
	old := map[string]*target{}
	for _, t := range s.receivers() {
		old[t.name] = t
	}
	for _, r := range wanted {
		t := old[r.name]
		if t == nil || t.setup != r.setup {
			t = newTarget(s, r)
			begin = append(begin, t)
		} else {
			delete(old, r.name)
		}
		next = append(next, t)
	}
	for _, t := range s.receivers() {
		if old[t.name] == t {
			end = append(end, t)
		}
	}
	return next, begin, end
}

// swap changes who is told, and reads what waits for those that are new. It is run by the
// writer: nothing can be added meanwhile.
func (s *Service) swap(next, begin []*target) error {
	q := s.queue.Load()
	if err := q.keepOnly(s.life, next); err != nil {
		return err
	}
	size, err := q.bytes(s.life)
	if err != nil {
		return err
	}
	s.size.Store(size)
	for _, t := range begin {
		if err := q.waiting(s.life, t.name, t.push); err != nil {
			return err
		}
	}
	s.order.Store(&next)
	return nil
}

// open opens the queue, and begins to write to it. ended are the streams that were told to
// have a publisher by a program that has stopped without telling that they have none.
func (s *Service) open(ctx context.Context) (ended map[string]string, err error) {
	q, err := openQueue(ctx, s.o.File)
	if err != nil {
		return nil, err
	}
	ended, err = q.states(ctx, stateLive)
	var levels map[string]string
	if err == nil {
		levels, err = q.states(ctx, stateLevel)
	}
	if err != nil {
		return nil, fmt.Errorf("read events.file: %w", errors.Join(err, q.close()))
	}
	s.levelMu.Lock()
	for name := range levels {
		s.levels[name] = true
	}
	s.levelMu.Unlock()
	s.queue.Store(q)
	s.writing.Go(s.write)
	return ended, nil
}

// Active reports whether anybody is told.
func (s *Service) Active() bool { return len(s.receivers()) > 0 }

// Emit has an event told. It does not wait: an event for which there is no room is counted
// and left out.
func (s *Service) Emit(e Event) { s.put(change{events: []Event{e}}) }

// put hands over what nobody waits for, and reports whether there was room.
func (s *Service) put(c change) bool {
	if s.closed.Load() || len(s.receivers()) == 0 {
		return false
	}
	now := time.Now()
	for i := range c.events {
		if c.events[i].Time.IsZero() {
			c.events[i].Time = now
		}
	}
	select {
	case s.in <- c:
		return true
	default:
		s.lost.Add(int64(len(c.events)))
		return false
	}
}

// commit hands over what is to be written, and waits until it is.
func (s *Service) commit(ctx context.Context, c change) error {
	c.done = make(chan error, 1)
	select {
	case s.in <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle writes what came of an attempt.
func (s *Service) settle(ctx context.Context, d *Delivery) {
	select {
	case s.in <- change{result: d}:
	case <-ctx.Done(): // it is told once more
	}
}

// flush waits until what was handed over is written, unless the disk does not take it.
func (s *Service) flush() {
	ctx, cancel := context.WithTimeout(s.life, lastWords)
	defer cancel()
	_ = s.commit(ctx, change{}) // what is not written is told once more
}

// write writes what is handed over until Close.
func (s *Service) write() {
	for {
		var all []change
		select {
		case c := <-s.in:
			all = append(all, c)
		case do := <-s.between:
			do()
			continue
		case <-s.life.Done():
			return
		}
		for more := true; more && len(all) < batch; {
			select {
			case c := <-s.in:
				all = append(all, c)
			default:
				more = false
			}
		}
		s.writeAll(all)
	}
}

// writeAll writes changes, and tries again until the disk takes them.
func (s *Service) writeAll(all []change) {
	for {
		err := s.writeOnce(all)
		if err == nil {
			s.failing.Store(nil)
			return
		}
		if s.life.Err() != nil {
			return
		}
		text := fault.Text(err)
		if before := s.failing.Swap(&text); before == nil {
			s.log.Error("events cannot be written to their queue, will try again", "file", s.o.File, "error", err)
		}
		wait := time.NewTimer(writeRetry)
		select {
		case <-wait.C:
		case <-s.life.Done():
			wait.Stop()
			return
		}
	}
}

// queued is an event that was written, and who is to be told.
type queued struct {
	message
	targets []*target
}

func (s *Service) writeOnce(all []change) error {
	var added []queued
	var size int64
	q := s.queue.Load()
	err := q.change(s.life, func(tx *sql.Tx) error {
		added, size = nil, s.size.Load()
		for _, c := range all {
			for _, e := range c.events {
				one, err := s.add(tx, e, &size)
				if err != nil {
					return err
				}
				added = append(added, one)
			}
			if c.apply != nil {
				if err := c.apply(tx); err != nil {
					return err
				}
			}
			if c.result != nil {
				freed, err := q.settle(s.life, tx, c.result)
				if err != nil {
					return err
				}
				size -= freed
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.size.Store(size)
	for _, one := range added {
		for _, t := range one.targets {
			t.push(one.seq, one.subject)
		}
	}
	for _, c := range all {
		if c.done != nil {
			c.done <- nil
		}
	}
	return nil
}

// add writes an event for those who want it and have room.
func (s *Service) add(tx *sql.Tx, e Event, size *int64) (queued, error) {
	m, err := encode(e, s.o.Source, time.Now())
	if err != nil {
		s.log.Error("an event was left out", "error", err)
		return queued{}, nil
	}
	one := queued{message: m}
	var names []string
	for _, t := range s.receivers() {
		if !wanted(t.patterns, e.Type) {
			continue
		}
		if *size+int64(len(m.body)) > s.o.Max {
			t.leftOut()
		} else if t.room(e.Type) {
			one.targets = append(one.targets, t)
			names = append(names, t.name)
		}
	}
	if len(names) == 0 {
		return queued{}, nil
	}
	*size += int64(len(m.body))
	err = s.queue.Load().add(s.life, tx, &one.message, names)
	return one, err
}

func (s *Service) receivers() []*target { return *s.order.Load() }

// Close writes what was handed over, waits a moment for receivers that are well, and ends.
// What waits is told by the next program that opens the queue.
func (s *Service) Close(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	q := s.queue.Load()
	if s.closed.Swap(true) || q == nil {
		s.cancel()
		return nil
	}
	s.flush()
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	awaitIdle(ctx, s.receivers())
	for _, t := range s.receivers() {
		t.stop()
	}
	s.flush()
	s.cancel()
	s.writing.Wait()
	return q.close()
}

// awaitIdle waits until receivers have been told what is to be told now.
func awaitIdle(ctx context.Context, targets []*target) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(targets, func(t *target) bool { return !t.idle() }) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Look is a look at the events, for health.Watch.
func (s *Service) Look(context.Context) error {
	if text := s.failing.Load(); text != nil {
		return health.Minor(fault.Errorf(fault.Unavailable, "events cannot be written to events.file, and those that happen meanwhile may not be told: %s", *text).Coded("events_unwritten"))
	}
	var errs []error
	for _, t := range s.receivers() {
		errs = append(errs, t.look())
	}
	return health.Minor(errors.Join(errs...))
}

// look says what is wrong with a receiver.
func (t *target) look() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failures < patience:
		return nil
	case t.waiting >= maxWaiting*3/4:
		return fault.Errorf(fault.Unavailable, "%s %s takes no events, and so many wait for it that others are left out; GET /api/webhooks says why", t.kind, t.name).Coded("events_dropped", "target", t.name)
	}
	return fault.Errorf(fault.Unavailable, "%s %s takes no events, which wait for it; GET /api/webhooks says why", t.kind, t.name).Coded("events_wait", "target", t.name)
}

// DeliveryQuery selects deliveries.
type DeliveryQuery struct {
	Target, Subject string // empty: any
	Before          int64  // N of the last one that is known; 0: from the newest on
	Limit           int
}

// Deliveries returns the newest attempts to tell events, the newest first.
func (s *Service) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	opened := s.queue.Load()
	if opened == nil {
		return []Delivery{}, nil
	}
	all, err := opened.deliveries(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read events.file: %w", err)
	}
	return all, nil
}

// Names returns the receivers, by kind and name, for the log.
func (s *Service) Names() string {
	var names []string
	for _, t := range s.receivers() {
		names = append(names, t.kind+" "+t.name)
	}
	return strings.Join(names, ", ")
}

// kinds of what is noted in the queue.
const (
	stateLive  = "live"  // streams that have been told to have a publisher
	stateLevel = "level" // disks and nodes that have been told to be wrong
	stateFeed  = "feed"  // where in the catalogue's changes we are
	statePlace = "place" // where in other lists we are
)

// Came tells that a stream has a publisher.
func (s *Service) Came(stream, session string, data any) {
	s.put(change{
		events: []Event{{Type: config.EventStreamStarted, Subject: stream, Data: data}},
		apply:  func(tx *sql.Tx) error { return setState(s.life, tx, stateLive, stream, session) },
	})
}

// Left tells that a stream's publisher has left.
func (s *Service) Left(stream string, data any) {
	s.put(change{
		events: []Event{{Type: config.EventStreamEnded, Subject: stream, Data: data}},
		apply:  func(tx *sql.Tx) error { return setState(s.life, tx, stateLive, stream, "") },
	})
}

// Level tells that something is wrong, or well again: once for each time.
func (s *Service) Level(wrong bool, e Event, name string) {
	s.levelMu.Lock()
	defer s.levelMu.Unlock()
	if s.levels[name] == wrong {
		return
	}
	value := ""
	if wrong {
		value = e.Type
	}
	if s.put(change{events: []Event{e}, apply: func(tx *sql.Tx) error { return setState(s.life, tx, stateLevel, name, value) }}) {
		s.levels[name] = wrong
	}
}
