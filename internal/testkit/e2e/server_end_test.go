package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
)

// A running recording can be read, and SIGTERM seals it: everything that had
// arrived is in it.
func TestSIGTERMSeals(t *testing.T) {
	t.Parallel()
	s := start(t, "[recorder]\nauto_streams = [\"*\"]\nsegment_seconds = 2\n")
	p := s.publish("camera", 30*time.Second)
	st := s.await("six seconds", "camera", func(st status) bool { return st.Recording && st.Duration >= 6 })

	code, mpd := s.request(http.MethodGet, "/api/record/object/"+st.MPDPath, "")
	if code != http.StatusOK || !strings.Contains(string(mpd), `type="dynamic"`) {
		t.Fatalf("live manifest: %d\n%s", code, mpd)
	}
	validate(t, mpd)
	if code, _ := s.request(http.MethodGet, "/api/record/object/"+st.RecordDir+"/v_seg_0001.m4s", ""); code != http.StatusOK {
		t.Errorf("first segment while recording: %d", code)
	}

	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil { // which ends nothing
		t.Fatal(err)
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	p.end()
	sealed, err := os.ReadFile(filepath.Join(s.root, st.MPDPath))
	if err != nil || !strings.Contains(string(sealed), `type="static"`) {
		t.Fatalf("manifest after SIGTERM: %v\n%s", err, sealed)
	}
	validate(t, sealed)
	rec := read(t, s.root, st.RecordDir)
	if err := compare.Recording(p.log, rec, compare.Options{TailUnits: -1}).Err(); err != nil {
		t.Error(err)
	}
	decode(t, filepath.Join(s.root, st.MPDPath))
	var info media.Recording
	data, err := os.ReadFile(filepath.Join(s.root, st.RecordDir, "recording.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &info); err != nil || info.Status != media.StatusComplete {
		t.Errorf("recording.json: %v, %s %s", err, info.Status, info.Reason)
	}
}

// A disk that gets full ends the recording, which plays up to there; the node
// keeps serving and says what is wrong; with room again it records again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := start(t, "[recorder]\nsegment_seconds = 2\n", inNamespace("size=1m")...)
	s.publish("camera", 3*time.Minute)
	s.await("the publisher", "camera", func(status) bool {
		code, _ := s.request(http.MethodPost, "/api/record/camera", "")
		return code == http.StatusOK
	})
	dir := s.status("camera").RecordDir
	// The disk as the server sees it.
	root := fmt.Sprintf("/proc/%d/root%s", s.cmd.Process.Pid, s.root)
	s.await("two segments", "camera", func(st status) bool { return st.Duration >= 4 })
	ballast := filepath.Join(root, ".ballast")
	fill(t, ballast)

	st := s.await("the end of the recording", "camera", func(st status) bool { return !st.Recording })
	if !strings.Contains(st.Error, "no space left") {
		t.Errorf("status says %q", st.Error)
	}
	code, body := s.request(http.MethodPost, "/api/record/camera", "")
	if code != http.StatusInsufficientStorage || !strings.Contains(string(body), "no space left") {
		t.Errorf("POST on a full disk: %d %s", code, body)
	}
	if code, _ := s.request(http.MethodGet, "/api/streams/camera", ""); code != http.StatusOK {
		t.Errorf("the stream is gone: %d", code)
	}
	if !strings.Contains(s.log.String(), "no space left") {
		t.Error("the log says nothing of the full disk")
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again := s.await("a new recording", "camera", func(st status) bool { return st.Recording && st.Duration > 2 })
	if again.RecordDir == dir {
		t.Errorf("the recording goes on in %s, which had ended", dir)
	}
	s.await("the seal of the first", "camera", func(status) bool {
		mpd, err := os.ReadFile(filepath.Join(root, dir, "manifest.mpd"))
		return err == nil && strings.Contains(string(mpd), `type="static"`)
	})
	first := read(t, root, dir)
	if first.Duration < 4*time.Second {
		t.Errorf("the recording on the full disk lasts %v", first.Duration)
	}
	decode(t, filepath.Join(root, dir, "manifest.mpd"))
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	for range 1 << 20 {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
	t.Fatal("the disk does not get full")
}

// A storage that cannot be written does not keep the node from serving.
func TestUnwritableStorage(t *testing.T) {
	t.Parallel()
	s := start(t, "", inNamespace("size=1m,ro")...)
	s.publish("camera", time.Minute)
	var code int
	var body []byte
	s.await("the publisher", "camera", func(status) bool {
		code, body = s.request(http.MethodPost, "/api/record/camera", "")
		return code != http.StatusNotFound && code != http.StatusConflict
	})
	if code != http.StatusServiceUnavailable || !strings.Contains(string(body), "read-only") {
		t.Errorf("POST on a read-only storage: %d %s", code, body)
	}
	if st := s.status("camera"); st.Recording || !strings.Contains(st.Error, "read-only") {
		t.Errorf("status %+v", st)
	}
	if !strings.Contains(s.log.String(), "read-only") {
		t.Error("the log says nothing of it")
	}
	if code, _ := s.request(http.MethodGet, "/api/streams/camera", ""); code != http.StatusOK {
		t.Errorf("the stream is gone: %d", code)
	}
}
