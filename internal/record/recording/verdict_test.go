package recording

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Why a recording failed is told to all who may view it, and where it is kept to
// nobody.
func TestFailuresTellNoPaths(t *testing.T) {
	failure := fmt.Errorf("write segment: %w", fmt.Errorf("%w: %w", storage.ErrFull, &fs.PathError{Op: "write", Path: "/srv/recordings/cam", Err: syscall.ENOSPC}))
	_, text := verdict(&media.Recording{}, failure)
	if strings.Contains(text, "/srv") || !strings.Contains(text, "write segment: no space left on storage") {
		t.Errorf("it says %q", text)
	}
}

// A track that is off while a recording lasts, and was not before, is judged as a pause, with
// and without a rotation in it. One of which never anything came is missing.
func TestTrackIsOff(t *testing.T) {
	for cause, want := range map[string]media.Status{"pause": media.StatusComplete, "absent": media.StatusDegraded} {
		info := &media.Recording{Duration: 1.5, Tracks: []media.RecordingTrack{
			{Kind: "video", Codec: "H264", Recorded: true, Frames: 45, PacketsReceived: 45, MediaSeconds: 1.5},
			{Kind: "audio", Codec: "opus", Recorded: true, FilledSeconds: 1.5, Gaps: []media.Gap{{Duration: 1.5, Cause: cause, Filled: true}}},
		}}
		if got, why := verdict(info, nil); got != want {
			t.Errorf("with a gap of %s, it is %s: %s", cause, got, why)
		}
	}
}

// A layer of which nothing was counted in a recording, and that has lost something there, was on.
func TestLayerLosesBehindRotation(t *testing.T) {
	for cause, want := range map[string]media.Status{"layer": media.StatusComplete, "loss": media.StatusDegraded} {
		info := &media.Recording{Duration: 0.72, Tracks: []media.RecordingTrack{
			{Kind: "video", RID: "1", Codec: "H264", Recorded: true, Frames: 9, MediaSeconds: 0.3, FilledSeconds: 0.42, Gaps: []media.Gap{{Start: 0.3, Duration: 0.42, Cause: cause, Filled: true}}},
		}}
		if got, why := verdict(info, nil); got != want {
			t.Errorf("with a gap of %s, it is %s: %s", cause, got, why)
		}
	}
}
