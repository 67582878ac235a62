package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// bucketRoot is the path in the bucket below which the tests record.
const bucketRoot = "/live777"

// s3Config is the configuration of a server that records to MinIO by an endpoint.
func s3Config(m *miniotest.Server, endpoint, recorder string) string {
	return fmt.Sprintf("[recorder]\nauto_streams = [\"*\"]\n%s\n[recorder.storage]\n%s", recorder, s3Storage(m, endpoint))
}

// s3Storage is what a table of storage has to say of MinIO at an endpoint.
func s3Storage(m *miniotest.Server, endpoint string) string {
	return fmt.Sprintf(`type = "s3"
bucket = %q
root = %q
region = %q
endpoint = %q
access_key_id = %q
secret_access_key = %q
disable_config_load = true
`, m.Bucket, bucketRoot, miniotest.Region, endpoint, m.AccessKey, m.SecretKey)
}

// openBucket reads what a server has recorded to MinIO, past the server.
func openBucket(t *testing.T, m *miniotest.Server) *s3.Store {
	t.Helper()
	store, err := s3.New(t.Context(), s3.Options{
		Bucket: m.Bucket, Root: bucketRoot, Region: miniotest.Region, Endpoint: m.Endpoint,
		AccessKeyID: m.AccessKey, SecretAccessKey: m.SecretKey, DisableConfigLoad: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// What spooled and uploaded look at. A manifest and a recording.json that the server
// may have got, or not, are checked again when nothing of that try can be under way any
// more, half a minute later; segments are there or not.
const (
	everything = "*"
	segments   = "*_seg_*"
)

// spooled returns how many objects, and bytes, of those with such names that were
// written last before a time are still in a server's spool.
func (s *server) spooled(before time.Time, names string) (objects int, bytes int64) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, "spool", "objects"), func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // uploaded
		}
		if err != nil || d.IsDir() {
			return err
		}
		if ok, err := path.Match(names, d.Name()); !ok || err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && info.ModTime().Before(before) {
			objects++
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return objects, bytes
}

// uploaded waits until what was written before a time has left the spool.
func (s *server) uploaded(before time.Time, names string) {
	s.t.Helper()
	await.Until(s.t, "upload of what waits in the spool", func() bool {
		n, _ := s.spooled(before, names)
		return n == 0
	})
}

// recordings returns what the server lists of a stream, oldest first.
func (s *server) recordings(stream string) []media.Recording {
	s.t.Helper()
	var list struct{ Recordings []media.Recording }
	code, body := s.request(http.MethodGet, "/api/playback/"+stream+"?limit=200", "")
	if err := json.Unmarshal(body, &list); err != nil || code != http.StatusOK {
		s.t.Fatalf("list of %s: %d %s %v", stream, code, body, err)
	}
	slices.Reverse(list.Recordings)
	return list.Recordings
}

// awaitEnd waits until a stream's recordings have ended and nothing is left in the
// spool: their manifests are uploaded after all that is durable by then. They are
// listed as ended before their manifests are in the spool; the session ends after that.
func (s *server) awaitEnd(stream string) []media.Recording {
	s.t.Helper()
	var recs []media.Recording
	await.Until(s.t, "end of the recordings of "+stream, func() bool {
		recs = s.recordings(stream)
		return len(recs) > 0 && !slices.ContainsFunc(recs, func(r media.Recording) bool {
			return r.Status == media.StatusRecording || r.DurableThrough < r.Duration
		}) && !s.status(stream).Recording
	})
	s.uploaded(time.Now().Add(time.Hour), everything)
	return recs
}

// inBucket checks what is in the bucket of recordings: they are whole, and have together
// all that was sent, in order and once.
func inBucket(t *testing.T, store *s3.Store, log *load.Log, recs []media.Recording) {
	t.Helper()
	next := map[media.Kind]int{}
	for _, listed := range recs {
		rec, err := verify.ReadRecording(context.Background(), store, listed.RecordDir)
		if err != nil {
			t.Errorf("%s: %v", listed.RecordDir, err)
			continue
		}
		if listed.Status != media.StatusComplete || rec.Dynamic || len(rec.Problems) > 0 {
			t.Errorf("%s is %s %s, dynamic %v, %v", listed.RecordDir, listed.Status, listed.Reason, rec.Dynamic, rec.Problems)
		}
		stored := storedInfo(t, store, listed.RecordDir)
		if stored.Status != listed.Status || stored.Bytes != listed.Bytes || stored.DurableThrough != stored.Duration {
			t.Errorf("the catalogue has %+v, recording.json %+v", listed, stored)
		}
		report := compare.Recording(log, rec, compare.Options{TailUnits: -1})
		if err := report.Err(); err != nil {
			t.Errorf("%s: %v", listed.RecordDir, err)
		}
		for _, tr := range report.Tracks {
			if next[tr.Kind] == 0 && tr.First == 1 && tr.Kind == media.Audio {
				next[tr.Kind] = 1 // captured a hair before the first picture
			}
			if tr.First != next[tr.Kind] {
				t.Errorf("%s: %s begins with unit %d, the recording before ends before %d", listed.RecordDir, tr.Kind, tr.First, next[tr.Kind])
			}
			next[tr.Kind] = tr.Last + 1
		}
	}
	for _, tr := range log.Tracks() {
		if next[tr.Kind] != len(tr.Units) {
			t.Errorf("%s: the recordings end before unit %d, %d were sent", tr.Kind, next[tr.Kind], len(tr.Units))
		}
	}
}

func storedInfo(t *testing.T, store *s3.Store, dir string) media.Recording {
	t.Helper()
	body, err := store.Get(context.Background(), path.Join(dir, media.InfoName), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	rec, _, err := media.DecodeRecording(data, dir)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// bucketFolders returns the folders that have objects, sorted.
func bucketFolders(t *testing.T, store *s3.Store) []string {
	t.Helper()
	var dirs []string
	for o, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, path.Dir(o.Key))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// runCommand runs a command of live777 in dir to its end, with what is set in the
// environment on top of live777.toml there.
func runCommand(t *testing.T, dir string, environ []string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environ...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}
