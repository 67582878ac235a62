package recorder

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// reporter tells the catalogue of recordings, in the order in which they first changed,
// and only the newest state of each. So a slow catalogue delays no recording, and no
// more waits for it than there are recordings.
type reporter struct {
	r    *Recorder
	wake chan struct{} // capacity 1

	putting sync.Mutex // held while the catalogue is being told, and what follows; taken before mu

	mu      sync.Mutex
	order   []string // record_dirs that wait
	waiting map[string]*report
}

// report is the state of a recording that the catalogue has not been told yet.
type report struct {
	info   media.Recording
	states int           // handed over so far
	stored chan struct{} // closed when the last of them is stored
}

func newReporter(r *Recorder) *reporter {
	return &reporter{r: r, wake: make(chan struct{}, 1), waiting: map[string]*report{}}
}

// add hands over the state of a recording.
func (p *reporter) add(info media.Recording) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[info.RecordDir]
	if w == nil {
		w = &report{stored: make(chan struct{})}
		p.waiting[info.RecordDir] = w
		p.order = append(p.order, info.RecordDir)
	}
	w.info = info
	w.states++
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// told returns a channel that is closed when the catalogue knows all that was added of
// a recording.
func (p *reporter) told(recordDir string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.waiting[recordDir]; w != nil {
		return w.stored
	}
	done := make(chan struct{})
	close(done)
	return done
}

// waits reports whether something of a recording waits for the catalogue.
func (p *reporter) waits(recordDir string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting[recordDir] != nil
}

// forget drops what waits of a recording that is being deleted. When it returns, no
// report of it is under way either.
func (p *reporter) forget(recordDir string) {
	p.putting.Lock()
	defer p.putting.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(recordDir)
}

// drop takes a recording out of what waits. Called with mu held.
func (p *reporter) drop(recordDir string) {
	w := p.waiting[recordDir]
	if w == nil {
		return
	}
	p.order = slices.DeleteFunc(p.order, func(dir string) bool { return dir == recordDir })
	delete(p.waiting, recordDir)
	close(w.stored)
}

// run reports until ctx ends. It tries a catalogue that is away again now and then.
func (p *reporter) run(ctx context.Context) {
	retry := time.NewTicker(retryAfter)
	defer retry.Stop()
	for wake := p.wake; ; {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-retry.C:
		}
		wake = p.wake
		if away := p.flush(ctx); away {
			wake = nil
		}
	}
}

// flush reports what waits. A recording that the catalogue refuses keeps its place and
// does not hold up others. If the catalogue is away, the round ends.
func (p *reporter) flush(ctx context.Context) (away bool) {
	for refused := 0; ctx.Err() == nil; {
		more, err := p.tell(ctx, refused)
		switch {
		case !more:
			return false
		case takesNothing(err):
			return true
		case err != nil:
			refused++
		}
	}
	return false
}

// takesNothing reports whether an error is the catalogue's and not the recording's:
// others would fail too.
func takesNothing(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Unavailable || kind == fault.StorageFull || errors.Is(err, context.DeadlineExceeded)
}

// tell tells the catalogue of the recording at a place of the order; more is false
// if there is none.
func (p *reporter) tell(ctx context.Context, place int) (more bool, err error) {
	p.putting.Lock()
	defer p.putting.Unlock()
	p.mu.Lock()
	if len(p.order) <= place {
		p.mu.Unlock()
		return false, nil
	}
	dir := p.order[place]
	w := p.waiting[dir]
	info, states := w.info, w.states
	p.mu.Unlock()
	if err := p.put(ctx, info); err != nil {
		p.r.log.Error("catalogue was not updated, will try again",
			"stream", info.Stream, "record_id", info.RecordID, "record_dir", dir, "error", err)
		return true, err
	}
	p.mu.Lock()
	if w.states == states { // else it has changed while it was being stored
		p.drop(dir)
	}
	p.mu.Unlock()
	p.r.reported(dir)
	return true, nil
}

func (p *reporter) put(ctx context.Context, info media.Recording) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return p.r.o.Catalogue.Put(ctx, info)
}

// idle reports whether nothing waits, and all that follows has been done.
func (p *reporter) idle() bool {
	p.putting.Lock()
	defer p.putting.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.order) == 0
}
