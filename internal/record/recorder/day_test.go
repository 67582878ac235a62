//go:build !race

package recorder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	iofs "io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/await"
)

// scale is a Store that keeps manifests and ledgers, and of segments only what
// they begin with.
type scale struct {
	storage.Direct

	t  *testing.T
	mu sync.Mutex

	objects  map[string][]byte
	media    int64 // bytes of segments
	manifest int64 // bytes of all manifests written but the final ones
	puts     int   // objects stored, however often each
	chunks   []chunk
}

// opusTOC begins a packet of 20 ms in mono (RFC 6716 3.1).
const opusTOC = 0xf8

// chunk is the beginning of a chunk.
type chunk struct {
	key  string // of its segment
	kind media.Kind
	at   media.Ticks // tfdt
	unit int64       // number of the sender's unit that comes first; -1: a filler
}

func (s *scale) Put(_ context.Context, key string, body io.Reader, _ int64) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = data
	s.puts++
	if path.Base(key) == manifestName && bytes.Contains(data, []byte(`type="dynamic"`)) {
		s.manifest += int64(len(data))
	}
	return nil
}

func (*scale) Traits() storage.Traits { return storage.Traits{InPlace: true} }

func (s *scale) Add(ctx context.Context, key string, body io.Reader, size int64) error {
	return s.Put(ctx, key, body, size)
}

func (*scale) Repair(context.Context, string, int64) error { return nil } // nothing is torn

func (s *scale) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, ok := s.objects[key]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return nil, storage.ErrNotFound
}

func (s *scale) Stat(_ context.Context, key string) (storage.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, ok := s.objects[key]; ok {
		return storage.Object{Key: key, Size: int64(len(data))}, nil
	}
	return storage.Object{}, storage.ErrNotFound
}

func (s *scale) List(context.Context, string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, errors.New("media is not kept")) }
}

func (s *scale) Delete(context.Context, string) error { return nil }

func (s *scale) Create(_ context.Context, key string) (storage.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok {
		return nil, iofs.ErrExist
	}
	s.puts++
	if path.Base(key) == infoName {
		s.objects[key] = nil
	}
	return &scaleFile{s: s, key: key}, nil
}

// scaleFile is an object that grows on a scale.
type scaleFile struct {
	s   *scale
	key string
}

func (f *scaleFile) Write(p []byte) (int, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if path.Base(f.key) == infoName {
		return len(p), nil
	}
	f.s.media += int64(len(p))
	c, err := readChunk(p)
	if err != nil {
		f.s.t.Errorf("%s: %v", f.key, err)
	}
	c.key, c.kind = f.key, media.Video
	if strings.HasPrefix(path.Base(f.key), "a_") {
		c.kind = media.Audio
	}
	f.s.chunks = append(f.s.chunks, c)
	return len(p), nil
}

func (f *scaleFile) Sync() error  { return nil }
func (f *scaleFile) Close() error { return nil }

// readChunk reads what a chunk begins with. The samples have their numbers
// behind a run of the byte 0x55.
func readChunk(data []byte) (chunk, error) {
	c := chunk{unit: -1}
	tfdt, mdat := bytes.Index(data, []byte("tfdt\x01")), bytes.Index(data, []byte("mdat"))
	if tfdt < 0 || mdat < 0 {
		return c, errors.New("a chunk without tfdt or mdat")
	}
	c.at = media.Ticks(binary.BigEndian.Uint64(data[tfdt+8:]))
	sample := data[mdat+4:]
	if sample[0] == opusTOC && sample[1] != 0x55 {
		return c, nil // a filler
	}
	sample = bytes.TrimLeft(sample[bytes.IndexByte(sample, 0x55):], "\x55")
	number, err := hex.DecodeString(string(sample[:16]))
	if err == nil {
		c.unit = int64(binary.BigEndian.Uint64(number))
	}
	return c, err
}

// dayTrack is a track of a day's sender, whose RTP clock is wrong by ppm.
type dayTrack struct {
	media.Track
	ts0  int64
	unit media.Ticks // duration of a unit by the track's own clock
	ppm  int64
	seq  uint16
	next int64
}

// captured returns when unit n was captured, from the sender's start.
func (tr *dayTrack) captured(n int64) time.Duration {
	d := (media.Ticks(n) * tr.unit).Duration(tr.ClockRate)
	return d - time.Duration(int64(d)/1_000_000*tr.ppm) // to the first order, and that is what it means here
}

