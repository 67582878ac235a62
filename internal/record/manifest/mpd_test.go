package manifest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	start = time.Date(2026, 11, 22, 13, 0, 0, 120e6, time.FixedZone("CST", 8*3600))

	h264 = &media.Format{Codec: "H264", RFC6381: "avc1.42C01F", Timescale: 90000, Width: 1280, Height: 720}
	vp9  = &media.Format{Codec: "VP9", RFC6381: "vp09.00.31.08", Timescale: 90000, Width: 640, Height: 360}
	wide = &media.Format{Codec: "H264", RFC6381: "avc1.42C01E", Timescale: 90000, Width: 720, Height: 576, SAR: media.Ratio{Num: 16, Den: 11}}
	vp8  = &media.Format{Codec: "VP8", RFC6381: "vp8", Timescale: 90000, Width: 640, Height: 360}
	opus = &media.Format{Codec: "opus", RFC6381: "opus", Timescale: 48000, Channels: 2}
)

func video(f *media.Format, number int, t *Timeline) AdaptationSet {
	return AdaptationSet{ID: 1, Kind: media.Video, Representations: []Representation{{
		ID: "v", Format: f, Init: "v_init.m4s", Media: "v_seg_$Number%04d$.m4s", StartNumber: number,
		Timeline: t, Bandwidth: 2_500_000, FrameRate: "30",
	}}}
}

func audio(number int, t *Timeline) AdaptationSet {
	return AdaptationSet{ID: 2, Kind: media.Audio, Representations: []Representation{{
		ID: "a", Format: opus, Init: "a_init.m4s", Media: "a_seg_$Number%04d$.m4s", StartNumber: number,
		Timeline: t, Bandwidth: 64_000,
	}}}
}

// dynamic and static make a presentation of 6 s segments.
func dynamic(periods ...Period) Presentation {
	return Presentation{
		ID: "camera/1763787600", AvailabilityStart: start, Dynamic: true, Published: start.Add(25 * time.Second),
		SegmentDuration: 6 * time.Second, MaxSegmentDuration: 18 * time.Second, LongestSegment: 6034 * time.Millisecond,
		UTCTiming: "https://example.net/api/time?a=1&b=2", Periods: periods,
	}
}

func static(duration time.Duration, periods ...Period) Presentation {
	p := dynamic(periods...)
	p.Dynamic, p.Duration = false, duration
	return p
}

// presentations has a recording of each kind; their MPDs are the golden files.
func presentations(tb testing.TB) map[string]Presentation {
	tb.Helper()
	video1 := video(h264, 1, timelineOf(tb, 0, 540000, 543000, 540000))
	audio1 := audio(1, timelineOf(tb, 0, 288000, 288000, 288000))
	change := []Period{
		{ID: "p1", Duration: 18034 * time.Millisecond, Sets: []AdaptationSet{video1, audio1}},
		{ID: "p2", Start: 31500 * time.Millisecond, Sets: []AdaptationSet{
			video(vp9, 4, timelineOf(tb, 2835000, 540000)),
			audio(4, timelineOf(tb, 1512000, 288000)),
		}},
	}
	change[1].Sets[0].Representations[0].Init = "v_init_0002.m4s"

	webm := video(vp8, 1, timelineOf(tb, 0, 540000, 542970)) // whole milliseconds
	webm.Representations[0].Init, webm.Representations[0].Media = "v_init.webm", "v_seg_$Number%04d$.webm"
	webm.Representations[0].FrameRate = ""

	named := dynamic(Period{ID: `a<b>&"c"'d'` + "\t\n\x01é", Sets: []AdaptationSet{video1}})
	named.ID = named.Periods[0].ID

	layers := video(h264, 1, timelineOf(tb, 0, 540000))
	layers.Representations = append(layers.Representations,
		Representation{ID: "low", Format: vp9, Init: "w_init.m4s", Media: "w_seg_$Number%04d$.m4s", StartNumber: 1, Timeline: timelineOf(tb, 0, 540000), Bandwidth: 300_000},
		Representation{ID: "none", Timeline: NewTimeline(0)})

	unknown := audio(1, NewTimeline(0))
	unknown.Representations[0].Format = nil

	return map[string]Presentation{
		"dynamic":        dynamic(Period{ID: "p1", Sets: []AdaptationSet{video1, audio1}}),
		"static":         static(18034*time.Millisecond, Period{ID: "p1", Sets: []AdaptationSet{video1, audio1}}),
		"change_dynamic": dynamic(change...),
		"change_static":  static(37500*time.Millisecond, change...),
		"closed_dynamic": dynamic(change[0]), // the publisher is away and may come back
		"audio":          dynamic(Period{ID: "p1", Sets: []AdaptationSet{audio1}}),
		"video":          static(18033333333, Period{ID: "p1", Sets: []AdaptationSet{video1}}),
		"sar":            static(18033333333, Period{ID: "p1", Sets: []AdaptationSet{video(wide, 1, timelineOf(tb, 0, 540000, 543000, 540000))}}),
		"webm":           static(12033*time.Millisecond, Period{ID: "p1", Sets: []AdaptationSet{webm, audio1}}),
		"layers":         static(6*time.Second, Period{ID: "p1", Sets: []AdaptationSet{layers}}),
		"names":          named,
		"empty":          dynamic(Period{ID: "p1", Sets: []AdaptationSet{video(h264, 1, NewTimeline(0)), audio(1, nil)}}),
		"empty_unknown":  dynamic(Period{ID: "p1", Sets: []AdaptationSet{video(h264, 1, nil), unknown}}),
		"nothing":        dynamic(),
		"empty_static":   static(0, Period{ID: "p1", Sets: []AdaptationSet{video(h264, 1, NewTimeline(0))}}),
	}
}

