package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"github.com/live777/recorder/internal/storage/journal"
)

// maxSegmentFactor is how long a segment may wait for its key frame, in target
// durations, before that is logged.
const maxSegmentFactor = 3

// slowPicture is how far apart pictures may be without anything being wrong.
const slowPicture = 10 * time.Second

// maxPeriods is how many Periods a recording has before it goes on in another: each has
// a place in the manifest, and may have init segments of its own.
const maxPeriods = 1000

// ledgerShare bounds what the ledgers in the journal may cost while recording:
// 1/ledgerShare of the media.
const ledgerShare = 100

// lane is a place for a track in a recording.
type lane = arrange.Lane

// laneOutput is what one lane's track writes to.
type laneOutput struct {
	*recording
	lane lane
}

// Closed implements segmenter.Output.
func (o laneOutput) Closed(s media.Segment, tables []fmp4.Table) {
	// After a power failure this line may be the only trace of a segment that has been
	// uploaded and deleted here.
	o.keep(o.note(o.closing(o.lane, s), o.r.uploads()))
	if full := o.indexes.add(o.lane, s, tables); full != nil {
		o.putIndex(full)
	}
}

// closing returns the journal's entry for a segment that was closed.
func (rec *recording) closing(l lane, s media.Segment) entry {
	counts := rec.countsWith(l, s)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return entry{Segment: &segmentEntry{l, s, counts, beside{rec.info.PacketsOverrun, slices.Clone(rec.info.Discarded)}}}
}

// countsWith returns the counters of a lane's ledger with a segment that has been
// closed. Its frames are those that are stored.
func (rec *recording) countsWith(l lane, s media.Segment) counts {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	c := countsOf(rec.ledger(l))
	c.Frames = rec.closed[l] + s.Frames
	return c
}

// Init implements segmenter.Output. The journal gets the name first, so that no other
// init segment of the recording can get it after a crash.
func (o laneOutput) Init(name string, data []byte) error {
	if err := o.note(entry{Init: &initEntry{o.lane, name, len(data)}}, false); err != nil {
		return err
	}
	return o.put(name, data)
}

// recording is one record_dir that is being written: its tracks, its manifest, its
// recording.json. The session's goroutine writes it. mu guards what others read.
type recording struct {
	r      *Recorder
	dir    string
	offset time.Duration // session time of media time 0
	limit  time.Duration // rotate at this media time; 0: never
	tracks map[lane]*segmenter.Track

	indexes indexes // of samples, as far as they are not stored

	journal    *journal.Journal // nil where there is none
	journalErr error            // error of an entry that no caller could be told of; run's own

	storing         sync.Mutex // held while the seal is being stored; taken before mu
	looked          bool       // whether storage has all of it; guarded by storing
	admitted        int        // objects lost before they were stored that the verdict already tells of; guarded by storing
	durableReported bool       // and the catalogue was to be told; guarded by the recorder's mu

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
	version   int                       // changes with pres
	rendered  map[string][]byte         // manifests of renderedV, by name
	renderedV int
	names     []string  // of the manifests of renderedV, in the order in which they are stored
	modified  time.Time // of version

	persisted persisted     // what was stored of the manifests while recording
	noted     int64         // ledger bytes written to the journal
	end       time.Duration // latest end of a closed segment
	sampled   time.Time     // when some of its objects were last looked for
	gone      string        // one of them that storage had and does not have any more; empty: none is known
	sealed    bool          // nothing more will be written to the media
	crashed   bool          // its node died, and its publisher has not come back since
	broken    bool          // its media was broken off, and tidy has not brought it in order
	untidy    int           // how often tidy has failed
	pending   sealing       // what is still to be stored of the seal
}

// sealing says which parts of the seal are not stored yet. While media is among them,
// the others are not final.
type sealing struct{ media, manifest, info bool }

