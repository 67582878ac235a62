package e2e

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

const remoteConfig = "[auth]\nanonymous = true\n[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\n"

// bad is a bad network: of 100 packets 5 are lost, in each direction, and the
// others take 20 to 40 ms and overtake each other.
var bad = impairment{loss: 0.05, delay: 30 * time.Millisecond, jitter: 10 * time.Millisecond}

// Chromium publishes over a bad network: what is lost on the way is asked for
// again, and the recording is what its ledger says. On a machine that is busy the
// browser makes its picture smaller, which is all that may begin a Period.
func TestLossyNetwork(t *testing.T) {
	t.Parallel()
	l := newLink(t)
	l.set(bad)
	s := startAt(t, l.here, remoteConfig)
	var c camera
	startScript(t, l.inside(), "camera.mjs", "--base", s.url, "--stream", "camera", "--codec", "h264", "--seconds", "20").wait(&c)
	rec, info := judge(t, l, s, c)
	video, _ := rec.Track(media.Video)
	for i := range rec.Periods {
		if i > 0 && initOf(video, i) == initOf(video, i-1) {
			t.Errorf("period %d of %d begins, and the browser had not changed its picture", i+1, len(rec.Periods))
		}
	}
	// Browsers do not send audio again: its losses are for good.
	for _, track := range info.Tracks {
		if track.Kind == media.Video.String() && track.PacketsLost*5 > track.PacketsRecovered {
			t.Errorf("video: %d packets were recovered, %d were not", track.PacketsRecovered, track.PacketsLost)
		}
	}
}

// initOf returns the name of the init segment that a track has in a Period.
func initOf(track *verify.Track, period int) string {
	for _, init := range track.Inits {
		if slices.Contains(init.Periods, period) {
			return init.Name
		}
	}
	return ""
}

// The network is gone for ten seconds while Chromium publishes: the recording
// goes on, in a new Period where the publisher has to come back.
func TestNetworkOutage(t *testing.T) {
	t.Parallel()
	l := newLink(t)
	s := startAt(t, l.here, remoteConfig+"reconnect_seconds = 30\n")
	publisher := startScript(t, l.inside(), "camera.mjs", "--base", s.url, "--stream", "camera", "--codec", "h264", "--seconds", "32")
	dir := s.await("six seconds", "camera", func(st status) bool { return st.Recording && st.Duration >= 6 }).RecordDir
	l.set(impairment{loss: 1})
	time.Sleep(10 * time.Second) // the outage
	l.set(impairment{})
	var c camera
	publisher.wait(&c)
	rec, info := judge(t, l, s, c)
	if rec.Dir != dir {
		t.Errorf("the recording goes on in %s, not in %s", rec.Dir, dir)
	}
	for _, track := range info.Tracks {
		if !slices.ContainsFunc(track.Gaps, func(g media.Gap) bool { return g.Duration > 9 }) {
			t.Errorf("%s: the ledger does not tell of the outage: %+v", track.Kind, track.Gaps)
		}
	}
	if d := rec.Duration; d < 24*time.Second {
		t.Errorf("the recording ends after %v", d)
	}
}

// headFrames is how many frames may come before the first key frame of video,
// with which a recording begins: half a second of audio, for each connection.
const headFrames = 50

// judge ends the recording of the stream "camera", and compares it and its
// ledger with what went over the link.
func judge(t *testing.T, l *link, s *server, c camera) (*verify.Recording, media.Recording) {
	t.Helper()
	l.set(impairment{})
	dir := s.status("camera").RecordDir
	rec := s.finish("camera", dir)
	info := ledger(t, s, dir)
	complete := true
	for _, track := range info.Tracks {
		judgeTrack(t, l, track, c.Sent)
		// What a publisher does while it is away is not missing: it may come back with a
		// session of which nothing is. Nor is what it did not send: a moment of silence
		// stands where one of its tracks ended before the other.
		missing := slices.ContainsFunc(track.Gaps, func(g media.Gap) bool { return g.Cause != "reconnect" && g.Cause != "pause" })
		complete = complete && track.PacketsLost == 0 && track.FramesDropped == 0 && !missing
	}
	if complete != (info.Status == media.StatusComplete) {
		t.Errorf("the recording is %s (%s), its tracks are %+v", info.Status, info.Reason, info.Tracks)
	}
	t.Logf("%s %s: %d periods, %.3f s", info.Status, info.Reason, len(rec.Periods), info.Duration)
	decode(t, filepath.Join(s.root, dir, verify.ManifestName))
	play(t, s, rec)
	return rec, info
}

// judgeTrack checks that nothing is missing of a track that arrived, beyond
// what the ledger says.
func judgeTrack(t *testing.T, l *link, track media.RecordingTrack, all []sent) {
	t.Helper()
	var packets, missing, repeated, frames int
	for _, sent := range all {
		if sent.Kind == track.Kind {
			n, lost, whole := l.stream(sent.SSRC)
			packets, missing, frames = packets+n, missing+lost, frames+whole
			repeated += sent.Retransmitted
		}
	}
	t.Logf("%s: %d packets sent, %d lost on the way, %d sent again; %d frames arrived; ledger: %d received, %d recovered, %d lost, %d frames, %d dropped, %d gaps",
		track.Kind, packets, missing, repeated, frames, track.PacketsReceived, track.PacketsRecovered, track.PacketsLost,
		track.Frames, track.FramesDropped, len(track.Gaps))
	if int(track.PacketsLost) > missing {
		t.Errorf("%s: %d packets lost by the ledger, but the network lost %d", track.Kind, track.PacketsLost, missing)
	}
	if recorded := int(track.Frames + track.FramesDropped); recorded < frames-headFrames {
		t.Errorf("%s: %d frames recorded or dropped, but of %d there are packets", track.Kind, recorded, frames)
	}
}
