package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/lipsync"
	"github.com/live777/recorder/internal/testkit/load"
)

// expected is what a recording of a profile has to be.
type expected struct {
	profile string
	seconds int // published
	periods int // at most
	// What may stand in for media that did not come, in seconds: that much, to
	// within half a second and what the machine adds.
	video, audio float64
	layers       float64       // the same of layers other than the first, beside
	begins       float64       // the recording, so long after the publisher: with the first key frame that comes
	gap          float64       // at most without anything, from one Period to the next
	cause        string        // of what is missing; of a layer it may be "layer" as well
	degraded     bool          // and is called so
	verdict      bool          // either verdict will do
	maxAV        time.Duration // 0: as all
	sar          string        // of the pixels, as the manifest has it
	other        bool          // the units are not compared: what is recorded is not what was sent, bit by bit
}

// The rows of load.Profiles, with what they ask of a recording.
var profileTable = []expected{
	{profile: "obs", seconds: 16, periods: 2, video: 8.3, cause: "absent", verdict: true, maxAV: 100 * time.Millisecond},
	{profile: "obs-simulcast", seconds: 16, periods: 2, video: 8.3, cause: "absent", verdict: true, maxAV: 100 * time.Millisecond},
	{profile: "obs-simulcast-2", seconds: 16, periods: 2, video: 8.3, cause: "absent", verdict: true, maxAV: 100 * time.Millisecond},
	{profile: "obs-simulcast-scenes", seconds: 16, periods: 2, begins: 1, layers: 3, cause: "absent", verdict: true, maxAV: 100 * time.Millisecond},
	{profile: "simulcast-small-first", seconds: 16, periods: 1},
	{profile: "ffmpeg", seconds: 16, periods: 1},
	{profile: "ffmpeg-copy", seconds: 16, periods: 1},
	{profile: "firefox-h264", seconds: 16, periods: 1, other: true},
	{profile: "openh264", seconds: 16, periods: 1, other: true},
	{profile: "scrcpy", seconds: 16, periods: 1},
	{profile: "gpu", seconds: 16, periods: 1},
	{profile: "gpu-b-frames", seconds: 16, periods: 1, sar: "16:11"},
	{profile: "werift", seconds: 16, periods: 1, maxAV: 60 * time.Millisecond},
	{profile: "chromium", seconds: 16, periods: 3},
	{profile: "camera-off", seconds: 26, periods: 1, video: 14, cause: "pause", degraded: true},
	{profile: "late-video", seconds: 26, periods: 2, video: 12, cause: "absent", degraded: true},
	{profile: "late-audio", seconds: 26, periods: 1, audio: 12, cause: "absent", degraded: true},
	{profile: "still-screen", seconds: 30, periods: 1, video: 29.8, cause: "pause", verdict: true},
	{profile: "still-screen-p", seconds: 30, periods: 1, video: 29.9, cause: "pause", verdict: true},
	{profile: "ssrc-change", seconds: 16, periods: 1},
	{profile: "stall", seconds: 16, periods: 1, audio: 3, cause: "pause", verdict: true},
	{profile: "rebind", seconds: 16, periods: 1},
	{profile: "killed", seconds: 16, periods: 2, gap: 4, cause: "reconnect", verdict: true},
}

// Publishers as there are publish all at once, each to a stream of its own. What
// they send is in the recordings, every second is shown, and the ledgers tell the
// truth.
func TestProfiles(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, e := range profileTable {
		covered[e.profile] = true
	}
	for _, p := range load.Profiles {
		if !covered[p.Name] {
			t.Errorf("nothing is expected of profile %s", p.Name)
		}
	}
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\nreconnect_seconds = 5\n")
	runs := make([]profileRun, len(profileTable))
	var all sync.WaitGroup
	for i, e := range profileTable {
		all.Go(func() {
			if err := runs[i].publish(t.Context(), s.url+"/whip/"+e.profile, &e); err != nil {
				t.Errorf("%s: %v", e.profile, err)
			}
		})
	}
	all.Wait()
	for i, e := range profileTable {
		t.Run(e.profile, func(t *testing.T) {
			t.Parallel()
			s := s.in(t)
			dir := s.await("the end", e.profile, func(st status) bool { return !st.Recording }).RecordDir
			if dir == "" {
				dir = s.newest(e.profile)
			}
			rec := read(t, s.root, dir)
			checkLedger(t, s, rec, &e)
			checkSent(t, runs[i].logs, rec, &e)
			found := checkShown(t, s, rec, time.Duration((float64(e.seconds)-e.begins)*float64(time.Second)))
			// Who makes a key frame when asked leaves pictures of the file out, so
			// that its flashes no longer belong to the beeps.
			if !runs[i].options.KeyFrameOnPLI && e.profile != "still-screen-p" {
				checkOffset(t, found, &e)
			}
		})
	}
}

// profileRun is what a profile has published.
type profileRun struct {
	options load.Options
	logs    []*load.Log // of its lives
}

func (r *profileRun) publish(ctx context.Context, url string, e *expected) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	profile, err := load.FindProfile(e.profile)
	if err != nil {
		return err
	}
	r.options = load.Options{URL: url, Duration: time.Duration(e.seconds) * time.Second}
	if err := profile.Apply(ctx, &r.options); err != nil {
		return err
	}
	r.logs, err = profile.Publish(ctx, r.options)
	return err
}