func (r *Recorder) newRecording(info media.Recording, j *journal.Journal, limit time.Duration) *recording {
	return &recording{
		r: r, dir: info.RecordDir, limit: limit, journal: j,
		tracks: map[lane]*segmenter.Track{}, states: map[lane]*segmenter.State{}, open: map[string]lane{}, filled: map[lane]*filling{}, closed: map[lane]int64{},
		info: info,
		pres: manifest.Presentation{
			ID: info.RecordDir, Dynamic: true, AvailabilityStart: info.Start, UTCTiming: timeURL(info.RecordDir),
			SegmentDuration: r.o.SegmentDuration,
			// A sender that pauses makes a segment longer than one without key frames.
			MaxSegmentDuration: max(maxSegmentFactor*r.o.SegmentDuration, r.o.SegmentDuration+slowPicture),
		},
		version: 1,
	}
}

// register makes a recording one of the active ones.
func (r *Recorder) register(rec *recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[rec.dir] = rec
}

// track returns the writer of a lane.
func (rec *recording) track(l lane) *segmenter.Track {
	t := rec.tracks[l]
	if t == nil {
		t = segmenter.NewTrack(l.Kind, l.Layer, rec.r.segmenterOptions(), laneOutput{rec, l})
		rec.tracks[l] = t
	}
	return t
}

func (r *Recorder) segmenterOptions() segmenter.Options {
	return segmenter.Options{ChunkDuration: r.o.ChunkDuration, Sync: r.o.Sync}
}

// started sets the wall clock of media time 0.
func (rec *recording) started(at time.Time) error {
	at = at.UTC().Round(time.Millisecond)
	return rec.note(entry{Start: &at}, false)
}

// changed marks the manifest as new. Called with mu held.
func (rec *recording) changed() {
	rec.version++
	rec.modified = rec.r.o.Now()
}

// beginPeriod opens a Period for the given lanes at a media time, rounded down to a
// whole millisecond. It returns the Period's index and start. The manifest does not
// list the Period before all of these lanes have a segment, because players settle on
// what they see first.
func (rec *recording) beginPeriod(start time.Duration, lanes []lane) (period int, rounded time.Duration, err error) {
	start = start.Truncate(time.Millisecond)
	err = rec.note(entry{Period: &periodEntry{start, lanes}}, false)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.pres.Periods) - 1, start, err
}

// endPeriod sets a Period's duration, from the end of its media.
func (rec *recording) endPeriod(period int, end time.Duration) {
	rec.keep(rec.note(entry{PeriodEnd: &periodEndEntry{period, end}}, false))
}

// beginTrack brings a track into a Period (by index) with its first sample at
// start.
func (rec *recording) beginTrack(period int, l lane, f *media.Format, start media.Ticks) error {
	t := rec.track(l)
	init, err := t.Begin(f)
	if err != nil {
		return err
	}
	return rec.note(entry{Track: &trackEntry{
		Lane: l, Period: period, Format: f, Init: init, Media: t.Media(), StartNumber: t.Next(), Start: t.Place(start),
	}}, true)
}

// representationIn returns a lane's Representation in a Period (by index), and makes it
// if there is none. Called with mu held.
func (rec *recording) representationIn(period int, l lane) *manifest.Representation {
	p := &rec.pres.Periods[period]
	i := slices.IndexFunc(p.Sets, func(s manifest.AdaptationSet) bool { return s.Kind == l.Kind })
	if i < 0 {
		p.Sets = append(p.Sets, manifest.AdaptationSet{ID: int(l.Kind), Kind: l.Kind})
		slices.SortFunc(p.Sets, func(a, b manifest.AdaptationSet) int { return a.ID - b.ID })
		i = slices.IndexFunc(p.Sets, func(s manifest.AdaptationSet) bool { return s.Kind == l.Kind })
	}
	set := &p.Sets[i]
	for j := range set.Representations {
		if set.Representations[j].ID == l.String() {
			return &set.Representations[j]
		}
	}
	at := slices.IndexFunc(set.Representations, func(r manifest.Representation) bool { return r.ID > l.String() })
	if at < 0 {
		at = len(set.Representations)
	}
	set.Representations = slices.Insert(set.Representations, at, manifest.Representation{ID: l.String()})
	return &set.Representations[at]
}

