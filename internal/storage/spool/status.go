package spool

import "time"

// Status is what a Spool holds and how its uploads fare.
type Status struct {
	WaitingObjects int   // whole, and not acknowledged
	WaitingBytes   int64 //
	OldestWaiting  time.Duration
	OpenObjects    int   // being written
	OpenBytes      int64 //
	UsedBytes      int64 // of segments, open and waiting: what MaxBytes bounds
	MaxBytes       int64 // 0: no bound
	Uploading      int   // uploads under way

	// Conflicts is the number of objects that stay in the spool because remote storage
	// cannot take them. Mostly it has others of the same names, or the record_dir
	// belongs to another recording there.
	Conflicts int

	// Lost is the number of objects that have vanished from the local disk before
	// they were uploaded.
	Lost int

	Failing      bool      // remote storage fails: only probes are sent
	FailingSince time.Time // if it does
	LastError    string    // of the last upload that failed; empty after a success

	Retries         int64 // uploads that failed, ever
	UploadedObjects int64 // acknowledged, ever
	UploadedBytes   int64
}

// uploads counts those under way, and since New. Guarded by Spool.mu.
type uploads struct {
	inFlight                int
	retries, objects, bytes int64
}

// Status returns a snapshot.
func (s *Spool) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		UsedBytes: s.budget.used, MaxBytes: s.budget.max, Uploading: s.uploads.inFlight,
		Failing: s.outage.breaker.open, FailingSince: s.outage.breaker.since,
		Retries: s.uploads.retries, UploadedObjects: s.uploads.objects, UploadedBytes: s.uploads.bytes,
	}
	if s.outage.breaker.last != nil {
		st.LastError = s.outage.breaker.last.Error()
	}
	now := s.clock.now().UnixNano()
	for _, e := range s.queue.entries {
		if e.state == lost {
			st.Lost++
			continue
		}
		if e.state == opened {
			st.OpenObjects++
			st.OpenBytes += e.size
			continue
		}
		st.WaitingObjects++
		st.WaitingBytes += e.size
		if e.state == refused {
			st.Conflicts++
			continue
		}
		st.OldestWaiting = max(st.OldestWaiting, time.Duration(now-e.at))
	}
	return st
}

// note lets unlock call f after it has unlocked mu, because logging may block.
func (s *Spool) note(f func()) { s.notes = append(s.notes, f) }

// unlock is mu.Unlock, and then calls what was noted.
func (s *Spool) unlock() {
	notes := s.notes
	s.notes = nil
	s.mu.Unlock()
	for _, f := range notes {
		f()
	}
}
