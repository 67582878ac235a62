package recorder

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// clock is the time of a test: it moves with what is sent.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.After(c.now) {
		c.now = to
	}
}

// shelf is a Catalogue in memory.
type shelf struct {
	mu   sync.Mutex
	last map[string]media.Recording // by record_dir
	fail error
}

func (s *shelf) Put(_ context.Context, r media.Recording) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.last[r.RecordDir] = r
	}
	return s.fail
}

func (s *shelf) get(dir string) media.Recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[dir]
}

func (s *shelf) all() map[string]media.Recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.last)
}

func (s *shelf) fill(recordings map[string]media.Recording) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.last, recordings)
}

// rig is a recorder with everything around it but the network.
type rig struct {
	t         testing.TB
	clock     *clock
	store     *fs.Store
	root      string
	catalogue *shelf
	streams   *live.Streams
	recorder  *Recorder
	sent      int64            // packets of all senders
	items     map[string]int64 // by stream: what its recording's subscription got
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), change)
}

// newRigIn is newRig with its storage in a folder.
func newRigIn(t testing.TB, root string, change func(*Options)) *rig {
	t.Helper()
	g := &rig{
		t: t, root: root, catalogue: &shelf{last: map[string]media.Recording{}}, items: map[string]int64{},
		clock: &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)},
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if g.store, err = fs.New(g.root, fs.Options{NoSync: true, Logger: log}); err != nil {
		t.Fatal(err)
	}
	g.streams = live.New(live.Options{Keeper: parameters, Now: g.clock.Now, Logger: log, OnPublish: func(st *live.Stream) { g.recorder.OnPublish(st) }})
	o := Options{
		Streams: g.streams, Store: g.store, Catalogue: g.catalogue, NodeAlias: "node-1",
		SegmentDuration: 2 * time.Second, ChunkDuration: 500 * time.Millisecond, Reconnect: 10 * time.Second,
		Now: g.clock.Now, Logger: log,
	}
	if change != nil {
		change(&o)
	}
	if g.recorder, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := g.recorder.Close(ctx); err != nil {
			t.Error(err)
		}
		g.streams.Close()
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// parameters is what a node gives to live.
func parameters(t media.Track) live.Keeper {
	if k := codec.NewKeeper(t); k != nil {
		return k
	}
	return nil
}

// stop ends a recording and returns it.
func (g *rig) stop(stream string) media.Recording {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	rec, stopped, err := g.recorder.Stop(ctx, stream)
	if err != nil || !stopped {
		g.t.Fatalf("Stop: stopped %v, error %v", stopped, err)
	}
	return rec
}

// start begins a recording.
func (g *rig) start(stream, baseDir string) media.Recording {
	g.t.Helper()
	rec, err := g.recorder.Start(context.Background(), stream, baseDir)
	if err != nil {
		g.t.Fatal(err)
	}
	g.items[stream] = 1 // that there is a publisher
	return rec
}

// listed waits until the catalogue has been told of everything: the end of a session
// waits for its last recording, and of those that were rotated it hears in its own time.
func (g *rig) listed() {
	g.t.Helper()
	await.Until(g.t, "the catalogue has been told", g.recorder.reporter.idle)
}

// read reads a recording back; what breaks a rule is an error of the test, and so is
// what the ledger says that is not so.
func (g *rig) read(dir string) *verify.Recording {
	g.t.Helper()
	rec := g.readFiles(dir)
	for _, p := range verify.Audit(rec) {
		g.t.Errorf("%s: %s", dir, p)
	}
	return rec
}

// readFiles is read for a recording whose ledger is judged by the test.
func (g *rig) readFiles(dir string) *verify.Recording {
	g.t.Helper()
	rec, err := verify.ReadRecording(context.Background(), g.store, dir)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, p := range rec.Problems {
		g.t.Errorf("%s: %s", dir, p)
	}
	return rec
}

// compare holds a recording against what was sent.
func (g *rig) compare(log *load.Log, rec *verify.Recording, o compare.Options) *compare.Report {
	g.t.Helper()
	report := compare.Recording(log, rec, o)
	if err := report.Err(); err != nil {
		g.t.Error(err)
	}
	return report
}

// info reads recording.json.
func (g *rig) info(dir string) media.Recording {
	g.t.Helper()
	f, err := g.store.Get(context.Background(), dir+"/"+infoName, 0, -1)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(f)
	if err != nil {
		g.t.Fatal(err)
	}
	var rec media.Recording
	if err := json.Unmarshal(data, &rec); err != nil {
		g.t.Fatal(err)
	}
	return rec
}

// fraction is of the seconds of a sender's clock: one whose times have none would
// look like a sender that tells whole seconds alone.
const fraction = 432100 * time.Microsecond

