// Package segmenter cuts the access units of a track into chunks and segments
// and writes them: a chunk as soon as it is whole, so that neither memory nor
// what a crash can cost grows with the segment.
package segmenter

import (
	"fmt"
	"io"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// maxChunkBytes is from when on a chunk is written before its time: senders whose
// timestamps hardly move make it long.
const maxChunkBytes = 8 << 20

// maxTabled is of how many samples of a segment the tables are kept in memory: twenty
// minutes of pictures, if the sender ignores requests for key frames.
const maxTabled = 1 << 16

// Sync says when segments are made durable.
type Sync uint8

// The sync modes, from the least to the most durable.
const (
	SyncOff     Sync = iota // the operating system decides
	SyncSegment             // when a segment is closed
	SyncChunk               // after each chunk
)

// File is a segment that is being written.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// Output takes what a track writes. Names are relative to the recording.
type Output interface {
	// Init stores a whole init segment.
	Init(name string, data []byte) error
	// Create begins a segment; its name was never used before.
	Create(name string) (File, error)
	// Chunk tells that a part of the open segment is written whole.
	Chunk(c media.Chunk)
	// Closed tells that a segment is complete. tables say where its samples are; nil
	// where the container has none, or they are too many.
	Closed(s media.Segment, tables []fmp4.Table)
	// Discard tells that a segment which was created has nothing in it and
	// never will.
	Discard(name string)
}

// Options are the settings that all tracks of a recording share.
type Options struct {
	ChunkDuration time.Duration
	Sync          Sync
}

// Sample is one access unit with its place on the recording's media timeline.
type Sample struct {
	Time media.Ticks // decode time, Format.Timescale ticks
	// Composition is the presentation time less Time; 0 for the first of a Period.
	// A container that knows of no reordering leaves it out.
	Composition media.Ticks
	// Duration is the sample's own duration where it is known (audio), or what
	// it lasts if it turns out to be the last (video). Between samples the
	// difference of their times counts.
	Duration media.Ticks
	Key      bool
	Filler   bool // it was not sent, but stands for what was not
	Cut      bool // a segment begins with it, where it is not the first of its Period
	Data     []byte
	Wall     time.Time // wall clock of Time
}

// Track writes the segments of one track of one recording. Segment numbers and
// media time go on over Periods. Not safe for concurrent use.
//
// After an error the track is broken: every further call returns that error, and
// Abort closes what is open.
type Track struct {
	err error

	kind   media.Kind
	prefix string // of names: "v", "v2" or "a"
	o      Options
	out    Output

	mp4  mp4Muxer
	webm webmMuxer
	mux  muxer       // one of the two: that of format
	step media.Ticks // times of samples are multiples of it

	format *media.Format
	init   string // name of the init segment of format
	inits  int    // init segments written so far

	number int // of the open segment, else of the last

	file    File // the open segment; nil between segments
	name    string
	start   media.Ticks // of the open segment
	written media.Ticks // end of the last chunk that is written whole
	bytes   int64       // written to the open segment
	frames  int64       // of these, those that were sent
	whole   int64       // of these, those in chunks that are written whole
	tables  []fmp4.Table
	tabled  int // samples of the segment's chunks that are written whole

	chunk      chunk // the open one
	chunkLen   media.Ticks
	chunkBytes int
	buf        []byte

	pending     Sample      // waits for the next one's time
	asked       media.Ticks // the pending sample's time before it was placed
	havePending bool
}

// NewTrack returns the writer of one of a recording's tracks: of audio, or of a
// layer of video, from 0.
func NewTrack(kind media.Kind, layer int, o Options, out Output) *Track {
	t := &Track{kind: kind, prefix: "v", o: o, out: out, mp4: mp4Muxer{kind: kind, id: 1}}
	switch {
	case kind == media.Audio:
		t.prefix, t.mp4.id = "a", 2
	case layer > 0:
		t.prefix = fmt.Sprintf("v%d", layer+1)
	}
	return t
}

// Media returns the name template of the Period's segments (ISO/IEC 23009-1
// 5.3.9.4.4). There is none before Begin.
func (t *Track) Media() string { return t.prefix + "_seg_" + media.NumberField + t.mux.extension() }

// Next returns the number that the next segment will have.
func (t *Track) Next() int { return t.number + 1 }

// Timescale returns the ticks of a second of the samples' times. There is none before
// Begin.
func (t *Track) Timescale() uint32 { return t.format.Timescale }

// Written returns the media time up to which whole chunks have been written.
func (t *Track) Written() media.Ticks { return t.written }

// Place returns the time that a sample gets if it is written next with time
// at: the nearest that the container can tell, but not one that is taken.
// Between Begin and the first Write it is where the Period's segments start.
// Placing is by each sample's own time, so that what is rounded never adds up.
func (t *Track) Place(at media.Ticks) media.Ticks {
	first := t.written
	if t.havePending {
		first = t.pending.Time + t.step
	}
	if at = t.round(at); at < first {
		at = (first + t.step - 1) / t.step * t.step
	}
	return at
}

// Begin starts a Period for the track and returns the name of its init
// segment, which is written where that differs from the last Period's.
// The Period before has been ended with End. The format's codec chooses the
// container.
func (t *Track) Begin(f *media.Format) (init string, err error) {
	if t.err != nil {
		return "", t.err
	}
	if t.format.SameInit(f) {
		return t.init, nil
	}
	mux := t.muxer(f)
	data, err := mux.init(f)
	if err != nil {
		return "", fmt.Errorf("make init segment: %w", err)
	}
	name := t.prefix + "_init" + mux.extension()
	if t.inits > 0 {
		name = fmt.Sprintf("%s_init_%04d%s", t.prefix, t.inits+1, mux.extension())
	}
	if err := t.out.Init(name, data); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	t.inits++
	t.format, t.init = f, name
	t.mux, t.step = mux, mux.resolution(f)
	return name, nil
}

// Write adds a sample; its time is later than that of the one before, which
// thereby gets its duration. The first sample after Begin is a key frame.
func (t *Track) Write(s Sample) error {
	if t.err != nil {
		return t.err
	}
	if !t.havePending {
		return t.open(s, t.Place(s.Time))
	}
	if s.Time <= t.asked {
		return fmt.Errorf("write %s sample: time %d is not after %d", t.kind, s.Time, t.asked)
	}
	at := t.Place(s.Time)
	if err := t.commit(at - t.pending.Time); err != nil {
		return err
	}
	if !s.Cut {
		t.hold(s, at)
		return nil
	}
	if err := t.close(); err != nil {
		return err
	}
	return t.open(s, at)
}

// End finishes the Period for the track: the pending sample lasts until the
// time at, or for its own duration if at is not after it. It returns the
// media time at which the track now ends. Without samples it does nothing.
func (t *Track) End(at media.Ticks) (media.Ticks, error) {
	if t.err != nil || !t.havePending {
		return t.written, t.err
	}
	d := t.round(at) - t.pending.Time
	if d <= 0 {
		d = max(t.round(t.pending.Duration), t.step)
	}
	if err := t.commit(d); err != nil {
		return t.written, err
	}
	t.havePending, t.pending = false, Sample{}
	return t.written, t.close()
}

// Abort closes what is open after an error, keeping every whole chunk.
func (t *Track) Abort() {
	t.havePending, t.pending = false, Sample{}
	if t.file == nil {
		return
	}
	_ = t.file.Close() // the error that led here has been reported
	t.file = nil
	if t.written > t.start {
		t.closed()
	} else {
		t.out.Discard(t.name)
	}
}

// hold makes s, which is placed at a time, the pending sample.
func (t *Track) hold(s Sample, at media.Ticks) {
	t.asked, s.Time = s.Time, at
	t.pending, t.havePending = s, true
}

// open starts a segment with s, placed at a time.
func (t *Track) open(s Sample, at media.Ticks) error {
	name := media.SegmentName(t.Media(), t.number+1)
	f, err := t.out.Create(name)
	if err != nil {
		return t.fail(fmt.Errorf("create %s: %w", name, err))
	}
	t.number++
	t.file, t.name, t.start, t.written, t.bytes = f, name, at, at, 0
	t.frames, t.whole, t.tables, t.tabled = 0, 0, nil, 0
	t.hold(s, at)
	return nil
}

// commit moves the pending sample into the chunk with duration d, and writes
// the chunk when it is long enough.
func (t *Track) commit(d media.Ticks) error {
	if t.chunkLen == 0 {
		t.chunk = chunk{time: t.pending.Time, wall: t.pending.Wall, first: t.bytes == 0, key: t.pending.Key || t.kind == media.Audio}
	}
	t.mux.add(&t.pending, d)
	t.chunkLen += d
	t.chunkBytes += len(t.pending.Data)
	if !t.pending.Filler {
		t.frames++
	}
	if t.chunkLen < t.ticks(t.o.ChunkDuration) && t.chunkBytes < maxChunkBytes {
		return nil
	}
	return t.flush()
}

// flush writes the chunk.
func (t *Track) flush() error {
	if t.chunkLen == 0 {
		return nil
	}
	t.buf = t.mux.flush(t.buf[:0], t.chunk)
	if _, err := t.file.Write(t.buf); err != nil {
		return t.fail(fmt.Errorf("write %s: %w", t.name, err))
	}
	if t.o.Sync == SyncChunk {
		if err := t.file.Sync(); err != nil {
			return t.fail(fmt.Errorf("sync %s: %w", t.name, err))
		}
	}
	t.keepTable()
	t.bytes += int64(len(t.buf))
	t.written, t.whole = t.written+t.chunkLen, t.frames
	t.out.Chunk(media.Chunk{Number: t.number, Time: t.chunk.time, Duration: t.chunkLen, Bytes: int64(len(t.buf)), Key: t.chunk.key})
	t.chunkLen, t.chunkBytes = 0, 0
	return nil
}

// keepTable keeps the table of the chunk that has just been written.
func (t *Track) keepTable() {
	table, ok := t.mux.table()
	if t.tabled += len(table.Samples); !ok || t.tabled > maxTabled {
		t.tables = nil
		return
	}
	table.Offset += t.bytes
	t.tables = append(t.tables, table)
}

// close ends the open segment.
func (t *Track) close() error {
	if err := t.flush(); err != nil {
		return err
	}
	if t.o.Sync == SyncSegment {
		if err := t.file.Sync(); err != nil {
			return t.fail(fmt.Errorf("sync %s: %w", t.name, err))
		}
	}
	err := t.file.Close()
	t.file = nil
	t.closed() // every chunk of it was written
	if err != nil {
		return t.fail(fmt.Errorf("close %s: %w", t.name, err))
	}
	return nil
}

// fail makes err, which is not nil, the track's last word.
func (t *Track) fail(err error) error {
	t.err = err
	return err
}

// closed reports the segment that was open.
func (t *Track) closed() {
	t.out.Closed(media.Segment{
		Number: t.number, Name: t.name, Time: t.start, Duration: t.written - t.start, Bytes: t.bytes,
		Sequence: t.mp4.sequence, Frames: t.whole,
	}, t.tables)
	t.tables = nil
}

// round returns the multiple of the container's unit that is nearest to at.
func (t *Track) round(at media.Ticks) media.Ticks { return (at + t.step/2) / t.step * t.step }

// ticks converts d to the track's timescale.
func (t *Track) ticks(d time.Duration) media.Ticks {
	if t.format == nil {
		return 0
	}
	return media.TicksOf(d, t.format.Timescale)
}