// sendDay sends what is due before end.
func (g *rig) sendDay(pub *live.Publication, start time.Time, tracks []*dayTrack, end time.Duration, gop [][]byte) {
	for {
		tr := tracks[0]
		if tracks[1].captured(tracks[1].next) < tr.captured(tr.next) {
			tr = tracks[1]
		}
		at := tr.captured(tr.next)
		if at >= end {
			return
		}
		now := start.Add(at)
		g.clock.advance(now)
		ts := uint32(tr.ts0 + tr.next*int64(tr.unit))
		id := hex.AppendEncode(nil, binary.BigEndian.AppendUint64(nil, uint64(tr.next)))
		head := gop[len(gop)-1] // of an audio packet
		if tr.Kind == media.Video {
			head = gop[tr.next%int64(len(gop)-1)]
		}
		tr.seq++
		pub.WritePacket(&media.Packet{
			Track: tr.ID, SSRC: uint32(tr.ID) + 1, Seq: tr.seq, Timestamp: ts, Marker: tr.Kind == media.Video,
			Payload: slices.Concat(head, id), Arrival: now,
		})
		if tr.next%(5*int64(tr.ClockRate)/int64(tr.unit)) == 0 {
			pub.WriteReport(&media.SenderReport{Track: tr.ID, SSRC: uint32(tr.ID) + 1, NTP: media.NTP(now.Add(fraction)), RTP: ts, Arrival: now})
		}
		tr.next++
	}
}

// dayTaken waits until the session has taken in what was sent, but for the last
// packets, which may wait for their successors.
func (g *rig) dayTaken(tracks []*dayTrack) {
	g.t.Helper()
	want := tracks[0].next + tracks[1].next
	await.Until(g.t, "all packets are taken in", func() bool {
		g.catalogue.mu.Lock()
		var got int64
		for _, rec := range g.catalogue.last {
			for _, tr := range rec.Tracks {
				if rec.End != nil {
					got += tr.PacketsReceived
				}
			}
		}
		g.catalogue.mu.Unlock()
		if info := g.recorder.Status("camera").Info; info.End == nil {
			for _, tr := range info.Tracks {
				got += tr.PacketsReceived
			}
		}
		return got >= want
	})
}

// dayMedia returns the beginnings of the video packets of a GOP of 6 s, and then
// of an audio packet, with some bytes so that media costs as it does.
func dayMedia(t *testing.T) [][]byte {
	t.Helper()
	sets := source(t, "h264_small.h264").ParameterSets
	key := []byte{24} // STAP-A (RFC 6184 5.7.1)
	idr := append([]byte{0x65, 0x88, 0x80}, bytes.Repeat([]byte{0x55}, 400)...)
	for _, nal := range sets {
		key = append(binary.BigEndian.AppendUint16(key, uint16(len(nal))), nal...)
	}
	// The unit's number follows the picture within its NAL unit.
	key = append(binary.BigEndian.AppendUint16(key, uint16(len(idr)+16)), idr...)
	gop := [][]byte{key}
	for range 29 {
		gop = append(gop, append([]byte{0x41, 0xe0}, bytes.Repeat([]byte{0x55}, 200)...))
	}
	return append(gop, append([]byte{opusTOC}, bytes.Repeat([]byte{0x55}, 40)...))
}

// A day: the clocks of both tracks are 200 ppm apart, both wrap, and the
// recording is rotated. Audio and video stay together and with the wall clock,
// and the last hour costs what the first did.
func TestDay(t *testing.T) {
	const day, rotate = 24 * time.Hour, 6 * time.Hour
	store := &scale{t: t, objects: map[string][]byte{}}
	g := newRig(t, func(o *Options) {
		o.Store, o.MaxRecording, o.SegmentDuration = store, rotate, 6*time.Second
	})
	tracks := []*dayTrack{
		{Track: media.Track{ID: 0, Kind: media.Video, Codec: "H264", ClockRate: 90000}, ts0: 1<<32 - 90000*5*3600, unit: 18000, ppm: 100},
		{Track: media.Track{ID: 1, Kind: media.Audio, Codec: "opus", ClockRate: 48000, Channels: 1}, ts0: 1<<32 - 48000*10*3600, unit: 960, ppm: -100},
	}
	start := g.clock.Now()
	pub, err := g.streams.Publish("camera", live.SessionInfo{ID: "s", CreatedAt: start}, []media.Track{tracks[0].Track, tracks[1].Track}, &sender{g: g, asks: map[media.TrackID]int{}})
	if err != nil {
		t.Fatal(err)
	}
	g.start("camera", "")
	gop := dayMedia(t)
	const step = 5 * time.Minute // fits the queue
	var costs []time.Duration    // of each hour
	for at := step; at <= day; at += step {
		began := processorTime(t)
		g.sendDay(pub, start, tracks, at, gop)
		g.dayTaken(tracks)
		if hour := int((at - 1) / time.Hour); hour == len(costs) {
			costs = append(costs, 0)
		}
		costs[len(costs)-1] += processorTime(t) - began
	}
	g.stop("camera")
	g.listed()
	recs := g.dayRecordings()
	if len(recs) != 4 && len(recs) != 5 { // the first is a little shorter than the others
		t.Errorf("%d recordings of a day, rotated every %v", len(recs), rotate)
	}
	var total time.Duration
	for _, rec := range recs {
		total += store.checkManifest(rec)
		if rec.Status != media.StatusComplete || rec.Periods != 1 {
			t.Errorf("%s: %s (%s) with %d periods", rec.RecordDir, rec.Status, rec.Reason, rec.Periods)
		}
	}
	if d := total - day; d.Abs() > time.Second {
		t.Errorf("all recordings last %v, want %v", total, day)
	}
	store.checkSync(recs, start, tracks)
	if most := store.media/persistShare + int64(len(recs))*persistFree; store.manifest > most {
		t.Errorf("manifests have %d bytes, allowed are %d", store.manifest, most)
	}
	segments := 0
	for _, rec := range recs {
		for _, tr := range rec.Tracks {
			segments += tr.Segments
		}
	}
	if most := segments + segments*15/100; store.puts > most {
		t.Errorf("objects were stored %d times, for %d segments: more than %d times", store.puts, segments, most)
	}
	first, last := costs[0]+costs[1], costs[len(costs)-2]+costs[len(costs)-1]
	if last > 3*first+time.Second {
		t.Errorf("the last two hours cost %v, the first two %v", last, first)
	}
	t.Logf("%d MB of media, %d kB of manifests, an hour costs %v at first and %v at last", store.media>>20, store.manifest>>10, first/2, last/2)
}

