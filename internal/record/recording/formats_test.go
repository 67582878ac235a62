package recording

import (
	"fmt"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

// The ledger has each format from its time on, and none of which nothing was written.
func TestFormats(t *testing.T) {
	small := &media.Format{Codec: "H264", RFC6381: "avc1.42C01F", Width: 640, Height: 360}
	big := &media.Format{Codec: "H264", RFC6381: "avc1.42C01F", Width: 1280, Height: 720}
	other := &media.Format{Codec: "VP9", RFC6381: "vp09.00.30.08", Width: 1280, Height: 720}
	var track media.RecordingTrack
	change(&track, 0, small)
	change(&track, 5*time.Second, small)
	if track.Formats != nil || track.Codec != "H264" {
		t.Errorf("one format: %+v", track)
	}
	change(&track, 10*time.Second, big)
	change(&track, 20500*time.Millisecond, other)
	if got, want := fmt.Sprint(track.Formats), "[{0 H264 avc1.42C01F 640 360} {10 H264 avc1.42C01F 1280 720} {20.5 VP9 vp09.00.30.08 1280 720}]"; got != want || track.Codec != "VP9" {
		t.Errorf("got %s, want %s", got, want)
	}
	describe(&track, big)
	if forget(&track); len(track.Formats) != 2 {
		t.Errorf("the last was not written: %+v", track.Formats)
	}
	describe(&track, small)
	if forget(&track); track.Formats != nil {
		t.Errorf("none but the first was written: %+v", track.Formats)
	}
}
