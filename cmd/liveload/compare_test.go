//go:build !norecorder

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/node"
)

// Two publishers at once, each with its log; then the recordings are compared
// with the logs, as they are and damaged.
func TestPublishAndCompare(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.HTTP.Listen, cfg.WebRTC.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Recorder.Storage.Root = filepath.Join(dir, "storage")
	cfg.Recorder.AutoStreams = []string{"*"}
	cfg.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "live777.db"))
	n, err := node.New(t.Context(), cfg, node.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	log := filepath.Join(dir, "sent")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{
		"-url", n.URL() + "/whip/cam", "-publishers", "2", "-log", log, "-duration", "2s",
		"-video", media + "h264_baseline.h264", "-audio", media + "opus_stereo.ogg", "-duplicate", "0.1", "-seed", "7",
	}, &stdout, &stderr)
	if code != 0 || strings.Count(stdout.String(), "video H264: 60 units") != 2 {
		t.Fatalf("code %d\nstdout: %s\nstderr: %s", code, stdout.String(), stderr.String())
	}
	for _, i := range []string{"1", "2"} {
		recording := stopRecording(t, n.URL(), "cam"+i, cfg.Recorder.Storage.Root)
		args := []string{"compare", "-log", log + "." + i, "-recording", recording}
		compareWith(t, args, 0, "the recording is what was sent")
		segment := filepath.Join(recording, "v_seg_0001.m4s")
		data, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)-1] ^= 1
		if err := os.WriteFile(segment, data, 0o600); err != nil {
			t.Fatal(err)
		}
		compareWith(t, args, 1, "video different (1)")
		if err := os.Remove(segment); err != nil {
			t.Fatal(err)
		}
		compareWith(t, args, 1, "does not exist")
	}
}

func compareWith(t *testing.T, args []string, want int, text string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != want || !strings.Contains(stdout.String(), text) {
		t.Errorf("%q: code %d\nstdout: %s\nstderr: %s", args, code, stdout.String(), stderr.String())
	}
}

// stopRecording ends a recording and returns its folder.
func stopRecording(t *testing.T, url, stream, root string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, url+"/api/record/"+stream, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		RecordDir string `json:"record_dir"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.RecordDir == "" {
		t.Fatalf("DELETE: %d %s %v", resp.StatusCode, body, err)
	}
	return filepath.Join(root, answer.RecordDir)
}
