package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

// reparsed returns what Parse makes of a presentation's MPD.
func reparsed(tb testing.TB, p Presentation) *Presentation {
	tb.Helper()
	got, err := Parse(p.AppendMPD(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// What is read of an MPD makes the same MPD again.
func TestParse(t *testing.T) {
	for name, p := range presentations(t) {
		p.UTCTiming = "" // it is none of the media
		want := p.AppendMPD(nil)
		text := want
		if p.Ready() { // it has ids that cannot be names
			text = bytes.ReplaceAll(bytes.ReplaceAll(want, []byte(`id="v"`), []byte(`id="video"`)), []byte(`id="a"`), []byte(`id="audio"`))
		}
		got, err := Parse(text)
		if err != nil {
			if name != "names" && !strings.Contains(name, "layers") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !p.Ready() {
			if got.Ready() {
				t.Errorf("%s: it has media", name)
			}
			continue
		}
		got.MaxSegmentDuration, got.LongestSegment = p.MaxSegmentDuration, p.LongestSegment // what was, of which this is made up
		if again := got.AppendMPD(nil); !bytes.Equal(again, text) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, again, text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	p := recorded(t, 0, 540000)
	text := string(p.AppendMPD(nil))
	for name, change := range map[string][2]string{
		"no XML":             {"<Period", "<"},
		"no time":            {`availabilityStartTime="2026`, `availabilityStartTime="soon`},
		"another folder":     {`media="v_seg`, `media="../v_seg`},
		"another init":       {`initialization="v_init.m4s"`, `initialization="recording.txt"`},
		"a line in codecs":   {`codecs="opus"`, `codecs="opus&#10;#EXT-X-KEY"`},
		"a quote in the id":  {`id="audio"`, `id="audio&quot;"`},
		"no timescale":       {`timescale="48000"`, `timescale="0"`},
		"many segments":      {`d="540000"`, `d="1" r="4000000"`},
		"an endless segment": {`d="540000"`, `d="9000000000000000000"`},
		"text":               {`mimeType="audio/mp4"`, `mimeType="text/vtt"`},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Fatalf("%s: the manifest has no %s", name, change[0])
		}
		if _, err := Parse([]byte(changed)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want a fault.Invalid", name, err)
		}
	}
}

// recorded is a static recording that begins some time after start: with video segments of
// so many ticks, and sound for as long in segments of 2 s.
func recorded(tb testing.TB, after time.Duration, durations ...media.Ticks) Presentation {
	tb.Helper()
	v, a := video(h264, 1, nil), audio(1, nil)
	v.Representations[0].ID, a.Representations[0].ID = "video", "audio"
	p := static(0, Period{ID: "p1", Sets: []AdaptationSet{v, a}})
	p.AvailabilityStart = p.AvailabilityStart.Add(after)
	fill(tb, &p, 0, 0, 0, 2000, durations...)
	var sound []media.Ticks
	end := p.Periods[0].Sets[0].Representations[0].Timeline.End().Duration(90000)
	for at := time.Duration(0); at < end; at += 2 * time.Second {
		sound = append(sound, media.TicksOf(min(end-at, 2*time.Second), 48000))
	}
	fill(tb, &p, 0, 1, 0, 64, sound...)
	p.Duration = end
	p.Periods[0].Duration = end.Truncate(time.Millisecond)
	return p
}

// joins has spans over recordings; their manifests are the golden files.
func joins(tb testing.TB) map[string]*Presentation {
	tb.Helper()
	const s = time.Second
	whole := func(p Presentation, folder string) Clip {
		return Clip{Presentation: reparsed(tb, p), Folder: folder, To: p.Duration}
	}
	first := recorded(tb, 0, 540000, 540000, 543000)
	second := recorded(tb, first.Duration.Truncate(time.Millisecond), 540000, 540000)
	away := recorded(tb, 60*s, 540000, 270000)
	cutFirst, cutAway := whole(first, "camera/1763787600/"), whole(away, "camera/1763787660/")
	cutFirst.From, cutAway.To = 7*s, 5*s
	running := Join("camera", []Clip{cutFirst, whole(second, "camera/1763787618/")})
	running.Dynamic, running.UTCTiming = true, "time"
	vp8 := recorded(tb, 60*s, 540000)
	r := &vp8.Periods[0].Sets[0].Representations[0]
	r.Format, r.Init, r.Media = wide, "v_init.webm", "v_seg_$Number%04d$.webm"
	return map[string]*Presentation{
		"rotation": Join("camera", []Clip{whole(first, "camera/1763787600/"), whole(second, "camera/1763787618/")}),
		"cut":      Join("camera", []Clip{cutFirst, whole(second, "camera/1763787618/"), cutAway}),
		"running":  running,
		"webm":     Join("camera", []Clip{cutFirst, whole(vp8, "%40b/camera/1763787660/")}),
		// The second recording is of another node, and is chosen from its 3rd second on.
		"copies": Join("camera", []Clip{{Presentation: reparsed(tb, first), Folder: "a/", To: 10 * s},
			{Presentation: reparsed(tb, recorded(tb, 2*s, 540000, 540000, 540000)), Folder: "b/", From: 8 * s, To: 18 * s}}),
	}
}

func TestJoinGolden(t *testing.T) {
	for name, p := range joins(t) {
		t.Run(name, func(t *testing.T) {
			got := string(p.AppendMPD(nil))
			for _, playlist := range p.Playlists() {
				text, _ := p.AppendPlaylist(nil, playlist)
				got += "\n" + playlist + "\n" + string(text)
			}
			path := filepath.Join("testdata", "join_"+name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (run with -update if that is meant), got\n%s", path, got)
			}
		})
	}
}

// A span has the segments in which its ends are, from a key frame on, and no other.
func TestJoinHasTheSpan(t *testing.T) {
	p := recorded(t, 0, 180000, 180000, 180000, 180000)
	parsed := reparsed(t, p)
	for _, c := range []struct {
		from, to    time.Duration
		first, last int // segments of the picture
		start       time.Duration
	}{
		{0, 8 * time.Second, 1, 4, 0},
		{1, 1 << 62, 1, 4, 0},
		{2 * time.Second, 4 * time.Second, 2, 2, 2 * time.Second},
		{3 * time.Second, 3*time.Second + 1, 2, 2, 2 * time.Second},
		{4*time.Second - 1, 4*time.Second + 1, 2, 3, 2 * time.Second},
		{-time.Second, time.Millisecond, 1, 1, 0},
		{8 * time.Second, 9 * time.Second, 0, 0, 0},
		{-2, 0, 0, 0, 0},
	} {
		j := Join("camera", []Clip{{Presentation: parsed, Folder: "f/", From: c.from, To: c.to}})
		if c.first == 0 {
			if len(j.Periods) != 0 || j.Names("f/v_init.m4s") {
				t.Errorf("from %v to %v there is something", c.from, c.to)
			}
			continue
		}
		if got := j.AvailabilityStart.Sub(p.AvailabilityStart); got != c.start {
			t.Errorf("from %v to %v: it begins at %v", c.from, c.to, got)
		}
		for i := range 6 {
			for _, kind := range []string{"v", "a"} {
				name := "f/" + media.SegmentName(kind+"_seg_$Number%04d$.m4s", i)
				if got, want := j.Names(name), i >= c.first && i <= c.last; got != want {
					t.Errorf("from %v to %v: %s is named: %v", c.from, c.to, name, got)
				}
			}
		}
		if !j.Names("f/v_init.m4s") || j.Names("f/v_init_0002.m4s") || j.Names("v_seg_0002.m4s") || j.Names("f/v_seg_002.m4s") || j.Names("f/v_seg_.m4s") {
			t.Errorf("from %v to %v: other names are named", c.from, c.to)
		}
	}
}

// All Periods of a sealed presentation have a duration, unless there are holes between.
func TestDurationsOfPeriods(t *testing.T) {
	for name, c := range map[string]struct {
		p    *Presentation
		want string
	}{
		"no hole": {joins(t)["rotation"], `start="PT0S" duration="PT18.033S" start="PT18.033S" duration="PT12S"`},
		"a hole":  {joins(t)["cut"], `start="PT0S" duration="PT12.033S" start="PT12.033S" duration="PT12S" start="PT54S"`},
		"running": {joins(t)["running"], `start="PT0S" duration="PT12.033S" start="PT12.033S"`},
	} {
		var got []string
		for line := range strings.Lines(string(c.p.AppendMPD(nil))) {
			if attributes, ok := strings.CutPrefix(line, "<Period "); ok {
				_, times, _ := strings.Cut(strings.TrimSuffix(attributes, ">\n"), " ")
				got = append(got, times)
			}
		}
		if all := strings.Join(got, " "); all != c.want {
			t.Errorf("%s: got %s, want %s", name, all, c.want)
		}
	}
}
