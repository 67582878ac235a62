package recording

import (
	"fmt"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/manifest"
	"github.com/live777/recorder/internal/record/segmenter"
	"github.com/live777/recorder/internal/storage"
)

// entry is one line of a recording's journal: one thing that happened to it, in one of
// these fields. A recording is made by applying its entries, one after the other, while
// it is written and again after a crash. docs/formats/journal.md describes them.
type entry struct {
	Claim     *claimEntry      `json:"claim,omitempty"`
	Claimed   bool             `json:"claimed,omitempty"` // the record_dir is the recording's own
	Recovered *time.Time       `json:"recovered,omitempty"`
	Start     *time.Time       `json:"start,omitempty"` // wall clock of media time 0
	Period    *periodEntry     `json:"period,omitempty"`
	Init      *initEntry       `json:"init,omitempty"`
	Track     *trackEntry      `json:"track,omitempty"`
	Segment   *segmentEntry    `json:"segment,omitempty"`
	PeriodEnd *periodEndEntry  `json:"period_end,omitempty"`
	Gap       *gapEntry        `json:"gap,omitempty"`
	Waiting   *waitingEntry    `json:"waiting,omitempty"`
	Pause     *pauseEntry      `json:"pause,omitempty"`
	Aborted   bool             `json:"aborted,omitempty"` // what was open has ended where it is stored
	Protect   *bool            `json:"protect,omitempty"`
	Info      *media.Recording `json:"info,omitempty"` // with the ledger as far as it is not in the others
	Sealed    *media.Recording `json:"sealed,omitempty"`
	Broken    bool             `json:"broken,omitempty"` // with Sealed: tidy is still to be done
}

// journalVersion is the version of the entries. A change that makes older programs read
// an entry wrongly, or not at all, takes the next number.
const journalVersion = 2

// claimEntry begins a journal.
type claimEntry struct {
	Version int             `json:"version"` // of all entries: journalVersion
	Info    media.Recording `json:"info"`    // as recording.json has it
	BaseDir string          `json:"base_dir,omitempty"`
}

// periodEntry begins a Period that is to have these lanes.
type periodEntry struct {
	Start time.Duration `json:"start"`
	Lanes []lane        `json:"lanes"`
}

