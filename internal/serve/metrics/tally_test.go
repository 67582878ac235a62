package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
)

func recordingOf(stream string, lost int64) media.Recording {
	return media.Recording{Stream: stream, Tracks: []media.RecordingTrack{{Kind: "video", PacketsReceived: 100, PacketsLost: lost, Frames: 10, Segments: 2}}}
}

// The counters of a stream go on from one of its recordings to the next, and never back.
func TestStreamCountersGoOn(t *testing.T) {
	n, active := NewNode(), []media.Recording{}
	now := time.Now()
	n.tally.now = func() time.Time { return now }
	lost := func(want string) {
		t.Helper()
		text := scrape(t, n, Sources{Recordings: func() []media.Recording { return active }})
		_, value, _ := strings.Cut(text, `live777_stream_lost_packets_total{kind="video",layer="0",stream="s"} `)
		if value, _, _ = strings.Cut(value, "\n"); value != want {
			t.Errorf("%q packets are lost, not %q", value, want)
		}
	}
	first := recordingOf("s", 3)
	active = []media.Recording{first}
	lost("3")
	active = nil // it ends, and is in neither list
	lost("3")
	n.Ended(first)
	lost("3")
	active = []media.Recording{recordingOf("s", 4), recordingOf("s", 5)}
	lost("12")
	active = nil
	now = now.Add(forgetAfter + time.Second)
	lost("")
}

// Streams with names that somebody has made up take no memory without end.
func TestTallyIsBounded(t *testing.T) {
	n := NewNode()
	for i := range maxTallied + 10 {
		n.Ended(recordingOf(fmt.Sprint(i), 1))
	}
	if len(n.tally.streams) != maxTallied {
		t.Errorf("%d streams are counted", len(n.tally.streams))
	}
}

func TestCauses(t *testing.T) {
	track := func(lost int64, gaps ...media.Gap) []media.RecordingTrack {
		return []media.RecordingTrack{{PacketsLost: lost, Gaps: gaps}}
	}
	for want, r := range map[string]media.Recording{
		"none":      {Status: media.StatusComplete, Tracks: track(0, media.Gap{Cause: "pause", Duration: 3})},
		"error":     {Status: media.StatusFailed},
		"loss":      {Status: media.StatusDegraded, Tracks: track(3)},
		"reconnect": {Status: media.StatusDegraded, Tracks: track(3, media.Gap{Cause: "loss", Duration: 1}, media.Gap{Cause: "reconnect", Duration: 2})},
		"overrun":   {Status: media.StatusDegraded, PacketsOverrun: 3},
		"other":     {Status: media.StatusDegraded, Tracks: track(0, media.Gap{Cause: "made up", Duration: 1})},
	} {
		if got := causeOf(&r); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
