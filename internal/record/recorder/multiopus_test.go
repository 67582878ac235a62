package recorder

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
)

// Lost surround sound is filled, and a player plays all of it in six channels.
func TestSurround(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_51.ogg"))
	s.drop = func(_ media.Kind, unit, _ int) bool { return unit >= 200 && unit < 205 }
	g.start("camera", "")
	s.send(10 * time.Second)
	rec := g.stop("camera")
	for i := 200; i < 205; i++ {
		s.log.Audio.Units[i].Lost = 1
	}
	report := g.compare(s.log, g.read(rec.RecordDir), compare.Options{AllowLost: true, AllowFillers: true})
	if len(report.Tracks) != 1 || report.Tracks[0].Filled != 5 {
		t.Errorf("%+v: want 5 fillers for 5 lost packets", report.Tracks)
	}
	if tr := rec.Tracks[0]; tr.Codec != "multiopus" || tr.PacketsLost != 5 {
		t.Errorf("the ledger has %+v", tr)
	}
	mpd := filepath.Join(g.root, filepath.FromSlash(rec.MPDPath))
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,channels,channel_layout",
		"-of", "csv=p=0", mpd).CombinedOutput()
	// The stream is listed twice, for it is in a program too.
	if lines := slices.Compact(strings.Fields(string(out))); err != nil || !slices.Equal(lines, []string{"opus,6,5.1"}) {
		t.Errorf("ffprobe (install the Debian package ffmpeg if it is missing): %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", mpd, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg (install the Debian package ffmpeg if it is missing): %v\n%s", err, out)
	}
}
