package recorder

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/live777/recorder/internal/record/recording"
	"github.com/live777/recorder/internal/storage/journal"
)

// recoverers is how many recordings are recovered at the same time. Most of their time
// is waiting for the disk.
const recoverers = 16

// Recover puts in order what a crash left open. It cuts torn segments to their last
// whole chunk and seals the recordings. A recording that was written to less than
// Options.Reconnect ago is not sealed yet: it goes on if its publisher comes back
// within that time.
//
// Recover is called once, before anybody publishes. What cannot be recovered now is
// logged and tried again at the next start. An error means that nothing was recovered.
func (r *Recorder) Recover(ctx context.Context) error {
	if r.o.Journals == nil {
		return nil
	}
	journals, err := r.o.Journals.Orphans()
	if err != nil {
		return fmt.Errorf("recover recordings: %w", err)
	}
	if len(journals) == 0 {
		return nil
	}
	begin := time.Now()
	orphans := r.recoverAll(ctx, journals)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("recover recordings: %w", err)
	}
	waiting := r.resumable(orphans)
	inParallel(orphans, func(o *recording.Orphan) {
		if waiting[o.Snapshot().Stream] != o {
			o.Finish()
		}
	})
	for stream, o := range waiting {
		if err := r.resume(o); err != nil {
			r.log.Error("recording cannot go on, and is ended", "stream", stream, "record_dir", o.Dir(), "error", err)
			o.Finish()
		}
	}
	r.log.Info("recovered what the last run left open", "recordings", len(orphans),
		"waiting_for_publisher", len(waiting), "not_recovered", len(journals)-len(orphans), "took", time.Since(begin))
	return nil
}

// inParallel calls f with each item, several at a time.
func inParallel[T any](items []T, f func(T)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, recoverers)
	for _, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(item)
		})
	}
	wg.Wait()
}

// recoverAll replays the journals and repairs what their recordings left on storage.
func (r *Recorder) recoverAll(ctx context.Context, journals []*journal.Journal) (orphans []*recording.Orphan) {
	var mu sync.Mutex
	inParallel(journals, func(j *journal.Journal) {
		o, err := recording.Revive(ctx, host{r}, j, r.o.MaxRecording)
		switch {
		case err != nil:
			r.log.Error("recording was not recovered, will try again at the next start", "journal", j.Path(), "error", err)
			if o != nil {
				r.o.Store.Hold(o.Dir())
			}
			_ = j.Close() // nothing was written
		case o != nil:
			r.register(o.Recording)
			mu.Lock()
			orphans = append(orphans, o)
			mu.Unlock()
		}
	})
	return orphans
}

// resumable returns, by stream, the recordings that may go on: the newest of each
// stream, if it is young enough.
func (r *Recorder) resumable(orphans []*recording.Orphan) map[string]*recording.Orphan {
	now := r.o.Now()
	waiting := map[string]*recording.Orphan{}
	for _, o := range orphans {
		if !o.MayGoOn(now, r.o.Reconnect) {
			continue
		}
		info := o.Snapshot()
		if other := waiting[info.Stream]; other == nil || info.Start.After(other.Snapshot().Start) {
			waiting[info.Stream] = o
		}
	}
	return waiting
}

// resume makes a session for a recording that waits for its publisher.
func (r *Recorder) resume(o *recording.Orphan) error {
	if err := o.Interrupted(); err != nil {
		return err
	}
	st, err := r.o.Streams.Expect(o.Snapshot().Stream)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.newSession(st, o.BaseDir(), nil)
	if err != nil {
		return err
	}
	s.goOn(o)
	r.sessions[o.Snapshot().Stream] = s
	r.wg.Go(s.run)
	return nil
}

// goOn makes o the recording of a session that has not begun to run.
func (s *session) goOn(o *recording.Orphan) {
	info := o.Snapshot()
	s.dirs = 1
	s.use(o.Recording)
	s.report = s.now.Add(reportEvery)
	if info.PausedSince != nil {
		s.pausedAt = *info.PausedSince
		defer func() { s.arr.Pause(s.pausedAt) }()
	}
	tracks, ends, end, ok := o.GoOn()
	if !ok {
		return
	}
	s.arr.GoOn(info.Start, end, tracks, ends)
	if limit := o.Limit(); limit > 0 {
		s.out.RotateAt(limit)
	}
	s.log.Info("recording waits for its publisher", "record_id", info.RecordID, "record_dir", o.Dir())
}
