package events

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/media"
)

func openCatalogue(t *testing.T, file string) *catalogue.DB {
	t.Helper()
	db, err := catalogue.Open(t.Context(), "sqlite://"+file)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func recordingOf(n int, status media.Status, ended bool) media.Recording {
	r := media.Recording{
		Stream: "camera", RecordID: fmt.Sprintf("%010d", n), RecordDir: fmt.Sprintf("camera/%010d", n), MPDPath: fmt.Sprintf("camera/%010d/manifest.mpd", n),
		Start: time.Now().Add(-time.Minute), Status: status, Duration: 3,
		Tracks: []media.RecordingTrack{{Kind: "video", Codec: "H264", Gaps: []media.Gap{{Start: 1}}}},
	}
	if ended {
		end := time.Now()
		r.End = &end
	}
	return r
}

// followed follows a catalogue until stop.
func followed(t *testing.T, s *Service, db *catalogue.DB) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		s.Follow(ctx, FollowOptions{Feed: db, Uploads: func(r media.Recording) bool { return r.RecordID != "0000000003" }})
	})
	return func() { cancel(); wg.Wait() }
}

func kinds(got []envelopeRead) []string {
	var all []string
	for _, e := range got {
		var d struct{ Recording media.Recording }
		_ = json.Unmarshal(e.Data, &d)
		all = append(all, strings.TrimPrefix(e.Type, typePrefix+"recording.")+strings.TrimLeft(strings.TrimPrefix(d.Recording.RecordDir, "camera/"), "0"))
	}
	return all
}

