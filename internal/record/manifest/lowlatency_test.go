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

// live adds segments of six seconds, in chunks of half a second, to the first two tracks of
// a presentation's Period, and then so many chunks of an open one.
func live(tb testing.TB, p *Presentation, period, segments, open int) {
	tb.Helper()
	p.Dynamic, p.ChunkDuration = true, 500*time.Millisecond
	for set := range p.Periods[period].Sets {
		r := &p.Periods[period].Sets[set].Representations[0]
		r.ID = p.Periods[period].Sets[set].Kind.String()
		rate := media.Ticks(r.Format.Timescale)
		if r.Timeline == nil {
			r.Timeline = NewTimeline(media.TicksOf(p.Periods[period].Start, r.Format.Timescale))
		}
		for n := range segments + 1 {
			start := r.Timeline.End()
			chunks := 12
			if n == segments {
				chunks = open
			}
			for i := range chunks {
				r.AddChunk(media.Chunk{
					Number: r.StartNumber + r.Timeline.Len(), Time: start + media.Ticks(i)*rate/2, Duration: rate / 2,
					Bytes: 1000, Key: i == 0 || set == 1,
				})
			}
			if n == segments {
				break
			}
			if _, err := p.Add(r, media.Segment{Time: start, Duration: 6 * rate, Bytes: 12000, Frames: 180}); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// twoPeriods runs, and its second Period has no closed segment yet.
func twoPeriods(tb testing.TB) *Presentation {
	tb.Helper()
	p := dynamic(
		Period{ID: "p1", Duration: 12 * time.Second, Sets: []AdaptationSet{video(h264, 1, nil), audio(1, nil)}},
		Period{ID: "p2", Start: 20 * time.Second, Sets: []AdaptationSet{video(vp9, 3, nil), audio(3, nil)}})
	p.Periods[1].Sets[0].Representations[0].Init = "v_init_0002.m4s"
	live(tb, &p, 0, 2, 0)
	live(tb, &p, 1, 0, 3)
	return &p
}

func running(tb testing.TB, segments, open int) *Presentation {
	tb.Helper()
	p := dynamic(Period{ID: "p1", Sets: []AdaptationSet{video(h264, 1, nil), audio(1, nil)}})
	live(tb, &p, 0, segments, open)
	return &p
}

// Playlists at the live edge: chunks by their bytes, what comes next, and how far the
// others are; old segments are left out where that is asked for.
func TestLowLatencyGolden(t *testing.T) {
	for name, c := range map[string]struct {
		p    *Presentation
		skip bool
	}{
		"low": {running(t, 5, 4), false}, "low_closed": {running(t, 2, 0), false}, "low_ended": {running(t, 5, 0), false}, "low_skip": {running(t, 9, 1), true},
		"low_period": {twoPeriods(t), false},
	} {
		var got bytes.Buffer
		for _, file := range c.p.Playlists() {
			data, ok := c.p.AppendLive(nil, file, c.skip)
			if again, _ := c.p.AppendLive([]byte("x"), file, c.skip); !ok || string(again) != "x"+string(data) {
				t.Errorf("%s: a second call gives other text for %s:\n%s", name, file, again)
			}
			got.WriteString("===== " + file + "\n")
			got.Write(data)
		}
		golden := filepath.Join("testdata", name+".m3u8.txt")
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %v; go test -update writes the golden file again\n%s", name, err, got.Bytes())
		}
	}
}

// What is stored names no chunks: nobody serves them if this machine is lost.
func TestStoredPlaylistsNameNoChunks(t *testing.T) {
	p := running(t, 5, 4)
	before, _ := p.AppendPlaylist(nil, "video.m3u8")
	if _, ok := p.AppendLive(nil, "video.m3u8", false); !ok || strings.Contains(string(before), "EXT-X-PART") {
		t.Errorf("%s", before)
	}
	if after, _ := p.AppendPlaylist(nil, "video.m3u8"); !bytes.Equal(before, after) {
		t.Errorf("%s\nafter chunks were named:\n%s", before, after)
	}
	p.Dynamic = false
	if sealed, _ := p.AppendLive(nil, "video.m3u8", false); !strings.HasSuffix(string(sealed), "#EXT-X-ENDLIST\n") || strings.Contains(string(sealed), "EXT-X-PART") {
		t.Errorf("sealed: %s", sealed)
	}
}

// A player waits until the playlist has a segment, or a chunk of one.
func TestHas(t *testing.T) {
	p := running(t, 5, 4) // segments 0 to 4, and four chunks of 5
	for _, c := range []struct {
		sequence, part int
		want           bool
	}{
		{-1, -1, true}, {4, -1, true}, {0, 3, true}, {5, -1, false}, {5, 3, true}, {5, 4, false}, {4, 11, true}, {6, 0, false},
		{4, 12, true}, // which is 5, 0
	} {
		if has, err := p.Has("audio.m3u8", media.Reload{Sequence: c.sequence, Part: c.part}); err != nil || has != c.want {
			t.Errorf("%d, %d: %v, %v", c.sequence, c.part, has, err)
		}
	}
	if _, err := p.Has("video.m3u8", media.Reload{Sequence: 7, Part: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("far ahead: %v", err)
	}
	if has, err := running(t, 2, 0).Has("video.m3u8", media.Reload{Sequence: 1, Part: 12}); has || err != nil {
		t.Errorf("the first chunk of the next segment, by the number after the last one: %v, %v", has, err)
	}
	if has, err := twoPeriods(t).Has("video.m3u8", media.Reload{Sequence: 2, Part: 2}); !has || err != nil {
		t.Errorf("a chunk of a new Period: %v, %v", has, err)
	}
	p.Dynamic = false
	if has, err := p.Has("video.m3u8", media.Reload{Sequence: 9, Part: -1}); !has || err != nil {
		t.Errorf("after the end: %v, %v", has, err)
	}
}

// A span that goes on has the chunks of its last recording.
func TestAttach(t *testing.T) {
	p := running(t, 5, 4)
	tail := p.Tail()
	parsed, err := Parse(p.AppendMPD(nil))
	if err != nil {
		t.Fatal(err)
	}
	joined := Join("camera", []Clip{{Presentation: parsed, Folder: "camera/1/", From: 13 * time.Second, To: time.Hour}})
	joined.Dynamic = true
	joined.Attach(tail, "camera/1/")
	got, _ := joined.AppendLive(nil, "video.m3u8", false)
	want, _ := p.AppendLive(nil, "video.m3u8", false)
	_, gotTail, _ := strings.Cut(strings.ReplaceAll(string(got), "camera/1/", ""), "v_seg_0003.m4s\n")
	_, wantTail, _ := strings.Cut(string(want), "v_seg_0003.m4s\n")
	if wantTail = strings.ReplaceAll(wantTail, "LAST-MSN=5", "LAST-MSN=3"); gotTail != wantTail {
		t.Errorf("a span:\n%s\nthe recording:\n%s", got, want)
	}
}

// The MPD of a recording that runs has the segments that are being written, a little longer
// than those before, which a reader that cannot wait leaves out.
func TestAnnounced(t *testing.T) {
	p := running(t, 5, 4)
	stored := string(p.AppendMPD(nil))
	text := string(p.AppendLiveMPD(nil))
	for _, want := range []string{
		`availabilityTimeOffset="5.750" availabilityTimeComplete="false" startNumber="1" initialization="v_init.m4s"`,
		`<S t="0" d="540000" r="4"/><S d="562500"/></SegmentTimeline>`, `<S t="0" d="288000" r="4"/><S d="300000"/></SegmentTimeline>`,
		`<ServiceDescription id="0"><Latency target="3500"/></ServiceDescription>`, `minimumUpdatePeriod="PT1S" suggestedPresentationDelay="PT12S"`,
	} {
		if !strings.Contains(text, want) || strings.Contains(stored, want) {
			t.Errorf("no %s, or it is stored:\n%s", want, text)
		}
	}
	if again := string(p.AppendMPD(nil)); again != stored {
		t.Errorf("what is stored has changed:\n%s\n%s", stored, again)
	}
	parsed, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range parsed.Periods[0].Sets {
		if n := set.Representations[0].Timeline.Len(); n != 5 {
			t.Errorf("%s has %d closed segments when it is read", set.Kind, n)
		}
	}
	closed, long := running(t, 5, 0), running(t, 5, 14)
	if text := string(closed.AppendLiveMPD(nil)); strings.Contains(text, `d="562500"`) || strings.Contains(text, openScheme) {
		t.Errorf("nothing is open:\n%s", text)
	}
	if text := string(long.AppendLiveMPD(nil)); !strings.Contains(text, `<S d="1102500"/>`) {
		t.Errorf("a segment that waits for its key frame:\n%s", text)
	}
	p.ChunkDuration = 6 * time.Second // as long as segments are
	if text := string(p.AppendLiveMPD(nil)); text != stored {
		t.Errorf("chunks are segments:\n%s", text)
	}
}

// The MPD changes with the first chunk of a segment, and when one is longer than expected.
func TestAnnounces(t *testing.T) {
	p := running(t, 5, 0)
	r := &p.Periods[0].Sets[0].Representations[0]
	var changes []int
	for i := range 14 {
		c := media.Chunk{Number: r.StartNumber + 5, Time: r.Timeline.End() + media.Ticks(i)*45000, Duration: 45000}
		if p.Announces(r, c) {
			changes = append(changes, i)
		}
		before := string(p.AppendLiveMPD(nil))
		if r.AddChunk(c); p.Announces(r, c) != (i == 11) || before == string(p.AppendLiveMPD(nil)) == (len(changes) > 0 && changes[len(changes)-1] == i) {
			t.Errorf("with chunk %d the MPD is\n%s\nand was\n%s", i, p.AppendLiveMPD(nil), before)
		}
	}
	if len(changes) != 2 || changes[0] != 0 || changes[1] != 12 {
		t.Errorf("it changes with the chunks %v", changes)
	}
}
