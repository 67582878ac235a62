package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/testkit/await"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// TestWrongStorage: a start with a setting that cannot work ends at once, and says
// which one it is.
func TestWrongStorage(t *testing.T) {
	t.Parallel()
	m := miniotest.Start(t)
	dir := t.TempDir()
	configure(t, dir, "127.0.0.1", s3Config(m, m.Endpoint, ""))
	for _, test := range []struct{ option, value string }{
		{"bucket", "nobodys-bucket"},
		{"access_key_id", "nobodys-key"},
		{"secret_access_key", "another-secret"},
		{"region", "eu-central-7"},
		{"endpoint", "http://127.0.0.1:1"},
	} {
		t.Run(test.option, func(t *testing.T) {
			code, out := runCommand(t, dir, []string{"LIVE777_RECORDER_STORAGE_" + strings.ToUpper(test.option) + "=" + test.value})
			if code != 1 || !strings.Contains(out, "recorder.storage."+test.option) {
				t.Errorf("it ends with %d:\n%s", code, out)
			}
			if strings.Contains(out, m.SecretKey) || test.option == "secret_access_key" && strings.Contains(out, test.value) {
				t.Errorf("it tells the secret:\n%s", out)
			}
		})
	}
}

// TestStorageOutage: what is recorded while storage is away can be played; a node that
// is started meanwhile records too; and in the end all of it is in the bucket, from
// where it is played, checked, listed anew and deleted.
func TestStorageOutage(t *testing.T) {
	t.Parallel()
	m := miniotest.Start(t)
	config := s3Config(m, m.Endpoint, "segment_seconds = 2")
	s := start(t, config)
	before := s.publish("before", 0)
	st := s.await("segments in the bucket", "before", func(st status) bool { return st.Duration >= 6 })
	s.uploaded(time.Now().Add(-2*time.Second), segments)

	m.Kill()
	killed := s.status("before")
	if killed.Durable < st.Duration-2 {
		t.Errorf("%v s of %v were durable before the outage", killed.Durable, st.Duration)
	}
	st = s.await("segments in the spool", "before", func(now status) bool { return now.Duration >= st.Duration+6 })
	if st.Durable > killed.Duration+1 {
		t.Errorf("%v s are said to be durable; storage went away at %v", st.Durable, killed.Duration)
	}
	s.playInOutage(st)
	otherDir := t.TempDir()
	configure(t, otherDir, "127.0.0.1", config)
	spool := []string{"LIVE777_RECORDER_SPOOL_DIR=" + filepath.Join(s.dir, "spool")}
	if code, out := runCommand(t, otherDir, spool); code != 1 || !strings.Contains(out, "recorder.spool.dir") || !strings.Contains(out, "another process uses it") {
		t.Errorf("a second process with the same spool ends with %d:\n%s", code, out)
	}
	before.end() // its recording waits for it to come back
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM in the outage: %v", err)
	}
	other := slices.Concat(spool, []string{"LIVE777_RECORDER_STORAGE_BUCKET=another-bucket"})
	if code, out := runCommand(t, otherDir, other); code != 1 || !strings.Contains(out, `that wait for s3 bucket "recordings"`) {
		t.Errorf("a start with the spool of another bucket ends with %d:\n%s", code, out)
	}

	s = startIn(t, s.dir, "127.0.0.1", config)
	during := s.publish("during", 0)
	s.await("a recording that began in the outage", "during", func(st status) bool { return st.Duration >= 4 })
	during.end()
	s.request(http.MethodDelete, "/api/record/during", "")
	m.Restart()
	s.checkAfter(m, map[string]*load.Log{"before": before.log, "during": during.log})
}

