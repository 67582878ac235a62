package movie

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// track collects the samples of a track, in the order of decoding, as the tables of its
// trak box.
type track struct {
	trak      *mp4.TrakBox // as the first init segment has it, with tables that are filled
	kind      media.Kind
	timescale uint32
	entries   [][]byte // the sample entries, encoded
	entry     uint32   // index of the one in use, from 1

	start, end media.Ticks // of the samples
	chunks     []chunk
	laid       int // chunks that are in the file already

	durations mp4.SttsBox
	composed  mp4.CttsBox
	sizes     mp4.StszBox
	keys      mp4.StssBox
	groups    mp4.SbgpBox // of Opus' pre-roll
	offsets   mp4.Co64Box
	perChunk  mp4.StscBox
	run       chunkRun // of the last chunk
	shifted   bool     // some sample has a composition offset
	allKeys   bool

	shift   media.Ticks // of the times of what is added now
	stop    media.Ticks // nothing is added that is shown later
	leaving bool        // samples are left out ...
	until   media.Ticks // ... that end then or before
	forKey  bool        // ... and until the next key frame
}

// chunk is a run of samples that lie in an object one after the other.
type chunk struct {
	time   media.Ticks
	offset int64
	size   int64
	object int32
}

// chunkRun is what consecutive chunks have in common.
type chunkRun struct{ samples, entry uint32 }

// newTrack returns a track without samples of the format that an init segment describes.
func newTrack(kind media.Kind, init []byte) (*track, error) {
	trak, err := trakOf(init)
	if err != nil {
		return nil, err
	}
	t := &track{trak: trak, kind: kind, timescale: trak.Mdia.Mdhd.Timescale, allKeys: true}
	t.sizes.SampleSize = []uint32{}
	t.composed = mp4.CttsBox{Version: 1, EndSampleNr: []uint32{0}}
	if err := t.begin(init); err != nil {
		return nil, err
	}
	return t, nil
}

// trakOf returns the trak box of an init segment.
func trakOf(init []byte) (*mp4.TrakBox, error) {
	f, err := mp4.DecodeFile(bytes.NewReader(init))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the init segment: %w", err)
	case f.Init == nil || f.Init.Moov == nil || f.Init.Moov.Trak == nil || f.Init.Moov.Trak.Tkhd == nil:
		return nil, fmt.Errorf("read the init segment: it has no track")
	}
	mdia := f.Init.Moov.Trak.Mdia
	if mdia == nil || mdia.Mdhd == nil || mdia.Mdhd.Timescale == 0 || mdia.Minf == nil || mdia.Minf.Stbl == nil ||
		mdia.Minf.Stbl.Stsd == nil || len(mdia.Minf.Stbl.Stsd.Children) != 1 {
		return nil, fmt.Errorf("read the init segment: it has no sample entry")
	}
	return f.Init.Moov.Trak, nil
}

// begin says that what follows is of the format of another init segment.
func (t *track) begin(init []byte) error {
	trak, err := trakOf(init)
	if err != nil {
		return err
	}
	entry := trak.Mdia.Minf.Stbl.Stsd.Children[0]
	if len(t.entries) > 0 && trak.Mdia.Mdhd.Timescale != t.timescale {
		return fault.Errorf(fault.Conflict, "its %s goes on with another clock rate, which one file cannot have", t.kind)
	}
	first := t.trak.Mdia.Minf.Stbl.Stsd
	if len(t.entries) > 0 && entry.Type() != first.Children[0].Type() {
		return fault.Errorf(fault.Conflict, "its %s changes from %s to %s, which one file cannot have", t.kind, first.Children[0].Type(), entry.Type())
	}
	var encoded bytes.Buffer
	if err := entry.Encode(&encoded); err != nil {
		return fmt.Errorf("encode the sample entry: %w", err)
	}
	for i, e := range t.entries {
		if bytes.Equal(e, encoded.Bytes()) {
			t.entry = uint32(i + 1)
			return nil
		}
	}
	t.entries = append(t.entries, encoded.Bytes())
	t.entry = uint32(len(t.entries))
	if t.entry > 1 {
		first.AddChild(entry)
		t.trak.Tkhd.Width, t.trak.Tkhd.Height = max(t.trak.Tkhd.Width, trak.Tkhd.Width), max(t.trak.Tkhd.Height, trak.Tkhd.Height)
	}
	return nil
}

