package recording

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// maxJobs bounds what waits to be stored of a recording beside its media.
const maxJobs = 8

// jobs store what belongs to a recording beside its media, in the order in which that was
// handed over. So media never waits for a manifest. The goroutine that does the jobs ends
// when there is none left; whoever seals the recording waits for it.
type jobs struct {
	mu      sync.Mutex
	waiting []func()
	done    chan struct{} // closed when no job is left; nil: none is
}

// add hands over a job. It is false if too many wait already.
func (j *jobs) add(rec *Recording, job func()) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) >= maxJobs {
		return false
	}
	j.append(rec, job)
	return true
}

// addLast hands over the job after which there is no other.
func (j *jobs) addLast(rec *Recording, job func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(rec, job)
}

// append is add without a bound. Called with mu held.
func (j *jobs) append(rec *Recording, job func()) {
	j.waiting = append(j.waiting, job)
	if j.done == nil {
		j.done = make(chan struct{})
		go j.run(rec)
	}
}

// run does the jobs until there is none.
func (j *jobs) run(rec *Recording) {
	for {
		j.mu.Lock()
		if len(j.waiting) == 0 {
			close(j.done)
			j.done = nil
			j.mu.Unlock()
			return
		}
		job := j.waiting[0]
		j.waiting = j.waiting[1:]
		j.mu.Unlock()
		rec.survive(job)
	}
}

// wait returns when no job is left.
func (j *jobs) wait() {
	j.mu.Lock()
	done := j.done
	j.mu.Unlock()
	if done != nil {
		<-done
	}
}

// isIdle reports whether no job is left.
func (j *jobs) isIdle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.done == nil
}

// survive does a job, and logs it if that panics. The node's other recordings go on.
func (rec *Recording) survive(job func()) {
	defer func() {
		if p := recover(); p != nil {
			rec.log().Error("a fault of this program kept something of a recording from being stored: please report it",
				"record_dir", rec.dir, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	job()
}
