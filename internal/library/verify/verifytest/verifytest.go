// Package verifytest makes recordings by hand, as the tests of packages that read
// recordings want them: right ones, and wrong in every way.
package verifytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/load"
)

// Memory is a storage backend in Memory.
type Memory map[string][]byte

// Put stores what body has.
func (m Memory) Put(_ context.Context, key string, body io.Reader, _ int64) error {
	data, err := io.ReadAll(body)
	m[key] = data
	return err
}

// Get returns all of an object, whatever part is asked for.
func (m Memory) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	data, ok := m[key]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Stat finds nothing: who reads a recording does not ask.
func (m Memory) Stat(context.Context, string) (storage.Object, error) {
	return storage.Object{}, storage.ErrNotFound
}

// List yields the objects of a folder, and of those below it.
func (m Memory) List(_ context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		var keys []string
		for key := range m {
			if strings.HasPrefix(key, prefix+"/") {
				keys = append(keys, key)
			}
		}
		sort.Strings(keys)
		for _, key := range keys {
			if !yield(storage.Object{Key: key, Size: int64(len(m[key]))}, nil) {
				return
			}
		}
	}
}

// Delete removes an object.
func (m Memory) Delete(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

// Dir is the folder in which recordings are written.
const Dir = "camera/1700000000"

// Started is when senders start.
var Started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// SentLog is the log of a sender that published both files for some seconds
// without a network; audio begins with the video, timestamps begin anywhere.
func SentLog(t testing.TB, video, audio string, seconds int) *load.Log {
	t.Helper()
	log := &load.Log{Started: Started}
	if video != "" {
		log.Video = sentTrack(t, video, 0xfffffff0, seconds)
	}
	if audio != "" {
		log.Audio = sentTrack(t, audio, 1234, seconds)
	}
	return log
}

func sentTrack(t testing.TB, file string, first int64, seconds int) *load.TrackLog {
	t.Helper()
	src, err := load.Open(filepath.Join("..", "..", "..", "testdata", "media", file))
	if err != nil {
		t.Fatal(err)
	}
	l := &load.TrackLog{Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, ParameterSets: src.ParameterSets}
	var pos media.Ticks
	for i := 0; pos < media.Ticks(seconds)*media.Ticks(src.ClockRate); i++ {
		u := &src.Units[i%len(src.Units)]
		at := Started.Add(pos.Duration(src.ClockRate))
		l.Units = append(l.Units, load.SentUnit{
			Timestamp: first + int64(pos), RTP: uint32(first + int64(pos)), Key: u.Key,
			SampleBytes: u.Sample, Size: len(u.Sample), SHA256: u.SHA256, Sent: at, NTP: at,
		})
		pos += u.Duration
	}
	return l
}

// FakeTrack is a track of a recording to be written.
type FakeTrack struct {
	Kind      media.Kind
	Prefix    string
	Codecs    string
	Timescale uint32
	Init      []byte
	Neutral   []byte          // the init of the first Period, where it has another
	Samples   []verify.Sample // Segment is not used
	Cut       media.Ticks     // video: a sample that begins a segment, whatever it is
	// mangle changes what a segment's file has, and not what the manifest says.
	Mangle func(number int, s []verify.Sample) []verify.Sample
}

// IsWebM reports whether the track is to be WebM.
func (tr *FakeTrack) IsWebM() bool { return tr.Codecs == "vp8" }

// Extension is that of the track's files.
func (tr *FakeTrack) Extension() string {
	if tr.IsWebM() {
		return "webm"
	}
	return "m4s"
}

// container is the second part of the track's MIME type.
func (tr *FakeTrack) container() string {
	if tr.IsWebM() {
		return "webm"
	}
	return "mp4"
}

// Fake is a recording that a test makes by hand.
type Fake struct {
	Tracks  []*FakeTrack
	Periods []verify.Period
	Dynamic bool
	Endless bool             // the last Period has no duration
	Info    *media.Recording // nil: there is no recording.json
}

// Record returns a faithful recording of log.
func Record(t testing.TB, log *load.Log) *Fake {
	t.Helper()
	f := &Fake{}
	for _, l := range log.Tracks() {
		tr := &FakeTrack{Kind: l.Kind, Prefix: l.Kind.String()[:1], Timescale: l.ClockRate}
		tr.Init, tr.Codecs = Init(t, l)
		for i, u := range l.Units {
			d := media.Ticks(l.Units[1].Timestamp - l.Units[0].Timestamp)
			if i+1 < len(l.Units) {
				d = media.Ticks(l.Units[i+1].Timestamp - u.Timestamp)
			}
			tr.Samples = append(tr.Samples, verify.Sample{
				Time: media.Ticks(u.Timestamp - l.Units[0].Timestamp), Duration: d, Key: u.Key, Data: u.SampleBytes,
			})
		}
		if tr.IsWebM() {
			tr.roundTimes()
		}
		f.Tracks = append(f.Tracks, tr)
	}
	f.Periods = []verify.Period{{ID: "p1"}}
	return f
}

// Init returns the init segment of a track and its codecs parameter.
func Init(t testing.TB, l *load.TrackLog) ([]byte, string) {
	t.Helper()
	if l.Codec == "VP8" {
		return fakeWebMInit(t), "vp8"
	}
	in := mp4.CreateEmptyInit()
	in.AddEmptyTrack(l.ClockRate, l.Kind.String(), "und")
	trak := in.Moov.Trak
	var (
		err    error
		codecs string
	)
	switch l.Codec {
	case "H264":
		sps, pps := l.ParameterSets[0], l.ParameterSets[1]
		err = trak.SetAVCDescriptor("avc1", [][]byte{sps}, [][]byte{pps}, true)
		codecs = fmt.Sprintf("avc1.%02X%02X%02X", sps[1], sps[2], sps[3])
	case "H265":
		err = trak.SetHEVCDescriptor("hvc1", l.ParameterSets[:1], l.ParameterSets[1:2], l.ParameterSets[2:], nil, true)
		codecs = "hvc1.1.6.L60.90"
	case "AV1":
		rec := av1.CodecConfRec{Version: 1, ChromaSubsamplingX: 1, ChromaSubsamplingY: 1, ConfigOBUs: l.ParameterSets[0]}
		err = trak.SetAV1Descriptor("av01", &mp4.Av1CBox{CodecConfRec: rec}, 320, 180)
		codecs = "av01.0.00M.08"
	case "VP9":
		err = trak.SetVPxDescriptor("vp09", &mp4.VppCBox{Version: 1, Level: 31, BitDepth: 8}, 320, 180)
		codecs = "vp09.00.31.08"
	default:
		dops := &mp4.DopsBox{OutputChannelCount: 2, PreSkip: 312, InputSampleRate: 48000}
		trak.Mdia.Minf.Stbl.Stsd.AddChild(mp4.CreateAudioSampleEntryBox("Opus", 2, 16, 48000, dops))
		codecs = "opus"
	}
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := in.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), codecs
}