// newest is the folder of a stream's last recording.
func (s *server) newest(stream string) string {
	s.t.Helper()
	recs := s.awaitEnd(stream)
	if len(recs) == 0 {
		s.t.Fatalf("nothing was recorded of %s", stream)
	}
	return recs[0].RecordDir
}

// checkLedger holds what the ledger says against what is expected, and its sums.
func checkLedger(t *testing.T, s *server, rec *verify.Recording, e *expected) {
	t.Helper()
	info := ledger(t, s, rec.Dir)
	t.Logf("%s %s: %.3f s, %d Periods", info.Status, info.Reason, info.Duration, info.Periods)
	want := media.StatusComplete
	if e.degraded {
		want = media.StatusDegraded
	}
	if info.Status != want && !e.verdict {
		t.Errorf("the recording is %s (%s), not %s", info.Status, info.Reason, want)
	}
	if info.Status == media.StatusDegraded && info.Reason == "" {
		t.Error("it is degraded for no reason")
	}
	if info.Periods > e.periods || len(rec.Periods) != info.Periods {
		t.Errorf("%d Periods in the ledger, %d in the manifest, and not %d at most", info.Periods, len(rec.Periods), e.periods)
	}
	for _, track := range info.Tracks {
		checkTrack(t, &info, &track, e)
	}
	mpd, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(info.MPDPath)))
	if err != nil {
		t.Fatal(err)
	}
	if e.sar != "" && !strings.Contains(string(mpd), ` sar="`+e.sar+`"`) {
		t.Errorf("pixels of %s are described as\n%s", e.sar, mpd)
	}
}

func checkTrack(t *testing.T, info *media.Recording, track *media.RecordingTrack, e *expected) {
	t.Helper()
	name := strings.TrimSpace(track.Kind + " " + track.RID)
	sum := track.MediaSeconds + track.FilledSeconds + track.GapSeconds
	if d := sum - info.Duration; d > 0.001*float64(info.Periods) || d < -0.001*float64(info.Periods) {
		t.Errorf("%s: %.3f s of media, %.3f s filled and %.3f s of gaps are not the %.3f s of the recording",
			name, track.MediaSeconds, track.FilledSeconds, track.GapSeconds, info.Duration)
	}
	want := e.video
	if track.Kind == media.Audio.String() {
		want = e.audio
	}
	missing := track.FilledSeconds
	if track.Layer > 0 {
		missing += track.GapSeconds // a layer has no neutral picture
		want += e.layers
	} else if limit := e.gap + 0.1; track.GapSeconds > limit {
		t.Errorf("%s: %.3f s of gaps: %+v", name, track.GapSeconds, track.Gaps)
	}
	const tolerance = 0.6
	if missing > want+tolerance || missing < want-tolerance {
		t.Errorf("%s: %.3f s are filled, not %.1f s: %+v", name, missing, want, track.Gaps)
	}
	for _, gap := range track.Gaps {
		if gap.Duration > 0.5 && gap.Cause != e.cause && (track.Layer == 0 || gap.Cause != "layer") {
			t.Errorf("%s: a gap of %.3f s at %.3f s because of %s", name, gap.Duration, gap.Start, gap.Cause)
		}
	}
}

// checkSent looks for what was sent, each layer and each life by itself.
func checkSent(t *testing.T, logs []*load.Log, rec *verify.Recording, e *expected) {
	t.Helper()
	if e.other {
		return
	}
	o := compare.Options{AllowFillers: true, MaxAV: e.maxAV}
	if strings.HasPrefix(e.profile, "obs") {
		o.MaxStep = 100 * time.Millisecond // its clocks wander by up to 75 ms, and are believed on a busy machine
	}
	if len(logs) > 1 {
		// A life ends in the middle of what it sends; the last one is whole.
		o.TailUnits = -1
		if len(rec.Periods) != len(logs) {
			t.Fatalf("%d Periods of %d lives", len(rec.Periods), len(logs))
		}
		for i, log := range logs {
			if err := compare.Recording(log, rec.InPeriods(i, i), o).Err(); err != nil {
				t.Errorf("life %d: %v", i+1, err)
			}
		}
		return
	}
	log := logs[0]
	for i := range len(log.Layers) + 1 {
		part := rec
		if len(log.Layers) > 0 {
			part = rec.WithLayer(layerOf(t, rec, e.profile, i))
		}
		if err := compare.Recording(log.Layer(i), part, o).Err(); err != nil {
			t.Errorf("layer %d: %v", i, err)
		}
	}
}

// layerOf returns the id of the Representation with the size of a profile's layer.
func layerOf(t *testing.T, rec *verify.Recording, profile string, layer int) string {
	t.Helper()
	p, err := load.FindProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, track := range rec.Tracks {
		for _, in := range track.Inits {
			if size := fmt.Sprintf("%dx%d", in.Width, in.Height); size == p.Pictures[layer].Size || size == "640x360" && p.Pictures[layer].Size == "" {
				return track.ID
			}
		}
	}
	t.Errorf("layer %d is not in the recording", layer)
	return ""
}

// checkOffset looks whether flashes and beeps are together.
func checkOffset(t *testing.T, found *lipsync.Media, e *expected) {
	t.Helper()
	limit := max(e.maxAV, 40*time.Millisecond)
	offsets := found.Offsets()
	if len(offsets) < 4 {
		t.Fatalf("flashes at %v and beeps at %v", found.Flashes, found.Beeps)
	}
	for _, offset := range offsets {
		if offset.Abs() > limit {
			t.Errorf("beeps are later than flashes by %v", offsets)
			return
		}
	}
}
