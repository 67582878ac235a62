package recording

import (
	"path"
	"slices"
	"time"
)

// stored is an object of a recording that has been handed to storage.
type stored struct {
	name string
	from time.Duration // media time of its first sample
}

// durableThrough returns the media time up to which storage has acknowledged
// everything. With a spool that is what the remote has; otherwise it is the closed
// segments. Called with mu held.
func (rec *Recording) durableThrough() time.Duration {
	rec.durable = max(rec.durable, rec.acknowledged()) // tracks that come late have nothing before
	return rec.durable
}

// acknowledged is durableThrough of the tracks that are being written now. Called with
// mu held.
func (rec *Recording) acknowledged() time.Duration {
	through := rec.end
	for l, s := range rec.states {
		if s.Format == nil || !rec.writing(l) {
			continue
		}
		at := s.Written
		if rep := rec.representation(l, s.Number+1); rep != nil {
			at = max(at, rep.Timeline.Start())
		}
		through = min(through, at.Duration(s.Format.Timescale))
	}
	if !rec.uploads() {
		rec.unstored = nil
		return through
	}
	lost := setOf(rec.store().Lost(rec.dir))
	rec.unstored = slices.DeleteFunc(rec.unstored, func(s stored) bool {
		key := path.Join(rec.dir, s.name)
		if lost[key] { // it will never be stored: do not wait for it
			rec.intactUntil(s.from)
			return true
		}
		return !rec.store().Pending(key)
	})
	for _, s := range rec.unstored {
		through = min(through, s.from)
	}
	return through
}

func setOf(keys []string) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, key := range keys {
		set[key] = true
	}
	return set
}

// writing reports whether a segment of a lane is open. Called with mu held.
func (rec *Recording) writing(l lane) bool {
	for name := range rec.open {
		if rec.open[name] == l {
			return true
		}
	}
	return false
}
