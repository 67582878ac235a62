package segmenter

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/media/fmp4"
)

// disk is an Output in memory.
type disk struct {
	objects map[string]*object
	closed  []media.Segment
	tables  [][]fmp4.Table // of closed
	chunks  []media.Chunk
	full    bool // writes fail
}

type object struct {
	bytes.Buffer
	d      *disk
	synced int
	done   bool
}

var errFull = errors.New("disk full")

func (d *disk) Init(name string, data []byte) error {
	d.objects[name] = &object{d: d, done: true}
	d.objects[name].Buffer.Write(data)
	return nil
}

func (d *disk) Create(name string) (File, error) {
	if d.objects[name] != nil {
		return nil, errors.New(name + " exists")
	}
	d.objects[name] = &object{d: d}
	return d.objects[name], nil
}

func (d *disk) Closed(s media.Segment, tables []fmp4.Table) {
	d.closed, d.tables = append(d.closed, s), append(d.tables, tables)
}

func (d *disk) Chunk(c media.Chunk) { d.chunks = append(d.chunks, c) }

func (d *disk) Discard(name string) { delete(d.objects, name) }

func (o *object) Write(p []byte) (int, error) {
	if o.d.full {
		return 0, errFull
	}
	return o.Buffer.Write(p)
}

func (o *object) Sync() error  { o.synced++; return nil }
func (o *object) Close() error { o.done = true; return nil }

func newDisk() *disk { return &disk{objects: map[string]*object{}} }

var options = Options{ChunkDuration: 500 * time.Millisecond, Sync: SyncSegment}

