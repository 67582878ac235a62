package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

// Orphan is a recording whose node died.
type Orphan struct {
	*Recording
	baseDir string    // as it was asked for
	seen    time.Time // when it was last written to
	ended   bool      // its verdict was known
	holed   bool      // there may be segments behind one that is missing
}

// Revive replays a journal and repairs what its recording has left. It returns nil if the
// folder was never claimed, and the Orphan beside an error if the folder may be its own. A
// panic becomes an error, so that one bad journal does not keep the node from starting.
func Revive(ctx context.Context, host Host, j *journal.Journal, limit time.Duration) (o *Orphan, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a fault of this program: %v\n%s", p, debug.Stack())
		}
	}()
	if o, err = replay(ctx, host, j, limit); err == nil && o != nil {
		err = o.mend(ctx)
	}
	return o, err
}

// replay makes a recording of its journal. It returns nil if the folder was never
// claimed.
func replay(ctx context.Context, host Host, j *journal.Journal, limit time.Duration) (o *Orphan, err error) {
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
			o = &Orphan{Recording: New(host, claim.Info, j, limit), baseDir: claim.BaseDir}
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
		settings := host.Settings()
		owned, err := settings.settleClaim(ctx, claim.Info)
		if err != nil {
			return nil, err
		}
		if !owned {
			return nil, j.Remove()
		}
		if err := settings.NoteClaimed(j); err != nil {
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

// mend ends the segments that were open. Only their whole chunks stay.
func (o *Orphan) mend(ctx context.Context) error {
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
		o.log().Error("the media of a recording is not in order yet, will try again", "record_dir", o.dir, "error", err)
		return nil
	}
	o.broken = false
	return nil
}

// mendTrack looks for segments of a lane that are on storage and not in the journal:
// the one that was open, and more if a power failure has cut the journal's end off.
func (o *Orphan) mendTrack(ctx context.Context, l lane) error {
	for {
		state := o.states[l]
		rep := o.representation(l, state.Number+1)
		if rep == nil {
			return nil // it never came to a Period
		}
		name := media.SegmentName(rep.Media, state.Number+1)
		object, err := o.store().Stat(ctx, path.Join(o.dir, name))
		if errors.Is(err, storage.ErrNotFound) || o.outOfReach(err) { // what was open is here
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
			o.log().Error("segment does not belong where it is, and is left out", "record_dir", o.dir, "segment", name, "start", span.Start, "want", at)
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
			_, err := o.store().Stat(ctx, path.Join(o.dir, next))
			o.holed = o.holed || err == nil
			return o.store().Delete(ctx, object.Key)
		}
		err = o.repair(ctx, object, span)
		if fault.KindOf(err) == fault.Conflict {
			o.log().Error("segment cannot be repaired, and is left out", "record_dir", o.dir, "segment", name, "error", err)
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

func (o *Orphan) scan(ctx context.Context, name string, f *media.Format, object storage.Object) (media.Span, error) {
	body := storage.NewReader(ctx, o.store(), object)
	span, err := segmenter.Scan(name, f, body, object.Size)
	return span, errors.Join(err, body.Close())
}

// repair cuts the torn end of a segment off.
func (o *Orphan) repair(ctx context.Context, object storage.Object, span media.Span) error {
	if span.Bytes < object.Size {
		o.log().Warn("torn end of a segment is cut off", "record_dir", o.dir, "object", object.Key, "bytes", object.Size-span.Bytes)
	}
	return o.store().Repair(ctx, object.Key, span.Bytes)
}

// Finish seals the recording.
func (o *Orphan) Finish() {
	if o.ended {
		now := o.host.Settings().Now()
		_ = o.sealAs(o.conclude(nil, now), now) // logged, and tried again
		return
	}
	if err := o.Interrupted(); err != nil {
		o.log().Error("journal was not written", "record_dir", o.dir, "error", err) // the seal itself follows
	}
	_ = o.Seal(nil) // logged, and tried again
}

// Interrupted notes that the node died while it wrote this recording.
func (o *Orphan) Interrupted() error {
	now := o.host.Settings().Now().UTC()
	return o.note(entry{Recovered: &now}, false)
}

// endPeriods ends the Periods that were open. Around a boundary there are two, and
// perhaps nothing of the later one is stored.
func (o *Orphan) endPeriods() {
	for i := range o.pres.Periods {
		if end, ok := o.breaksOff(i); ok {
			o.endPeriod(i, end)
		}
	}
	last := len(o.pres.Periods) - 1
	o.endPeriod(last, max(o.Recording.end, o.pres.Periods[last].Start))
}

// BaseDir returns where the recording was asked for; empty if that was not said.
func (o *Orphan) BaseDir() string { return o.baseDir }

// MayGoOn reports whether a recording goes on if its publisher comes back in time: it was
// written to less than reconnect ago, or it is paused, or nothing had come for it yet and
// it was asked for lately, so that it still waits for that.
func (o *Orphan) MayGoOn(now time.Time, reconnect time.Duration) bool {
	if o.isEmpty() {
		reconnect = max(reconnect, askedLately)
	}
	return !o.ended && !o.holed && !o.broken && (now.Sub(o.seen) < reconnect || o.info.PausedSince != nil)
}

// askedLately is how long ago a recording may have been asked for, of which nothing had
// come when the node died, and still wait for its publisher. Nothing tells when that was.
const askedLately = 10 * time.Minute

// GoOn ends the Periods that were open, and returns the lanes that there were, where they
// end, and the end of the recording. ok is false if no Period has begun.
func (o *Orphan) GoOn() (tracks []arrange.Track, ends []time.Duration, end time.Duration, ok bool) {
	if o.isEmpty() {
		return nil, nil, 0, false
	}
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
	o.endPeriods()
	return tracks, ends, o.Recording.end, true
}
