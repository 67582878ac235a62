package manifest

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// fill adds segments of so many ticks to a Representation: of a bit rate, and with 30
// pictures a second.
func fill(tb testing.TB, p *Presentation, period, set, rep int, kbits int64, durations ...media.Ticks) {
	tb.Helper()
	r := &p.Periods[period].Sets[set].Representations[rep]
	r.Timeline = NewTimeline(media.TicksOf(p.Periods[period].Start, r.Format.Timescale))
	for _, d := range durations {
		s := media.Segment{Time: r.Timeline.End(), Duration: d, Bytes: kbits * int64(d) * 125 / int64(r.Format.Timescale)}
		if r.Format.Width > 0 {
			s.Frames = int64(d) * 30 / int64(r.Format.Timescale)
		}
		if _, err := p.Add(r, s); err != nil {
			tb.Fatal(err)
		}
	}
}

// hlsPresentations has a recording of each kind that differs in HLS; their playlists are
// the golden files.
func hlsPresentations(tb testing.TB) map[string]Presentation {
	tb.Helper()
	both := func(f *media.Format) []AdaptationSet { return []AdaptationSet{video(f, 1, nil), audio(1, nil)} }
	one := static(18034*time.Millisecond, Period{ID: "p1", Sets: both(h264)})
	running := dynamic(Period{ID: "p1", Sets: both(h264)})
	for _, p := range []*Presentation{&one, &running} {
		fill(tb, p, 0, 0, 0, 2000, 540000, 543060, 540000)
		fill(tb, p, 0, 1, 0, 64, 288000, 288000, 289600)
	}

	hole := static(37500*time.Millisecond,
		Period{ID: "p1", Duration: 18034 * time.Millisecond, Sets: both(h264)},
		Period{ID: "p2", Start: 31500 * time.Millisecond, Sets: []AdaptationSet{video(vp9, 4, nil), audio(4, nil)}})
	hole.Periods[1].Sets[0].Representations[0].Init = "v_init_0002.m4s"
	fill(tb, &hole, 0, 0, 0, 2000, 540000, 543060, 540000)
	fill(tb, &hole, 0, 1, 0, 64, 288000, 288000, 289600)
	fill(tb, &hole, 1, 0, 0, 700, 540000)
	fill(tb, &hole, 1, 1, 0, 64, 288000)

	lost := static(18*time.Second, Period{ID: "p1", Sets: both(h264)})
	fill(tb, &lost, 0, 0, 0, 2000, 540000, 540000, 540000)
	fill(tb, &lost, 0, 1, 0, 64, 288000, 288000, 288000)
	lost.Periods[0].Sets[0].Representations[0].Timeline.Lose(1)

	soundless := static(24*time.Second,
		Period{ID: "p1", Duration: 12 * time.Second, Sets: both(h264)},
		Period{ID: "p2", Start: 12 * time.Second, Sets: []AdaptationSet{video(h264, 3, nil)}})
	fill(tb, &soundless, 0, 0, 0, 2000, 540000, 540000)
	fill(tb, &soundless, 0, 1, 0, 64, 288000, 288000)
	fill(tb, &soundless, 1, 0, 0, 2000, 540000, 540000)

	alone := static(12*time.Second, Period{ID: "p1", Sets: []AdaptationSet{audio(1, nil)}})
	fill(tb, &alone, 0, 0, 0, 64, 288000, 288000)

	webm := both(vp8)
	webm[0].Representations[0].Init, webm[0].Representations[0].Media = "v_init.webm", "v_seg_$Number%04d$.webm"
	vp8Sound := static(12*time.Second, Period{ID: "p1", Sets: webm})
	fill(tb, &vp8Sound, 0, 0, 0, 900, 540000, 540000)
	fill(tb, &vp8Sound, 0, 1, 0, 64, 288000, 288000)
	vp8Alone := static(12*time.Second, Period{ID: "p1", Sets: slices.Clone(webm[:1])})

	still := static(8*time.Second, Period{ID: "p1", Sets: []AdaptationSet{video(wide, 1, nil)}})
	fill(tb, &still, 0, 0, 0, 100, 90000)

	waiting := dynamic(Period{ID: "p1", Sets: both(h264)})
	fill(tb, &waiting, 0, 0, 0, 2000, 540000)

	return map[string]Presentation{
		"one": one, "running": running, "hole": hole, "lost": lost, "soundless": soundless, "ladder": ladder(tb),
		"alone": alone, "vp8": vp8Sound, "vp8_alone": vp8Alone, "sar": still, "waiting": waiting,
	}
}