// Create implements segmenter.Output.
func (o laneOutput) Create(name string) (segmenter.File, error) {
	if o.journalErr != nil {
		return nil, o.journalErr
	}
	ctx, cancel := o.timeout()
	defer cancel()
	f, err := o.r.o.Store.Create(ctx, path.Join(o.dir, name))
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
func (rec *recording) Discard(name string) {
	rec.mu.Lock()
	delete(rec.open, name)
	rec.empty = append(rec.empty, name)
	rec.mu.Unlock()
	if err := rec.removeEmpty(); err != nil {
		rec.r.log.Error("empty segment was not removed, will try again", "record_dir", rec.dir, "segment", name, "error", err)
	}
}

// removeEmpty removes the segments that have nothing in them.
func (rec *recording) removeEmpty() error {
	rec.mu.Lock()
	names := slices.Clone(rec.empty)
	rec.mu.Unlock()
	ctx, cancel := rec.timeout()
	defer cancel()
	for _, name := range names {
		if err := rec.r.o.Store.Delete(ctx, path.Join(rec.dir, name)); err != nil {
			return fmt.Errorf("remove empty segment: %w", err)
		}
		rec.mu.Lock()
		rec.empty = slices.DeleteFunc(rec.empty, func(n string) bool { return n == name })
		rec.mu.Unlock()
	}
	return nil
}

// representation returns the Representation of the newest Period that has the
// segment number of a lane. Called with mu held.
func (rec *recording) representation(l lane, number int) *manifest.Representation {
	for _, p := range slices.Backward(rec.pres.Periods) {
		for _, set := range p.Sets {
			for i := range set.Representations {
				if rep := &set.Representations[i]; rep.ID == l.String() && rep.Format != nil && rep.StartNumber <= number {
					return rep
				}
			}
		}
	}
	return nil
}

// ledger returns the recording's entry for a lane. Called with mu held.
func (rec *recording) ledger(l lane) *media.RecordingTrack {
	for i := range rec.info.Tracks {
		if t := &rec.info.Tracks[i]; t.Kind == l.Kind.String() && t.Layer == l.Layer {
			return t
		}
	}
	rec.info.Tracks = append(rec.info.Tracks, media.RecordingTrack{Kind: l.Kind.String(), Layer: l.Layer})
	return &rec.info.Tracks[len(rec.info.Tracks)-1]
}

// lists reports whether the ledger has a lane: it was announced, or is recorded.
func (rec *recording) lists(l lane) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.ContainsFunc(rec.info.Tracks, func(t media.RecordingTrack) bool { return laneOf(&t) == l })
}

// gap notes a span without media of its own in a lane's ledger.
func (rec *recording) gap(l lane, start, duration time.Duration, cause string, filled bool) {
	g := media.Gap{Start: seconds(start), Duration: seconds(duration), Cause: cause, Filled: filled}
	rec.keep(rec.note(entry{Gap: &gapEntry{l, g}}, false))
}

// overrun counts packets that were dropped before they could be recorded.
func (rec *recording) overrun(packets int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.info.PacketsOverrun += int64(packets)
}

// maxDiscards bounds the causes that are counted apart, because each session has causes
// of its own. The rest is counted as otherDiscards.
const (
	maxDiscards   = 32
	otherDiscards = "other causes"
)

// discard counts packets that were no part of a track.
func (rec *recording) discard(d media.Discard) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	of := func(cause string) int {
		return slices.IndexFunc(rec.info.Discarded, func(o media.Discard) bool { return o.Cause == cause })
	}
	i := of(d.Cause)
	if i < 0 && len(rec.info.Discarded) >= maxDiscards-1 {
		d.Cause = otherDiscards
		i = of(d.Cause)
	}
	if i < 0 {
		rec.info.Discarded = append(rec.info.Discarded, d)
		return
	}
	rec.info.Discarded[i].Packets += d.Packets
}

// isEmpty reports whether no Period has begun.
func (rec *recording) isEmpty() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.pres.Periods) == 0
}

