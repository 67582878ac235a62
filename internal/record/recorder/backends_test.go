package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/oss"
	"github.com/live777/recorder/internal/storage/oss/osstest"
	"github.com/live777/recorder/internal/storage/s3"
	"github.com/live777/recorder/internal/storage/s3/miniotest"
	"github.com/live777/recorder/internal/storage/spool"
	"github.com/live777/recorder/internal/testkit/await"
)

// TestBackendsHoldTheSame: the same publishers, recorded to a folder, to MinIO and
// to OSS, leave the same objects with the same bytes, every recording.json and
// manifest included.
func TestBackendsHoldTheSame(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	folder, err := fs.New(t.TempDir(), fs.Options{NoSync: true, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	minio, aliyun := minioStore(t), ossStore(t)

	want := recordTo(t, folder, folder)
	checkScenario(t, want)
	for name, remote := range map[string]spool.Remote{"MinIO": minio, "OSS": aliyun} {
		sp, err := spool.New(t.Context(), spool.Options{Dir: t.TempDir(), Remote: remote, NoSync: true, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sp.Close(context.Background()) })
		sp.Start()
		sameObjects(t, name, recordTo(t, sp, remote), want)
	}
}

func minioStore(t *testing.T) *s3.Store {
	t.Helper()
	server := miniotest.Start(t)
	store, err := s3.New(t.Context(), s3.Options{
		Bucket: server.Bucket, Root: "/live777", Region: miniotest.Region, Endpoint: server.Endpoint,
		AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey, DisableConfigLoad: true,
	})
	if err == nil {
		err = store.Check(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func ossStore(t *testing.T) *oss.Store {
	t.Helper()
	server, err := osstest.Start(osstest.Options{Bucket: "recordings", Keys: map[string]osstest.Key{"id": {Secret: "secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	store, err := oss.New(t.Context(), oss.Options{
		Bucket: "recordings", Root: "/live777", Region: "cn-hangzhou", Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret",
	})
	if err == nil {
		err = store.Check(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// recordTo records a camera that reconnects and is rotated, and a VP8 publisher,
// to store, and returns what backend holds when all of it is there.
func recordTo(t *testing.T, store Store, backend storage.Backend) map[string][]byte {
	t.Helper()
	g := newRig(t, func(o *Options) {
		o.Store, o.MaxRecording = store, 8*time.Second
		withJournals(t, t.TempDir(), o)
	})
	camera := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	camera.step(5 * time.Second)
	camera.leave()
	g.caughtUp("camera")
	g.clock.advance(g.clock.Now().Add(2 * time.Second))
	camera = g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	camera.step(16 * time.Second)
	g.stop("camera")
	web := g.publish("web", source(t, "vp8.ivf"), source(t, "opus_mono.ogg"))
	g.start("web", "web/of/its/own")
	web.step(7 * time.Second)
	g.stop("web")

	if sp, ok := store.(*spool.Spool); ok {
		await.Until(t, "everything is uploaded", func() bool {
			st := sp.Status()
			return st.WaitingObjects+st.OpenObjects == 0
		})
	}
	return objectsOf(t, backend)
}

// objectsOf reads everything that a backend holds.
func objectsOf(t *testing.T, b storage.Backend) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for o, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		body, err := b.Get(t.Context(), o.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
		if int64(len(data)) != o.Size {
			t.Errorf("%s: %d bytes, listed with %d", o.Key, len(data), o.Size)
		}
		all[o.Key] = data
	}
	return all
}

// checkScenario: what is compared has what the comparison is about.
func checkScenario(t *testing.T, objects map[string][]byte) {
	t.Helper()
	found := map[string]int{}
	for key, data := range objects {
		found[path.Ext(key)]++
		switch path.Base(key) {
		case media.InfoName:
			found["recordings"]++
			if bytes.Contains(data, []byte(`"cause": "reconnect"`)) || bytes.Contains(data, []byte(`"cause":"reconnect"`)) {
				found["reconnects"]++
			}
			if !bytes.Contains(data, []byte(media.StatusComplete)) {
				t.Errorf("%s is not complete: %s", key, data)
			}
		case manifestName:
			if !bytes.Contains(data, []byte(`type="static"`)) {
				t.Errorf("%s is not static", key)
			}
			if bytes.Count(data, []byte("<Period ")) > 1 {
				found["periods"]++
			}
		}
	}
	if found["recordings"] < 4 || found["periods"] == 0 || found["reconnects"] == 0 || found[".webm"] < 3 || found[".m4s"] < 20 {
		t.Errorf("the objects are %v", found)
	}
	t.Logf("%d objects: %v", len(objects), found)
}

func sameObjects(t *testing.T, name string, got, want map[string][]byte) {
	t.Helper()
	if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Errorf("%s has the objects\n%s\nthe folder has\n%s", name, strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	for key, data := range want {
		other, ok := got[key]
		if !ok || bytes.Equal(data, other) {
			continue
		}
		difference := fmt.Sprintf("%d bytes, %d in the folder", len(other), len(data))
		if ext := path.Ext(key); ext == ".json" || ext == ".mpd" {
			difference = differingLines(other, data)
		}
		t.Errorf("%s: %s differs: %s", name, key, difference)
	}
}

// differingLines names the lines of one text that the other has not, in one line.
func differingLines(got, want []byte) string {
	only := func(a, b []byte) string {
		have := map[string]int{}
		for _, line := range strings.Split(string(b), "\n") {
			have[line]++
		}
		var lines []string
		for _, line := range strings.Split(string(a), "\n") {
			if have[line]--; have[line] < 0 {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return strings.Join(lines, " ")
	}
	return fmt.Sprintf("it has %s, the folder %s", only(got, want), only(want, got))
}
