package recording

import (
	"time"

	"github.com/live777/recorder/internal/media"
)

// change puts the format into a track's ledger that it has from a media time on: into the
// list of formats, of which there are no more than Periods, if it is another than before.
func change(t *media.RecordingTrack, start time.Duration, f *media.Format) {
	before, known := formatOf(t), t.Recorded
	describe(t, f)
	now := formatOf(t)
	if !known || now == before {
		return
	}
	if len(t.Formats) == 0 {
		t.Formats = append(t.Formats, before)
	}
	now.Start = roundMilli(Seconds(start))
	t.Formats = append(t.Formats, now)
}

// formatOf returns the format that a track was described with last.
func formatOf(t *media.RecordingTrack) media.TrackFormat {
	return media.TrackFormat{Codec: t.Codec, RFC6381: t.RFC6381, Width: t.Width, Height: t.Height}
}

// forget removes the formats from a ledger of which nothing was written: those behind the
// one that the track is described with.
func forget(t *media.RecordingTrack) {
	now := formatOf(t)
	for n := len(t.Formats); n > 0; n-- {
		last := t.Formats[n-1]
		if last.Start = 0; last == now {
			break
		}
		t.Formats = t.Formats[:n-1]
	}
	if len(t.Formats) == 1 {
		t.Formats = nil
	}
}