// TestFollow tells of recordings what their catalogue says, once each, also of what changed
// while the program was away, and never of what was before it was to tell.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	db := openCatalogue(t, filepath.Join(dir, "c.db"))
	defer db.Close()
	put := func(r media.Recording) {
		if err := db.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	before := recordingOf(1, media.StatusComplete, true)
	put(before)
	h := &hookServer{t: t, answer: always(200)}
	file := filepath.Join(dir, "q.db")
	var want []string
	wantNow := func(more ...string) {
		t.Helper()
		want = append(want, more...)
		until(t, fmt.Sprintf("%q is told", want), func() bool { return len(h.taken()) >= len(want) })
		if got := kinds(h.taken()); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	s := open(t, file, h, toWebhook("recording.*"))
	stop := followed(t, s, db)
	until(t, "the place in the feed is noted", func() bool {
		v, err := s.queue.Load().state(t.Context(), stateFeed, "cursor")
		return err == nil && v != ""
	})
	put(recordingOf(2, media.StatusRecording, false))
	wantNow("started2")
	put(recordingOf(2, media.StatusRecording, false))
	put(recordingOf(2, media.StatusDegraded, true))
	wantNow("ended2")
	done := recordingOf(2, media.StatusDegraded, true)
	done.DurableThrough = done.Duration
	put(done)
	wantNow("uploaded2")
	before.Protected = true
	put(before)
	stop()
	closeIt(t, s)

	put(recordingOf(3, media.StatusFailed, true)) // while nobody looks
	put(recordingOf(4, media.StatusRecording, false))
	if err := db.BeginDelete(t.Context(), recordingOf(2, "", false).RecordDir); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, h, toWebhook("recording.*"))
	stop = followed(t, s, db)
	wantNow("started3", "failed3", "started4", "deleted2")
	if err := db.Delete(t.Context(), recordingOf(2, "", false).RecordDir); err != nil {
		t.Fatal(err)
	}
	put(recordingOf(2, media.StatusRecording, false)) // the folder is used again
	wantNow("started2")
	put(recordingOf(4, media.StatusComplete, true))
	stop() // tells what has changed until now
	until(t, "the last is told", func() bool { return len(h.taken()) == len(want)+1 })
	wantNow("ended4")
	closeIt(t, s)
	for _, e := range h.taken() {
		if e.Subject != "camera" || strings.Contains(string(e.Data), `"gaps"`) {
			t.Errorf("%+v", e)
		}
	}

	// Another catalogue: what ended meanwhile is told, what was told is not.
	other := openCatalogue(t, filepath.Join(dir, "c2.db"))
	defer other.Close()
	all, _, err := db.Follow(t.Context(), media.Cursor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if !c.Deleted {
			if err := other.Put(t.Context(), *c.Recording); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := other.Put(t.Context(), recordingOf(5, media.StatusComplete, true)); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, h, toWebhook("recording.*"))
	stop = followed(t, s, other)
	wantNow("started5", "ended5")
	stop()
	closeIt(t, s)
}

// TestKill kills a program again and again that records and tells of it. All that its
// catalogue knows is told, in order, and repeats have the id of what they repeat.
func TestKill(t *testing.T) {
	if dir := os.Getenv("EVENTS_TEST_DIR"); dir != "" {
		beKilled(t, dir)
		return
	}
	const rounds = 6
	dir := t.TempDir()
	var mu sync.Mutex
	var got []envelopeRead
	calls := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e envelopeRead
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		got = append(got, e)
		mu.Unlock()
		select {
		case calls <- struct{}{}:
		default:
		}
	}))
	defer server.Close()
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "EVENTS_TEST_DIR="+dir, "EVENTS_TEST_URL="+server.URL)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 3 + 5*round { // in the middle of what it does
			<-calls
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for len(calls) > 0 {
			<-calls
		}
	}
	// What was put is told after one more start.
	db := openCatalogue(t, filepath.Join(dir, "c.db"))
	defer db.Close()
	s, err := Open(t.Context(), killOptions(dir, server.URL))
	if err != nil {
		t.Fatal(err)
	}
	stop := followed(t, s, db)
	all, _, err := db.Follow(t.Context(), media.Cursor{}, 0)
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	ended := func() map[string]string {
		mu.Lock()
		defer mu.Unlock()
		ids := map[string]string{}
		last := 0
		for _, e := range got {
			kind := kinds([]envelopeRead{e})[0]
			if other := ids[kind]; other != "" && other != e.ID {
				t.Fatalf("%s was told with two ids", kind)
			}
			place := 0
			if n, ok := strings.CutPrefix(kind, "started"); ok {
				place, _ = strconv.Atoi(n)
				place *= 2
			} else if n, ok := strings.CutPrefix(kind, "ended"); ok {
				place, _ = strconv.Atoi(n)
				place = 2*place + 1
			}
			if ids[kind] == "" {
				if place <= last {
					t.Fatalf("%s came after %d", kind, last)
				}
				last = place
			}
			ids[kind] = e.ID
		}
		return ids
	}
	until(t, "all is told", func() bool {
		ids := ended()
		return !slices.ContainsFunc(all, func(c media.Change) bool {
			n := strings.TrimLeft(c.Recording.RecordID, "0")
			return ids["started"+n] == "" || c.Recording.End != nil && ids["ended"+n] == ""
		})
	})
	t.Logf("%d recordings, %d events with repeats", len(all), len(got))
	stop()
	closeIt(t, s)
}

func killOptions(dir, url string) Options {
	cfg := toWebhook("recording.*")
	cfg.Webhooks[0].URL = config.TargetURL(url)
	return Options{Source: "/live777/test", File: filepath.Join(dir, "q.db"), Keep: time.Hour, Max: 1 << 20, Targets: cfg, Logger: slog.New(slog.DiscardHandler)}
}

// beKilled is the program: it begins and ends recordings as fast as it can.
func beKilled(t *testing.T, dir string) {
	s, err := Open(t.Context(), killOptions(dir, os.Getenv("EVENTS_TEST_URL")))
	if err != nil {
		t.Fatal(err)
	}
	db := openCatalogue(t, filepath.Join(dir, "c.db"))
	followed(t, s, db)
	until(t, "the place in the feed is noted", func() bool {
		v, err := s.queue.Load().state(t.Context(), stateFeed, "cursor")
		return err == nil && v != ""
	})
	last, _, err := db.Follow(t.Context(), media.Cursor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 + len(last); ; n++ {
		for _, r := range []media.Recording{recordingOf(n, media.StatusRecording, false), recordingOf(n, media.StatusComplete, true)} {
			if err := db.Put(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
}
