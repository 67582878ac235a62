package e2e

import (
	"path/filepath"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/portlock"
)

// measured is what the scripts in web/e2e print of a run: see there.
type measured struct {
	RecordDir string `json:"record_dir"`
}

// browse runs a script of the browser that records.
func browse(t *testing.T, script string, args ...string) (m measured) {
	t.Helper()
	startScript(t, nil, script, args...).wait(&m)
	if m.RecordDir == "" {
		t.Fatalf("%s does not say what it recorded", script)
	}
	return m
}

// Chromium publishes its camera through the page, watches and records it, and
// plays the recording with Shaka Player, while it runs and after. The script
// fails where playback does not advance, errors, or lacks frames of a track.
func TestBrowser(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"h264", "vp9", "vp8"} {
		t.Run(codec, func(t *testing.T) {
			s := start(t, "[recorder]\nsegment_seconds = 2\n")
			out := t.ArtifactDir()
			m := browse(t, "record.mjs", "--base", s.url,
				"--codec", codec, "--stream", "browser-"+codec, "--seconds", "12", "--out", out)
			read(t, s.root, m.RecordDir)
			decode(t, filepath.Join(s.root, m.RecordDir, "manifest.mpd"))
		})
	}
}

// The node dies under a publisher, a viewer and a player of the page, and is started
// again: all three go on by themselves, and so does the recording.
func TestPageComesBack(t *testing.T) {
	t.Parallel()
	browse(t, "restart.mjs", "--node", program(t), "--dir", t.TempDir(), "--address", portlock.Address(t),
		"--away", "2", "--out", t.ArtifactDir())
}

// Chromium publishes three sizes of its camera, of which the script turns one
// off and on again. Every one is recorded, with segments that begin together,
// and the script's players switch between them. Only the publishing needs the
// machine to itself: what looks at the recordings runs beside other tests.
func TestSimulcast(t *testing.T) {
	for codec, off := range map[string]string{"h264": "h", "vp8": "l"} {
		t.Run(codec, func(t *testing.T) {
			s := start(t, "[recorder]\nsegment_seconds = 2\n")
			m := browse(t, "simulcast.mjs", "--base", s.url, "--codec", codec, "--turn", off,
				"--stream", "simulcast-"+codec, "--seconds", "20", "--out", t.ArtifactDir())
			t.Parallel()
			rec := read(t, s.root, m.RecordDir)
			widths := map[int]bool{}
			layers := 0
			for _, track := range rec.Tracks {
				if track.Kind != media.Video {
					continue
				}
				layers++
				widths[track.Inits[0].Width] = true
				if n := len(track.Samples); n < 100 {
					t.Errorf("%s has %d frames", track.ID, n)
				}
			}
			if layers < 2 || len(widths) != layers {
				t.Errorf("%d layers with the widths %v", layers, widths)
			}
			if n := len(rec.Periods); n < 3 || n > 6 {
				t.Errorf("%d periods of a layer that went off and on", n)
			}
			decode(t, filepath.Join(s.root, m.RecordDir, "manifest.mpd"))
			play(t, s, rec)
		})
	}
	t.Parallel()
}
