package recorder

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// lines returns what a playlist has besides tags and comments.
func lines(playlist []byte) (names []string) {
	for s := bufio.NewScanner(bytes.NewReader(playlist)); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names
}

// While it runs the playlists come from memory and name closed segments only; some are
// stored. When it has ended they are stored, and verify finds nothing wrong with them.
func TestHLS(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	index := path.Join(rec.RecordDir, media.IndexName)
	if _, _, ok := g.recorder.Manifest(index); ok {
		t.Error("a playlist before the first segment")
	}
	s.send(13 * time.Second)
	g.caughtUp("camera")
	data, _, ok := g.recorder.Manifest(index)
	if names := lines(data); !ok || !slices.Equal(names, []string{"video.m3u8"}) || !bytes.Contains(data, []byte(`URI="audio.m3u8"`)) {
		t.Fatalf("%v\n%s", ok, data)
	}
	for _, name := range []string{"video.m3u8", "audio.m3u8"} {
		running, _, _ := g.recorder.Manifest(path.Join(rec.RecordDir, name))
		segments := lines(running)
		if !bytes.Contains(running, []byte("PLAYLIST-TYPE:EVENT\n")) || bytes.Contains(running, []byte("ENDLIST")) || len(segments) < 5 {
			t.Errorf("%s of a recording that runs:\n%s", name, running)
		}
		if i := slices.IndexFunc(segments, func(s string) bool { return g.recorder.Open(path.Join(rec.RecordDir, s)) }); i >= 0 {
			t.Errorf("%s names %s, which is still being written", name, segments[i])
		}
		// A job of its own stores it, some time after the segment.
		await.Until(t, name+" is stored", func() bool {
			_, err := os.Stat(filepath.Join(g.root, rec.RecordDir, name))
			return err == nil
		})
		if stored := g.object(path.Join(rec.RecordDir, name)); !bytes.HasPrefix(running, stored) {
			t.Errorf("%s is stored as\n%s\nof\n%s", name, stored, running)
		}
	}
	ended := g.stop("camera")
	if _, _, ok := g.recorder.Manifest(index); ok {
		t.Error("a sealed recording is served from memory")
	}
	g.saysWhatIs(ended)
	if sealed := g.object(path.Join(rec.RecordDir, "video.m3u8")); !bytes.Contains(sealed, []byte("TYPE:VOD\n")) || !bytes.HasSuffix(sealed, []byte("#EXT-X-ENDLIST\n")) {
		t.Errorf("sealed it is\n%s", sealed)
	}
	if got := g.read(rec.RecordDir); len(got.Problems) > 0 {
		t.Errorf("verify finds %v", got.Problems)
	}
}

// saysWhatIs holds the clock and the rate of a recording of one Period, as its playlists say
// them, against the ledger and the sizes of its segments.
func (g *rig) saysWhatIs(rec media.Recording) {
	g.t.Helper()
	clock := "#EXT-X-PROGRAM-DATE-TIME:" + rec.Start.UTC().Format("2006-01-02T15:04:05.000Z") + "\n"
	var bytesSum int64
	for name, pattern := range map[string]string{"video.m3u8": "v_seg_*", "audio.m3u8": "a_seg_*"} {
		if text := string(g.object(path.Join(rec.RecordDir, name))); strings.Count(text, clock) != 1 || strings.Count(text, "DATE-TIME") != 1 {
			g.t.Errorf("%s does not begin at %s:\n%s", name, clock, text)
		}
		files, err := filepath.Glob(filepath.Join(g.root, rec.RecordDir, pattern))
		if err != nil || len(files) == 0 {
			g.t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				g.t.Fatal(err)
			}
			bytesSum += info.Size()
		}
	}
	want := float64(bytesSum) * 8 / rec.Duration
	index := string(g.object(path.Join(rec.RecordDir, media.IndexName)))
	_, text, _ := strings.Cut(index, ",AVERAGE-BANDWIDTH=")
	text, _, _ = strings.Cut(text, ",")
	if got, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(got-want) > want/50 {
		g.t.Errorf("the average is said to be %s bit/s, and is %.0f:\n%s", text, want, index)
	}
}

// HLS has no WebM: of VP8 there is the sound alone, and the playlist says why.
func TestHLSOfVP8(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "vp8.ivf"), source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(5 * time.Second)
	g.stop("camera")
	index := g.object(path.Join(rec.RecordDir, media.IndexName))
	if names := lines(index); !slices.Equal(names, []string{"audio.m3u8"}) || !strings.Contains(string(index), "\n## VP8 is recorded as WebM") {
		t.Errorf("the playlist is\n%s", index)
	}
	if got := g.read(rec.RecordDir); len(got.Problems) > 0 {
		t.Errorf("verify finds %v", got.Problems)
	}
}