// segments cuts the samples of a Period: video at key frames, two seconds at
// least; audio after 100 samples.
func (tr *FakeTrack) segments(period int) [][]verify.Sample {
	var all [][]verify.Sample
	for _, s := range tr.Samples {
		if s.Period != period {
			continue
		}
		n := len(all) - 1
		cut := n < 0
		if !cut && tr.Kind == media.Video {
			cut = s.Key && s.Time-all[n][0].Time >= media.Ticks(2*tr.Timescale) || s.Time == tr.Cut
		} else if !cut {
			cut = len(all[n]) == 100
		}
		if cut {
			all = append(all, nil)
			n++
		}
		all[n] = append(all[n], s)
	}
	return all
}

// encode returns the bytes of a segment in chunks of 15 samples.
func (tr *FakeTrack) encode(t testing.TB, samples []verify.Sample, sequence *uint32) []byte {
	t.Helper()
	if tr.IsWebM() {
		return EncodeWebM(t, samples)
	}
	seg := mp4.NewMediaSegment()
	for chunk := range slices.Chunk(samples, 15) {
		*sequence++
		frag, err := mp4.CreateFragment(*sequence, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range chunk {
			flags := mp4.NonSyncSampleFlags
			if s.Key {
				flags = mp4.SyncSampleFlags
			}
			frag.AddFullSample(mp4.FullSample{
				Sample: mp4.Sample{
					Flags: flags, Dur: uint32(s.Duration), Size: uint32(len(s.Data)), CompositionTimeOffset: int32(s.Composition),
				},
				DecodeTime: uint64(s.Time), Data: s.Data,
			})
		}
		frag.Moof.Traf.Trun.Version = 1 // with signed composition offsets
		seg.AddFragment(frag)
	}
	var b bytes.Buffer
	if err := seg.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mangled returns what a segment's file has.
func (tr *FakeTrack) mangled(number int, s []verify.Sample) []verify.Sample {
	if tr.Mangle == nil {
		return s
	}
	return tr.Mangle(number, slices.Clone(s))
}

// rate returns the bit rate of a segment over minBufferTime, which is two seconds.
func (tr *FakeTrack) rate(samples []verify.Sample) int {
	bits, d := 0, media.Ticks(0)
	for _, s := range samples {
		bits += 8 * len(s.Data)
		d += s.Duration
	}
	return int(float64(bits)/max(d.Duration(tr.Timescale), 2*time.Second).Seconds()) + 1
}

// ends returns when the media of a Period ends.
func (f *Fake) ends(period int) (end time.Duration) {
	for _, tr := range f.Tracks {
		for _, s := range tr.Samples {
			if s.Period == period {
				end = max(end, (s.Time + s.Duration).Duration(tr.Timescale))
			}
		}
	}
	return end
}

// Write stores the recording and returns the storage.
func (f *Fake) Write(t testing.TB) Memory {
	t.Helper()
	m := Memory{}
	var end time.Duration
	periods := make([]strings.Builder, len(f.Periods))
	index := "#EXTM3U\n"
	for _, tr := range f.Tracks {
		var playlist strings.Builder
		m[Dir+"/"+tr.Prefix+"_init."+tr.Extension()] = tr.Init
		if tr.Neutral != nil {
			m[Dir+"/"+tr.Prefix+"_init_0000."+tr.Extension()] = tr.Neutral
		}
		number, sequence := 0, uint32(0)
		for p := range f.Periods {
			start := number + 1
			in := tr.Prefix + "_init"
			if p == 0 && tr.Neutral != nil {
				in += "_0000"
			}
			if p > 0 {
				playlist.WriteString("#EXT-X-DISCONTINUITY\n")
			}
			fmt.Fprintf(&playlist, "#EXT-X-MAP:URI=\"%s.%s\"\n", in, tr.Extension())
			var timeline strings.Builder
			var next media.Ticks
			peak := 1
			for i, samples := range tr.segments(p) {
				number++
				m[fmt.Sprintf("%s/%s_seg_%04d.%s", Dir, tr.Prefix, number, tr.Extension())] = tr.encode(t, tr.mangled(number, samples), &sequence)
				peak = max(peak, tr.rate(samples))
				var d media.Ticks
				for _, s := range samples {
					d += s.Duration
				}
				if i == 0 {
					fmt.Fprintf(&playlist, "#EXT-X-PROGRAM-DATE-TIME:%s\n", Started.Add(samples[0].Time.Duration(tr.Timescale)).Format(time.RFC3339Nano))
				}
				fmt.Fprintf(&playlist, "#EXTINF:%f,\n%s_seg_%04d.%s\n", d.Duration(tr.Timescale).Seconds(), tr.Prefix, number, tr.Extension())
				if i == 0 || samples[0].Time != next {
					fmt.Fprintf(&timeline, `<S t="%d" d="%d"/>`, samples[0].Time, d)
				} else {
					fmt.Fprintf(&timeline, `<S d="%d"/>`, d)
				}
				next = samples[0].Time + d
				end = max(end, next.Duration(tr.Timescale))
			}
			fmt.Fprintf(&periods[p], `<AdaptationSet contentType="%[1]s" mimeType="%[1]s/%[2]s"><SegmentTemplate timescale="%[3]d"`+
				` presentationTimeOffset="%[4]d" startNumber="%[5]d" initialization="%[10]s.%[7]s" media="%[6]s_seg_$Number%%04d$.%[7]s">`+
				`<SegmentTimeline>%[8]s</SegmentTimeline></SegmentTemplate><Representation id="%[6]s" bandwidth="%[11]d" codecs="%[9]s"/></AdaptationSet>`,
				tr.Kind, tr.container(), tr.Timescale, media.TicksOf(f.Periods[p].Start, tr.Timescale), start, tr.Prefix, tr.Extension(),
				timeline.String(), tr.Codecs, in, peak)
		}
		if !tr.IsWebM() && !f.Dynamic {
			index += "#EXT-X-STREAM-INF:BANDWIDTH=1\n" + media.PlaylistName(tr.Prefix) + "\n"
			m[Dir+"/"+media.PlaylistName(tr.Prefix)] = []byte("#EXTM3U\n#EXT-X-TARGETDURATION:100\n#EXT-X-PLAYLIST-TYPE:VOD\n" + playlist.String() + "#EXT-X-ENDLIST\n")
			m[Dir+"/"+media.IndexName] = []byte(index)
		}
	}
	m[Dir+"/"+verify.ManifestName] = f.manifest(periods, end)
	if f.Info != nil {
		data, err := media.EncodeRecording(*f.Info)
		if err != nil {
			t.Fatal(err)
		}
		m[Dir+"/"+media.InfoName] = data
	}
	return m
}

// manifest returns the manifest around what stands in each Period.
func (f *Fake) manifest(periods []strings.Builder, end time.Duration) []byte {
	var b strings.Builder
	end = end.Truncate(time.Millisecond)
	b.WriteString(`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" id="x" minBufferTime="PT2S"` +
		` availabilityStartTime="` + Started.Format(time.RFC3339Nano) + `" publishTime="` + Started.Format(time.RFC3339Nano) + `"`)
	if f.Dynamic {
		b.WriteString(` type="dynamic" minimumUpdatePeriod="PT2S">`)
	} else {
		fmt.Fprintf(&b, ` type="static" mediaPresentationDuration="PT%gS">`, end.Seconds())
	}
	for p, period := range f.Periods {
		fmt.Fprintf(&b, `<Period id="%s" start="PT%gS"`, period.ID, period.Start.Seconds())
		to := end
		if p+1 < len(f.Periods) {
			to = f.ends(p).Truncate(time.Millisecond)
		}
		if p+1 < len(f.Periods) || !f.Dynamic && !f.Endless {
			fmt.Fprintf(&b, ` duration="PT%gS"`, (to - period.Start).Seconds())
		}
		b.WriteString(">" + periods[p].String() + "</Period>")
	}
	b.WriteString("</MPD>")
	return []byte(b.String())
}

// Ledger returns the fake's ledger of a track, which its recording.json then has.
func (f *Fake) Ledger(k media.Kind) *media.RecordingTrack {
	if f.Info == nil {
		f.Info = &media.Recording{Stream: "camera", Start: Started, End: &Started, Status: media.StatusComplete}
		for _, tr := range f.Tracks {
			f.Info.Tracks = append(f.Info.Tracks, media.RecordingTrack{Kind: tr.Kind.String(), Recorded: true})
		}
	}
	i := slices.IndexFunc(f.Info.Tracks, func(t media.RecordingTrack) bool { return t.Kind == k.String() })
	return &f.Info.Tracks[i]
}

// Read reads the recording back.
func Read(t testing.TB, m Memory) *verify.Recording {
	t.Helper()
	rec, err := verify.ReadRecording(t.Context(), m, Dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// At returns the index of the first sample at a media time or later.
func (tr *FakeTrack) At(d time.Duration) int {
	at := media.TicksOf(d, tr.Timescale)
	i := slices.IndexFunc(tr.Samples, func(s verify.Sample) bool { return s.Time >= at })
	if i < 0 {
		return len(tr.Samples)
	}
	return i
}

// Later moves what a track has from a media time on, into a Period if that is not 0.
func (tr *FakeTrack) Later(from, by time.Duration, period int) {
	for i := range tr.Samples {
		s := &tr.Samples[i]
		if s.Time >= media.TicksOf(from, tr.Timescale) {
			s.Time += media.TicksOf(by, tr.Timescale)
			if period > 0 {
				s.Period = period
			}
		}
	}
}

// Without takes out what a track has between two media times.
func (tr *FakeTrack) Without(from, to time.Duration) {
	tr.Samples = slices.DeleteFunc(tr.Samples, func(s verify.Sample) bool {
		return s.Time >= media.TicksOf(from, tr.Timescale) && s.Time < media.TicksOf(to, tr.Timescale)
	})
}

// Last makes each sample last until the next.
func (tr *FakeTrack) Last() {
	for i := range tr.Samples[:len(tr.Samples)-1] {
		tr.Samples[i].Duration = tr.Samples[i+1].Time - tr.Samples[i].Time
	}
}

// SecondPeriod begins a Period at a media time.
func (f *Fake) SecondPeriod(at time.Duration) {
	f.Periods = append(f.Periods, verify.Period{ID: "p2", Start: at})
	for _, tr := range f.Tracks {
		tr.Later(at, 0, 1)
	}
}

// From drops what was recorded before a media time and moves it to 0.
func (f *Fake) From(start time.Duration) {
	for _, tr := range f.Tracks {
		at := media.TicksOf(start, tr.Timescale)
		tr.Samples = slices.DeleteFunc(tr.Samples, func(s verify.Sample) bool { return s.Time < at })
		for i := range tr.Samples {
			tr.Samples[i].Time -= at
		}
	}
}

// Until drops what was recorded from a media time on.
func (f *Fake) Until(end time.Duration) {
	for _, tr := range f.Tracks {
		at := media.TicksOf(end, tr.Timescale)
		tr.Samples = slices.DeleteFunc(tr.Samples, func(s verify.Sample) bool { return s.Time >= at })
	}
}