// sender is a publisher in the time of the rig's clock: packets arrive when
// they are sent.
type sender struct {
	g      *rig
	stream string
	pub    *live.Publication
	log    *load.Log
	tracks []*sentTrack

	start   time.Time     // of media time 0
	at      time.Duration // media time up to which everything has been sent
	reports bool          // send sender reports, every second
	silent  time.Duration // none before this media time
	drop    func(k media.Kind, unit, packet int) bool
	ahead   time.Duration // the sender's wall clock, of ours

	mu   sync.Mutex
	asks map[media.TrackID]int // key frames that were asked for
}

type sentTrack struct {
	media.Track
	src       *load.Source
	log       *load.TrackLog
	packetize rtp.Payloader
	ssrc      uint32
	seq       uint16
	ts        int64
	unit      int
	next      time.Duration
	reported  time.Duration
	off       bool                // produces nothing: a simulcast layer that is turned off
	delay     time.Duration       // of all that arrives
	lie       time.Duration       // by which the clock of the reports is false
	lose      func(unit int) bool // of this track; nil: none
	// shown is by how many ticks a unit's timestamp is later than those sent before and
	// after it tell, for B-frames; nil: none.
	shown func(unit int) int64
}

// stamp is the timestamp of the next unit.
func (tr *sentTrack) stamp() int64 {
	if tr.shown == nil {
		return tr.ts
	}
	return tr.ts + tr.shown(tr.unit)
}

// arrives returns the media time of the sender when the next unit arrives.
func (tr *sentTrack) arrives() time.Duration { return tr.next + tr.delay }

