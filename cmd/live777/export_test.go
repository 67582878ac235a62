//go:build !norecorder

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
)

// TestExport writes spans of a recording that a node has made, without a node.
func TestExport(t *testing.T) {
	fixture, err := filepath.Abs("../../internal/library/maintain/testdata/recording")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.CopyFS("storage/camera/1795367766", os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	command := func(want int, output string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, nil, &stdout, &stderr); code != want || !strings.Contains(stdout.String()+stderr.String(), output) {
			t.Errorf("%q: code %d, want %d and %q\nstdout: %.1000s\nstderr: %s", args, code, want, output, stdout.String(), stderr.String())
		}
		return stdout.String()
	}
	command(0, "1 added", "rebuild")

	command(0, "clip.mp4\n", "export", "-o", "clip.mp4", "camera", "2026-11-22T17:16:07Z", "+1.5s")
	wantLong(t, "clip.mp4", 1.5, "video\naudio\n")
	command(2, "clip.mp4 exists", "export", "camera", "2026-11-22T17:16:07Z", "+1.5s", "-o", "clip.mp4")
	command(0, "camera 2026-11-22 18.16.07.m4a\n", "export", "camera", "2026-11-22T18:16:07", "+1s", "-tz", "Europe/Berlin", "--tracks=audio")
	wantLong(t, "camera 2026-11-22 18.16.07.m4a", 1, "audio\n")
	piped := command(0, "", "export", "camera", "2026-11-22T17:16:07Z", "2026-11-22T17:16:08.5Z", "-o", "-")
	if whole, err := os.ReadFile("clip.mp4"); err != nil || piped != string(whole) {
		t.Errorf("a pipe gets %d bytes, a file has %d: %v", len(piped), len(whole), err)
	}
	if err := os.Mkdir("clips", 0o700); err != nil {
		t.Fatal(err)
	}
	command(0, "clips/camera 2026-11-22 17.16.06.mp4\n", "export", "camera", "1795367700", "1795367800", "-o", "clips", "-tz", "UTC")

	command(2, "is recorded from", "export", "camera", "2026-11-22T17:16:30Z", "+1s")
	command(2, "is recorded from", "export", "camera", "-30s", "now")
	command(2, "to is before from", "export", "camera", "2026-11-22T17:16:30Z", "2026-11-22T17:16:20Z")
	command(2, "wants a stream", "export", "camera")
	command(2, "height", "export", "camera", "1795367700", "1795367800", "-height", "high")
	if err := os.Remove("storage/camera/1795367766/v_seg_0002.m4s"); err != nil {
		t.Fatal(err)
	}
	command(1, "does not have v_seg_0002.m4s", "export", "camera", "1795367700", "1795367800", "-o", "rest.mp4")
	for _, left := range []string{"none.mp4", "clip.mp4.part", "rest.mp4.part"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s was left behind", left)
		}
	}
}

// TestExportWebM writes VP8, which no MP4 has: where no name says what it is to be, and
// where it says that it is WebM.
func TestExportWebM(t *testing.T) {
	t.Chdir("../../internal/library/verify") // from where its media is found
	made := verifytest.Record(t, verifytest.SentLog(t, "vp8.ivf", "", 7))
	end := verifytest.Started.Add(7 * time.Second)
	made.Info = &media.Recording{Stream: "camera", Start: verifytest.Started, End: &end, Duration: 7, Status: media.StatusComplete}
	recording := made.Write(t)
	t.Chdir(t.TempDir())
	for key, data := range recording {
		if err := os.MkdirAll(filepath.Dir("storage/"+key), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("storage/"+key, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(want int, output string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, nil, &stdout, &stderr); code != want || !strings.Contains(stdout.String()+stderr.String(), output) {
			t.Errorf("%q: code %d, want %d and %q\nstdout: %.1000s\nstderr: %s", args, code, want, output, stdout.String(), stderr.String())
		}
		return stdout.String()
	}
	command(0, "1 added", "rebuild")
	span := []string{"export", "camera", "2026-01-02T03:00:00Z", "+1h", "-tz", "UTC"}
	const name = "camera 2026-01-02 03.04.05.webm"
	command(0, name+"\n", span...)
	wantLong(t, name, 7, "video\n")
	command(0, "clip.webm\n", append(span, "-o", "clip.webm")...)
	whole, err := os.ReadFile("clip.webm")
	if err != nil {
		t.Fatal(err)
	}
	if piped := command(0, "", append(span, "-o", "-")...); piped != string(whole) {
		t.Errorf("a pipe gets %d bytes, a file has %d", len(piped), len(whole))
	}
	if err := os.Mkdir("clips", 0o700); err != nil {
		t.Fatal(err)
	}
	command(0, "clips/"+name+"\n", append(span, "-o", "clips", "-split")...)
	command(2, "ends with .webm", append(span, "-o", "clip.mp4")...)
	if _, err := os.Stat("clip.mp4"); err == nil {
		t.Error("VP8 was written as MP4")
	}
}

// wantLong wants a file to last for so many seconds, and to have tracks.
func wantLong(t *testing.T, file string, seconds float64, tracks string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-of", "csv=p=0", "-show_entries", "stream=codec_type:format=duration", file).CombinedOutput()
	rest, ok := strings.CutPrefix(string(out), tracks)
	got, parseErr := strconv.ParseFloat(strings.TrimSpace(rest), 64)
	if err != nil || !ok || parseErr != nil || got < seconds-0.005 || got > seconds+0.005 {
		t.Errorf("%s: %v\n%s\nwant %v s of\n%s", file, err, out, seconds, tracks)
	}
}
