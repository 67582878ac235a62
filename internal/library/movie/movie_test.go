package movie

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// studio keeps its clips for all tests, and shelf what it has recorded.
var (
	studio *shapes.Studio
	shelf  = map[string][]string{} // record_dirs, by shape
	root   string                  // of the shelf
)

func TestMain(m *testing.M) {
	clips, err := os.MkdirTemp("", "clips")
	if err != nil {
		panic(err)
	}
	root = filepath.Join(clips, "shelf")
	studio = shapes.NewStudio(clips, 30)
	code := m.Run()
	_ = os.RemoveAll(clips)
	os.Exit(code)
}

// recorded is a recording with its file.
type recorded struct {
	store *fs.Store
	dir   string
	root  string
	movie *Movie
	file  []byte
	rec   *verify.Recording
}

// record has a shape recorded as fast as that goes.
func record(t *testing.T, name string) *recorded {
	t.Helper()
	return recordAll(t, name)[0]
}

// recordAll returns all recordings of a shape. Tests share them.
func recordAll(t *testing.T, name string) (all []*recorded) {
	t.Helper()
	i := slices.IndexFunc(shapes.All(), func(s shapes.Shape) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no shape %q", name)
	}
	shape := shapes.All()[i]
	root := filepath.Join(root, name)
	if shelf[name] == nil {
		made, err := studio.Record(t.Context(), shape, root, shapes.Options{
			Speed: 15, Segment: 4 * time.Second, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range made.Recordings {
			shelf[name] = append(shelf[name], rec.RecordDir)
		}
	}
	for _, dir := range shelf[name] {
		all = append(all, at(t, root, dir))
	}
	return all
}

// at returns a recording that lies somewhere.
func at(t *testing.T, root, dir string) *recorded {
	t.Helper()
	store, err := fs.New(root, fs.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &recorded{root: root, store: store, dir: dir}
}

// copied returns a copy of the recording, which a test may damage.
func (r *recorded) copied(t *testing.T) *recorded {
	t.Helper()
	c := at(t, t.TempDir(), r.dir)
	if err := os.CopyFS(c.root, os.DirFS(r.root)); err != nil {
		t.Fatal(err)
	}
	return c
}

// referee has the recording read by code that is not that of the writer.
func (r *recorded) referee(t *testing.T) *recorded {
	t.Helper()
	var err error
	if r.rec, err = verify.ReadRecording(t.Context(), r.store, r.dir); err != nil {
		t.Fatal(err)
	}
	return r
}

// open makes the file and reads all of it, and the recording by the referee.
func (r *recorded) open(t *testing.T) *recorded {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(r.root, r.dir, media.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	var missing []string
	if r.movie, missing, err = Open(t.Context(), r.store, r.dir, manifest, Title{Name: "camera"}); err != nil || len(missing) > 0 {
		t.Fatalf("Open: %v, missing %q", err, missing)
	}
	reader := r.movie.NewReader(t.Context(), r.store)
	if r.file, err = io.ReadAll(reader); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if int64(len(r.file)) != r.movie.Size() {
		t.Fatalf("%d bytes, the size is said to be %d", len(r.file), r.movie.Size())
	}
	return r.referee(t)
}

// shapesOfOneFile are of one publisher with all that changes a file's tables: holes,
// changes of size, frames that are shown in another order, layers, a late track.
var shapesOfOneFile = []string{"h264", "b-frames", "simulcast-3", "sound-6s-late", "sound-only", "size-ramp", "reconnect", "camera-off"}

// The samples of the file are those of the segments, bit for bit and tick for tick, as
// a reader tells that shares no code with this package, and ffmpeg decodes them.
func TestSamples(t *testing.T) {
	for _, name := range shapesOfOneFile {
		t.Run(name, func(t *testing.T) {
			r := record(t, name).open(t)
			file, err := mp4.DecodeFile(bytes.NewReader(r.file))
			if err != nil {
				t.Fatal(err)
			}
			if len(file.Moov.Traks) != len(kinds(r.rec)) {
				t.Fatalf("%d tracks, want %d", len(file.Moov.Traks), len(kinds(r.rec)))
			}
			for i, kind := range kinds(r.rec) {
				compare(t, r, file.Moov.Traks[i], kind, file.Moov.Mvhd.Timescale)
			}
			r.decode(t)
		})
	}
}

func kinds(r *verify.Recording) (kinds []media.Kind) {
	for _, k := range []media.Kind{media.Video, media.Audio} {
		if _, ok := r.Track(k); ok {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// best returns the biggest Representation of a kind.
func best(r *verify.Recording, kind media.Kind) (best *verify.Track) {
	size := func(t *verify.Track) (most int) {
		for _, in := range t.Inits {
			most = max(most, in.Width*in.Height)
		}
		return most
	}
	for _, t := range r.Tracks {
		if t.Kind == kind && (best == nil || size(t) > size(best)) {
			best = t
		}
	}
	return best
}

func compare(t *testing.T, r *recorded, trak *mp4.TrakBox, kind media.Kind, movieScale uint32) {
	t.Helper()
	want := best(r.rec, kind)
	stbl := trak.Mdia.Minf.Stbl
	start := float64(0) // of the first sample in the movie
	if trak.Edts != nil {
		start = float64(trak.Edts.Elst[0].Entries[0].SegmentDuration) / float64(movieScale)
	}
	first := firstOf(r.rec)
	if wait := want.Samples[0].Time.Duration(want.Timescale) - first; (wait - time.Duration(start*float64(time.Second))).Abs() > 2*time.Microsecond {
		t.Errorf("%s begins %v s after the movie, want %v", kind, start, wait)
	}
	nr := uint32(0)
	for i, s := range want.Samples {
		nr++
		// Where the recording has a hole, the file has silence.
		for ; nr <= stbl.Stsz.SampleNumber && i > 0 && want.Samples[i-1].Time+want.Samples[i-1].Duration < s.Time; nr++ {
			if at, _ := stbl.Stts.GetDecodeTime(nr); at >= uint64(s.Time-want.Samples[0].Time) || !bytes.Equal(sampleData(t, r.file, stbl, nr), opusSilence) {
				break
			}
		}
		if nr > stbl.Stsz.SampleNumber {
			t.Fatalf("%s: %d samples, %d are wanted", kind, stbl.Stsz.SampleNumber, len(want.Samples))
		}
		same(t, r.file, stbl, nr, s, want.Samples[0].Time)
	}
	if nr != stbl.Stsz.SampleNumber {
		t.Errorf("%s: %d samples behind the last", kind, stbl.Stsz.SampleNumber-nr)
	}
}

// same compares a sample of the file with one of the segments.
func same(t *testing.T, file []byte, stbl *mp4.StblBox, nr uint32, s verify.Sample, first media.Ticks) {
	t.Helper()
	if at, _ := stbl.Stts.GetDecodeTime(nr); at != uint64(s.Time-first) {
		t.Fatalf("sample %d: at %d, want %d", nr, at, s.Time-first)
	}
	var composition int32
	if stbl.Ctts != nil {
		composition = stbl.Ctts.GetCompositionTimeOffset(nr)
	}
	if media.Ticks(composition) != s.Composition {
		t.Fatalf("sample %d: composition %d, want %d", nr, composition, s.Composition)
	}
	if key := stbl.Stss == nil || stbl.Stss.IsSyncSample(nr); key != s.Key {
		t.Fatalf("sample %d: key %v, want %v", nr, key, s.Key)
	}
	data := sampleData(t, file, stbl, nr)
	for _, set := range s.Sets { // which the referee keeps apart
		data = bytes.Replace(data, append(binary.BigEndian.AppendUint32(nil, uint32(len(set))), set...), nil, 1)
	}
	if !bytes.Equal(data, s.Data) {
		t.Fatalf("sample %d: %d other bytes", nr, len(data))
	}
}

// firstOf returns when the first sample of all that is in the file begins.
func firstOf(r *verify.Recording) time.Duration {
	first := time.Duration(1<<63 - 1)
	for _, k := range kinds(r) {
		first = min(first, best(r, k).Samples[0].Time.Duration(best(r, k).Timescale))
	}
	return first
}

// sampleData returns the bytes of a sample, by the chunk tables.
func sampleData(t *testing.T, file []byte, stbl *mp4.StblBox, nr uint32) []byte {
	t.Helper()
	chunk, first, err := stbl.Stsc.ChunkNrFromSampleNr(int(nr))
	if err != nil {
		t.Fatal(err)
	}
	at, err := stbl.Co64.GetOffset(chunk)
	if err != nil {
		t.Fatal(err)
	}
	for n := first; n < int(nr); n++ {
		at += uint64(stbl.Stsz.GetSampleSize(n))
	}
	return file[at : at+uint64(stbl.Stsz.GetSampleSize(int(nr)))]
}

// Whatever range is read is that of the whole.
func TestRanges(t *testing.T) {
	r := record(t, "h264").open(t)
	r.sameRanges(t, r.movie, r.file, 300)
}

// sameRanges holds ranges of a file, in any order, against the whole.
func (r *recorded) sameRanges(t *testing.T, m *Movie, whole []byte, count int) {
	t.Helper()
	reader := m.NewReader(t.Context(), r.store)
	defer reader.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for range count {
		at := rng.Int64N(m.Size())
		n := min(1+rng.Int64N(200_000), m.Size()-at)
		if _, err := reader.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(reader, got); err != nil {
			t.Fatalf("%d bytes from %d on: %v", n, at, err)
		}
		if !bytes.Equal(got, whole[at:at+n]) {
			t.Fatalf("%d bytes from %d on are others than those of the whole", n, at)
		}
	}
	if n, err := reader.Read(make([]byte, 1)); n == 0 && !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// decode has ffmpeg decode all of the file, without a word, and find it as long as the
// recording.
func (r *recorded) decode(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), media.FileName)
	if err := os.WriteFile(path, r.file, 0o600); err != nil {
		t.Fatal(err)
	}
	// The times as they are: else it guesses a frame rate.
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-i", path, "-map", "0",
		"-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", "format=duration", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, out)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if want := (r.rec.Duration - firstOf(r.rec)).Seconds(); err != nil || seconds < want-0.1 || seconds > want+0.1 {
		t.Errorf("ffprobe finds %v s, %v; the recording has %v", seconds, err, want)
	}
}

// lossy has lost some objects.
type lossy struct {
	storage.Backend
	lost string
}

func (l lossy) Stat(ctx context.Context, key string) (storage.Object, error) {
	if strings.HasSuffix(key, l.lost) {
		return storage.Object{}, storage.ErrNotFound
	}
	return l.Backend.Stat(ctx, key)
}

// What the storage has lost is left out and named; the rest is at its time.
func TestLostSegment(t *testing.T) {
	r := record(t, "h264").open(t)
	manifest, err := os.ReadFile(filepath.Join(r.root, r.dir, media.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, missing, err := Open(t.Context(), lossy{r.store, "v_seg_0002.m4s"}, r.dir, manifest, Title{})
	if err != nil || !slices.Equal(missing, []string{"v_seg_0002.m4s"}) {
		t.Fatalf("missing %q, %v", missing, err)
	}
	if m.ETag() == r.movie.ETag() || m.Size() >= r.movie.Size() {
		t.Errorf("ETag %s, %d bytes; the whole has %s, %d", m.ETag(), m.Size(), r.movie.ETag(), r.movie.Size())
	}
	data, err := io.ReadAll(m.NewReader(t.Context(), r.store))
	if err != nil {
		t.Fatal(err)
	}
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	samples := best(r.rec, media.Video).Samples
	at, _ := file.Moov.Traks[0].Mdia.Minf.Stbl.Stts.GetDecodeTime(file.Moov.Traks[0].Mdia.Minf.Stbl.Stsz.SampleNumber)
	if want := samples[len(samples)-1].Time - samples[0].Time; at != uint64(want) {
		t.Errorf("the last picture is at %d, want %d", at, want)
	}
}

// What one MP4 file cannot have is refused with the reason.
func TestNoFile(t *testing.T) {
	for name, want := range map[string]string{"vp8": "WebM", "reconnect-codec": "changes from"} {
		r := record(t, name)
		manifest, err := os.ReadFile(filepath.Join(r.root, r.dir, media.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Open(t.Context(), r.store, r.dir, manifest, Title{})
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
