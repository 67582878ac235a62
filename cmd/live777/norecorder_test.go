//go:build norecorder

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestNoRecorder(t *testing.T) {
	t.Chdir(t.TempDir())
	for command, want := range map[string]int{"rebuild": 1, "verify": 2} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{command}, nil, &stdout, &stderr); code != want || !strings.Contains(stderr.String(), "this build has no recorder") {
			t.Errorf("%s: code %d, %s", command, code, stderr.String())
		}
	}
}