// opusSilence is a packet of 20 ms of silence, as libopus makes it.
var opusSilence = []byte{0xfc, 0xff, 0xfe}

// silent is the object of chunks that are made of opusSilence, and lie nowhere.
const silent = -1

// leaveOut leaves out the samples that end at a time or before it, and with forKey all
// until the next key frame.
func (t *track) leaveOut(until media.Ticks, forKey bool) {
	t.leaving, t.until, t.forKey = true, until, forKey
}

// add adds the samples of a segment that lies in an object, as far as they are wanted. A
// hole before them is bridged. Of what overlaps the media before, only the rest is added.
func (t *track) add(object int32, tables []fmp4.Table) error {
	tables = t.before(tables)
	for i := range tables {
		table := &tables[i]
		c := chunk{time: table.Time + t.shift, offset: table.Offset, object: object}
		samples := t.rest(&c, table.Samples)
		if len(samples) == 0 {
			continue
		}
		if len(t.chunks) == 0 {
			t.start, t.end = c.time, c.time
		} else if err := t.bridge(c.time - t.end); err != nil {
			return err
		}
		shortest := uint32(math.MaxUint32)
		for _, s := range samples {
			if s.Composition == 0 && t.end < t.stop {
				s.Duration = uint32(min(media.Ticks(s.Duration), t.stop-t.end))
			}
			t.sample(s)
			c.size += int64(s.Size)
			shortest = min(shortest, s.Duration)
		}
		t.chunks = append(t.chunks, c)
		t.count(uint32(len(samples)), shortest)
	}
	return nil
}

// before returns the tables up to the last sample that is shown before the track stops.
// What is decoded before it stays, as it may be needed.
func (t *track) before(tables []fmp4.Table) []fmp4.Table {
	chunk, sample := -1, -1
	for i := range tables {
		time := tables[i].Time + t.shift
		for j, s := range tables[i].Samples {
			if time+media.Ticks(s.Composition) < t.stop {
				chunk, sample = i, j
			}
			time += media.Ticks(s.Duration)
		}
	}
	if chunk < 0 {
		return nil
	}
	last := tables[chunk]
	if chunk == len(tables)-1 && sample == len(last.Samples)-1 {
		return tables
	}
	last.Samples = last.Samples[:sample+1]
	return append(slices.Clone(tables[:chunk]), last)
}

// rest returns the samples of a chunk that are not left out, and where they begin.
func (t *track) rest(c *chunk, samples []fmp4.Entry) []fmp4.Entry {
	if early := t.end - c.time; !t.leaving && len(t.chunks) > 0 && early > 0 && early >= t.lastDuration() {
		t.leaveOut(t.end, t.kind == media.Video)
	}
	for i, s := range samples {
		if !t.leaving || c.time+media.Ticks(s.Duration) > t.until && (s.Key || !t.forKey) {
			t.leaving = false
			return samples[i:]
		}
		c.time += media.Ticks(s.Duration)
		c.offset += int64(s.Size)
	}
	return nil
}

// lastDuration returns how long the last sample lasts.
func (t *track) lastDuration() media.Ticks {
	return media.Ticks(t.durations.SampleTimeDelta[len(t.durations.SampleTimeDelta)-1])
}

// bridge fills a hole behind the last sample. A picture lasts until the next one. Sound is
// filled with packets of silence, because Chromium plays no more sound after a packet that
// lasts for seconds.
func (t *track) bridge(hole media.Ticks) error {
	if hole <= 0 {
		return t.extend(hole) // clocks are rounded where one recording follows another
	}
	packet := media.Ticks(t.timescale / 50)
	packets := hole / packet
	if !t.isPlainOpus() || packets == 0 {
		return t.extend(hole)
	}
	if err := t.extend(hole - packets*packet); err != nil {
		return err
	}
	for ; packets > 0; packets -= min(packets, 50) {
		n := int(min(packets, 50)) // a second, so that sound and pictures stay beside each other
		t.chunks = append(t.chunks, chunk{time: t.end, size: int64(n * len(opusSilence)), object: silent})
		for range n {
			t.sample(fmp4.Entry{Size: uint32(len(opusSilence)), Duration: uint32(packet), Key: true})
		}
		t.count(uint32(n), uint32(packet))
	}
	return nil
}

