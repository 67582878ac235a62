package movie

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // as ffprobe has it
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/verify/verifytest"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// webMOf makes a part of a recording as WebM, and returns it with its content.
func (r *recorded) webMOf(t *testing.T, from, to time.Duration) (*WebM, []byte) {
	t.Helper()
	p, err := NewPlan([]Source{r.source(t, from, to)}, Choice{WebM: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.One()
	if err != nil {
		t.Fatal(err)
	}
	m, missing, err := p.OpenWebM(t.Context(), f, Opening{Backend: r.store, Title: Title{Name: "camera"}})
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	reader := m.NewReader(t.Context(), r.store)
	data, err := io.ReadAll(reader)
	if err != nil || int64(len(data)) != m.Size() {
		t.Fatalf("%d bytes of %d, %v", len(data), m.Size(), err)
	}
	for range 20 {
		at := rand.IntN(len(data))
		part := make([]byte, min(5000, len(data)-at))
		if _, err := reader.Seek(int64(at), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(reader, part); err != nil || !bytes.Equal(part, data[at:at+len(part)]) {
			t.Fatalf("from byte %d on it is another file: %v", at, err)
		}
	}
	return m, data
}

// packets returns the times in milliseconds and the hashes of a track's packets, as ffprobe
// finds them.
func packets(t *testing.T, file, track string) (list []string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-select_streams", track, "-show_data_hash", "MD5",
		"-show_entries", "packet=pts,data_hash", "-of", "csv=p=0", file)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe: %v %s", err, stderr.String())
	}
	return strings.Fields(string(out))
}

// A recording of VP8 is one WebM file, whose frames are those of the recording, at their
// times. A part of it begins with the key frame before.
func TestWebM(t *testing.T) {
	r := record(t, "vp8").referee(t)
	m, data := r.webMOf(t, 0, 0)
	file := filepath.Join(t.TempDir(), media.WebMName)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		track, ok := r.rec.Track(kind)
		if !ok {
			t.Fatalf("no %s", kind)
		}
		var want []string
		for _, s := range track.Samples {
			at := media.TicksOf(s.Time.Duration(track.Timescale)-m.start, 1000)
			want = append(want, fmt.Sprintf("%d,MD5:%s", at, hashOf(s.Data)))
		}
		if got := packets(t, file, kind.String()[:1]); !slices.Equal(got, want) {
			t.Errorf("%s: %d packets, want %d: %.200v, want %.200v", kind, len(got), len(want), got, want)
		}
	}
	if err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-i", file, "-f", "null", "-").Run(); err != nil {
		t.Errorf("ffmpeg: %v", err)
	}
	whole := packets(t, file, "v")
	part, cut := r.webMOf(t, 5*time.Second, 9*time.Second)
	if err := os.WriteFile(file, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	got := packets(t, file, "v")
	offset := (part.start - m.start).Milliseconds()
	if offset <= 0 || part.start > 5*time.Second || part.start < 2*time.Second {
		t.Errorf("the part begins at %v", part.start)
	}
	var want []string
	for _, line := range whole {
		var at int64
		var hash string
		if _, err := fmt.Sscanf(strings.Replace(line, ",", " ", 1), "%d %s", &at, &hash); err != nil {
			t.Fatal(err)
		}
		if shown := at + m.start.Milliseconds(); at >= offset && shown < 9000 {
			want = append(want, fmt.Sprintf("%d,%s", at-offset, hash))
		}
	}
	if !slices.Equal(got, want) || len(want) < 100 {
		t.Errorf("the part has %d pictures, want %d", len(got), len(want))
	}
	if len(cut) > len(data)/2 {
		t.Errorf("the part has %d bytes of %d", len(cut), len(data))
	}
}

// listed is a storage that counts what it is asked, and has one object look bigger.
type listed struct {
	verifytest.Memory
	stats, lists int
	big          string
}

func (c *listed) Stat(context.Context, string) (storage.Object, error) {
	c.stats++
	return storage.Object{}, storage.ErrNotFound
}

func (c *listed) List(ctx context.Context, dir string) iter.Seq2[storage.Object, error] {
	c.lists++
	return func(yield func(storage.Object, error) bool) {
		for o, err := range c.Memory.List(ctx, dir) {
			if path.Base(o.Key) == c.big {
				o.Size = maxClusters
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Before the first byte of a long file the storage is asked for one list, and not of each
// segment. What is not in the list is missing; a segment that is too big is refused.
func TestLongWebM(t *testing.T) {
	made := verifytest.Record(t, verifytest.SentLog(t, "vp8.ivf", "", 300))
	store := &listed{Memory: made.Write(t)}
	open := func() (*WebM, []string, error) {
		p, err := NewPlan([]Source{{Dir: verifytest.Dir, Manifest: store.Memory[path.Join(verifytest.Dir, media.ManifestName)]}}, Choice{WebM: true})
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.One()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(f.tracks[place(media.Video)][0].segments); n <= maxStats {
			t.Fatalf("%d segments are too few", n)
		}
		return p.OpenWebM(t.Context(), f, Opening{Backend: store, Lister: store})
	}
	if _, missing, err := open(); err != nil || len(missing) > 0 || store.lists != 1 || store.stats > 0 {
		t.Errorf("%d lists, %d questions, missing %q, %v", store.lists, store.stats, missing, err)
	}
	const lost, big = "v_seg_0007.webm", "v_seg_0009.webm"
	delete(store.Memory, path.Join(verifytest.Dir, lost))
	if _, missing, err := open(); err != nil || !slices.Equal(missing, []string{lost}) {
		t.Errorf("missing %q, %v", missing, err)
	}
	store.big = big
	if _, _, err := open(); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "too much for one file") {
		t.Errorf("of a segment of %d bytes: %v", maxClusters, err)
	}
}

// What is no VP8 is no WebM, and the answer names the file that can be had.
func TestNoWebM(t *testing.T) {
	for name, c := range map[string]Choice{"h264": {WebM: true}, "vp8": {}} {
		p, err := NewPlan([]Source{record(t, name).source(t, 0, 0)}, c)
		if err != nil {
			t.Fatal(err)
		}
		other := map[bool]string{true: media.FileName, false: media.WebMName}[c.WebM]
		if _, err := p.One(); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), other) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hashOf(data []byte) string {
	sum := md5.Sum(data) //nolint:gosec // as ffprobe has it
	return hex.EncodeToString(sum[:])
}
