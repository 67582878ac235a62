package movie

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
	"github.com/live777/recorder/internal/testkit/shapes"
)

// source returns a part of the recording; to 0 is its end.
func (r *recorded) source(t *testing.T, from, to time.Duration) Source {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(r.root, r.dir, media.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	return Source{Dir: r.dir, Manifest: manifest, From: from, To: to}
}

// clip makes the only file of sources and returns it with its bytes.
func (r *recorded) clip(t *testing.T, c Choice, sources ...Source) (*Movie, []byte) {
	t.Helper()
	p, err := NewPlan(sources, c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.One()
	if err != nil {
		t.Fatal(err)
	}
	m, missing, err := p.Open(t.Context(), f, Opening{Backend: r.store, Title: Title{Name: "camera"}})
	if err != nil || len(missing) > 0 {
		t.Fatalf("%v, missing %q", err, missing)
	}
	return m, r.readOf(t, m)
}

// readOf returns the bytes of a file.
func (r *recorded) readOf(t *testing.T, m *Movie) []byte {
	t.Helper()
	reader := m.NewReader(t.Context(), r.store)
	data, err := io.ReadAll(reader)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || int64(len(data)) != m.Size() {
		t.Fatalf("%d bytes of %d, %v", len(data), m.Size(), err)
	}
	return data
}

// A part of a recording begins and ends to the tick where it is asked to: with the samples
// from the key frame before on, bit for bit, of which an edit list shows what is wanted.
func TestClip(t *testing.T) {
	const from, to = 3*time.Second + 217*time.Millisecond, 8*time.Second + 450*time.Millisecond
	for _, name := range []string{"h264", "b-frames", "simulcast-3", "sound-only"} {
		t.Run(name, func(t *testing.T) {
			r := record(t, name).open(t)
			m, data := r.clip(t, Choice{}, r.source(t, from, to))
			r.sameRanges(t, m, data, 50)
			file, err := mp4.DecodeFile(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			for i, kind := range kinds(r.rec) {
				sameClip(t, data, file.Moov.Traks[i], file.Moov.Mvhd.Timescale, best(r.rec, kind), from, to)
			}
			if got := time.Duration(file.Moov.Mvhd.Duration) * time.Second / time.Duration(file.Moov.Mvhd.Timescale); (got - (to - from)).Abs() > time.Millisecond {
				t.Errorf("it lasts %v, want %v", got, to-from)
			}
			want := r.rec.Start.Add(from).Truncate(time.Second)
			if got := file.Moov.Mvhd.CreationTimeS(); got != want.Unix() {
				t.Errorf("it was made at %v, want %v", time.Unix(got, 0).UTC(), want)
			}
			if slices.Contains(kinds(r.rec), media.Video) {
				decodesFrom(t, data, best(r.rec, media.Video), from, to)
			}
		})
	}
}

// sameClip compares a track with the samples of a time.
func sameClip(t *testing.T, data []byte, trak *mp4.TrakBox, scale uint32, track *verify.Track, from, to time.Duration) {
	t.Helper()
	first, last := 0, 0
	for i, s := range track.Samples {
		shown := s.Shown().Duration(track.Timescale)
		if lead := from - rollTime; track.Kind == media.Audio && (s.Time+s.Duration).Duration(track.Timescale) <= lead || track.Kind == media.Video && s.Key && shown <= from {
			first = i
			if track.Kind == media.Audio {
				first++
			}
		}
		if shown < to {
			last = i
		}
	}
	stbl := trak.Mdia.Minf.Stbl
	if n := int(stbl.Stsz.SampleNumber); n != last-first+1 {
		t.Fatalf("%s: %d samples, want %d", track.Kind, n, last-first+1)
	}
	for i := first; i <= last; i++ {
		same(t, data, stbl, uint32(i-first+1), track.Samples[i], track.Samples[first].Time)
	}
	entries := trak.Edts.Elst[0].Entries
	skip := from - track.Samples[first].Time.Duration(track.Timescale)
	if len(entries) != 1 || (media.Ticks(entries[0].MediaTime).Duration(track.Timescale)-skip).Abs() > time.Millisecond {
		t.Fatalf("%s: edits %+v, want to skip %v", track.Kind, entries, skip)
	}
	if long := time.Duration(entries[0].SegmentDuration) * time.Second / time.Duration(scale); (long - (to - from)).Abs() > time.Millisecond {
		t.Errorf("%s is shown for %v, want %v", track.Kind, long, to-from)
	}
}

// decodesFrom has ffmpeg decode a clip without a word, and show the pictures of its time.
func decodesFrom(t *testing.T, data []byte, track *verify.Track, from, to time.Duration) {
	t.Helper()
	file := filepath.Join(t.TempDir(), media.FileName)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-i", file, "-map", "0:v", "-fps_mode", "passthrough",
		"-enc_time_base", "-1", "-f", "framecrc", "-").CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	shown, want := 0, 0
	for line := range strings.Lines(string(out)) {
		if line[0] != '#' {
			shown++
		}
	}
	for _, s := range track.Samples {
		if at := s.Shown().Duration(track.Timescale); at >= from && at < to {
			want++
		}
	}
	if shown != want && shown != want+1 { // that which is seen when it begins
		t.Errorf("ffmpeg shows %d pictures, want %d\n%s", shown, want, out)
	}
}

// asked counts what a storage is asked for.
type asked struct {
	storage.Backend
	segments, all atomic.Int32
}

func (a *asked) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	a.all.Add(1)
	if strings.Contains(key, "_seg_") {
		a.segments.Add(1)
	}
	return a.Backend.Get(ctx, key, offset, length)
}

// A file is made of the sample indexes, without a look into the segments, and is the one
// that is made of the segments. An index that is damaged or of another recording is as
// good as none.
func TestIndexed(t *testing.T) {
	r := record(t, "h264").copied(t).open(t)
	open := func(index func(string) ([]byte, bool)) (*Movie, *asked) {
		t.Helper()
		a := &asked{Backend: r.store}
		p, err := NewPlan([]Source{r.source(t, 0, 0)}, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		m, missing, err := p.Open(t.Context(), p.Files[0], Opening{Backend: a, Index: index, Title: Title{Name: "camera"}})
		if err != nil || len(missing) > 0 || m.ETag() != r.movie.ETag() {
			t.Fatalf("%v, missing %q; it is another file: %v", err, missing, m.ETag() != r.movie.ETag())
		}
		return m, a
	}
	if _, a := open(nil); a.segments.Load() > 0 || a.all.Load() != 4 {
		t.Errorf("%d requests, of which %d for segments; want 2 init segments and 2 indexes", a.all.Load(), a.segments.Load())
	}
	index := filepath.Join(r.root, r.dir, "v_samples_0001.idx")
	data, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(filepath.Join(r.root, r.dir, "a_samples_0001.idx"))
	if err != nil {
		t.Fatal(err)
	}
	for what, wrong := range map[string][]byte{"damaged": data[:len(data)-1], "of another track": sound, "missing": nil} {
		if err := os.WriteFile(index, wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, a := open(nil); a.segments.Load() == 0 {
			t.Errorf("an index that is %s is believed", what)
		}
	}
	if _, a := open(func(key string) ([]byte, bool) { return data, strings.HasSuffix(key, "/v_samples_0001.idx") }); a.segments.Load() > 0 {
		t.Errorf("%d requests for segments, whose index is in memory", a.segments.Load())
	}
}

// Recordings that follow each other are one file without a seam; so is a part that begins
// in one and ends in another.
func TestSeveralRecordings(t *testing.T) {
	r := recordAll(t, "rotation")
	var all []Source
	for _, one := range r {
		all = append(all, one.referee(t).source(t, 0, 0))
	}
	_, data := r[0].clip(t, Choice{}, all...)
	total := map[media.Kind]int{}
	for _, one := range r {
		for _, kind := range kinds(one.rec) {
			total[kind] += len(best(one.rec, kind).Samples)
		}
	}
	file, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range kinds(r[0].rec) {
		if n := int(file.Moov.Traks[i].Mdia.Minf.Stbl.Stsz.SampleNumber); n != total[kind] {
			t.Errorf("%s: %d samples, the recordings have %d", kind, n, total[kind])
		}
	}
	long := file.Moov.Traks[0].Mdia.Minf.Stbl.Stts
	for i, d := range long.SampleTimeDelta {
		if d > 90000/shapes.Rate+180 {
			t.Errorf("%d pictures last %d ticks: there is a seam", long.SampleCount[i], d)
		}
	}
	const from, to = 5 * time.Second, 3 * time.Second
	m, data := r[0].clip(t, Choice{}, r[0].source(t, from, 0), r[1].source(t, 0, to))
	r[0].sameRanges(t, m, data, 50)
	if file, err = mp4.DecodeFile(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for i, kind := range kinds(r[0].rec) {
		sameAcross(t, data, file.Moov.Traks[i].Mdia.Minf.Stbl, best(r[0].rec, kind), best(r[1].rec, kind), to)
	}
	want := r[1].rec.Start.Add(to).Sub(r[0].rec.Start.Add(from))
	if got := time.Duration(file.Moov.Mvhd.Duration) * time.Second / time.Duration(file.Moov.Mvhd.Timescale); (got - want).Abs() > 2*time.Millisecond {
		t.Errorf("a part of two lasts %v, want %v", got, want)
	}
}

// sameAcross compares a track that begins in one recording and ends at a time of the next
// with their samples: with the last of the one, and the first of the other.
func sameAcross(t *testing.T, data []byte, stbl *mp4.StblBox, before, behind *verify.Track, to time.Duration) {
	t.Helper()
	last := 0
	for i, s := range behind.Samples {
		if s.Shown().Duration(behind.Timescale) < to {
			last = i
		}
	}
	at := stbl.Stsz.SampleNumber - uint32(last) // in the file, the first of the other
	if at <= 1 || int(at) > len(before.Samples)+1 {
		t.Fatalf("%s: the next recording begins with sample %d", before.Kind, at)
	}
	for nr := uint32(1); nr < at; nr++ {
		i := len(before.Samples) - int(at-nr)
		same(t, data, stbl, nr, before.Samples[i], before.Samples[len(before.Samples)-int(at-1)].Time)
	}
	moved, _ := stbl.Stts.GetDecodeTime(at)
	for nr := at; nr <= stbl.Stsz.SampleNumber; nr++ {
		same(t, data, stbl, nr, behind.Samples[nr-at], behind.Samples[0].Time-media.Ticks(moved))
	}
}

// A part of sound or picture alone, and of one size of several.
func TestChoice(t *testing.T) {
	r := record(t, "simulcast-3").open(t)
	for _, tc := range []struct {
		c      Choice
		traks  int
		height int
	}{
		{Choice{Kinds: []media.Kind{media.Audio}}, 1, 0},
		{Choice{Kinds: []media.Kind{media.Video}}, 1, 360},
		{Choice{Height: 180}, 2, 180},
	} {
		_, data := r.clip(t, tc.c, r.source(t, 0, 0))
		file, err := mp4.DecodeFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := int(file.Moov.Traks[0].Tkhd.Height) >> 16; len(file.Moov.Traks) != tc.traks || got != tc.height {
			t.Errorf("%+v: %d tracks, of a height of %d", tc.c, len(file.Moov.Traks), got)
		}
	}
	if _, err := NewPlan([]Source{r.source(t, 0, 0)}, Choice{Height: 1080}); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "180") {
		t.Errorf("a height that there is not: %v", err)
	}
	if _, err := NewPlan([]Source{r.source(t, time.Hour, 0)}, Choice{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a time that there is not: %v", err)
	}
}

// Where the codec changes another file begins, and who wants one is told which there are.
func TestSplit(t *testing.T) {
	r := record(t, "reconnect-codec")
	p, err := NewPlan([]Source{r.source(t, 0, 0)}, Choice{})
	if err != nil || len(p.Files) != 2 {
		t.Fatalf("%d files, %v", len(p.Files), err)
	}
	_, err = p.One()
	for _, f := range p.Files {
		m, _, openErr := p.Open(t.Context(), f, Opening{Backend: r.store})
		if openErr != nil {
			t.Fatal(openErr)
		}
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), f.Span()+" ("+strings.Join(f.Formats, ", ")+")") {
			t.Errorf("%v does not name %s of %q", err, f.Span(), f.Formats)
		}
		decode := &recorded{file: r.readOf(t, m)}
		if _, err := mp4.DecodeFile(bytes.NewReader(decode.file)); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be decoded for want of its init segment is left out and named.
func TestLostInit(t *testing.T) {
	r := record(t, "h264").copied(t)
	if err := os.Remove(filepath.Join(r.root, r.dir, "v_init.m4s")); err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan([]Source{r.source(t, 0, 0)}, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	m, missing, err := p.Open(t.Context(), p.Files[0], Opening{Backend: r.store})
	if err != nil || fmt.Sprint(missing) != "[v_init.m4s]" {
		t.Fatalf("missing %q, %v", missing, err)
	}
	file, err := mp4.DecodeFile(bytes.NewReader(r.readOf(t, m)))
	if err != nil || len(file.Moov.Traks) != 1 {
		t.Errorf("%v", err)
	}
}