// isSealed reports whether the recording has ended with a verdict.
func (rec *recording) isSealed() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.sealed
}

// update changes a lane's ledger entry.
func (rec *recording) update(l lane, change func(*media.RecordingTrack)) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	change(rec.ledger(l))
}

// snapshot returns a copy of what is known of the recording.
func (rec *recording) snapshot() media.Recording {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	info := rec.info
	info.DurableThrough = rec.proved(seconds(rec.durableThrough()))
	info.Discarded = slices.Clone(info.Discarded)
	info.Tracks = slices.Clone(info.Tracks)
	rec.total(info.Tracks)
	for i := range info.Tracks {
		info.Tracks[i].Gaps = slices.Clone(info.Tracks[i].Gaps)
	}
	return info
}

// manifest returns the current manifest of a name.
func (rec *recording) manifest(name string) (data []byte, modified time.Time, ok bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.pres.Ready() || !slices.Contains(rec.manifests(), name) {
		return nil, time.Time{}, false
	}
	return rec.render(name), rec.modified, true
}

// manifests returns the names of the manifests, in the order in which they are to be
// stored: one names only what is there before it. Called with mu held.
func (rec *recording) manifests() []string {
	if rec.renderedV != rec.version {
		rec.pres.Published = rec.modified
		rec.rendered, rec.renderedV = map[string][]byte{}, rec.version
		rec.names = append(rec.pres.Playlists(), manifestName)
	}
	return rec.names
}

// render returns the text of one of the manifests; it is not written to again. Called
// with mu held.
func (rec *recording) render(name string) []byte {
	rec.manifests() // of now
	data := rec.rendered[name]
	switch {
	case data != nil:
		return data
	case name == manifestName:
		data = rec.pres.AppendMPD(nil)
	default:
		data, _ = rec.pres.AppendPlaylist(nil, name)
	}
	rec.rendered[name] = data
	return data
}

// putManifests stores all manifests as they are now, and returns how many bytes they have.
func (rec *recording) putManifests() (size int64, err error) {
	rec.mu.Lock()
	names := rec.manifests()
	texts := make([][]byte, len(names))
	for i, name := range names {
		texts[i] = rec.render(name)
	}
	rec.mu.Unlock()
	for i, name := range names {
		if err := rec.put(name, texts[i]); err != nil {
			return size, err
		}
		size += int64(len(texts[i]))
	}
	return size, nil
}

// isOpen reports whether the segment of that name is being written.
func (rec *recording) isOpen(name string) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	_, ok := rec.open[name]
	return ok
}

// noteLedger writes the ledger to the journal, so that a crash does not lose it, if
// there is so much new media that this stays a small share.
func (rec *recording) noteLedger() error {
	info := rec.snapshot()
	if rec.journal == nil || rec.noted*ledgerShare > info.Bytes {
		return nil
	}
	rec.noted += int64(len(encodeInfo(info)))
	return rec.write(entry{Info: &info}, false)
}

// hasMedia reports whether a segment has been closed.
func (rec *recording) hasMedia() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.end > 0
}

// abort closes the open segments after an error. What is not stored of them is not
// counted.
func (rec *recording) abort() {
	for l, t := range rec.tracks {
		t.Abort()
		rec.update(l, func(t *media.RecordingTrack) { t.Frames = rec.closed[l] })
	}
}

// put stores a small object of the recording.
func (rec *recording) put(name string, data []byte) error {
	ctx, cancel := rec.timeout()
	defer cancel()
	if err := rec.r.o.Store.Put(ctx, path.Join(rec.dir, name), bytes.NewReader(data), int64(len(data))); err != nil {
		return fmt.Errorf("write %s: %w", path.Join(rec.dir, name), err)
	}
	return nil
}

// timeout returns a context for one operation. It does not end with the recorder, so
// that what was begun is finished.
func (rec *recording) timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), storeTimeout)
}

// seconds rounds d to the millisecond for people and JSON.
func seconds(d time.Duration) float64 {
	return math.Round(d.Seconds()*1000) / 1000
}
