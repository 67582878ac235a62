package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

// recoverers is how many recordings are recovered at the same time. Most of their time
// is waiting for the disk.
const recoverers = 16

// orphan is a recording whose node died.
type orphan struct {
	*recording
	baseDir string    // as asked for in Start
	seen    time.Time // when it was last written to
	ended   bool      // its verdict was known
	holed   bool      // there may be segments behind one that is missing
}

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
	inParallel(orphans, func(o *orphan) {
		if waiting[o.info.Stream] != o {
			o.finish()
		}
	})
	for _, o := range waiting {
		if err := r.resume(o); err != nil {
			r.log.Error("recording cannot go on, and is ended", "stream", o.info.Stream, "record_dir", o.dir, "error", err)
			o.finish()
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
func (r *Recorder) recoverAll(ctx context.Context, journals []*journal.Journal) (orphans []*orphan) {
	var mu sync.Mutex
	inParallel(journals, func(j *journal.Journal) {
		o, err := r.revive(ctx, j)
		switch {
		case err != nil:
			r.log.Error("recording was not recovered, will try again at the next start", "journal", j.Path(), "error", err)
			if o != nil {
				r.o.Store.Hold(o.dir)
			}
			_ = j.Close() // nothing was written
		case o != nil:
			r.register(o.recording)
			mu.Lock()
			orphans = append(orphans, o)
			mu.Unlock()
		}
	})
	return orphans
}

// revive replays a journal and repairs what its recording left. A panic becomes an
// error, so that one bad journal does not keep the node from starting.
func (r *Recorder) revive(ctx context.Context, j *journal.Journal) (o *orphan, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a fault of this program: %v\n%s", p, debug.Stack())
		}
	}()
	if o, err = r.replay(ctx, j); err == nil && o != nil {
		err = o.mend(ctx)
	}
	return o, err
}

// replay makes a recording of its journal. It returns nil if the folder was never
// claimed.
func (r *Recorder) replay(ctx context.Context, j *journal.Journal) (o *orphan, err error) {
	var claim *claimEntry
	claimed := false
	err = j.Read(func(line []byte) error {
		e, err := readEntry(line)
		if err != nil {
			return fmt.Errorf("replay journal: %w", err)
		}
		switch {
		case e.Claim != nil:
			claim = e.Claim
			o = &orphan{recording: r.newRecording(claim.Info, j, r.o.MaxRecording), baseDir: claim.BaseDir}
			return nil
		case o == nil:
			return errors.New("replay journal: it does not begin with a claim")
		case e.Claimed:
			claimed = true
			return nil
		case e.Sealed != nil:
			protected := o.info.Protected // said by entries of its own
			o.info, o.ended, o.broken = *e.Sealed, true, e.Broken
			o.info.Protected = protected
			return nil
		}
		return o.apply(&e)
	})
	if err != nil {
		return nil, err
	}
	if claim == nil {
		return nil, j.Remove()
	}
	if !claimed {
		owned, err := r.settleClaim(ctx, claim.Info)
		if err != nil {
			return nil, err
		}
		if !owned {
			return nil, j.Remove()
		}
		if err := j.Append(entry{Claimed: true}, r.o.Sync != segmenter.SyncOff); err != nil {
			return nil, err
		}
	}
	o.seen = o.info.Start.Add(o.end)
	return o, nil
}

// readEntry reads a line of a journal. An entry that this program does not know is an
// error: to go on would seal the recording without what the entry says.
func readEntry(line []byte) (e entry, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	switch {
	case e == entry{}:
		return e, fmt.Errorf("this program does not know the entry %.40q: %s", line, otherProgram)
	case e.Claim != nil && (e.Claim.Version < 1 || e.Claim.Version > journalVersion):
		return e, fmt.Errorf("it has version %d, and this program reads versions up to %d: %s", e.Claim.Version, journalVersion, otherProgram)
	}
	return e, nil
}