// initEntry reserves the name of an init segment.
type initEntry struct {
	Lane  lane   `json:"lane"`
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// trackEntry brings a track into a Period.
type trackEntry struct {
	Lane        lane          `json:"lane"`
	Period      int           `json:"period"`
	Format      *media.Format `json:"format"`
	Init        string        `json:"init"`
	Media       string        `json:"media"`
	StartNumber int           `json:"start_number"`
	Start       media.Ticks   `json:"start"`
}

// segmentEntry is a segment that has been closed.
type segmentEntry struct {
	Lane    lane          `json:"lane"`
	Segment media.Segment `json:"segment"`
	Counts  counts        `json:"counts"`
	Beside  beside        `json:"beside,omitzero"`
}

// beside has the counters of a recording that belong to no track, so far.
type beside struct {
	Overrun   int64           `json:"overrun,omitempty"`
	Discarded []media.Discard `json:"discarded,omitempty"`
}

// into puts the counts into a recording, unless it has newer ones.
func (b beside) into(info *media.Recording) {
	info.PacketsOverrun = max(info.PacketsOverrun, b.Overrun)
	if sumOf(b.Discarded) > sumOf(info.Discarded) {
		info.Discarded = b.Discarded
	}
}

// sumOf returns how many packets were discarded.
func sumOf(all []media.Discard) (packets int64) {
	for _, d := range all {
		packets += d.Packets
	}
	return packets
}

// counts are the counters of a lane's ledger, up to the end of a segment.
type counts struct {
	Frames    int64 `json:"frames"` // that were sent
	Received  int64 `json:"received,omitempty"`
	Lost      int64 `json:"lost,omitempty"`
	Recovered int64 `json:"recovered,omitempty"`
	Dropped   int64 `json:"dropped,omitempty"`
	Corrected int64 `json:"corrected,omitempty"`

	BeforeKey int64   `json:"before_key,omitempty"`
	KeyWait   float64 `json:"key_wait,omitempty"` // seconds
}

// waitingEntry is sound that has waited long to be written, with the place that it has by
// what is known. A crash then does not lose it. Without samples: nothing of it waits any
// more.
type waitingEntry struct {
	Format  *media.Format   `json:"format,omitempty"`
	Samples []waitingSample `json:"samples,omitempty"`
}

// waitingSample is a packet of sound. Times are those of the media.
type waitingSample struct {
	Time     media.Ticks `json:"time"`
	Duration media.Ticks `json:"duration"`
	Data     []byte      `json:"data"`
}

// countsOf returns what a ledger counts.
func countsOf(t *media.RecordingTrack) counts {
	return counts{
		t.Frames, t.PacketsReceived, t.PacketsLost, t.PacketsRecovered, t.FramesDropped, t.PacketsCorrected,
		t.FramesBeforeKey, t.KeyFrameWait,
	}
}

// into puts the counts into a ledger when a journal is replayed, unless that has newer
// ones. Frames are those of the segments that are there.
func (c counts) into(t *media.RecordingTrack) {
	t.Frames, t.PacketsReceived = c.Frames, max(t.PacketsReceived, c.Received)
	t.PacketsLost, t.PacketsRecovered = max(t.PacketsLost, c.Lost), max(t.PacketsRecovered, c.Recovered)
	t.FramesDropped, t.PacketsCorrected = max(t.FramesDropped, c.Dropped), max(t.PacketsCorrected, c.Corrected)
	t.FramesBeforeKey, t.KeyFrameWait = max(t.FramesBeforeKey, c.BeforeKey), max(t.KeyFrameWait, c.KeyWait)
}

// periodEndEntry gives a Period its end, on the media timeline.
type periodEndEntry struct {
	Period int           `json:"period"`
	End    time.Duration `json:"end"`
}

// pauseEntry says since when the recording is paused. Without that it goes on.
type pauseEntry struct {
	Since *time.Time `json:"since,omitempty"`
}

// gapEntry is a gap for the ledger. If the lane's last gap has the same start, this one
// replaces it: a gap is noted again as it grows.
type gapEntry struct {
	Lane lane      `json:"lane"`
	Gap  media.Gap `json:"gap"`
}

// note applies an entry and writes it to the journal. With durable, a power failure
// does not lose it.
func (rec *Recording) note(e entry, durable bool) error {
	if err := rec.include(&e); err != nil {
		rec.log().Error("recording is not consistent", "record_dir", rec.dir, "error", err)
		return nil // what is on storage is not at fault
	}
	return rec.write(e, durable)
}

// include is apply, and locks mu.
func (rec *Recording) include(e *entry) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.apply(e)
}

// write appends to the journal, if there is one.
func (rec *Recording) write(e entry, durable bool) error {
	if rec.journal == nil {
		return nil
	}
	if err := rec.journal.Append(e, durable && rec.host.Settings().Sync != segmenter.SyncOff); err != nil {
		return fmt.Errorf("note what is recorded: %w", storage.ClassifyLocal(err))
	}
	return nil
}

// keep remembers an error of the journal. The next segment fails with it.
func (rec *Recording) keep(err error) {
	if err != nil && rec.journalErr == nil {
		rec.journalErr = err
	}
}

// apply changes the recording by an entry. If the entry does not fit what came before,
// apply changes nothing and returns an error. Called with mu held.
func (rec *Recording) apply(e *entry) error {
	switch {
	case e.Recovered != nil:
		rec.info.Recovered++
		rec.crashed = true
	case e.Start != nil:
		rec.info.Start, rec.pres.AvailabilityStart = *e.Start, *e.Start
	case e.Period != nil:
		rec.applyPeriod(e.Period)
	case e.Init != nil:
		rec.state(e.Init.Lane).Inits++
		rec.info.Bytes += int64(e.Init.Bytes)
		rec.unstored = append(rec.unstored, stored{e.Init.Name, rec.end})
	case e.Track != nil:
		return rec.applyTrack(e.Track)
	case e.Segment != nil:
		return rec.applySegment(e.Segment)
	case e.PeriodEnd != nil:
		return rec.applyPeriodEnd(e.PeriodEnd)
	case e.Gap != nil:
		rec.applyGap(e.Gap.Lane, e.Gap.Gap)
	case e.Waiting != nil:
		rec.applyWaiting(e.Waiting)
	case e.Pause != nil:
		rec.info.PausedSince = e.Pause.Since
	case e.Aborted:
		rec.applyAborted()
	case e.Protect != nil:
		rec.info.Protected = *e.Protect
	case e.Info != nil:
		protected := rec.info.Protected // said by entries of its own, which may overtake
		rec.info = *e.Info
		rec.info.Protected = protected
	}
	rec.changed()
	return nil
}

