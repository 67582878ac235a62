package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
	"github.com/live777/recorder/internal/record/arrange"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/journal"
)

// maxSegmentFactor is how long a segment may wait for its key frame, in target
// durations, before that is logged.
const maxSegmentFactor = 3

// slowPicture is how far apart pictures may be without anything being wrong.
const slowPicture = 10 * time.Second

// lane is a place for a track in a recording.
type lane = arrange.Lane

// laneOutput is what one lane's track writes to.
type laneOutput struct {
	*Recording
	lane lane
}

// Closed implements segmenter.Output.
func (o laneOutput) Closed(s media.Segment, tables []fmp4.Table) {
	// After a power failure this line may be the only trace of a segment that has been
	// uploaded and deleted here.
	o.keep(o.note(o.closing(o.lane, s), o.uploads()))
	if full := o.indexes.add(o.lane, s, tables); full != nil && !o.jobs.add(o.Recording, func() { o.putIndex(full) }) {
		o.leaveOut(full)
	}
	o.tellClosed(o.lane, s)
}

// closing returns the journal's entry for a segment that was closed.
func (rec *Recording) closing(l lane, s media.Segment) entry {
	counts := rec.countsWith(l, s)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return entry{Segment: &segmentEntry{l, s, counts, beside{rec.info.PacketsOverrun, slices.Clone(rec.info.Discarded)}}}
}

// Init implements segmenter.Output. The journal gets the name first, so that no other
// init segment of the recording can get it after a crash.
func (o laneOutput) Init(name string, data []byte) error {
	if err := o.note(entry{Init: &initEntry{o.lane, name, len(data)}}, false); err != nil {
		return err
	}
	return o.put(name, data)
}

// Recording is one record_dir that is being written: its tracks, its manifest, its
// recording.json. One goroutine writes its media, and one at a time does its jobs. mu guards
// what others read.
type Recording struct {
	host   Host
	dir    string
	stream string
	offset time.Duration // session time of media time 0
	limit  time.Duration // rotate at this media time; 0: never
	tracks map[lane]*segmenter.Track

	indexes indexes // of samples, as far as they are not stored
	jobs    jobs    // what is stored beside the media

	journal    *journal.Journal // nil where there is none
	journalErr error            // error of an entry that no caller could be told of; run's own

	storing  sync.Mutex // held while the seal is being stored; taken before mu
	looked   bool       // whether storage has all of it; guarded by storing
	admitted int        // objects lost before they were stored that the verdict already tells of; guarded by storing

	mu        sync.Mutex
	info      media.Recording
	pres      manifest.Presentation
	states    map[lane]*segmenter.State // how far the tracks are that have begun
	open      map[string]lane           // segments being written
	filled    map[lane]*filling         // what was filled
	closed    map[lane]int64            // frames that were sent, in closed segments
	empty     []string                  // empty segments that storage has not removed
	waiting   waitingEntry              // sound that has waited long and is not written
	unstored  []stored                  // what storage may not have acknowledged
	intact    *time.Duration            // media time up to which storage has lost nothing; nil: nothing is lost
	durable   time.Duration             // media time up to which storage has acknowledged everything, when last looked at
	reached   time.Duration             // media time up to which there are chunks
	version   int                       // changes with pres
	rendered  map[string][]byte         // manifests of renderedV, by name
	renderedV int
	names     []string  // of the manifests of renderedV, in the order in which they are stored
	modified  time.Time // of version
	edge      liveEdge
	announced time.Time // when the MPD with the open segments changed without version

	persisted   persisted     // what was stored of the manifests while recording
	noted       int64         // ledger bytes written to the journal
	notedTracks int           // tracks in the ledger that was last written there
	end         time.Duration // latest end of a closed segment
	sampled     time.Time     // when some of its objects were last looked for
	gone        string        // one of them that storage had and does not have any more; empty: none is known
	sealed      bool          // nothing more will be written to the media
	crashed     bool          // its node died, and its publisher has not come back since
	broken      bool          // its media was broken off, and tidy has not brought it in order
	untidy      int           // how often tidy has failed
	pending     sealing       // what is still to be stored of the seal
}

// sealing says which parts of the seal are not stored yet. While media is among them,
// the others are not final.
type sealing struct{ media, manifest, info bool }

// New returns a recording in its folder, which is claimed, with its journal; nil is none.
// It is rotated at a media time; 0 is never.
func New(host Host, info media.Recording, j *journal.Journal, limit time.Duration) *Recording {
	o := host.Settings()
	target := o.SegmentDuration
	return &Recording{
		host: host, dir: info.RecordDir, stream: info.Stream, limit: limit, journal: j,
		tracks: map[lane]*segmenter.Track{}, states: map[lane]*segmenter.State{}, open: map[string]lane{}, filled: map[lane]*filling{}, closed: map[lane]int64{},
		info: info,
		pres: manifest.Presentation{
			ID: info.RecordDir, Dynamic: true, AvailabilityStart: info.Start, UTCTiming: timeURL(info.RecordDir),
			SegmentDuration: target, ChunkDuration: o.ChunkDuration,
			// A sender that pauses makes a segment longer than one without key frames.
			MaxSegmentDuration: max(maxSegmentFactor*target, target+slowPicture),
		},
		version: 1,
	}
}