// otherProgram says what to do about a journal that this program cannot read.
const otherProgram = "start the version that wrote it, which ends the recording, or remove the journal to leave the recording as it is"

// settleClaim decides whether a record_dir belongs to a recording whose node died while
// it claimed that. It does if the whole recording.json is there. If only a part is
// there, settleClaim deletes it and the folder is free. A recording.json of another
// recording is left alone.
func (r *Recorder) settleClaim(ctx context.Context, info media.Recording) (owned bool, err error) {
	key := path.Join(info.RecordDir, infoName)
	body, err := r.o.Store.Get(ctx, key, 0, -1)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return false, err
	}
	want := encodeInfo(info)
	if !bytes.HasPrefix(want, data) {
		return false, nil
	}
	if len(data) == len(want) {
		return true, nil
	}
	return false, r.o.Store.Delete(ctx, key)
}

// mend ends the segments that were open. Only their whole chunks stay.
func (o *orphan) mend(ctx context.Context) error {
	if o.ended && !o.broken {
		return nil
	}
	for l := range o.states {
		if err := o.mendTrack(ctx, l); err != nil {
			return err
		}
	}
	if err := o.note(entry{Aborted: true}, false); err != nil {
		return err
	}
	if err := o.resumeTracks(); err != nil {
		return err
	}
	if o.broken = !o.holed; !o.broken {
		return nil
	}
	if err := o.tidy(); err != nil {
		// A start that fails here would cost more than media that is out of order.
		o.r.log.Error("the media of a recording is not in order yet, will try again", "record_dir", o.dir, "error", err)
		return nil
	}
	o.broken = false
	return nil
}

// mendTrack looks for segments of a lane that are on storage and not in the journal:
// the one that was open, and more if a power failure has cut the journal's end off.
func (o *orphan) mendTrack(ctx context.Context, l lane) error {
	for {
		state := o.states[l]
		rep := o.representation(l, state.Number+1)
		if rep == nil {
			return nil // it never came to a Period
		}
		name := media.SegmentName(rep.Media, state.Number+1)
		object, err := o.r.o.Store.Stat(ctx, path.Join(o.dir, name))
		if errors.Is(err, storage.ErrNotFound) || o.r.outOfReach(err) { // what was open is here
			return nil
		}
		if err != nil {
			return err
		}
		span, err := o.scan(ctx, name, rep.Format, object)
		if err != nil {
			return err
		}
		if at := rep.Timeline.End(); span.Bytes > 0 && span.Start != at {
			o.r.log.Error("segment does not belong where it is, and is left out", "record_dir", o.dir, "segment", name, "start", span.Start, "want", at)
			o.holed = true
			return nil
		}
		if object.Modified.After(o.seen) {
			o.seen = object.Modified
		}
		if span.Bytes == 0 {
			// Numbers have no holes, so this is the last segment, unless a power
			// failure has emptied it. That happens only with fsync = "off".
			next := media.SegmentName(rep.Media, state.Number+2)
			_, err := o.r.o.Store.Stat(ctx, path.Join(o.dir, next))
			o.holed = o.holed || err == nil
			return o.r.o.Store.Delete(ctx, object.Key)
		}
		err = o.repair(ctx, object, span)
		if fault.KindOf(err) == fault.Conflict {
			o.r.log.Error("segment cannot be repaired, and is left out", "record_dir", o.dir, "segment", name, "error", err)
			o.holed = true
			return nil
		}
		if err != nil {
			return err
		}
		s := media.Segment{
			Number: state.Number + 1, Name: name, Time: span.Start, Duration: span.End - span.Start,
			Bytes: span.Bytes, Sequence: span.Sequence, Frames: int64(span.Samples),
		}
		if err := o.note(o.closing(l, s), false); err != nil {
			return err
		}
	}
}

