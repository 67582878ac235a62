package e2e

import (
	"errors"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/compare"
)

// TestReadmeStorage: what the README says of recording to S3 and OSS works as it is
// written there, but for the endpoint.
func TestReadmeStorage(t *testing.T) {
	t.Parallel()
	t.Run("s3", func(t *testing.T) {
		const key = "minioadmin" // as in the README
		m := miniotest.StartWith(t, miniotest.Options{AccessKey: key, SecretKey: key})
		store, err := s3.New(t.Context(), s3.Options{
			Bucket: m.Bucket, Root: "/live777", Region: miniotest.Region, Endpoint: m.Endpoint,
			AccessKeyID: key, SecretAccessKey: key, DisableConfigLoad: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		recordsTo(t, store, readmeBlock(t, `type = "s3"`), "LIVE777_RECORDER_STORAGE_ENDPOINT="+m.Endpoint,
			"LIVE777_RECORDER_STORAGE_ACCESS_KEY_ID="+key, "LIVE777_RECORDER_STORAGE_SECRET_ACCESS_KEY="+key)
	})
	t.Run("oss", func(t *testing.T) {
		const key = "..." // as in the README
		server, err := osstest.Start(osstest.Options{Bucket: "recordings", Keys: map[string]osstest.Key{key: {Secret: key}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		store, err := oss.New(t.Context(), oss.Options{
			Bucket: "recordings", Region: "cn-hangzhou", Endpoint: server.URL, AccessKeyID: key, AccessKeySecret: key,
		})
		if err != nil {
			t.Fatal(err)
		}
		recordsTo(t, store, readmeBlock(t, `type = "oss"`), "LIVE777_RECORDER_STORAGE_ENDPOINT="+server.URL, "LIVE777_RECORDER_AUTO_STREAMS=*")
	})
}

// readmeBlock returns the README's block of TOML that has a line.
func readmeBlock(t *testing.T, line string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(data), "```toml\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, "\n"+line+"\n") {
			return block
		}
	}
	t.Fatalf("the README has no configuration with %s", line)
	return ""
}

// recordsTo records with a configuration and an environment, and finds what was sent in store.
func recordsTo(t *testing.T, store storage.Backend, config string, environ ...string) {
	t.Helper()
	s := start(t, config, append([]string{"env"}, environ...)...)
	p := s.publish("camera", 0)
	s.await("media", "camera", func(st status) bool { return st.Duration >= 2 })
	p.end()
	s.request(http.MethodDelete, "/api/record/camera", "")
	recs := s.awaitEnd("camera")
	rec, err := verify.ReadRecording(t.Context(), store, recs[0].RecordDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := compare.Recording(p.log, rec, compare.Options{}).Err(); err != nil || recs[0].Status != media.StatusComplete {
		t.Errorf("%s %s: %v", recs[0].Status, recs[0].Reason, err)
	}
	s.saves(recs[0])
}

// readmeSaves is the README's command that saves a recording as one file.
const readmeSaves = "curl -OJ http://127.0.0.1:7777/api/record/object/camera/1762842203/file.mp4"

// saves runs the README's command that saves a recording as one file.
func (s *server) saves(rec media.Recording) {
	s.t.Helper()
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil || !strings.Contains(string(readme), "\n"+readmeSaves+"\n") {
		s.t.Fatalf("the README does not say %q, %v", readmeSaves, err)
	}
	command := strings.NewReplacer("http://127.0.0.1:7777", s.url, "camera/1762842203", rec.RecordDir).Replace(readmeSaves)
	dir := s.t.TempDir()
	cmd := exec.CommandContext(s.t.Context(), "sh", "-ec", command+" && ffprobe -v error -of csv=p=0 -show_entries format=duration *.mp4")
	cmd.Dir = dir
	out, err := cmd.Output()
	seconds, parseErr := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err := errors.Join(err, parseErr); err != nil || math.Abs(seconds-rec.Duration) > 0.2 {
		s.t.Errorf("the file that is saved has %v s, %v; the recording has %v s", seconds, err, rec.Duration)
	}
}