// track returns the writer of a lane.
func (rec *Recording) track(l lane) *segmenter.Track {
	t := rec.tracks[l]
	if t == nil {
		t = segmenter.NewTrack(l.Kind, l.Layer, rec.segmenterOptions(), laneOutput{rec, l})
		rec.tracks[l] = t
	}
	return t
}

func (rec *Recording) segmenterOptions() segmenter.Options {
	o := rec.host.Settings()
	return segmenter.Options{ChunkDuration: o.ChunkDuration, Sync: o.Sync}
}

func (rec *Recording) store() storage.Store { return rec.host.Settings().Store }

func (rec *Recording) log() *slog.Logger { return rec.host.Settings().Log }

func (rec *Recording) uploads() bool {
	o := rec.host.Settings()
	return o.uploads()
}

func (rec *Recording) outOfReach(err error) bool {
	o := rec.host.Settings()
	return o.OutOfReach(err)
}

// started sets the wall clock of media time 0.
func (rec *Recording) started(at time.Time) error {
	at = at.UTC().Round(time.Millisecond)
	return rec.note(entry{Start: &at}, false)
}

// changed marks the manifest as new. Called with mu held.
func (rec *Recording) changed() {
	rec.version++
	rec.modified = rec.host.Settings().Now()
	rec.edge.moved()
}

// beginPeriod opens a Period for the given lanes at a media time, rounded down to a
// whole millisecond. It returns the Period's index and start. The manifest does not
// list the Period before all of these lanes have a segment, because players settle on
// what they see first.
func (rec *Recording) beginPeriod(start time.Duration, lanes []lane) (period int, rounded time.Duration, err error) {
	start = start.Truncate(time.Millisecond)
	err = rec.note(entry{Period: &periodEntry{start, lanes}}, false)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.pres.Periods) - 1, start, err
}

// endPeriod sets a Period's duration, from the end of its media.
func (rec *Recording) endPeriod(period int, end time.Duration) {
	rec.keep(rec.note(entry{PeriodEnd: &periodEndEntry{period, end}}, false))
}

// beginTrack brings a track into a Period (by index) with its first sample at
// start.
func (rec *Recording) beginTrack(period int, l lane, f *media.Format, start media.Ticks) error {
	t := rec.track(l)
	init, err := t.Begin(f)
	if err != nil {
		return err
	}
	return rec.note(entry{Track: &trackEntry{
		Lane: l, Period: period, Format: f, Init: init, Media: t.Media(), StartNumber: t.Next(), Start: t.Place(start),
	}}, true)
}

// Create implements segmenter.Output.
func (o laneOutput) Create(name string) (segmenter.File, error) {
	if o.journalErr != nil {
		return nil, o.journalErr
	}
	ctx, cancel := o.timeout()
	defer cancel()
	f, err := o.store().Create(ctx, path.Join(o.dir, name))
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		if !errors.Is(err, fs.ErrExist) {
			o.empty = append(o.empty, name) // storage may have made it all the same
		}
		return nil, err
	}
	o.open[name] = o.lane
	return f, nil
}

// Discard implements segmenter.Output. If storage cannot remove the segment now,
// sealing tries again.
func (o laneOutput) Discard(name string) {
	rec := o.Recording
	rec.mu.Lock()
	delete(rec.open, name)
	rec.empty = append(rec.empty, name)
	rec.mu.Unlock()
	if err := rec.removeEmpty(); err != nil {
		rec.log().Error("empty segment was not removed, will try again", "record_dir", rec.dir, "segment", name, "error", err)
	}
}

// removeEmpty removes the segments that have nothing in them.
func (rec *Recording) removeEmpty() error {
	rec.mu.Lock()
	names := slices.Clone(rec.empty)
	rec.mu.Unlock()
	ctx, cancel := rec.timeout()
	defer cancel()
	for _, name := range names {
		if err := rec.store().Delete(ctx, path.Join(rec.dir, name)); err != nil {
			return fmt.Errorf("remove empty segment: %w", err)
		}
		rec.mu.Lock()
		rec.empty = slices.DeleteFunc(rec.empty, func(n string) bool { return n == name })
		rec.mu.Unlock()
	}
	return nil
}

// isEmpty reports whether no Period has begun.
func (rec *Recording) isEmpty() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.pres.Periods) == 0
}

// periods returns how many Periods have begun.
func (rec *Recording) periods() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.pres.Periods)
}

// IsSealed reports whether the recording has ended with a verdict.
func (rec *Recording) IsSealed() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed
}

