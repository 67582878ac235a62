package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// Chromium's camera changes its size while it is recorded: each size has a
// Period and an init segment, and nothing is missing. It publishes over a link
// that loses nothing but sees what is sent: by its own statistics a browser has
// sent frames that it throws away where the machine is busy.
func TestPlayersCameraResizes(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"h264", "vp9"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			l := newLink(t)
			s := startAt(t, l.here, remoteConfig)
			publisher := startScript(t, l.inside(), "camera.mjs", "--base", s.url, "--stream", "camera", "--codec", codec,
				"--seconds", "12", "--sizes", "320x180,640x480")
			dir := s.await("a recording", "camera", func(st status) bool { return st.Recording }).RecordDir
			var c camera
			publisher.wait(&c)
			rec := s.finish("camera", dir)
			decode(t, filepath.Join(s.root, dir, verify.ManifestName))
			play(t, s, rec)
			checkSizes(t, rec)
			checkFrames(t, l, rec, c)
			// A frame that the browser gave up is one that is left out, see checkFrames.
			info := ledger(t, s, dir)
			givenUp := strings.HasPrefix(info.Reason, "video: 0 packets were lost, ")
			if info.Status != media.StatusComplete && !givenUp {
				t.Errorf("the recording is %s: %s", info.Status, info.Reason)
			}
		})
	}
}

// checkSizes looks for the sizes that the camera has had.
func checkSizes(t *testing.T, rec *verify.Recording) {
	t.Helper()
	video, ok := rec.Track(media.Video)
	if !ok {
		t.Fatal("no video")
	}
	var sizes []string
	for _, in := range video.Inits {
		sizes = append(sizes, fmt.Sprintf("%dx%d", in.Width, in.Height))
	}
	// An encoder may step through other sizes while it estimates the bandwidth.
	for _, want := range []string{"640x360", "320x180", "640x480"} {
		if !slices.Contains(sizes, want) {
			t.Errorf("no init segment of %s, but of %v", want, sizes)
		}
	}
}

// checkFrames holds the frames of a recording against those of which packets
// went over the link.
func checkFrames(t *testing.T, l *link, rec *verify.Recording, c camera) {
	t.Helper()
	video, _ := rec.Track(media.Video)
	keys := 0
	for _, sample := range video.Samples {
		if sample.Key {
			keys++
		}
	}
	for _, track := range c.Sent {
		if track.Kind != media.Video.String() {
			continue
		}
		_, missing, frames := l.stream(track.SSRC)
		t.Logf("%d frames, %d of them key frames, of %d sent (%d by the browser's count), in %d periods",
			len(video.Samples), keys, frames, track.Frames, len(rec.Periods))
		if missing > 0 {
			t.Errorf("the link lost %d packets", missing)
		}
		// Before a key frame the browser may give up a frame that it has begun, and
		// one is cut off when it leaves.
		if len(video.Samples) < frames-keys {
			t.Errorf("%d frames recorded, %d sent", len(video.Samples), frames)
		}
	}
}
