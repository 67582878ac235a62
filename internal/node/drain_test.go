//go:build !norecorder

package node

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// publishMany publishes sound to each stream until ctx ends or the node does. A publisher
// that could not connect comes again, as encoders do: the machine may be busy.
func (n *testNode) publishMany(ctx context.Context, streams []string) {
	n.t.Helper()
	for _, stream := range streams {
		options := load.Options{URL: n.url + "/whip/" + stream, Audio: open(n.t, "opus_mono.ogg"), Duration: time.Minute}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				p, err := load.New(options)
				if err != nil {
					n.t.Error(err)
					return
				}
				if log, _ := p.Run(ctx); !log.Started.IsZero() {
					return // it has published, and the node ended before it did
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		n.t.Cleanup(func() { <-done })
	}
}

// recorded waits until each stream is recorded, and returns the recordings.
func (n *testNode) recorded(streams []string) map[string]media.Recording {
	n.t.Helper()
	all := map[string]media.Recording{}
	for _, stream := range streams {
		await.Until(n.t, stream+" is recorded", func() bool {
			var rec media.Recording
			n.call(http.MethodGet, "/api/record/"+stream, "", &rec)
			all[stream] = rec
			return rec.Duration >= 0.5
		})
	}
	return all
}

// TestRestartGoesOn: a node ends in order while it records twenty streams, and is started
// again: what was recorded is sealed, and each recording that somebody had started goes on
// in another when its publisher comes back. While the node ends nobody new is let in.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	change := func(c *config.Config) {
		c.Recorder.Storage.Root = filepath.Join(dir, "storage")
		c.Database.URL = config.DatabaseURL("sqlite://" + filepath.Join(dir, "live777.db"))
		c.Recorder.AutoStreams = []string{"auto-*"}
		c.Recorder.Reconnect = 30
	}
	var streams []string
	for i := range 20 {
		streams = append(streams, fmt.Sprintf("%s-%d", []string{"auto", "asked"}[i%2], i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := startNode(t, change)
	n.publishMany(ctx, append(streams, "not-recorded", "stopped"))
	start := func(stream, body string) {
		await.Until(t, stream+" has a publisher", func() bool {
			return n.call(http.MethodPost, "/api/record/"+stream, body, nil) == http.StatusOK
		})
	}
	for i := 1; i < len(streams); i += 2 {
		body := ""
		if i == 1 {
			body = `{"base_dir":"match/final"}`
		}
		start(streams[i], body)
	}
	start("stopped", "")
	before := n.recorded(append(streams, "stopped"))
	if code := n.call(http.MethodDelete, "/api/record/stopped", "", nil); code != http.StatusOK {
		t.Errorf("stop: %d", code)
	}

	if err := n.node.drain(t.Context()); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{"POST /api/record/not-recorded": "shutting down", "GET /readyz": `"node"`} {
		method, path, _ := strings.Cut(path, " ")
		if code, body := n.ask(method, path, ""); code != http.StatusServiceUnavailable || !strings.Contains(string(body), want) {
			t.Errorf("%s while the node ends: %d %s", path, code, body)
		}
	}
	late, err := load.New(load.Options{URL: n.url + "/whip/late", Audio: open(t, "opus_mono.ogg"), Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a publisher while the node ends: %v", err)
	}
	for stream, rec := range before {
		var sealed media.Recording
		if code := n.call(http.MethodGet, "/api/recordings/"+rec.RecordDir, "", &sealed); code != http.StatusOK || sealed.Status != media.StatusComplete {
			t.Errorf("%s is %s (%s)", stream, sealed.Status, sealed.Reason)
		}
	}
	n.stop()

	n = startNode(t, change)
	n.publishMany(ctx, append(streams, "not-recorded", "stopped"))
	for stream, rec := range n.recorded(streams) {
		if rec.RecordDir == before[stream].RecordDir {
			t.Errorf("%s goes on in %s, which is sealed", stream, rec.RecordDir)
		}
		if stream == streams[1] && !strings.HasPrefix(rec.RecordDir, "match/final/") {
			t.Errorf("%s goes on in %s, not below its base_dir", stream, rec.RecordDir)
		}
	}
	for _, stream := range []string{"not-recorded", "stopped"} {
		var st recordAnswer
		if n.call(http.MethodGet, "/api/record/"+stream, "", &st); st.Recording {
			t.Errorf("%s is recorded after the restart", stream)
		}
	}
	cancel()
	n.stop()
}

// TestEndLosesNothing: a node ends in order while publishers go on sending. What they had
// sent when they were told is recorded, but for the last units, of which a publisher whose
// connection closes does not know whether they went out. The WebRTC stack tells and ends at
// once, so what is on the way at that moment may be missing there, too.
func TestEndLosesNothing(t *testing.T) {
	t.Parallel()
	for receiver, tail := range map[string]int{"direct": 3, "pion": 6} {
		t.Run(receiver, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n := startNode(t, func(c *config.Config) {
				c.WebRTC.Receiver = receiver
				c.Recorder.Storage.Root = filepath.Join(dir, "storage")
				c.Recorder.AutoStreams = []string{"*"}
				c.Recorder.Reconnect = 30
			})
			var streams []string
			logs := make([]*load.Log, 8)
			var wg sync.WaitGroup
			for i := range logs {
				streams = append(streams, fmt.Sprintf("s%d", i))
				p, err := load.New(load.Options{
					URL: n.url + "/whip/" + streams[i], Video: open(t, "h264_baseline.h264"), Audio: open(t, "opus_mono.ogg"), SenderReports: true, NoDelete: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() { logs[i], _ = p.Run(t.Context()) }) // the node ends it
			}
			before := n.recorded(streams)
			n.stop()
			wg.Wait()
			for i, stream := range streams {
				rec := n.readBack(before[stream].RecordDir)
				report := compare.Recording(logs[i], rec, compare.Options{TailUnits: tail})
				if err := report.Err(); err != nil || rec.Info.Status != media.StatusComplete {
					t.Errorf("%s is %s (%s): %v", stream, rec.Info.Status, rec.Info.Reason, err)
				}
				for _, track := range report.Tracks {
					t.Logf("%s %s: %d sent, the last %d are missing", stream, track.Kind, track.Sent, track.Sent-1-track.Last)
				}
			}
		})
	}
}

// readBack reads a recording from the storage of a node, which may have ended.
func (n *testNode) readBack(dir string) *verify.Recording {
	n.t.Helper()
	store, err := fs.New(n.root, fs.Options{})
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	rec, err := verify.ReadRecording(context.Background(), store, dir)
	if err != nil {
		n.t.Fatal(err)
	}
	return rec
}
