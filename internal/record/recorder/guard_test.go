package recorder

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// TestPanicEndsOneRecording: a fault of the program while one stream is recorded ends
// that recording, which is sealed with what it had, and no other; the stream is
// recorded anew.
func TestPanicEndsOneRecording(t *testing.T) {
	for _, where := range []string{"v_seg_0003", "v_init"} { // in mid-recording, and with the first frame
		t.Run(where, func(t *testing.T) {
			g, f := faultyRig(t, nil)
			bad := g.publish("bad", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			good := g.publish("good", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
			first := g.start("bad", "").RecordDir
			whole := g.start("good", "").RecordDir
			var panics atomic.Int64
			fault := func(key string) error {
				if strings.HasPrefix(key, first+"/"+where) && panics.Add(1) == 1 {
					panic("out of range")
				}
				return nil
			}
			f.set(&f.onCreate, fault)
			f.set(&f.onPut, fault)
			for range 30 {
				bad.send(time.Second)
				good.send(time.Second)
				g.caughtUp("bad")
				g.caughtUp("good")
			}
			second := g.stop("bad")
			g.stop("good")

			if panics.Load() == 0 {
				t.Fatal("there was no panic")
			}
			broken := g.info(first)
			if broken.Status != media.StatusFailed || !strings.Contains(broken.Reason, "fault of this program: out of range") || broken.End == nil {
				t.Errorf("the recording is %s (%s)", broken.Status, broken.Reason)
			}
			if where == "v_seg_0003" {
				if broken.Duration < 3.9 {
					t.Errorf("of two segments it has %g s", broken.Duration)
				}
				g.read(first)
			}
			if second.RecordDir == first || second.Status != media.StatusComplete || second.Duration < 10 {
				t.Errorf("afterwards: %+v", second)
			}
			g.read(second.RecordDir)
			if other := g.info(whole); other.Status != media.StatusComplete || other.Duration < 28 {
				t.Errorf("the other stream's recording is %s after %g s: %s", other.Status, other.Duration, other.Reason)
			}
		})
	}
}

// TestPanicInRotation: the recording before, from which the tracks have not gone yet,
// is sealed as well.
func TestPanicInRotation(t *testing.T) {
	g, f := faultyRig(t, func(o *Options) { o.MaxRecording = 10 * time.Second })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	first := g.start("camera", "").RecordDir
	var panics atomic.Int64
	f.set(&f.onPut, func(key string) error {
		if strings.HasSuffix(key, "v_init.m4s") && !strings.HasPrefix(key, first) && panics.Add(1) == 1 {
			panic("out of range")
		}
		return nil
	})
	for range 30 {
		s.send(time.Second)
		g.caughtUp("camera")
	}
	g.stop("camera")
	if panics.Load() == 0 {
		t.Fatal("there was no panic")
	}
	if active := g.recorder.Active(); len(active) > 0 {
		t.Errorf("never sealed: %+v", active)
	}
	if r := g.info(first); r.Status != media.StatusComplete {
		t.Errorf("the recording before is %s: %s", r.Status, r.Reason)
	}
}

// TestPanicInRecovery: a journal at which this program fails keeps the node neither
// from starting nor from trying again at the next start.
func TestPanicInRecovery(t *testing.T) {
	images, s := theFilm(t, "h264_baseline.h264")
	img := images[len(images)/2]
	g := after(t, img, time.Now().Add(time.Hour), time.Second)
	g.recorder.o.Store = panicking{g.store}
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.recorder.o.Store = g.store
	if err := g.recorder.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.mended(img, s.log, framesOfChunk)
}

// TestJournalOfOthers: a journal that another version of the program has written is left
// alone, and the node starts. The version that wrote it recovers the recording.
func TestJournalOfOthers(t *testing.T) {
	images, s := theFilm(t, "h264_baseline.h264")
	images = beforeRotation(t, images) // at which there are two journals
	img := images[len(images)/2]
	for name, change := range map[string]func(journal string) string{
		"a later version": func(j string) string { return strings.Replace(j, `"version":2`, `"version":3`, 1) },
		"no version":      func(j string) string { return strings.Replace(j, `"version":2,`, "", 1) },
		"an entry":        func(j string) string { return j + `{"paused":"2026-01-02T03:04:05Z"}` + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			g := after(t, img, time.Now().Add(time.Hour), time.Second)
			files, err := filepath.Glob(filepath.Join(g.root, journalFolder, "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("journals %q, %v", files, err)
			}
			ours := readFile(t, files[0])
			others := change(ours)
			if others == ours {
				t.Fatalf("nothing has changed in %.200s", ours)
			}
			writeFile(t, files[0], others)
			before := filesBelow(t, filepath.Join(g.root, "camera"))
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if now := readFile(t, files[0]); now != others {
				t.Errorf("the journal is now %q", now)
			}
			if now := filesBelow(t, filepath.Join(g.root, "camera")); !maps.Equal(now, before) || len(now) == 0 {
				t.Errorf("stored are %v, before %v", now, before)
			}
			writeFile(t, files[0], ours)
			if err := g.recorder.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.mended(img, s.log, framesOfChunk)
		})
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// filesBelow returns the sizes of the files below a folder.
func filesBelow(t *testing.T, folder string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sizes[name] = info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// panicking is a store that ends in a panic where an open segment is looked for.
type panicking struct {
	Store
}

func (panicking) Stat(context.Context, string) (storage.Object, error) { panic("out of range") }
