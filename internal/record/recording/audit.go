package recording

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// What storage has acknowledged may be gone when the recording ends: its root was
// replaced, or a rule of the bucket deletes. So the recorder looks for all objects
// before the recording counts as stored.

// auditTimeout bounds one such look. Others wait meanwhile, and it is tried again.
const auditTimeout = 5 * time.Second

// absence is what storage does not have of a recording.
type absence struct {
	missing, of int
	first       string        // of the missing ones
	from        time.Duration // media time before which all is there
	unsent      bool          // it was lost before it came to storage
}

// err returns the reason for the verdict; nil if nothing is missing.
func (a absence) err() error {
	if a.missing == 0 {
		return nil
	}
	if a.unsent {
		return fault.Errorf(fault.Unavailable, "%d of %d objects were gone from the spool before they were uploaded, %s first: was its folder removed or replaced?",
			a.missing, a.of, a.first)
	}
	return fault.Errorf(fault.Unavailable, "storage does not have %d of %d objects any more that it had taken, %s first: was its folder replaced, or does a rule of the bucket delete objects?",
		a.missing, a.of, a.first)
}

// audit compares what storage has with what the manifest names.
func (rec *Recording) audit() (a absence, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	there := map[string]bool{}
	for o, err := range rec.store().List(ctx, rec.dir) {
		if err != nil {
			return a, fmt.Errorf("look what is stored of the recording: %w", err)
		}
		if path.Dir(o.Key) == rec.dir {
			there[path.Base(o.Key)] = true
		}
	}
	return rec.absent(func(name string) bool { return there[name] }), nil
}

// absent compares what is there with what the manifests name, and has those know that
// can tell of segments that are lost.
func (rec *Recording) absent(there func(name string) bool) (a absence) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	defer func() {
		if a.missing > 0 {
			rec.changed()
		}
	}()
	a.from = rec.end
	for i := range rec.pres.Periods {
		p := &rec.pres.Periods[i]
		for j := range p.Sets {
			for k := range p.Sets[j].Representations {
				r := &p.Sets[j].Representations[k]
				if r.Format == nil || r.Timeline == nil || r.Timeline.Len() == 0 {
					continue
				}
				before := a.missing
				a.look(there, r.Init)
				for n := range r.Timeline.Len() {
					if !a.look(there, media.SegmentName(r.Media, r.StartNumber+n)) {
						r.Timeline.Lose(n)
					}
				}
				if a.missing > before {
					a.from = min(a.from, p.Start)
				}
			}
		}
	}
	return a
}

// look reports whether an object is there, and counts.
func (a *absence) look(there func(name string) bool, name string) bool {
	a.of++
	if there(name) {
		return true
	}
	if a.missing == 0 {
		a.first = name
	}
	a.missing++
	return false
}

// audited is audit for storage without a spool. It returns why the recording has
// failed. If storage does not answer, nothing is known, and the recording has not
// failed for that.
func (rec *Recording) audited(failure error) error {
	if rec.uploads() {
		return failure // it is looked at when it is uploaded, and admitLost does the rest
	}
	a, err := rec.audit()
	if err != nil {
		rec.log().Warn("it is not known whether storage has all of a recording", "record_dir", rec.dir, "error", err)
		return failure
	}
	rec.lose(a)
	if failure == nil {
		failure = a.err()
	}
	return failure
}

// lose notes what is missing.
func (rec *Recording) lose(a absence) {
	if a.missing == 0 {
		return
	}
	rec.log().Error("storage has lost parts of a recording", "record_dir", rec.dir, "missing", a.missing, "objects", a.of, "first", a.first)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.intactUntil(a.from)
}

// intactUntil notes that media from a time on is lost. Called with mu held.
func (rec *Recording) intactUntil(from time.Duration) {
	if rec.intact == nil || from < *rec.intact {
		rec.intact = &from
	}
}

// proved bounds a media time, in seconds, by where the first lost media begins. Called
// with mu held.
func (rec *Recording) proved(through float64) float64 {
	if rec.intact == nil {
		return through
	}
	return min(through, Seconds(*rec.intact))
}

// auditUploaded is audit for a recording that was sealed before it was uploaded. If
// something is missing, the verdict changes. It is done once. Called with storing held.
func (rec *Recording) auditUploaded() error {
	if rec.looked {
		return nil
	}
	a, err := rec.audit()
	if err != nil {
		return err
	}
	rec.looked = true
	if a.missing == 0 {
		return nil
	}
	if _, err := rec.putManifests(); err != nil {
		return err
	}
	return rec.put(infoName, encodeInfo(rec.condemn(a)))
}

// condemn changes the verdict of a sealed recording of which something is missing. It
// returns what is to be stored.
func (rec *Recording) condemn(a absence) media.Recording {
	rec.lose(a)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if a.missing > 0 && rec.info.Status != media.StatusFailed { // else why is known
		rec.info.Status, rec.info.Reason = verdict(&rec.info, a.err())
		rec.host.Failed()
	}
	info := rec.info
	info.DurableThrough = rec.proved(info.Duration)
	return info
}

// admitLost changes the verdict of a recording at once when objects are gone from this
// machine before they were uploaded, because remote storage may take nothing for hours.
// What can be made again is stored again. Called with storing held.
func (rec *Recording) admitLost(lost []string) error {
	if len(lost) == rec.admitted {
		return nil
	}
	gone := setOf(lost)
	isLost := func(name string) bool { return gone[path.Join(rec.dir, name)] }
	a := rec.absent(func(name string) bool { return !isLost(name) })
	a.unsent = true
	if a.missing > 0 || slices.ContainsFunc(lost, func(key string) bool { return storage.ClassOf(key) == storage.Manifest }) {
		if _, err := rec.putManifests(); err != nil {
			return err
		}
	}
	if err := rec.put(infoName, encodeInfo(rec.condemn(a))); err != nil {
		return err
	}
	maps.DeleteFunc(gone, func(key string, _ bool) bool {
		return storage.ClassOf(key) != storage.Media
	})
	rec.admitted = len(gone)
	rec.host.Changed(rec.Snapshot())
	return nil
}
