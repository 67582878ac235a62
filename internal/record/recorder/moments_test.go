//go:build !race

package recorder

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/live777/recorder/internal/record/segmenter"
)

// These tests recover what a process leaves behind from every moment of its life. The race
// detector has the other tests of crashes.

// Wherever the process dies, the next one seals what it has left.
func TestCrashAnywhere(t *testing.T) {
	for _, video := range []string{"h264_baseline.h264", "vp8.ivf"} {
		t.Run(video, func(t *testing.T) {
			t.Parallel()
			images, s := theFilm(t, video)
			for _, img := range images {
				t.Run(img.at, func(t *testing.T) {
					g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
					if err := g.recorder.Recover(t.Context()); err != nil {
						t.Fatal(err)
					}
					g.mended(img, s.log, framesOfChunk)
				})
			}
		})
	}
}

// A power failure takes what has not been synced.
func TestPowerLoss(t *testing.T) {
	for _, tt := range []struct {
		name string
		sync segmenter.Sync
		lost int
	}{
		{"chunk", segmenter.SyncChunk, framesOfChunk},
		{"segment", segmenter.SyncSegment, framesOfSegment},
		{"off", segmenter.SyncOff, math.MaxInt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			images, s := film(t, true, "h264_baseline.h264", tt.sync)
			for _, img := range images {
				t.Run(img.at, func(t *testing.T) {
					g := after(t, img, time.Now().Add(time.Hour), 10*time.Second)
					g.dropUnsyncedLines()
					sealed := g.sealedFiles()
					if err := g.recorder.Recover(t.Context()); err != nil {
						t.Fatal(err)
					}
					g.mended(img, s.log, tt.lost)
					for dir, was := range sealed {
						if is := g.infoFile(dir); tt.sync != segmenter.SyncOff && !bytes.Equal(is, was) {
							t.Errorf("%s was sealed as %s, and is %s now", dir, was, is)
						}
					}
				})
			}
		})
	}
}
