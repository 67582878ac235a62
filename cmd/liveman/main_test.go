package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("[http]\nlisten = 5\n[fleet]\nx = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"-version"}, 0, "liveman ", ""},
		{[]string{"-check-config"}, 0, "[http]\nlisten = \"127.0.0.1:8888\"\n", ""},
		{[]string{"-config", bad, "-check-config"}, 1, "", bad + ":2: http.listen: want a string, got an integer\n" + bad + ":4: fleet.x"},
		{[]string{"-config", "absent.toml"}, 1, "", "absent.toml"},
		{[]string{"-help"}, 0, "", "-check-config"},
		{[]string{"-bogus"}, 2, "", "-bogus"},
		{[]string{"start"}, 2, "", `unexpected argument "start"`},
		{[]string{"rebuild", "-help"}, 0, "", "-json"},
		{[]string{"rebuild", "-help"}, 0, "", "-fill"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, nil, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%q: code %d\nstdout: %s\nstderr: %s", tt.args, code, stdout.String(), stderr.String())
		}
	}
}

func TestStartsAndStops(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	stdout := &cancelWriter{cancel: cancel}
	code := run(ctx, nil, []string{"LIVEMAN_HTTP_LISTEN=127.0.0.1:0"}, stdout, &stderr)
	if code != 0 || !strings.Contains(stdout.String(), "http://127.0.0.1:") {
		t.Errorf("code %d\nstdout: %s\nstderr: %s", code, stdout.String(), stderr.String())
	}
}

// cancelWriter takes the first words of a manager that is up as the sign to stop it.
type cancelWriter struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (w *cancelWriter) Write(p []byte) (int, error) {
	w.cancel()
	return w.Buffer.Write(p)
}
