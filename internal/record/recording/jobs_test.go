package recording

import (
	"slices"
	"testing"
)

// What waits to be stored is bounded, is stored in its order, and is waited for.
func TestJobsAreBounded(t *testing.T) {
	rec, hold := &Recording{}, make(chan struct{})
	var done []int
	for n := range maxJobs + 1 { // the first one is not waiting any more
		begun := make(chan struct{})
		if !rec.jobs.add(rec, func() {
			close(begun)
			<-hold
			done = append(done, n)
		}) {
			t.Fatalf("job %d was refused", n)
		}
		if n == 0 {
			<-begun
		}
	}
	if rec.jobs.add(rec, func() { t.Error("a job was done that had been refused") }) {
		t.Error("there is no bound")
	}
	rec.jobs.addLast(rec, func() { done = append(done, maxJobs+1) })
	if rec.jobs.isIdle() {
		t.Error("it has no jobs")
	}
	close(hold)
	rec.jobs.wait()
	if len(done) != maxJobs+2 || !slices.IsSorted(done) || !rec.jobs.isIdle() {
		t.Errorf("the jobs were done as %v", done)
	}
}