// processorTime returns what this process has used, whatever else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// dayRecordings returns all recordings in the order of their starts.
func (g *rig) dayRecordings() []media.Recording {
	g.catalogue.mu.Lock()
	defer g.catalogue.mu.Unlock()
	var recs []media.Recording
	for _, rec := range g.catalogue.last {
		recs = append(recs, rec)
	}
	slices.SortFunc(recs, func(a, b media.Recording) int { return a.Start.Compare(b.Start) })
	return recs
}

// checkManifest holds the final manifest of a recording against its ledger and
// returns how long it says that the recording lasts.
func (s *scale) checkManifest(rec media.Recording) time.Duration {
	s.t.Helper()
	m, err := mpd.MPDFromBytes(s.objects[rec.MPDPath])
	if err != nil {
		s.t.Fatalf("%s: %v", rec.MPDPath, err)
	}
	if m.MediaPresentationDuration == nil || m.GetType() != mpd.STATIC_TYPE {
		s.t.Fatalf("%s is not sealed", rec.MPDPath)
	}
	duration := time.Duration(*m.MediaPresentationDuration)
	if d := duration - time.Duration(rec.Duration*1e9); d.Abs() > time.Millisecond {
		s.t.Errorf("%s: the manifest says %v, the ledger %v s", rec.RecordDir, duration, rec.Duration)
	}
	for _, set := range m.Periods[0].AdaptationSets {
		template := set.Representations[0].GetSegmentTemplate()
		var sum uint64
		count := 0
		for _, e := range template.SegmentTimeline.S {
			sum += e.D * uint64(e.R+1)
			count += e.R + 1
		}
		if d := media.Ticks(sum).Duration(*template.Timescale) - duration; d.Abs() > time.Second {
			s.t.Errorf("%s: %d segments of %s last %v less than the presentation", rec.RecordDir, count, set.ContentType, -d)
		}
	}
	return duration
}

// checkSync looks at where chunks begin, twice a second: what was captured then,
// by the true time.
func (s *scale) checkSync(recs []media.Recording, start time.Time, tracks []*dayTrack) {
	s.t.Helper()
	at := func(c *chunk) time.Duration { // by the recording
		i := slices.IndexFunc(recs, func(r media.Recording) bool { return strings.HasPrefix(c.key, r.RecordDir+"/") })
		return recs[i].Start.Add(c.at.Duration(tracks[int(c.kind)-1].ClockRate)).Sub(start)
	}
	type point struct {
		at, late time.Duration
		kind     media.Kind
	}
	points := make([]point, 0, len(s.chunks))
	for i := range s.chunks {
		if c := &s.chunks[i]; c.unit >= 0 {
			t := at(c)
			points = append(points, point{t, t - tracks[int(c.kind)-1].captured(c.unit), c.kind})
		}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	var video, worst, drift, where time.Duration
	for _, p := range points {
		drift = max(drift, p.late.Abs())
		if p.kind == media.Video {
			video = p.late // what is seen from here on
		} else if av := p.late - video; av.Abs() > worst.Abs() {
			worst, where = av, p.at
		}
	}
	s.t.Logf("%d chunks, worst A/V error %v at %v, worst against the wall clock %v", len(points), worst, where, drift)
	if len(points) < 300_000 {
		s.t.Errorf("%d chunks in a day", len(points))
	}
	if worst.Abs() > 20*time.Millisecond {
		s.t.Errorf("A/V error of %v at %v", worst, where)
	}
	if drift > 35*time.Millisecond { // driftMin and syncMin, and what a segment adds
		s.t.Errorf("%v beside the wall clock", drift)
	}
}