func TestGolden(t *testing.T) {
	for name, p := range presentations(t) {
		t.Run(name, func(t *testing.T) {
			got := p.AppendMPD(nil)
			if again := p.AppendMPD([]byte("x")); string(again) != "x"+string(got) {
				t.Errorf("a second call gives other text:\n%s", again)
			}
			path := filepath.Join("testdata", name+".mpd")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs (run with -update if that is meant), got\n%s", path, got)
			}
			readBack(t, &p, string(got))
		})
	}
}

// TestListed says what of an open presentation is in its MPD, by the set ids of
// each Period.
func TestListed(t *testing.T) {
	none := func() *Timeline { return NewTimeline(0) }
	segments := func(scale media.Ticks, n int) *Timeline {
		return timelineOf(t, 0, slices.Repeat([]media.Ticks{6 * scale}, n)...)
	}
	av := func(v, a *Timeline) Period {
		return Period{ID: "p", Sets: []AdaptationSet{video(h264, 1, v), audio(1, a)}}
	}
	full := av(segments(90000, 1), segments(48000, 1))
	for _, tc := range []struct {
		name    string
		periods []Period
		dynamic string
		static  string
	}{
		{"both", []Period{full}, "[1 2]", "[1 2]"},
		{"none", []Period{av(none(), none())}, "[]", "[]"},
		{"no audio yet", []Period{av(segments(90000, 3), none())}, "[]", "[1]"},
		{"no video yet", []Period{av(none(), segments(48000, 3))}, "[]", "[2]"},
		{"no audio for longer than a segment can be", []Period{av(segments(90000, 4), none())}, "[1]", "[1]"},
		{"no video for longer than a segment can be", []Period{av(none(), segments(48000, 4))}, "[2]", "[2]"},
		{"next Period empty", []Period{full, av(none(), none())}, "[1 2]", "[1 2]"},
		{"next Period half", []Period{full, av(segments(90000, 1), none())}, "[1 2]", "[1 2][1]"},
		{"first Period half", []Period{av(segments(90000, 1), none()), full}, "[1][1 2]", "[1][1 2]"},
		{"empty Period between", []Period{full, av(none(), none()), full}, "[1 2][1 2]", "[1 2][1 2]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, s := dynamic(tc.periods...), static(time.Minute, tc.periods...)
			if got := setIDs(t, &d); got != tc.dynamic {
				t.Errorf("dynamic lists %s, want %s", got, tc.dynamic)
			}
			if got := setIDs(t, &s); got != tc.static {
				t.Errorf("static lists %s, want %s", got, tc.static)
			}
			if len(d.Periods) != len(tc.periods) {
				t.Error("rendering changed the presentation")
			}
		})
	}
}

func TestDuration(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "PT0S"},
		{time.Millisecond, "PT0.001S"},
		{1500 * time.Millisecond, "PT1.5S"},
		{24*time.Hour + 50*time.Millisecond, "PT86400.05S"},
		{18033333333, "PT18.033333333S"},
		{10 * time.Second, "PT10S"},
	} {
		if got := string(appendDuration(nil, "d", tc.d)); got != ` d="`+tc.want+`"` {
			t.Errorf("%v is %s, want %s", tc.d, got, tc.want)
		}
	}
}

func TestTime(t *testing.T) {
	got := string(appendTime(nil, "at", start))
	if want := ` at="2026-11-22T05:00:00.120Z"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// day is the dynamic MPD of 24 hours of video with irregular key frames and of
// audio, which is regular.
func day(tb testing.TB) Presentation {
	tb.Helper()
	regular := slices.Repeat([]media.Ticks{288000}, daySegments)
	return dynamic(Period{ID: "p1", Sets: []AdaptationSet{
		video(h264, 1, timelineOf(tb, 0, irregular()...)),
		audio(1, timelineOf(tb, 0, regular...)),
	}})
}

func TestDay(t *testing.T) {
	p := day(t)
	got := string(p.AppendMPD(nil))
	if n := strings.Count(got, "<S "); n > daySegments+1 {
		t.Errorf("%d S elements for a day, want at most %d", n, daySegments+1)
	}
	if want := `<SegmentTimeline><S t="0" d="288000" r="14399"/></SegmentTimeline>`; !strings.Contains(got, want) {
		t.Errorf("a day of audio is not one S element: %s", want)
	}
	if allocs := testing.AllocsPerRun(5, func() { p.AppendMPD(nil) }); allocs > 8 {
		t.Errorf("%v allocations for the MPD of a day: its text is not copied at once", allocs)
	}
	readBack(t, &p, got)
}

func BenchmarkAppendMPD(b *testing.B) {
	whole := day(b)
	sets := whole.Periods[0].Sets
	for _, bc := range []struct {
		name string
		sets []AdaptationSet
	}{{"day_irregular_video", sets[:1]}, {"day_audio", sets[1:]}, {"day_both", sets}} {
		b.Run(bc.name, func(b *testing.B) {
			p := dynamic(Period{ID: "p1", Sets: bc.sets})
			dst := p.AppendMPD(nil)
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				dst = p.AppendMPD(dst[:0])
			}
		})
	}
}

func TestChannelConfiguration(t *testing.T) {
	for channels, want := range map[int]string{0: "", 1: "1", 2: "2", 3: "3", 4: "10", 5: "5", 6: "6", 7: "11", 8: "12", 9: ""} {
		if want != "" {
			want = `<AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="` + want + "\"/>\n"
		}
		if got := string(appendChannels(nil, channels)); got != want {
			t.Errorf("%d channels: %q, want %q", channels, got, want)
		}
	}
}