// Snapshot returns a copy of what is known of the recording.
func (rec *Recording) Snapshot() media.Recording {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	info := rec.info
	info.DurableThrough = rec.proved(Seconds(rec.durableThrough()))
	info.Discarded = slices.Clone(info.Discarded)
	info.Tracks = slices.Clone(info.Tracks)
	rec.total(info.Tracks)
	for i := range info.Tracks {
		info.Tracks[i].Gaps = slices.Clone(info.Tracks[i].Gaps)
		info.Tracks[i].Formats = slices.Clone(info.Tracks[i].Formats)
	}
	return info
}

// Shown is Snapshot as people see it: the duration of a recording that runs has the chunks of
// its open segments too, which are not proved yet.
func (rec *Recording) Shown() media.Recording {
	info := rec.Snapshot()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.sealed {
		info.Duration = max(info.Duration, Seconds(rec.reached))
	}
	return info
}

// HasChunks reports whether players can be shown anything.
func (rec *Recording) HasChunks() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.reached > 0
}

// IsOpen reports whether the segment of that name is being written.
func (rec *Recording) IsOpen(name string) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	_, ok := rec.open[name]
	return ok
}

// HasMedia reports whether a segment has been closed.
func (rec *Recording) HasMedia() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.end > 0
}

// abort closes the open segments after an error. What is not stored of them is not
// counted.
func (rec *Recording) abort() {
	for l, t := range rec.tracks {
		t.Abort()
		rec.Update(l, func(t *media.RecordingTrack) { t.Frames = rec.closed[l] })
	}
}

// put stores a small object of the recording.
func (rec *Recording) put(name string, data []byte) error {
	ctx, cancel := rec.timeout()
	defer cancel()
	if err := rec.store().Put(ctx, path.Join(rec.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
		return fmt.Errorf("write %s: %w", path.Join(rec.dir, name), err)
	}
	return nil
}

// timeout returns a context for one operation. It does not end with the recorder, so
// that what was begun is finished.
func (rec *Recording) timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), storeTimeout)
}

// Seconds rounds d to the millisecond for people and JSON.
func Seconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1000) / 1000
}

// Dir returns the record_dir.
func (rec *Recording) Dir() string { return rec.dir }

// Limit returns the media time at which the recording is rotated; 0 is never.
func (rec *Recording) Limit() time.Duration { return rec.limit }

// ReachedLimit reports whether the recording is rotated, because it is as long as one may
// be, when another begins.
func (rec *Recording) ReachedLimit(next *Recording) bool {
	return rec.limit > 0 && next.Snapshot().Start.Sub(rec.Snapshot().Start) > rec.limit/2
}

// Waiting writes to the journal sound that waits to be written. A crash then does not
// lose it.
func (rec *Recording) Waiting(f *media.Format, samples []arrange.Sample) {
	e := &waitingEntry{Format: f}
	for _, w := range samples {
		e.Samples = append(e.Samples, waitingSample{rec.local(w.Time, f.Timescale), w.Duration, w.Data})
	}
	rec.keep(rec.note(entry{Waiting: e}, false))
}

// Placed notes that no sound waits any more of what has been noted.
func (rec *Recording) Placed() {
	rec.mu.Lock()
	waits := len(rec.waiting.Samples) > 0
	rec.mu.Unlock()
	if waits {
		rec.keep(rec.note(entry{Waiting: &waitingEntry{}}, false))
	}
}

// BeginPaused notes that a recording that has just begun is paused since a time.
func (rec *Recording) BeginPaused(since time.Time) {
	rec.keep(rec.note(entry{Pause: &pauseEntry{&since}}, false))
}

// NotePause notes since when the recording is paused; nil: it goes on.
func (rec *Recording) NotePause(since *time.Time) error {
	return rec.note(entry{Pause: &pauseEntry{since}}, true)
}

// Protect sets or clears the protection of a recording that is still known to who asks.
func (rec *Recording) Protect(protected bool, isKnown func() bool) (info media.Recording, ok bool, err error) {
	rec.storing.Lock() // else a seal that is being stored would not have it
	defer rec.storing.Unlock()
	if !isKnown() {
		return media.Recording{}, false, nil
	}
	if err := rec.note(entry{Protect: &protected}, true); err != nil {
		return media.Recording{}, true, err
	}
	info = rec.Snapshot()
	if rec.IsStored() {
		stored := info
		rec.mu.Lock()
		stored.DurableThrough = rec.proved(info.Duration)
		rec.mu.Unlock()
		if err := rec.put(infoName, encodeInfo(stored)); err != nil {
			return info, true, err
		}
	}
	rec.host.Changed(info)
	return info, true, nil
}

// Exclusive calls f while nothing of the seal is being stored.
func (rec *Recording) Exclusive(f func()) {
	rec.storing.Lock()
	defer rec.storing.Unlock()
	f()
}

// CloseJournal unlocks the journal, so that the next run of the program can have it.
func (rec *Recording) CloseJournal() error {
	if rec.journal == nil {
		return nil
	}
	return rec.journal.Close()
}

// RemoveJournal removes the journal, when there is nothing more to do for the recording.
func (rec *Recording) RemoveJournal() error {
	if rec.journal == nil {
		return nil
	}
	return rec.journal.Remove()
}
