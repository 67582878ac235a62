package spool

import (
	"errors"
	"time"

	"github.com/live777/recorder/internal/storage"
)

// deniedEvery is how often a refusal of access is logged.
const deniedEvery = time.Minute

// breaker stops all uploads while the remote fails, except one probe now and then.
// Guarded by Spool.mu.
type breaker struct {
	failures int // in a row, over all uploads
	open     bool
	since    time.Time // it opened
	probes   int       // that failed since
	next     time.Time // probe
	last     error     // why an upload failed last; nil after a success
}

// catchUp follows the entries that waited when the breaker closed, until all of them
// are remote. Guarded by Spool.mu.
type catchUp struct {
	last    uint64 // seq of the last entry that waited
	waiting int    // of those up to last
	since   time.Time
	bytes   int64 // acknowledged before
}

// outage follows whether the remote works. Guarded by Spool.mu.
type outage struct {
	breaker  breaker
	catchUp  catchUp
	deniedAt time.Time // when a refusal was last logged
}

// left notes that an entry has left its place in the queue.
func (o *outage) left(e *entry) {
	c := &o.catchUp
	if e.seq != 0 && e.seq <= c.last && c.waiting > 0 {
		c.waiting--
	}
}

// failed notes that the remote failed, for an object for the attempts-th time in a row.
// Called with mu held.
func (s *Spool) failed(now time.Time, key string, attempts int, err error) {
	b := &s.outage.breaker
	b.last = err
	s.logDenied(now, err)
	if b.open {
		b.probes++
		b.next = now.Add(s.tune.backoff(b.probes, s.tune.probeMax))
		return
	}
	b.failures++
	if b.failures < s.tune.failures {
		if attempts == 3 { // the others get through
			s.note(func() {
				s.log.Warn("an upload failed several times and is tried again", "object", key, "attempts", attempts, "error", err)
			})
		}
		return
	}
	*b = breaker{open: true, since: now, next: now.Add(s.tune.backoff(0, s.tune.probeMax)), last: err}
	s.note(func() {
		st := s.Status()
		s.log.Error("remote storage fails: recordings wait in the spool until it answers again",
			"waiting_objects", st.WaitingObjects, "waiting_bytes", st.WaitingBytes, "error", err)
	})
}

// logDenied logs now and then that credentials are refused, because somebody has to
// act.
func (s *Spool) logDenied(now time.Time, err error) {
	if !errors.Is(err, storage.ErrDenied) || now.Sub(s.outage.deniedAt) < deniedEvery {
		return
	}
	s.outage.deniedAt = now
	s.note(func() {
		s.log.Error("remote storage refuses access, uploads are tried again: check the credentials and rights of recorder.storage", "error", err)
	})
}

// answered notes that the remote works. Called with mu held.
func (s *Spool) answered(now time.Time) {
	b := s.outage.breaker
	s.outage.breaker = breaker{}
	if !b.open {
		return
	}
	s.outage.catchUp = catchUp{last: s.queue.seq, since: now, bytes: s.uploads.bytes}
	for _, e := range s.queue.entries {
		if e.seq != 0 && e.state != refused {
			s.outage.catchUp.waiting++
		}
		if !e.check {
			e.notBefore = 0
		}
	}
	s.note(func() {
		st := s.Status()
		s.log.Info("remote storage answers again: uploading what waits",
			"outage", now.Sub(b.since), "waiting_objects", st.WaitingObjects, "waiting_bytes", st.WaitingBytes)
	})
}

// noteCaughtUp logs once that all that waited when the breaker closed is remote.
// Called with mu held.
func (s *Spool) noteCaughtUp() {
	c := s.outage.catchUp
	if c.last == 0 || c.waiting > 0 {
		return
	}
	s.outage.catchUp = catchUp{}
	took, sent := time.Since(c.since), s.uploads.bytes-c.bytes
	s.note(func() {
		s.log.Info("the spool has caught up with the outage", "took", took, "bytes", sent,
			"bytes_per_second", int64(float64(sent)/max(took.Seconds(), 1e-3)))
	})
}
