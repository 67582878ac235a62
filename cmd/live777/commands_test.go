//go:build !norecorder

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExitCodes runs the commands on a recording that a node has made.
func TestExitCodes(t *testing.T) {
	fixture, err := filepath.Abs("../../internal/library/maintain/testdata/recording")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	command := func(want int, output string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, nil, &stdout, &stderr); code != want || !strings.Contains(stdout.String()+stderr.String(), output) {
			t.Errorf("%q: code %d, want %d and %q\nstdout: %s\nstderr: %s", args, code, want, output, stdout.String(), stderr.String())
		}
		return stdout.String()
	}
	command(2, "recorder.storage.root", "verify")
	command(1, "recorder.storage.root", "rebuild")
	const dir = "storage/camera/1795367766"
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	command(1, "is not in the catalogue", "verify")
	command(0, "1 added", "rebuild")
	command(0, "0 added", "rebuild")
	command(0, "all good", "verify")
	lines := strings.Split(strings.TrimSpace(command(0, "", "verify", "-json", "camera")), "\n")
	var summary struct {
		Summary struct{ Recordings, Bad int }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil || summary.Summary.Recordings != 1 || len(lines) != 2 {
		t.Errorf("JSON: %v\n%s", err, lines)
	}
	command(0, "all good", "verify", "-decode")
	command(0, `"decoded":{"picture":3,`, "verify", "-decode", "-json")
	path := os.Getenv("PATH")
	t.Setenv("PATH", "")
	command(2, "needs ffmpeg", "verify", "-decode")
	t.Setenv("PATH", path)
	if err := os.Truncate(dir+"/v_seg_0002.m4s", 1000); err != nil {
		t.Fatal(err)
	}
	command(1, dir[len("storage/"):]+"/v_seg_0002.m4s: cannot be decoded", "verify")
	command(2, "path", "verify", "camera/.hidden")
	if err := os.WriteFile(dir+"/recording.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(1, dir[len("storage/"):]+"/recording.json: recording.json cannot be read", "rebuild")
}