// isPlainOpus reports whether packets are Opus of at most two channels, of which each is
// decoded by itself alone (RFC 7845 5.1.1.1).
func (t *track) isPlainOpus() bool {
	entry, ok := t.trak.Mdia.Minf.Stbl.Stsd.Children[t.entry-1].(*mp4.AudioSampleEntryBox)
	return ok && entry.Dops != nil && entry.Dops.ChannelMappingFamily == 0
}

// sample adds a sample to the tables.
func (t *track) sample(s fmp4.Entry) {
	t.end += media.Ticks(s.Duration)
	t.sizes.SampleSize = append(t.sizes.SampleSize, s.Size)
	t.sizes.SampleNumber++
	t.last(s.Duration)
	n := t.sizes.SampleNumber
	if last := len(t.composed.SampleOffset) - 1; last >= 0 && t.composed.SampleOffset[last] == s.Composition {
		t.composed.EndSampleNr[last+1] = n
	} else {
		t.composed.SampleOffset = append(t.composed.SampleOffset, s.Composition)
		t.composed.EndSampleNr = append(t.composed.EndSampleNr, n)
	}
	t.shifted = t.shifted || s.Composition != 0
	if s.Key {
		t.keys.SampleNumber = append(t.keys.SampleNumber, n)
	}
	t.allKeys = t.allKeys && s.Key
}

// last adds the duration of one sample.
func (t *track) last(duration uint32) {
	d := &t.durations
	if n := len(d.SampleTimeDelta); n > 0 && d.SampleTimeDelta[n-1] == duration {
		d.SampleCount[n-1]++
		return
	}
	d.SampleCount, d.SampleTimeDelta = append(d.SampleCount, 1), append(d.SampleTimeDelta, duration)
}

// extend has the last sample last longer, or shorter.
func (t *track) extend(by media.Ticks) error {
	if by == 0 {
		return nil
	}
	d := &t.durations
	n := len(d.SampleTimeDelta) - 1
	whole := by + media.Ticks(d.SampleTimeDelta[n])
	if whole <= 0 {
		return fmt.Errorf("media begins %d ticks before the end of what is before it", -by)
	}
	if whole > math.MaxUint32 {
		return fault.Errorf(fault.Conflict, "nothing was recorded for %v, which is too long for one file", by.Duration(t.timescale))
	}
	t.end += by
	if d.SampleCount[n]--; d.SampleCount[n] == 0 {
		d.SampleCount, d.SampleTimeDelta = d.SampleCount[:n], d.SampleTimeDelta[:n]
	}
	t.last(uint32(whole))
	return nil
}

// count adds a chunk to the tables that are about chunks.
func (t *track) count(samples, shortest uint32) {
	if run := (chunkRun{samples, t.entry}); run != t.run {
		t.run = run
		t.perChunk.AddEntry(uint32(len(t.chunks)), samples, t.entry) //nolint:errcheck // chunks come in order
	}
	if t.kind != media.Audio {
		return
	}
	group, g := fmp4.RollGroup(shortest), &t.groups
	if n := len(g.SampleCounts); n > 0 && g.GroupDescriptionIndices[n-1] == group {
		g.SampleCounts[n-1] += samples
	} else {
		g.SampleCounts, g.GroupDescriptionIndices = append(g.SampleCounts, samples), append(g.GroupDescriptionIndices, group)
	}
}

// chunkTime and startTime return, in nanoseconds of media time, when the next chunk to be
// laid out begins, and the first one of all.
func (t *track) chunkTime() int64 { return int64(t.chunks[t.laid].time.Duration(t.timescale)) }
func (t *track) startTime() int64 { return int64(t.start.Duration(t.timescale)) }

