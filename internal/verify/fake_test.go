package verify

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

	"github.com/live777/recorder/internal/load"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// memory is a storage backend in memory.
type memory map[string][]byte

func (m memory) Put(_ context.Context, key string, body io.Reader, _ int64) error {
	data, err := io.ReadAll(body)
	m[key] = data
	return err
}

func (m memory) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	data, ok := m[key]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m memory) Stat(context.Context, string) (storage.Object, error) {
	return storage.Object{}, storage.ErrNotFound
}

func (m memory) List(_ context.Context, prefix string) iter.Seq2[storage.Object, error] {
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

func (m memory) Delete(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

const dir = "camera/1700000000"

var started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sentLog is the log of a sender that published both files for some seconds
// without a network; audio begins with the video, timestamps begin anywhere.
func sentLog(t testing.TB, video, audio string, seconds int) *load.Log {
	t.Helper()
	log := &load.Log{Started: started}
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
	src, err := load.Open(filepath.Join("..", "..", "testdata", "media", file))
	if err != nil {
		t.Fatal(err)
	}
	l := &load.TrackLog{Kind: src.Kind, Codec: src.Codec, ClockRate: src.ClockRate, ParameterSets: src.ParameterSets}
	var pos media.Ticks
	for i := 0; pos < media.Ticks(seconds)*media.Ticks(src.ClockRate); i++ {
		u := &src.Units[i%len(src.Units)]
		at := started.Add(pos.Duration(src.ClockRate))
		l.Units = append(l.Units, load.SentUnit{
			Timestamp: first + int64(pos), RTP: uint32(first + int64(pos)), Key: u.Key,
			SampleBytes: u.Sample, Size: len(u.Sample), SHA256: u.SHA256, Sent: at, NTP: at,
		})
		pos += u.Duration
	}
	return l
}

// fakeTrack is a track of a recording to be written.
type fakeTrack struct {
	kind      media.Kind
	prefix    string
	codecs    string
	timescale uint32
	init      []byte
	neutral   []byte      // the init of the first Period, where it has another
	samples   []Sample    // Segment is not used
	cut       media.Ticks // video: a sample that begins a segment, whatever it is
	// mangle changes what a segment's file has, and not what the manifest says.
	mangle func(number int, s []Sample) []Sample
}

// webm reports whether the track is to be WebM.
func (tr *fakeTrack) webm() bool { return tr.codecs == "vp8" }

// extension is that of the track's files.
func (tr *fakeTrack) extension() string {
	if tr.webm() {
		return "webm"
	}
	return "m4s"
}

// container is the second part of the track's MIME type.
func (tr *fakeTrack) container() string {
	if tr.webm() {
		return "webm"
	}
	return "mp4"
}

// fake is a recording that a test makes by hand.
type fake struct {
	tracks  []*fakeTrack
	periods []Period
	dynamic bool
	endless bool             // the last Period has no duration
	info    *media.Recording // nil: there is no recording.json
}

// record returns a faithful recording of log.
func record(t testing.TB, log *load.Log) *fake {
	t.Helper()
	f := &fake{}
	for _, l := range log.Tracks() {
		tr := &fakeTrack{kind: l.Kind, prefix: l.Kind.String()[:1], timescale: l.ClockRate}
		tr.init, tr.codecs = fakeInit(t, l)
		for i, u := range l.Units {
			d := media.Ticks(l.Units[1].Timestamp - l.Units[0].Timestamp)
			if i+1 < len(l.Units) {
				d = media.Ticks(l.Units[i+1].Timestamp - u.Timestamp)
			}
			tr.samples = append(tr.samples, Sample{
				Time: media.Ticks(u.Timestamp - l.Units[0].Timestamp), Duration: d, Key: u.Key, Data: u.SampleBytes,
			})
		}
		if tr.webm() {
			tr.roundTimes()
		}
		f.tracks = append(f.tracks, tr)
	}
	f.periods = []Period{{ID: "p1"}}
	return f
}

// fakeInit returns the init segment of a track and its codecs parameter.
func fakeInit(t testing.TB, l *load.TrackLog) ([]byte, string) {
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
func (tr *fakeTrack) segments(period int) [][]Sample {
	var all [][]Sample
	for _, s := range tr.samples {
		if s.Period != period {
			continue
		}
		n := len(all) - 1
		cut := n < 0
		if !cut && tr.kind == media.Video {
			cut = s.Key && s.Time-all[n][0].Time >= media.Ticks(2*tr.timescale) || s.Time == tr.cut
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
func (tr *fakeTrack) encode(t testing.TB, samples []Sample, sequence *uint32) []byte {
	t.Helper()
	if tr.webm() {
		return encodeWebM(t, samples)
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
func (tr *fakeTrack) mangled(number int, s []Sample) []Sample {
	if tr.mangle == nil {
		return s
	}
	return tr.mangle(number, slices.Clone(s))
}

// rate returns the bit rate of a segment over minBufferTime, which is two seconds.
func (tr *fakeTrack) rate(samples []Sample) int {
	bits, d := 0, media.Ticks(0)
	for _, s := range samples {
		bits += 8 * len(s.Data)
		d += s.Duration
	}
	return int(float64(bits)/max(d.Duration(tr.timescale), 2*time.Second).Seconds()) + 1
}

// ends returns when the media of a Period ends.
func (f *fake) ends(period int) (end time.Duration) {
	for _, tr := range f.tracks {
		for _, s := range tr.samples {
			if s.Period == period {
				end = max(end, (s.Time + s.Duration).Duration(tr.timescale))
			}
		}
	}
	return end
}

// write stores the recording and returns the storage.
func (f *fake) write(t testing.TB) memory {
	t.Helper()
	m := memory{}
	var b strings.Builder
	var end time.Duration
	periods := make([]strings.Builder, len(f.periods))
	for _, tr := range f.tracks {
		m[dir+"/"+tr.prefix+"_init."+tr.extension()] = tr.init
		if tr.neutral != nil {
			m[dir+"/"+tr.prefix+"_init_0000."+tr.extension()] = tr.neutral
		}
		number, sequence := 0, uint32(0)
		for p := range f.periods {
			start := number + 1
			in := tr.prefix + "_init"
			if p == 0 && tr.neutral != nil {
				in += "_0000"
			}
			var timeline strings.Builder
			var next media.Ticks
			peak := 1
			for i, samples := range tr.segments(p) {
				number++
				m[fmt.Sprintf("%s/%s_seg_%04d.%s", dir, tr.prefix, number, tr.extension())] = tr.encode(t, tr.mangled(number, samples), &sequence)
				peak = max(peak, tr.rate(samples))
				var d media.Ticks
				for _, s := range samples {
					d += s.Duration
				}
				if i == 0 || samples[0].Time != next {
					fmt.Fprintf(&timeline, `<S t="%d" d="%d"/>`, samples[0].Time, d)
				} else {
					fmt.Fprintf(&timeline, `<S d="%d"/>`, d)
				}
				next = samples[0].Time + d
				end = max(end, next.Duration(tr.timescale))
			}
			fmt.Fprintf(&periods[p], `<AdaptationSet contentType="%[1]s" mimeType="%[1]s/%[2]s"><SegmentTemplate timescale="%[3]d"`+
				` presentationTimeOffset="%[4]d" startNumber="%[5]d" initialization="%[10]s.%[7]s" media="%[6]s_seg_$Number%%04d$.%[7]s">`+
				`<SegmentTimeline>%[8]s</SegmentTimeline></SegmentTemplate><Representation id="%[6]s" bandwidth="%[11]d" codecs="%[9]s"/></AdaptationSet>`,
				tr.kind, tr.container(), tr.timescale, media.TicksOf(f.periods[p].Start, tr.timescale), start, tr.prefix, tr.extension(),
				timeline.String(), tr.codecs, in, peak)
		}
	}
	end = end.Truncate(time.Millisecond)
	b.WriteString(`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" id="x" minBufferTime="PT2S"` +
		` availabilityStartTime="` + started.Format(time.RFC3339Nano) + `" publishTime="` + started.Format(time.RFC3339Nano) + `"`)
	if f.dynamic {
		b.WriteString(` type="dynamic" minimumUpdatePeriod="PT2S">`)
	} else {
		fmt.Fprintf(&b, ` type="static" mediaPresentationDuration="PT%gS">`, end.Seconds())
	}
	for p, period := range f.periods {
		fmt.Fprintf(&b, `<Period id="%s" start="PT%gS"`, period.ID, period.Start.Seconds())
		to := end
		if p+1 < len(f.periods) {
			to = f.ends(p).Truncate(time.Millisecond)
		}
		if p+1 < len(f.periods) || !f.dynamic && !f.endless {
			fmt.Fprintf(&b, ` duration="PT%gS"`, (to - period.Start).Seconds())
		}
		b.WriteString(">" + periods[p].String() + "</Period>")
	}
	b.WriteString("</MPD>")
	m[dir+"/"+ManifestName] = []byte(b.String())
	if f.info != nil {
		data, err := media.EncodeRecording(*f.info)
		if err != nil {
			t.Fatal(err)
		}
		m[dir+"/"+media.InfoName] = data
	}
	return m
}

// ledger returns the fake's ledger of a track, which its recording.json then has.
func (f *fake) ledger(k media.Kind) *media.RecordingTrack {
	if f.info == nil {
		f.info = &media.Recording{Stream: "camera", Start: started, End: &started, Status: media.StatusComplete}
		for _, tr := range f.tracks {
			f.info.Tracks = append(f.info.Tracks, media.RecordingTrack{Kind: tr.kind.String(), Recorded: true})
		}
	}
	i := slices.IndexFunc(f.info.Tracks, func(t media.RecordingTrack) bool { return t.Kind == k.String() })
	return &f.info.Tracks[i]
}

// read reads the recording back.
func read(t testing.TB, m memory) *Recording {
	t.Helper()
	rec, err := ReadRecording(t.Context(), m, dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}