func source(t testing.TB, name string) *load.Source {
	t.Helper()
	s, err := load.Open(filepath.Join("..", "..", "..", "testdata", "media", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// publish begins to publish sources at the clock's time.
//
// Several sources of video are layers of one.
func (g *rig) publish(stream string, sources ...*load.Source) *sender {
	g.t.Helper()
	s := newSender(g.clock.Now(), sources)
	s.g, s.stream = g, stream
	tracks := make([]media.Track, len(s.tracks))
	for i, tr := range s.tracks {
		tracks[i] = tr.Track
	}
	pub, err := g.streams.Publish(stream, live.SessionInfo{ID: "s", CreatedAt: s.start, State: "connected"}, tracks, s)
	if err != nil {
		g.t.Fatal(err)
	}
	s.pub = pub
	g.items[stream]++
	return s
}

// newSender returns a sender that begins at a time and has no publication.
func newSender(start time.Time, sources []*load.Source) *sender {
	layers := 0
	for _, src := range sources {
		if src.Kind == media.Video {
			layers++
		}
	}
	s := &sender{start: start, reports: true, asks: map[media.TrackID]int{}, ahead: fraction}
	s.log = &load.Log{Started: s.start}
	for i, src := range sources {
		tr := &sentTrack{
			Track: media.Track{ID: media.TrackID(i), Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, Channels: src.Channels, Fmtp: src.Fmtp},
			src:   src, ssrc: 1 + uint32(i), ts: int64(1)<<32 - 100000, seq: 65500, reported: -time.Second,
			log: &load.TrackLog{Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, ParameterSets: src.ParameterSets},
		}
		if tr.MID = src.Kind.String(); src.Kind == media.Video && layers > 1 {
			tr.RID = string(rune('a' + i))
		}
		tr.ts += int64(i) * 1000000 // each SSRC has a clock of its own start
		switch src.Codec {
		case "H264":
			tr.packetize = &codecs.H264Payloader{}
		case "H265":
			tr.packetize = &codecs.H265Payloader{}
		case "AV1":
			tr.packetize = &codecs.AV1Payloader{}
		case "VP9":
			tr.packetize = &codecs.VP9Payloader{InitialPictureIDFn: func() uint16 { return 7 }}
		case "VP8":
			tr.packetize = &codecs.VP8Payloader{}
		default:
			tr.packetize = &codecs.OpusPayloader{}
		}
		if src.Kind == media.Video {
			s.log.Video = tr.log
		} else {
			s.log.Audio = tr.log
		}
		s.tracks = append(s.tracks, tr)
	}
	return s
}

// RequestKeyFrame implements live.Publisher.
func (s *sender) RequestKeyFrame(id media.TrackID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks[id]++
}

// Close implements live.Publisher.
func (s *sender) Close() {}

// send sends d of media, the tracks interleaved by time.
func (s *sender) send(d time.Duration) {
	end := s.at + d
	for tr := s.next(end); tr != nil; tr = s.next(end) {
		s.sendUnit(tr)
	}
	s.at = end
	s.g.clock.advance(s.start.Add(end))
}

// step is send, but the clock stands still until the recorder has done all that
// there is to do at its time: what it does by the clock is the same in every run.
func (s *sender) step(d time.Duration) {
	end := s.at + d
	for tr := s.next(end); tr != nil; tr = s.next(end) {
		s.sendUnit(tr)
		s.g.caughtUp(s.stream)
	}
	s.at = end
	s.g.clock.advance(s.start.Add(end))
}

// next returns the track whose unit arrives next, or nil if none does before end.
func (s *sender) next(end time.Duration) *sentTrack {
	var next *sentTrack
	for _, tr := range s.tracks {
		if tr.arrives() < end && (next == nil || tr.arrives() < next.arrives()) {
			next = tr
		}
	}
	return next
}

func (s *sender) sendUnit(tr *sentTrack) {
	u := tr.src.Units[tr.unit%len(tr.src.Units)]
	captured, now := s.start.Add(tr.next), s.start.Add(tr.arrives())
	s.g.clock.advance(now)
	if tr.off {
		tr.skip(&u)
		return
	}
	payloads := tr.packetize.Payload(1180, u.Data)
	for i, p := range payloads {
		tr.seq++
		if s.drop != nil && s.drop(tr.Kind, tr.unit, i) || tr.lose != nil && tr.lose(tr.unit) {
			continue
		}
		s.g.sent++
		s.g.items[s.stream]++
		s.pub.WritePacket(&media.Packet{
			Track: tr.ID, SSRC: tr.ssrc, Seq: tr.seq, Timestamp: uint32(tr.stamp()),
			Marker: i == len(payloads)-1, Payload: p, Arrival: now,
		})
	}
	tr.note(&u, captured)
	if s.reports && tr.next >= s.silent && tr.next-tr.reported >= time.Second {
		tr.reported = tr.next
		s.g.items[s.stream]++
		s.pub.WriteReport(&media.SenderReport{
			Track: tr.ID, SSRC: tr.ssrc, NTP: media.NTP(captured.Add(tr.lie + s.ahead)), RTP: uint32(tr.ts), Arrival: now,
		})
	}
	tr.skip(&u)
}

// note puts a unit into the log.
func (tr *sentTrack) note(u *load.AccessUnit, captured time.Time) {
	tr.log.Units = append(tr.log.Units, load.SentUnit{
		Timestamp: tr.stamp(), RTP: uint32(tr.stamp()), Key: u.Key, SampleBytes: u.Sample, Size: len(u.Sample),
		SHA256: sha256.Sum256(u.Sample), Sent: captured,
		NTP: captured.Add(media.Ticks(tr.stamp() - tr.ts).Duration(tr.ClockRate)),
	})
}

// skip goes on behind a unit.
func (tr *sentTrack) skip(u *load.AccessUnit) {
	tr.unit++
	tr.ts += int64(u.Duration)
	tr.next += u.Duration.Duration(tr.ClockRate)
}

// layerLog is the log of one layer with the audio.
func (s *sender) layerLog(i int) *load.Log {
	log := *s.log
	log.Video = s.tracks[i].log
	return &log
}

// pause lets time go by in which nothing is sent; the timestamps go on.
func (s *sender) pause(d time.Duration) {
	for _, tr := range s.tracks {
		tr.next += d
		tr.ts += int64(media.TicksOf(d, tr.ClockRate))
	}
	s.at += d
	s.g.clock.advance(s.start.Add(s.at))
}

// hurry makes the sender's clock, and the timestamps with it, go ahead by d.
func (s *sender) hurry(d time.Duration) {
	for _, tr := range s.tracks {
		tr.ts += int64(media.TicksOf(d, tr.ClockRate))
	}
	s.ahead += d
}

// leave ends the publication.
func (s *sender) leave() {
	s.g.items[s.stream]++
	s.pub.Close()
}

// withTimes returns src with the frame durations of like.
func withTimes(src, like *load.Source) *load.Source {
	out := *src
	out.Units = slices.Clone(src.Units)
	for i := range out.Units {
		out.Units[i].Duration = like.Units[i%len(like.Units)].Duration
	}
	return &out
}

// caughtUp waits until the recorder has done everything with all that was sent.
func (g *rig) caughtUp(stream string) {
	g.t.Helper()
	g.recorder.mu.Lock()
	session := g.recorder.sessions[stream]
	g.recorder.mu.Unlock()
	if session == nil {
		g.t.Fatalf("stream %s is not recorded", stream)
	}
	for deadline := time.Now().Add(5 * time.Minute); session.dealt.Load() != g.items[stream]; runtime.Gosched() {
		if time.Now().After(deadline) {
			g.t.Fatalf("the recorder has dealt with %d of %d items", session.dealt.Load(), g.items[stream])
		}
	}
}