// take returns the next chunk, which is laid out at an offset of the file.
func (t *track) take(at int64) chunk {
	c := t.chunks[t.laid]
	t.offsets.ChunkOffset[t.laid] = uint64(at)
	t.laid++
	return c
}

// box completes the trak box, for a movie that begins at start, which may be after the
// track's own beginning. shown is when the track ends in it. Offsets are written when they are known; the box has room for them.
func (t *track) box(id, timescale uint32, start int64, title Title) (trak *mp4.TrakBox, shown uint64) {
	end := min(t.end, t.stop) // what is decoded behind it is not shown
	length := scale(int64(end-t.start), t.timescale, timescale)
	// From the movie's first instant on, so that no track is moved by rounding twice.
	wait, skip := int64(0), int64(0)
	if late := t.startTime() - start; late >= 0 {
		wait = int64(scale(late, 1_000_000_000, timescale))
	} else {
		skip = int64(media.TicksOf(time.Duration(-late), t.timescale))
		length = scale(max(int64(end-t.start)-skip, 0), t.timescale, timescale)
	}
	shown = uint64(wait) + length

	old := t.trak
	tkhd := old.Tkhd
	tkhd.Version, tkhd.TrackID, tkhd.Duration = 1, id, shown
	tkhd.SetCreationTimeS(title.Start.Unix())
	tkhd.SetModificationTimeS(title.Start.Unix())
	mdhd := old.Mdia.Mdhd
	mdhd.Version, mdhd.Duration = 1, uint64(t.end-t.start)
	mdhd.SetCreationTimeS(title.Start.Unix())
	mdhd.SetModificationTimeS(title.Start.Unix())

	trak = mp4.NewTrakBox()
	trak.AddChild(tkhd)
	if wait > 0 || skip > 0 || end < t.end {
		elst := &mp4.ElstBox{Version: 1}
		if wait > 0 {
			elst.Entries = append(elst.Entries, mp4.ElstEntry{SegmentDuration: uint64(wait), MediaTime: -1, MediaRateInteger: 1})
		}
		elst.Entries = append(elst.Entries, mp4.ElstEntry{SegmentDuration: length, MediaTime: skip, MediaRateInteger: 1})
		edts := &mp4.EdtsBox{}
		edts.AddChild(elst)
		trak.AddChild(edts)
	}
	stbl := t.sampleTable(old.Mdia.Minf.Stbl)
	minf := mp4.NewMinfBox()
	for _, c := range old.Mdia.Minf.Children {
		if c.Type() == "stbl" {
			c = stbl
		}
		minf.AddChild(c)
	}
	mdia := mp4.NewMdiaBox()
	for _, c := range old.Mdia.Children {
		if c.Type() == "minf" {
			c = minf
		}
		mdia.AddChild(c)
	}
	trak.AddChild(mdia)
	return trak, shown
}

// sampleTable returns the stbl box, with what describes the samples of an older one.
func (t *track) sampleTable(described *mp4.StblBox) *mp4.StblBox {
	stbl := mp4.NewStblBox()
	stbl.AddChild(described.Stsd)
	stbl.AddChild(&t.durations)
	if t.shifted {
		stbl.AddChild(&t.composed)
	}
	stbl.AddChild(&t.perChunk)
	stbl.AddChild(&t.sizes)
	if !t.allKeys {
		stbl.AddChild(&t.keys)
	}
	t.offsets.ChunkOffset = make([]uint64, len(t.chunks))
	stbl.AddChild(&t.offsets)
	if described.Sgpd != nil {
		stbl.AddChild(described.Sgpd)
		t.groups.GroupingType = "roll"
		stbl.AddChild(&t.groups)
	}
	return stbl
}

// scale converts a time, from 0 on, of so many units a second to others, exactly but for
// one rounding.
func scale(v int64, from, to uint32) uint64 {
	hi, lo := bits.Mul64(uint64(v), uint64(to))
	lo, carry := bits.Add64(lo, uint64(from/2), 0)
	q, _ := bits.Div64(hi+carry, lo, uint64(from))
	return q
}
