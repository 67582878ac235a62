package chaos

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const (
	// socketBytes is what the kernel keeps of what arrives while the node stands still.
	socketBytes = 200 << 10
	// looks is how long a node that has stood still may look at its clocks before it reads.
	looks = 300 * time.Millisecond
	// vanishAfter is how long a publisher that says nothing more counts as there.
	vanishAfter = 10 * time.Second
)

// event is something that happens at a time of the world.
type event struct {
	at  time.Duration
	seq int
	net bool // of the senders and the network, which go on while the node stands still
	do  func()
}

type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// next takes the next event out.
func (e *events) next() *event { return heap.Pop(e).(*event) }

// world is a run: its time is that of a bubble of synctest, plus the times in which
// the node stood still, in which none of its clocks runs.
type world struct {
	t     *testing.T
	sc    *Scenario
	dice  dice
	log   *diary
	start time.Time

	current  time.Duration // of the last event
	skipped  atomic.Int64  // the times that the node stood still, in nanoseconds
	frozen   bool
	frozeAt  time.Duration
	thawAt   time.Duration
	socket   []func()
	buffered int

	queue events
	seq   int

	node  *node
	truth truth
}

// diary is the log of a run.
type diary struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buf.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.buf.String()
}

// now is the time of the node's clock.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skipped.Load())) }

// age is the time of the world.
func (w *world) age() time.Duration {
	if w.frozen {
		return w.current
	}
	return w.now().Sub(w.start)
}

// wall converts a time of the world to one of the clock.
func (w *world) wall(at time.Duration) time.Time { return w.start.Add(at) }

// at has something happen to the node; net to senders or to the network.
func (w *world) at(at time.Duration, do func())  { w.push(at, false, do) }
func (w *world) net(at time.Duration, do func()) { w.push(at, true, do) }

func (w *world) push(at time.Duration, net bool, do func()) {
	w.seq++
	heap.Push(&w.queue, &event{at, w.seq, net, do})
}

// run lets a scenario happen and returns what was recorded, in a folder. It must
// run in a bubble.
func run(t *testing.T, sc *Scenario, folders *folders) *world {
	time.Sleep(time.Until(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)))
	w := &world{t: t, sc: sc, dice: dice{rand.New(rand.NewPCG(sc.Seed, 999))}, log: &diary{}, start: time.Now()}
	w.boot(folders.next())
	for i := range sc.Lives {
		w.begin(&sc.Lives[i])
	}
	for _, f := range sc.Faults {
		w.at(f.At, func() { w.fault(f, folders) })
	}
	if sc.Manual > 0 {
		w.at(sc.Manual, w.startRecording)
		w.at(sc.End, w.stopRecording)
	}
	for w.queue.Len() > 0 {
		w.step(w.queue.next())
	}
	if w.frozen {
		w.thaw()
	}
	synctest.Wait()
	w.shutDown()
	return w
}

// step lets an event happen, at its time.
func (w *world) step(e *event) {
	if w.frozen && e.at >= w.thawAt {
		w.thaw()
	}
	switch {
	case w.frozen && !e.net:
		w.push(w.thawAt, false, e.do)
		return
	case !w.frozen:
		time.Sleep(e.at - w.age())
	}
	w.current = e.at
	e.do()
	w.settle()
}

// settle waits until the node has done what it does about an event, so that a run of a seed is
// the same each time: of two events at one instant it sees one after the other.
func (w *world) settle() {
	if !w.frozen {
		synctest.Wait()
	}
}

// freeze stops the node for a time.
func (w *world) freeze(d time.Duration) {
	w.frozen, w.frozeAt, w.thawAt = true, w.age(), w.age()+d
	w.truth.note("standstill", w.frozeAt, w.thawAt)
}

// thaw lets the node go on, which finds what the socket has kept.
func (w *world) thaw() {
	w.frozen = false
	w.skipped.Add(int64(w.thawAt - w.frozeAt))
	if w.dice.chance(0.5) {
		time.Sleep(w.dice.between(0, looks)) // it looks at its clocks first
	}
	for _, deliver := range w.socket {
		deliver()
		w.settle()
	}
	w.socket, w.buffered = nil, 0
}

// arrive brings bytes to the node; false if nobody takes them.
func (w *world) arrive(size int, deliver func()) bool {
	switch {
	case w.node == nil:
		return false
	case !w.frozen:
		deliver()
		return true
	case w.buffered+size > socketBytes:
		return false
	}
	w.buffered += size
	w.socket = append(w.socket, deliver)
	return true
}

func (w *world) fault(f Fault, folders *folders) {
	switch {
	case w.node == nil:
		return
	case f.Kind == "standstill":
		w.freeze(f.For)
	case f.Kind == "crash":
		w.crash(f.For, folders)
	default:
		w.truth.note(f.Kind, f.At, f.At+f.For)
		store := w.node.store
		store.fail(f.Kind)
		w.at(f.At+f.For, func() { store.fail("") })
	}
}
