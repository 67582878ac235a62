package e2e

import (
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
)

// A node is killed while it records, and started again: one stream's publisher
// comes back in time and goes on with its recording, the other's does not. Both
// recordings play to their ends, across what is missing.
func TestKilledNode(t *testing.T) {
	t.Parallel()
	const config = "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\nreconnect_seconds = 20\n"
	dir := t.TempDir()
	s := startIn(t, dir, "127.0.0.1", config)
	video, audio := source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg")
	first := s.publishSources("back", time.Minute, video, audio)
	gone := s.publishSources("gone", time.Minute, video, audio)
	enough := func(st status) bool { return st.Duration >= 6 }
	back := s.await("6 s", "back", enough)
	away := s.await("6 s", "gone", enough)
	_ = s.stop(syscall.SIGKILL)
	first.end()
	gone.end()

	s = startIn(t, dir, "127.0.0.1", config)
	if st := s.status("back"); !st.Recording || st.RecordDir != back.RecordDir {
		t.Fatalf("after the restart it does not wait for its publisher: %+v", st)
	}
	second := s.publishSources("back", time.Minute, video, audio)
	st := s.await("more", "back", func(st status) bool { return st.Duration >= back.Duration+6 })
	if st.RecordDir != back.RecordDir {
		t.Errorf("it goes on in %s, not in %s", st.RecordDir, back.RecordDir)
	}
	rec := s.finish("back", back.RecordDir)
	second.end()
	s.await("the end of the other", "gone", func(st status) bool { return !st.Recording })
	for _, d := range []string{back.RecordDir, away.RecordDir} {
		if info := ledger(t, s, d); info.Status != media.StatusDegraded || info.Recovered != 1 {
			t.Errorf("%s is %s (%s), recovered %d times", d, info.Status, info.Reason, info.Recovered)
		}
		if code, body := s.request(http.MethodGet, "/api/recordings/"+d, ""); code != http.StatusOK {
			t.Errorf("GET /api/recordings/%s: %d %s", d, code, body)
		}
		decode(t, filepath.Join(s.root, d, verify.ManifestName))
	}
	last := len(rec.Periods) - 1
	if last != 1 {
		t.Fatalf("%d Periods, not one before and one after", last+1)
	}
	for i, publisher := range []*publisher{first, second} {
		if err := compare.Recording(publisher.log, rec.InPeriods(i, i), compare.Options{TailUnits: -1}).Err(); err != nil {
			t.Errorf("period %d: %v", i+1, err)
		}
	}
	play(t, s, rec)
	play(t, s, read(t, s.root, away.RecordDir))
}