// ladder is a recording of two layers, of which the second is not in the second Period.
func ladder(tb testing.TB) Presentation {
	tb.Helper()
	small := &media.Format{Codec: "H264", RFC6381: "avc1.42C00D", Timescale: 90000, Width: 320, Height: 180}
	layers := func(number, n int) AdaptationSet {
		set := video(h264, number, nil)
		set.Representations = append(set.Representations, Representation{
			ID: "v2", Format: small, Init: "v2_init.m4s", Media: "v2_seg_$Number%04d$.m4s", StartNumber: number,
		})
		set.Representations = set.Representations[:n]
		return set
	}
	p := static(24*time.Second,
		Period{ID: "p1", Duration: 12 * time.Second, Sets: []AdaptationSet{layers(1, 2), audio(1, nil)}},
		Period{ID: "p2", Start: 12 * time.Second, Sets: []AdaptationSet{layers(3, 1), audio(3, nil)}})
	fill(tb, &p, 0, 0, 0, 2500, 540000, 540000)
	fill(tb, &p, 0, 0, 1, 300, 540000, 540000)
	fill(tb, &p, 0, 1, 0, 64, 288000, 288000)
	fill(tb, &p, 1, 0, 0, 2500, 540000, 540000)
	fill(tb, &p, 1, 1, 0, 64, 288000, 288000)
	return p
}

// playlists returns all playlists of a recording, one after the other.
func playlists(t *testing.T, p *Presentation) string {
	t.Helper()
	var b bytes.Buffer
	for _, name := range p.Playlists() {
		data, ok := p.AppendPlaylist(nil, name)
		if !ok {
			t.Errorf("there is no %s", name)
		}
		if again, _ := p.AppendPlaylist([]byte("x"), name); string(again) != "x"+string(data) {
			t.Errorf("a second call gives other text for %s:\n%s", name, again)
		}
		b.WriteString("===== " + name + "\n")
		b.Write(data)
	}
	return b.String()
}

func TestHLSGolden(t *testing.T) {
	all := hlsPresentations(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			p := all[name]
			got := playlists(t, &p)
			path := filepath.Join("testdata", name+".m3u8.txt")
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

// Players find a time in another playlist by counting discontinuities.
func TestPlaylistsHaveTheSameDiscontinuities(t *testing.T) {
	for name, p := range hlsPresentations(t) {
		for _, file := range p.Playlists() {
			data, _ := p.AppendPlaylist(nil, file)
			if n := strings.Count(string(data), "#EXT-X-DISCONTINUITY\n"); file != media.IndexName && n != len(p.listed())-1 {
				t.Errorf("%s: %s has %d discontinuities, the recording %d Periods", name, file, n, len(p.listed()))
			}
		}
	}
}

// What has been in the playlist of a recording that runs stays there, up to the end.
func TestPlaylistsGrow(t *testing.T) {
	p := dynamic(Period{ID: "p1", Sets: []AdaptationSet{video(h264, 1, nil), audio(1, nil)}})
	fill(t, &p, 0, 0, 0, 2000, 540000)
	fill(t, &p, 0, 1, 0, 64, 288000)
	before, _ := p.AppendPlaylist(nil, "v.m3u8")
	v := &p.Periods[0].Sets[0].Representations[0]
	for range 3 {
		if _, err := p.Add(v, media.Segment{Time: v.Timeline.End(), Duration: 540000, Bytes: 1}); err != nil {
			t.Fatal(err)
		}
		now, _ := p.AppendPlaylist(nil, "v.m3u8")
		if !bytes.HasPrefix(now, before) || len(now) == len(before) {
			t.Fatalf("the playlist was\n%s\nand is\n%s", before, now)
		}
		before = now
	}
	p.Dynamic = false
	now, _ := p.AppendPlaylist(nil, "v.m3u8")
	if want := strings.Replace(string(before), ":EVENT\n", ":VOD\n", 1) + "#EXT-X-ENDLIST\n"; string(now) != want {
		t.Errorf("sealed it is\n%s\nwant\n%s", now, want)
	}
}

// A day costs little, and the next segment of it as little as the first.
func TestHLSDay(t *testing.T) {
	p := day(t)
	data, _ := p.AppendPlaylist(nil, "v.m3u8")
	if n := strings.Count(string(data), "#EXTINF:"); n != daySegments {
		t.Errorf("%d segments, want %d", n, daySegments)
	}
	if allocs := testing.AllocsPerRun(5, func() { p.AppendPlaylist(nil, "v.m3u8") }); allocs > 20 {
		t.Errorf("%v allocations for the playlist of a day whose lines have been made", allocs)
	}
}
