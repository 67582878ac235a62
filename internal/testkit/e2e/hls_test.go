package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// probed is what ffprobe finds in a playlist.
type probed struct {
	Streams []struct {
		Kind    string `json:"codec_type"`
		Frames  string `json:"nb_read_frames"`
		Packets string `json:"nb_read_packets"`
	} `json:"streams"`
	Format struct {
		Duration string `json:"duration"`
	} `json:"format"`
}

// probe has ffprobe decode all of an HLS playlist, at a URL or on the disk, and holds it
// against what verify reads of the recording.
func probe(t *testing.T, input string, rec *verify.Recording) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-count_frames", "-count_packets",
		"-show_entries", "stream=codec_type,nb_read_frames,nb_read_packets:format=duration", "-of", "json", input)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe %s: %v %s", input, err, stderr.String())
	}
	var got probed
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Streams) != len(rec.Tracks) {
		t.Errorf("%s: %d streams of %d tracks: %s", input, len(got.Streams), len(rec.Tracks), out)
	}
	length := 0.0 // of the segments: HLS leaves holes out
	for _, s := range got.Streams {
		for _, track := range rec.Tracks {
			if track.Kind.String() != s.Kind {
				continue
			}
			want := strconv.Itoa(len(track.Samples))
			if s.Packets != want || s.Kind == media.Video.String() && s.Frames != want {
				t.Errorf("%s: %s packets and %s frames of %s, want %s", input, s.Packets, s.Frames, s.Kind, want)
			}
			for _, segment := range track.Segments {
				if s.Kind == media.Video.String() {
					length += segment.Duration.Duration(track.Timescale).Seconds()
				}
			}
		}
	}
	if d, err := strconv.ParseFloat(got.Format.Duration, 64); err != nil || math.Abs(d-length) > 0.2 {
		t.Errorf("%s: lasts %s s, want %.3f s", input, got.Format.Duration, length)
	}
}

// Players of low latency follow a recording a few seconds behind, nearer than the twelve
// that three of its segments would be; and a span that goes on from before.
func TestLowLatency(t *testing.T) {
	t.Parallel()
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 4\n")
	s.publish("camera", 0)
	dir := s.await("media", "camera", func(st status) bool { return st.Duration > 0 }).RecordDir
	type followed struct {
		Shown  int     `json:"shown"`  // seconds of the recording
		Behind float64 `json:"behind"` // by its clock
		Own    float64 `json:"own"`    // by the player's
	}
	span := fmt.Sprintf("/api/archive/camera/%d/now/", time.Now().Add(-3*time.Second).Unix())
	for path, players := range map[string]string{"/api/record/object/" + dir + "/": "hlsjs,shaka,shaka-dash,dashjs", span: "hlsjs,dashjs"} {
		var result map[string]followed
		startScript(t, nil, "low.mjs", "--base", s.url, "--path", path, "--players", players, "--out", t.ArtifactDir()).wait(&result)
		for name, r := range result {
			if r.Shown < 6 || r.Behind <= 0 || r.Behind >= 12 {
				t.Errorf("%s of %s: %+v", name, path, r)
			}
		}
	}
}

// ffmpeg reads a recording with several Periods, of two sizes, by HLS: every frame, from
// the node, by a signed URL, and from the disk without a server.
func TestHLSInFFmpeg(t *testing.T) {
	t.Parallel()
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\n")
	publishParts(t, s, "camera", []part{
		{name: "first", file: "h264_baseline.h264"},
		{name: "another size", file: "h264_small.h264"},
		{name: "back after a while", file: "h264_baseline.h264", after: 3 * time.Second},
	})
	dir := s.status("camera").RecordDir
	if code, body := s.request(http.MethodGet, "/api/record/object/"+dir+"/video.m3u8", ""); code != http.StatusOK || !strings.Contains(string(body), "TYPE:EVENT\n") {
		t.Errorf("while it runs: %d %s", code, body)
	}
	rec := s.finish("camera", dir)
	if len(rec.Periods) != 3 || len(rec.Problems) > 0 {
		t.Fatalf("%d periods, %v", len(rec.Periods), rec.Problems)
	}
	code, body := s.request(http.MethodPost, "/api/sign/"+dir, "")
	var signed struct {
		HLS string `json:"hls_url"`
	}
	if err := json.Unmarshal(body, &signed); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	for _, input := range []string{
		s.url + "/api/record/object/" + dir + "/" + media.IndexName, s.url + signed.HLS,
		filepath.Join(s.root, filepath.FromSlash(dir), media.IndexName),
	} {
		probe(t, input, rec)
	}
}