// playInOutage plays a running recording while there is nothing but the spool.
func (s *server) playInOutage(st status) {
	s.t.Helper()
	code, mpd := s.request(http.MethodGet, "/api/record/object/"+st.MPDPath, "")
	if code != http.StatusOK || !strings.Contains(string(mpd), `type="dynamic"`) {
		s.t.Errorf("live manifest in an outage: %d\n%s", code, mpd)
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "spool", "objects", st.RecordDir, "v_seg_*.m4s"))
	if err != nil || len(names) < 3 {
		s.t.Fatalf("%d segments are in the spool, %v", len(names), err)
	}
	name := st.RecordDir + "/" + filepath.Base(names[0])
	data, err := os.ReadFile(names[0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.playObject(name, data)
	// What is in the bucket alone cannot be had now, but it is not said to be gone.
	if code, body := s.request(http.MethodGet, "/api/record/object/"+st.RecordDir+"/v_seg_0001.m4s", ""); code != http.StatusServiceUnavailable {
		s.t.Errorf("a segment in the bucket that is away: %d %s", code, body)
	}
}

// playObject gets an object whole, in part, and by its ETag.
func (s *server) playObject(key string, want []byte) {
	s.t.Helper()
	ask := func(header, value string) (int, http.Header, []byte) {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/record/object/"+key, http.NoBody)
		if err != nil {
			s.t.Fatal(err)
		}
		if header != "" {
			req.Header.Set(header, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil {
			s.t.Error(err)
		}
		return resp.StatusCode, resp.Header, body.Bytes()
	}
	code, header, body := ask("", "")
	if code != http.StatusOK || !bytes.Equal(body, want) {
		s.t.Errorf("GET %s: %d, %d bytes of %d", key, code, len(body), len(want))
	}
	if code, _, body := ask("Range", "bytes=100-299"); code != http.StatusPartialContent || !bytes.Equal(body, want[100:300]) {
		s.t.Errorf("GET a range of %s: %d, %d bytes", key, code, len(body))
	}
	if code, _, body := ask("If-None-Match", header.Get("ETag")); code != http.StatusNotModified || len(body) > 0 || header.Get("ETag") == "" {
		s.t.Errorf("GET %s with the ETag %q: %d, %d bytes", key, header.Get("ETag"), code, len(body))
	}
}

// checkAfter: all that was recorded is in the bucket, and of use.
func (s *server) checkAfter(m *miniotest.Server, logs map[string]*load.Log) {
	s.t.Helper()
	store := openBucket(s.t, m)
	var dirs []string
	for stream, log := range logs {
		recs := s.awaitEnd(stream)
		inBucket(s.t, store, log, recs)
		for _, r := range recs {
			dirs = append(dirs, r.RecordDir)
		}
	}
	if n, size := s.spooled(time.Now().Add(time.Hour), everything); n != 0 {
		s.t.Errorf("%d objects of %d bytes are left in the spool", n, size)
	}
	s.playObject(dirs[0]+"/v_seg_0001.m4s", object(s.t, m, dirs[0]+"/v_seg_0001.m4s"))
	if code, out := runCommand(s.t, s.dir, nil, "verify"); code != 0 {
		s.t.Errorf("live777 verify ends with %d:\n%s", code, out)
	}

	// The same listing is made from the bucket alone.
	again := s.t.TempDir()
	config := s3Config(m, m.Endpoint, "")
	configure(s.t, again, "127.0.0.1", config)
	if code, out := runCommand(s.t, again, nil, "rebuild"); code != 0 {
		s.t.Errorf("live777 rebuild ends with %d:\n%s", code, out)
	}
	rebuilt := startIn(s.t, again, "127.0.0.1", config)
	for stream := range logs {
		if got, want := rebuilt.recordings(stream), s.recordings(stream); len(want) == 0 || !reflect.DeepEqual(got, want) {
			s.t.Errorf("the rebuilt catalogue lists %+v, the node %+v", got, want)
		}
	}

	for _, dir := range dirs {
		if code, body := s.request(http.MethodDelete, "/api/recordings/"+dir, ""); code != http.StatusNoContent {
			s.t.Errorf("DELETE %s: %d %s", dir, code, body)
		}
		if code, _ := s.request(http.MethodGet, "/api/record/object/"+dir+"/v_seg_0001.m4s", ""); code != http.StatusNotFound {
			s.t.Errorf("GET of a deleted object: %d", code)
		}
	}
	await.Until(s.t, "deletion from the bucket", func() bool { return len(bucketFolders(s.t, store)) == 0 })
}

// object reads an object past the server.
func object(t *testing.T, m *miniotest.Server, key string) []byte {
	t.Helper()
	body, err := openBucket(t, m).Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	var data bytes.Buffer
	if _, err := data.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

const (
	// spoolMost is the smallest spool that is allowed, in bytes.
	spoolMost = 64 << 20
	// spoolBallast is the object that fills the spool of a node of startInOutage.
	spoolBallast = "earlier/1700000000/v_seg_0001.m4s"
)

// startInOutage starts a node whose bucket is away, and whose spool is full to a percentage.
// settings are of its recorder.
func startInOutage(t *testing.T, m *miniotest.Server, settings string, percent int64) *server {
	t.Helper()
	config := s3Config(m, m.Endpoint, settings) + fmt.Sprintf("[recorder.spool]\nmax_bytes = %d\n", spoolMost)
	s := start(t, config)
	if err := s.stop(syscall.SIGTERM); err != nil { // it has seen the bucket
		t.Fatal(err)
	}
	m.Kill()
	waiting := filepath.Join(s.dir, "spool", "objects", spoolBallast)
	if err := os.MkdirAll(filepath.Dir(waiting), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(waiting, make([]byte, spoolMost*percent/100), 0o600); err != nil {
		t.Fatal(err)
	}
	return startIn(t, s.dir, "127.0.0.1", config)
}

// TestFullSpool: an outage that is longer than the spool is large ends the recordings,
// which say so. Nothing is deleted, and with room again they begin anew by themselves.
func TestFullSpool(t *testing.T) {
	t.Parallel()
	m := miniotest.Start(t)
	s := startInOutage(t, m, "segment_seconds = 2", 94)
	p := s.publishHigh("camera")
	dir := s.await("a recording", "camera", func(st status) bool { return st.Recording && st.Duration > 0 }).RecordDir

	st := s.await("its end", "camera", func(st status) bool { return !st.Recording })
	const option = "recorder.spool.max_bytes"
	if !strings.Contains(st.Error, option) {
		t.Errorf("the status says %q", st.Error)
	}
	if code, body := s.request(http.MethodPost, "/api/record/camera", ""); code != http.StatusInsufficientStorage || !strings.Contains(string(body), option) {
		t.Errorf("POST with a full spool: %d %s", code, body)
	}
	if !strings.Contains(s.log.String(), option) {
		t.Error("the log does not tell")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "spool", "objects", spoolBallast)); err != nil {
		t.Errorf("what waited is gone: %v", err)
	}
	recs := s.recordings("camera")
	if len(recs) != 1 || recs[0].RecordDir != dir || recs[0].Status != media.StatusFailed || !strings.Contains(recs[0].Reason, option) {
		t.Errorf("listed are %+v", recs)
	}

	m.Restart()
	s.uploaded(time.Now(), segments)
	again := s.await("a new recording", "camera", func(st status) bool { return st.Recording && st.Duration > 1 }).RecordDir
	p.end()
	recs = s.awaitEnd("camera")
	if again == dir || len(recs) != 2 {
		t.Errorf("recorded anew to %s, listed are %+v", again, recs)
	}
	store := openBucket(t, m)
	for _, r := range recs {
		rec, err := verify.ReadRecording(t.Context(), store, r.RecordDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := compare.Recording(p.log, rec, compare.Options{TailUnits: -1}).Err(); err != nil || rec.Dynamic {
			t.Errorf("%s: dynamic %v, %v", r.RecordDir, rec.Dynamic, err)
		}
	}
	if o, err := store.Stat(t.Context(), spoolBallast); err != nil || o.Size != spoolMost*94/100 {
		t.Errorf("what waited has %d bytes in the bucket, %v", o.Size, err)
	}
}

// publishHigh publishes video of some megabits per second: noise.
func (s *server) publishHigh(stream string) *publisher {
	s.t.Helper()
	name := filepath.Join(s.t.TempDir(), "noise.h264")
	out, err := exec.CommandContext(s.t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		"nullsrc=size=160x96:rate=30:duration=6,geq=lum='random(1)*255':cb=128:cr=128", "-c:v", "libx264", "-profile:v", "baseline",
		"-preset", "ultrafast", "-g", "30", "-bf", "0", "-qp", "10", "-f", "h264", name).CombinedOutput()
	if err != nil {
		s.t.Fatalf("ffmpeg (Debian package ffmpeg): %v\n%s", err, out)
	}
	video, err := load.Open(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.publishSources(stream, 0, video, source(s.t, "opus_stereo.ogg"))
}

// TestRetentionInBucket: a node deletes from its bucket what is too old, and
// what is too much.
func TestRetentionInBucket(t *testing.T) {
	t.Parallel()
	m := miniotest.Start(t)
	store := openBucket(t, m)
	s := start(t, s3Config(m, m.Endpoint, "segment_seconds = 2"))
	dirs := map[string]string{}
	for _, stream := range []string{"old", "young"} {
		p := s.publish(stream, 0)
		s.await("media", stream, func(st status) bool { return st.Duration >= 2 })
		p.end()
		s.request(http.MethodDelete, "/api/record/"+stream, "")
		dirs[stream] = s.awaitEnd(stream)[0].RecordDir
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	// Nobody waits for an hour here: the recording is made to have ended long ago.
	info := storedInfo(t, store, dirs["old"])
	end := info.End.Add(-3 * time.Hour)
	info.Start, info.End = info.Start.Add(-3*time.Hour), &end
	data, err := json.Marshal(info)
	if err == nil {
		err = store.Put(t.Context(), path.Join(dirs["old"], media.InfoName), bytes.NewReader(data), int64(len(data)))
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out := runCommand(t, s.dir, nil, "rebuild"); code != 0 {
		t.Fatalf("live777 rebuild ends with %d:\n%s", code, out)
	}
	retention := func(limit string) *server {
		return startIn(t, s.dir, "127.0.0.1", s3Config(m, m.Endpoint, "")+"[recorder.retention]\ncheck_seconds = 1\n"+limit)
	}
	left := func(want ...string) {
		t.Helper()
		await.Until(t, fmt.Sprintf("a bucket with no more than %q", want), func() bool { return slices.Equal(bucketFolders(t, store), want) })
	}
	aged := retention("max_age_hours = 1\n")
	left(dirs["young"])
	if err := aged.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	retention("max_bytes = 1\n")
	left()
}