func opusFormat(t *testing.T) *media.Format {
	t.Helper()
	c, _ := codec.Lookup("opus")
	a, err := c.NewAssembler(media.Track{Kind: media.Audio, Codec: "opus", ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	u, err := a.Assemble([][]byte{{0xfc, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return u.Format
}

// videoFormat returns a VP9 format of the given width: what distinguishes
// formats does not matter here.
func videoFormat(width int) *media.Format {
	return &media.Format{
		Codec: "VP9", RFC6381: "vp09.00.31.08", Timescale: 90000, Width: width, Height: 180,
		Private: []byte{0, 31, 0x82, 1, 1, 1, 0, 0},
	}
}

// track returns a video track that has begun.
func video(t *testing.T, d *disk) *Track {
	t.Helper()
	tr := NewTrack(media.Video, 0, options, d)
	if _, err := tr.Begin(videoFormat(320)); err != nil {
		t.Fatal(err)
	}
	return tr
}

// writeVideo writes frames of 1/30 s from frame number first to last, with key
// frames every gop frames, with which segments begin.
func writeVideo(t *testing.T, tr *Track, first, last, gop int) {
	t.Helper()
	for i := first; i < last; i++ {
		err := tr.Write(Sample{Time: media.Ticks(i * 3000), Duration: 3000, Key: i%gop == 0, Cut: i%gop == 0, Data: []byte{byte(i), byte(i >> 8)}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// samples decodes a segment and checks that its chunks follow each other.
func samples(t *testing.T, d *disk, s media.Segment) (n int, first *mp4.TrunBox) {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(d.objects[s.Name].Bytes()))
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	at := uint64(s.Time)
	for _, seg := range f.Segments {
		for _, frag := range seg.Fragments {
			traf := frag.Moof.Traf
			if got := traf.Tfdt.BaseMediaDecodeTime(); got != at {
				t.Errorf("%s: chunk at %d, want %d", s.Name, got, at)
			}
			if first == nil {
				first = traf.Trun
			}
			for _, full := range must(frag.GetFullSamples(nil))(t) {
				at += uint64(full.Dur)
				n++
			}
		}
	}
	if at != uint64(s.Time+s.Duration) {
		t.Errorf("%s: media ends at %d, the segment at %d", s.Name, at, s.Time+s.Duration)
	}
	return n, first
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestVideoIsCutWhereItIsSaid(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 200, 90)
	if end := must(tr.End(200 * 3000))(t); end != 200*3000 {
		t.Errorf("ends at %d, want %d", end, 200*3000)
	}
	var got []media.Ticks
	total := 0
	for i, s := range d.closed {
		got = append(got, s.Time/3000)
		n, _ := samples(t, d, s)
		total += n
		read := must(fmp4.Tables(bytes.NewReader(d.objects[s.Name].Bytes()), s.Bytes))(t)
		if !reflect.DeepEqual(d.tables[i], read) {
			t.Errorf("segment %d: tables %+v, a reader finds %+v", s.Number, d.tables[i], read)
		}
		if o := d.objects[s.Name]; !o.done || o.synced != 1 || int64(o.Len()) != s.Bytes || s.Number != i+1 {
			t.Errorf("segment %+v: closed %v, synced %d times, %d bytes", s, o.done, o.synced, o.Len())
		}
	}
	if want := []media.Ticks{0, 90, 180}; !slices.Equal(got, want) {
		t.Errorf("segments start at frames %v, want %v", got, want)
	}
	if total != 200 {
		t.Errorf("%d samples written, want 200", total)
	}
}

func TestSoundLastsAsItSays(t *testing.T) {
	d := newDisk()
	tr := NewTrack(media.Audio, 0, options, d)
	must(tr.Begin(opusFormat(t)))(t)
	for i := range 250 {
		if err := tr.Write(Sample{Time: media.Ticks(i * 960), Duration: 960, Key: true, Cut: i%100 == 0, Data: []byte{0xfc, byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	must(tr.End(0))(t)
	if last := d.closed[2]; len(d.closed) != 3 || last.Duration != 50*960 {
		t.Errorf("%d segments, the last lasts %d, want the packets' own duration", len(d.closed), last.Duration)
	}
}

// Chunks are on disk before the segment is closed.
func TestChunksAreWrittenEarly(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 17, 1000)
	o := d.objects["v_seg_0001.m4s"]
	if o.Len() == 0 || o.done {
		t.Fatalf("after 17 frames %d bytes written, done %v", o.Len(), o.done)
	}
	if tr.Written() != 15*3000 {
		t.Errorf("written up to %d, want one chunk of half a second", tr.Written())
	}
}

// What waits in memory is bounded where the timestamps hardly move.
func TestLargeChunksAreWrittenEarly(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	data := make([]byte, maxChunkBytes/4)
	for i := range 9 {
		if err := tr.Write(Sample{Time: media.Ticks(i), Duration: 1, Key: i == 0, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	if got := tr.Written(); got != 8 {
		t.Errorf("written up to frame %d of 9, want 8", got)
	}
}

// Periods: numbers go on, a format that changed gets a new init segment, one
// that did not keeps the old.
func TestPeriods(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 30, 1000)
	must(tr.End(30 * 3000))(t)
	if init := must(tr.Begin(videoFormat(320)))(t); init != "v_init.m4s" {
		t.Errorf("the same format got %q", init)
	}
	if tr.Next() != 2 {
		t.Errorf("next number %d, want 2", tr.Next())
	}
	writeVideo(t, tr, 300, 330, 300)
	must(tr.End(330 * 3000))(t)
	if init := must(tr.Begin(videoFormat(640)))(t); init != "v_init_0002.m4s" || d.objects[init] == nil {
		t.Errorf("another format got %q", init)
	}
	if got := d.closed[1]; got.Name != "v_seg_0002.m4s" || got.Time != 300*3000 || got.Duration != 30*3000 {
		t.Errorf("segment of the second period: %+v", got)
	}
}

// After a failed write what was whole stays, and is reported.
func TestAbortKeepsWholeChunks(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 17, 1000)
	d.full = true
	var err error
	for i := 17; i < 40 && err == nil; i++ {
		err = tr.Write(Sample{Time: media.Ticks(i * 3000), Data: []byte{1}})
	}
	if !errors.Is(err, errFull) {
		t.Fatalf("error %v, want %v", err, errFull)
	}
	tr.Abort()
	if len(d.closed) != 1 || d.closed[0].Duration != 15*3000 {
		t.Fatalf("closed segments %+v, want one of 15 frames", d.closed)
	}
	if n, _ := samples(t, d, d.closed[0]); n != 15 {
		t.Errorf("%d samples, want 15", n)
	}
}

// Of a segment with very many samples no tables are kept.
func TestTablesAreBounded(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	for i := range maxTabled + 3000 {
		if err := tr.Write(Sample{Time: media.Ticks(i * 30), Key: i == 0, Data: []byte{1}}); err != nil {
			t.Fatal(err)
		}
	}
	if len(tr.tables) > 0 {
		t.Errorf("%d tables are kept", len(tr.tables))
	}
	must(tr.End(0))(t)
	writeVideo(t, tr, 1_000_000, 1_000_030, 500_000)
	must(tr.End(0))(t)
	if len(d.tables) != 2 || d.tables[0] != nil || len(d.tables[1]) == 0 {
		t.Errorf("tables of %d segments", len(d.tables))
	}
}

// A segment that got no whole chunk leaves nothing behind.
func TestAbortDiscardsEmptySegments(t *testing.T) {
	d := newDisk()
	tr := video(t, d)
	writeVideo(t, tr, 0, 3, 1000)
	d.full = true
	if _, err := tr.End(0); !errors.Is(err, errFull) {
		t.Fatalf("error %v, want %v", err, errFull)
	}
	tr.Abort()
	if len(d.closed) != 0 || d.objects["v_seg_0001.m4s"] != nil {
		t.Errorf("closed %+v, left %v", d.closed, d.objects["v_seg_0001.m4s"])
	}
}

func TestTimeMustGrow(t *testing.T) {
	tr := video(t, newDisk())
	writeVideo(t, tr, 0, 2, 1000)
	if err := tr.Write(Sample{Time: 3000}); err == nil {
		t.Error("a sample at the time of the one before was taken")
	}
}
