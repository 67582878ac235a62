//go:build !race

package recorder

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/fmp4"
)

// indexed returns what the indexes of a track say, by segment.
func (g *rig) indexed(indexes ...[]byte) map[int]fmp4.IndexedSegment {
	g.t.Helper()
	all := map[int]fmp4.IndexedSegment{}
	for _, data := range indexes {
		segments, err := fmp4.ReadIndex(data)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, s := range segments {
			all[s.Number] = s
		}
	}
	return all
}

// The sample indexes say what the segments say: while it runs from memory, of the groups
// that are full and of the last one in storage.
func TestSampleIndex(t *testing.T) {
	g := newRig(t, func(o *Options) { o.SegmentDuration = 100 * time.Millisecond })
	s := g.publish("camera", source(t, "h264_baseline.h264"), source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(2 * time.Second)
	g.caughtUp("camera")
	if data, ok := g.recorder.SampleIndex(path.Join(rec.RecordDir, "v_samples_0001.idx")); !ok || len(g.indexed(data)) == 0 {
		t.Error("there is no index while it runs")
	}
	if data, ok := g.recorder.SampleIndex(path.Join(rec.RecordDir, "a_samples_0002.idx")); ok {
		t.Errorf("an index of no segments: %x", data)
	}
	s.send(30 * time.Second)
	g.stop("camera")
	for _, track := range []string{"v", "a"} {
		var indexes [][]byte
		for n := 1; ; n++ {
			data, err := os.ReadFile(filepath.Join(g.root, rec.RecordDir, fmt.Sprintf("%s_samples_%04d.idx", track, n)))
			if err != nil {
				break
			}
			indexes = append(indexes, data)
		}
		all := g.indexed(indexes...)
		for n := 1; ; n++ {
			data, err := os.ReadFile(filepath.Join(g.root, rec.RecordDir, fmt.Sprintf("%s_seg_%04d.m4s", track, n)))
			if err != nil {
				if n-1 != len(all) {
					t.Errorf("%s: %d segments in %d indexes of %d", track, len(all), len(indexes), n-1)
				}
				break
			}
			tables, err := fmp4.Tables(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if want := (fmp4.IndexedSegment{Number: n, Bytes: int64(len(data)), Tables: tables}); !reflect.DeepEqual(all[n], want) {
				t.Fatalf("%s: the index says %+v of segment %d, which has %+v", track, all[n], n, want)
			}
		}
		if track == "a" && len(indexes) < 2 {
			t.Errorf("%d indexes of sound", len(indexes))
		}
	}
	if got := g.read(rec.RecordDir); len(got.Problems) > 0 {
		t.Errorf("verify finds %v", got.Problems)
	}
}

// A recording whose index cannot be stored is as good without it.
func TestSampleIndexIsNotStored(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(2 * time.Second)
	g.caughtUp("camera")
	if err := os.Mkdir(filepath.Join(g.root, rec.RecordDir, "a_samples_0001.idx"), 0o700); err != nil {
		t.Fatal(err)
	}
	if sealed := g.stop("camera"); sealed.Status != media.StatusComplete {
		t.Errorf("it ended as %s: %s", sealed.Status, sealed.Reason)
	}
	if f, err := os.Stat(filepath.Join(g.root, rec.RecordDir, "a_samples_0001.idx")); err != nil || f.Mode()&fs.ModeDir == 0 {
		t.Error("the index was stored")
	}
}

// An index that is there already stays as it is.
func TestSampleIndexStays(t *testing.T) {
	g := newRig(t, nil)
	s := g.publish("camera", source(t, "opus_stereo.ogg"))
	rec := g.start("camera", "")
	s.send(2 * time.Second)
	g.caughtUp("camera")
	file := filepath.Join(g.root, rec.RecordDir, "a_samples_0001.idx")
	if err := os.WriteFile(file, []byte("of another life"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.stop("camera")
	if data, err := os.ReadFile(file); err != nil || string(data) != "of another life" {
		t.Errorf("it is now %q, %v", data, err)
	}
}