func (rec *Recording) applyPeriod(e *periodEntry) {
	rec.crashed = false
	rec.pres.Periods = append(rec.pres.Periods, manifest.Period{ID: fmt.Sprintf("p%d", len(rec.pres.Periods)+1), Start: e.Start})
	for _, l := range e.Lanes {
		rec.representationIn(len(rec.pres.Periods)-1, l)
	}
	rec.info.Periods = len(rec.pres.Periods)
}

func (rec *Recording) applyPeriodEnd(e *periodEndEntry) error {
	if e.Period < 0 || e.Period >= len(rec.pres.Periods) {
		return fmt.Errorf("there is no period %d to end", e.Period)
	}
	p, end := &rec.pres.Periods[e.Period], e.End
	if e.Period+1 < len(rec.pres.Periods) {
		end = min(end, rec.pres.Periods[e.Period+1].Start)
	}
	p.Duration = max(end-p.Start, 0)
	rec.changed()
	return nil
}

func (rec *Recording) applyTrack(e *trackEntry) error {
	if e.Period < 0 || e.Period >= len(rec.pres.Periods) || e.Format == nil || e.Format.Timescale == 0 {
		return fmt.Errorf("track %s cannot be in period %d", e.Lane.String(), e.Period)
	}
	*rec.representationIn(e.Period, e.Lane) = manifest.Representation{
		ID: e.Lane.String(), Format: e.Format, Init: e.Init, Media: e.Media,
		StartNumber: e.StartNumber, Timeline: manifest.NewTimeline(e.Start),
	}
	s := rec.state(e.Lane)
	s.Format, s.Init = e.Format, e.Init
	change(rec.ledger(e.Lane), rec.pres.Periods[e.Period].Start, e.Format)
	rec.changed()
	return nil
}

func (rec *Recording) applyWaiting(e *waitingEntry) {
	if len(e.Samples) == 0 || rec.waiting.Format != nil && !rec.waiting.Format.SameInit(e.Format) {
		rec.waiting.Samples = nil
	}
	rec.waiting.Format = e.Format
	rec.waiting.Samples = append(rec.waiting.Samples, e.Samples...)
}

// applySegment puts a lane's segment into the manifest.
func (rec *Recording) applySegment(e *segmentEntry) error {
	l, s := e.Lane, e.Segment
	delete(rec.open, s.Name)
	rep := rec.representation(l, s.Number)
	if rep == nil {
		return fmt.Errorf("segment %s belongs to no period", s.Name)
	}
	d, err := rec.pres.Add(rep, s)
	if err != nil {
		return fmt.Errorf("segment %s does not fit the timeline: %w", s.Name, err)
	}
	if d > rec.pres.MaxSegmentDuration {
		rec.log().Warn("segment is too long: the sender ignores key frame requests",
			"stream", rec.info.Stream, "record_id", rec.info.RecordID, "segment", s.Name, "duration", d)
		rec.pres.MaxSegmentDuration = d.Truncate(time.Second) + time.Second
	}
	rec.end = max(rec.end, (s.Time + s.Duration).Duration(rep.Format.Timescale))
	rec.info.Duration = Seconds(rec.end)
	rec.info.Bytes += s.Bytes
	lt := rec.ledger(l)
	lt.Segments++
	e.Counts.into(lt)
	e.Beside.into(&rec.info)
	rec.closed[l] = e.Counts.Frames
	lt.Bytes += s.Bytes
	st := rec.state(l)
	st.Number, st.Written, st.Sequence = s.Number, s.Time+s.Duration, max(st.Sequence, s.Sequence)
	rec.unstored = append(rec.unstored, stored{s.Name, s.Time.Duration(rep.Format.Timescale)})
	rec.changed()
	return nil
}

// state returns how far the track of a lane is. Called with mu held.
func (rec *Recording) state(l lane) *segmenter.State {
	s := rec.states[l]
	if s == nil {
		s = &segmenter.State{}
		rec.states[l] = s
	}
	return s
}