func (o *orphan) scan(ctx context.Context, name string, f *media.Format, object storage.Object) (media.Span, error) {
	body := storage.NewReader(ctx, o.r.o.Store, object)
	span, err := segmenter.Scan(name, f, body, object.Size)
	return span, errors.Join(err, body.Close())
}

// repair cuts the torn end of a segment off.
func (o *orphan) repair(ctx context.Context, object storage.Object, span media.Span) error {
	if span.Bytes < object.Size {
		o.r.log.Warn("torn end of a segment is cut off", "record_dir", o.dir, "object", object.Key, "bytes", object.Size-span.Bytes)
	}
	return o.r.o.Store.Repair(ctx, object.Key, span.Bytes)
}

// finish seals the recording.
func (o *orphan) finish() {
	if o.ended {
		_ = o.sealAs(o.conclude(nil)) // logged, and tried again
		return
	}
	if err := o.interrupted(); err != nil {
		o.r.log.Error("journal was not written", "record_dir", o.dir, "error", err) // the seal itself follows
	}
	_ = o.seal(nil) // logged, and tried again
}

// interrupted notes that the node died while it wrote this recording.
func (o *orphan) interrupted() error {
	now := o.r.o.Now().UTC()
	return o.note(entry{Recovered: &now}, false)
}

// resumable returns, by stream, the recordings that may go on: the newest of each
// stream, if it is young enough.
func (r *Recorder) resumable(orphans []*orphan) map[string]*orphan {
	now := r.o.Now()
	waiting := map[string]*orphan{}
	for _, o := range orphans {
		if o.ended || o.holed || o.broken || now.Sub(o.seen) >= r.o.Reconnect && o.info.PausedSince == nil {
			continue
		}
		if other := waiting[o.info.Stream]; other == nil || o.info.Start.After(other.info.Start) {
			waiting[o.info.Stream] = o
		}
	}
	return waiting
}

// resume makes a session for a recording that waits for its publisher.
func (r *Recorder) resume(o *orphan) error {
	if err := o.interrupted(); err != nil {
		return err
	}
	st, err := r.o.Streams.Expect(o.info.Stream)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.newSession(st, o.baseDir, nil)
	if err != nil {
		return err
	}
	s.goOn(o)
	r.sessions[o.info.Stream] = s
	r.wg.Go(s.run)
	return nil
}

// endPeriods ends the Periods that were open. Around a boundary there are two, and
// perhaps nothing of the later one is stored.
func (o *orphan) endPeriods() {
	for i := range o.pres.Periods {
		if end, ok := o.breaksOff(i); ok {
			o.endPeriod(i, end)
		}
	}
	last := len(o.pres.Periods) - 1
	o.endPeriod(last, max(o.recording.end, o.pres.Periods[last].Start))
}

// goOn makes o the recording of a session that has not begun to run.
func (s *session) goOn(o *orphan) {
	s.rec, s.dirs = o.recording, 1
	s.report = s.now.Add(reportEvery)
	if o.info.PausedSince != nil {
		s.pausedAt = *o.info.PausedSince
		defer func() { s.arr.Pause(s.pausedAt) }()
	}
	if o.isEmpty() {
		return
	}
	var tracks []arrange.Track
	var ends []time.Duration
	lanes := slices.SortedFunc(maps.Keys(o.states), func(a, b lane) int { return strings.Compare(b.String(), a.String()) })
	for _, l := range lanes {
		state := o.states[l]
		if state.Format == nil {
			continue
		}
		c, ok := codec.Lookup(state.Format.Codec)
		if !ok {
			continue // it was recorded: there is
		}
		tracks = append(tracks, arrange.Track{Lane: l, Codec: c})
		ends = append(ends, state.Written.Duration(state.Format.Timescale))
	}
	s.arr.GoOn(o.info.Start, o.recording.end, tracks, ends)
	if o.limit > 0 {
		s.rotateAt = o.limit
	}
	o.endPeriods()
	s.log.Info("recording waits for its publisher", "record_id", o.info.RecordID, "record_dir", o.dir)
}
