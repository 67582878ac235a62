package spool

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/storage"
)

// state is where an entry is on its way.
type state uint8

const (
	opened    state = iota // being written
	torn                   // could not be closed; Repair, Delete or the next start mend that
	waiting                // for its upload
	uploading              //
	refused                // the remote cannot take it; it stays here
	lost                   // its object has vanished from the local disk
	gone                   // not an entry any more
)

// entry is an object on the local disk. There may be very many: it is kept small.
type entry struct {
	key    string
	folder *folder
	up     *upload // while it is being uploaded

	size      int64
	at        int64  // Unix time in ns of when it was queued, or opened
	notBefore int64  // time of the next try, of Spool.ticks
	unsure    int64  // until this time of Spool.ticks an upload without an answer may still be carried out
	seq       uint64 // place in the queue; 0: has none yet
	version   uint32 // changes with the content
	acks      uint32 // objects that were acknowledged, of any entry, when it first failed
	attempts  uint16 // that failed in a row
	class     storage.Class
	state     state

	fresh   bool // made here by Create, and never sent anywhere
	busy    bool // Put is replacing it
	deleted bool // Delete is under way
	check   bool // acknowledged, but an older upload may still overtake it: look again
}

// become changes the state of an entry. Called with mu held.
func (e *entry) become(to state) {
	switch {
	case to == lost && e.state != lost:
		e.folder.lost++
	case to != lost && e.state == lost:
		e.folder.lost--
	}
	e.state = to
}

// stuck reports whether an entry will not be uploaded unless somebody acts.
func (e *entry) stuck() bool { return e.state == refused || e.state == lost }

// isClaim reports whether an entry is a claim that is not acknowledged. Called with mu held.
func (e *entry) isClaim() bool { return e.class == storage.Info && e.folder.state == claiming }

// scan makes entries of what is on the disk, in the order in which it was written.
func (s *Spool) scan(ctx context.Context) error {
	var found []storage.Object
	for o, err := range s.disk.objects.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		found = append(found, o)
	}
	slices.SortStableFunc(found, func(a, b storage.Object) int {
		if ca, cb := a.Class(), b.Class(); ca != cb {
			return int(ca) - int(cb) // a manifest may name anything that is here
		}
		return a.Modified.Compare(b.Modified)
	})
	s.mu.Lock()
	for _, o := range found {
		e := s.add(o.Key, o.Size)
		s.happens(e.folder, foundObject) // it is this node's, or it would not be here
		s.enqueue(e)
		e.at = o.Modified.UnixNano()
	}
	s.unlock()
	return s.scanClaims(ctx)
}

// queue has the entries of a spool, by their folders. Guarded by Spool.mu.
type queue struct {
	entries map[string]*entry
	folders map[string]*folder
	active  []*folder // those with entries that wait
	seq     uint64    // of the last entry that was queued
}

// folder returns the folder of a key, which is made where there is none.
func (q *queue) folder(key string) *folder {
	name := path.Dir(key)
	f := q.folders[name]
	if f == nil {
		if len(q.folders) >= maxFolders {
			maps.DeleteFunc(q.folders, func(_ string, f *folder) bool { return f.count == 0 })
		}
		f = &folder{name: name}
		q.folders[name] = f
	}
	return f
}

// insert makes an entry, which is open.
func (q *queue) insert(key string, at time.Time) *entry {
	f := q.folder(key)
	e := &entry{key: key, folder: f, class: storage.ClassOf(key), at: at.UnixNano()}
	switch e.class {
	case storage.Manifest:
		f.manifests = append(f.manifests, e)
	case storage.Info:
		f.info = e
	case storage.Media:
	}
	f.count++
	q.entries[key] = e
	return e
}

// append gives an entry the last place. Media keeps the one that it has.
func (q *queue) append(e *entry) {
	if e.seq == 0 || e.class != storage.Media {
		q.seq++
		e.seq = q.seq
		if e.class == storage.Media {
			e.folder.media = append(e.folder.media, e)
		}
	}
	if !e.folder.listed {
		e.folder.listed = true
		q.active = append(q.active, e.folder)
	}
}

// drop forgets an entry, and its folder if nothing is known of it without entries.
func (q *queue) drop(e *entry) {
	delete(q.entries, e.key)
	f := e.folder
	e.become(gone)
	switch e.class {
	case storage.Manifest:
		f.manifests = slices.DeleteFunc(f.manifests, func(m *entry) bool { return m == e })
	case storage.Info:
		f.info = nil
	case storage.Media:
	}
	if f.count--; f.count == 0 && f.state == unclaimed {
		delete(q.folders, f.name)
	}
	f.trim()
}

// The functions of Spool below are called with mu held.

// add makes an entry, which is open.
func (s *Spool) add(key string, size int64) *entry {
	e := s.queue.insert(key, s.clock.now())
	s.resize(e, size)
	return e
}

// enqueue lets an entry wait for its upload; it is as new. A replaceable object
// goes to the end: it may name all that is queued.
func (s *Spool) enqueue(e *entry) {
	if e.state != uploading { // which sees that the version has changed
		e.become(waiting)
	}
	e.at, e.notBefore, e.attempts, e.check = s.clock.now().UnixNano(), 0, 0, false
	if e.class != storage.Media {
		s.outage.left(e) // its place
	}
	s.queue.append(e)
	s.poke()
}

// remove forgets an entry.
func (s *Spool) remove(e *entry) {
	s.resize(e, 0)
	s.outage.left(e)
	s.noteCaughtUp()
	s.queue.drop(e)
	s.poke() // others may have waited for it
}

// pick returns the entry that is uploaded next: of the folder with the fewest
// uploads under way, the oldest. A probe is one whatever its last failures were,
// but another one each time. If there is none, at is the time when that can change,
// or 0; times are those of Spool.ticks.
func (q *queue) pick(now int64, probe bool) (best *entry, at int64) {
	q.active = slices.DeleteFunc(q.active, func(f *folder) bool {
		if f.count > 0 {
			return false
		}
		f.listed = false
		return true
	})
	for _, f := range q.active {
		e, next := f.next(now, probe)
		if e == nil {
			if next != 0 && (at == 0 || next < at) {
				at = next
			}
			continue
		}
		if best == nil || e.before(best, probe) {
			best = e
		}
	}
	return best, at
}

func (e *entry) before(o *entry, probe bool) bool {
	if probe && e.attempts != o.attempts {
		return e.attempts < o.attempts
	}
	if n, m := e.folder.inFlight, o.folder.inFlight; n != m {
		return n < m
	}
	return e.seq < o.seq
}
