package spool

import (
	"context"
	"fmt"
	"path"
	"slices"

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
	claim   bool // its claim is not acknowledged
	check   bool // acknowledged, but an older upload may still overtake it: look again
	lost    bool // its object has vanished from the local disk
}

// folder has the entries of one recording.
type folder struct {
	name      string
	media     []*entry // by seq; those that wait no more are dropped when they come first
	manifests []*entry // a few
	info      *entry
	count     int // entries of all kinds and states
	inFlight  int
	lost      int  // entries that are
	owned     bool // claimed by this process
	frozen    bool // claimed by somebody else: what is remote is not ours
	active    bool // is in Spool.active
}

// scan makes entries of what is on the disk, in the order in which it was written.
func (s *Spool) scan(ctx context.Context) error {
	var found []storage.Object
	for o, err := range s.local.List(ctx, "") {
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
		e.folder.owned = true // or it would not be here
		s.enqueue(e)
		e.at = o.Modified.UnixNano()
	}
	s.unlock()
	return s.scanClaims(ctx)
}

// The functions below are called with mu held.

// folderOf returns the folder of a key, which is made where there is none.
func (s *Spool) folderOf(key string) *folder {
	name := path.Dir(key)
	f := s.folders[name]
	if f == nil {
		if len(s.folders) >= maxFolders {
			s.forgetFolders()
		}
		f = &folder{name: name}
		s.folders[name] = f
	}
	return f
}

func (s *Spool) forgetFolders() {
	for name, f := range s.folders {
		if f.count == 0 {
			delete(s.folders, name)
		}
	}
}

// add makes an entry, which is open.
func (s *Spool) add(key string, size int64) *entry {
	f := s.folderOf(key)
	e := &entry{key: key, folder: f, class: storage.ClassOf(key), at: s.now().UnixNano()}
	switch e.class {
	case storage.Manifest:
		f.manifests = append(f.manifests, e)
	case storage.Info:
		f.info = e
	case storage.Media:
	}
	f.count++
	s.entries[key] = e
	s.resize(e, size)
	return e
}

// resize notes an object's size.
func (s *Spool) resize(e *entry, size int64) {
	if e.class == storage.Media {
		s.used += size - e.size
		s.watchLevel()
	}
	e.size = size
}

// enqueue lets an entry wait for its upload; it is as new. A replaceable object
// goes to the end: it may name all that is queued.
func (s *Spool) enqueue(e *entry) {
	if e.state != uploading { // which sees that the version has changed
		e.state = waiting
	}
	e.at, e.notBefore, e.attempts, e.check = s.now().UnixNano(), 0, 0, false
	e.setLost(false)
	if e.seq == 0 || e.class != storage.Media {
		s.catchUp.left(e)
		s.seq++
		e.seq = s.seq
		if e.class == storage.Media {
			e.folder.media = append(e.folder.media, e)
		}
	}
	if !e.folder.active {
		e.folder.active = true
		s.active = append(s.active, e.folder)
	}
	s.poke()
}

// remove forgets an entry.
func (s *Spool) remove(e *entry) {
	s.resize(e, 0)
	e.setLost(false)
	s.catchUp.left(e)
	s.noteCaughtUp()
	delete(s.entries, e.key)
	f := e.folder
	e.state = gone
	switch e.class {
	case storage.Manifest:
		f.manifests = slices.DeleteFunc(f.manifests, func(m *entry) bool { return m == e })
	case storage.Info:
		f.info = nil
	case storage.Media:
	}
	if f.count--; f.count == 0 && !f.owned && !f.frozen {
		delete(s.folders, f.name)
	}
	f.trim()
	s.poke() // others may have waited for it
}

// trim drops from the queue what does not wait any more.
func (f *folder) trim() {
	waits := func(e *entry) bool { return e.state == waiting || e.state == uploading }
	for len(f.media) > 0 && !waits(f.media[0]) {
		f.media[0] = nil
		f.media = f.media[1:]
	}
	// Deleting from the back must not leave a long tail of nothing.
	if n := len(f.media); n > 0 && !waits(f.media[n-1]) {
		f.media = f.media[:n-1]
	}
}

// pick returns the entry that is uploaded next: of the folder with the fewest
// uploads under way, the oldest. A probe is one whatever its last failures were,
// but another one each time. If there is none, at is the time when that can change,
// or 0; times are those of Spool.ticks.
func (s *Spool) pick(now int64, probe bool) (best *entry, at int64) {
	s.active = slices.DeleteFunc(s.active, func(f *folder) bool {
		if f.count > 0 {
			return false
		}
		f.active = false
		return true
	})
	for _, f := range s.active {
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

// next returns the folder's entry that is to be uploaded next, or when there may be one.
func (f *folder) next(now int64, probe bool) (best *entry, at int64) {
	if f.frozen {
		return nil, 0
	}
	consider := func(e *entry) {
		switch {
		case e.state != waiting || e.deleted || e.busy:
		case e.notBefore > now && (!probe || e.check):
			if at == 0 || e.notBefore < at {
				at = e.notBefore
			}
		case best == nil || e.before(best, probe):
			best = e
		}
	}
	if f.info != nil && f.info.claim {
		consider(f.info)
		return best, at
	}
	for _, m := range f.manifests {
		if f.sentBefore(m.seq) && !f.manifestBefore(m.seq) {
			consider(m)
		}
	}
	if i := f.info; i != nil && f.sentBefore(i.seq) && !f.manifestBefore(i.seq) {
		consider(i)
	}
	for _, e := range f.media {
		if consider(e); best != nil && (!probe || best.attempts == 0) {
			break
		}
	}
	return best, at
}

// manifestBefore reports whether a manifest from before seq is to be uploaded.
func (f *folder) manifestBefore(seq uint64) bool {
	return slices.ContainsFunc(f.manifests, func(m *entry) bool { return !m.check && m.state != refused && m.seq < seq })
}

// sentBefore reports whether all media before seq has been acknowledged, or never
// will be.
func (f *folder) sentBefore(seq uint64) bool {
	f.trim()
	return len(f.media) == 0 || f.media[0].seq > seq
}
