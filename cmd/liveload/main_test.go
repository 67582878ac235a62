package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

const media = "../../testdata/media/"

func TestCommandLine(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for _, tt := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-help"}, 0, "", "-loss probability"},
		{[]string{"compare", "-help"}, 0, "", "-recording folder"},
		{[]string{"-bogus"}, 2, "", "-bogus"},
		{[]string{"-video-seq", "65536"}, 2, "", "video-seq"},
		{[]string{"file.ivf"}, 2, "", `unexpected argument "file.ivf"`},
		{[]string{"-url", "http://127.0.0.1:1/whip/a"}, 1, "", "neither video nor audio"},
		{[]string{"-url", "http://127.0.0.1:1/whip/a", "-video", absent}, 1, "", "open media file"},
		{[]string{"-video", media + "vp9.ivf," + media + "h264_high.h264"}, 1, "", "cannot join"},
		{[]string{"-url", "x", "-audio", media + "opus_mono.ogg"}, 1, "", "endpoint"},
		{[]string{"-publishers", "0"}, 1, "", "at least one"},
		{[]string{"-profile", "list"}, 0, "obs-simulcast-2", ""},
		{[]string{"-profile", "bogus", "-url", "x"}, 1, "", "no profile \"bogus\"; there are obs, "},
		{[]string{"compare"}, 1, "", "needs -log and -recording"},
		{[]string{"compare", "-log", absent, "-recording", absent}, 1, "", "open log"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%q: code %d\nstdout: %s\nstderr: %s", tt.args, code, stdout.String(), stderr.String())
		}
	}
}
