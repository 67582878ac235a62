package movie

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage/fs"
)

// keyPlan is a plan of the recording's pictures.
func (r *recorded) keyPlan(t *testing.T) *Plan {
	t.Helper()
	p, err := NewPlan([]Source{r.source(t, 0, 0)}, Choice{Kinds: []media.Kind{media.Video}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The last key frame at any time is the one that the segments have, bit for bit, as a file
// of one picture, also where the index is lost.
func TestLastKey(t *testing.T) {
	for _, name := range []string{"h264", "b-frames"} {
		t.Run(name, func(t *testing.T) {
			r := record(t, name).open(t)
			p := r.keyPlan(t)
			track, _ := r.rec.Track(media.Video)
			how := Opening{}
			lost := r.copied(t)
			lost.loseIndexes(t)
			for _, store := range []*fs.Store{r.store, lost.store} {
				how.Backend = store
				keys := 0
				for i := range track.Samples {
					s := &track.Samples[i]
					if !s.Key {
						continue
					}
					keys++
					at := p.epoch.Add(media.Ticks(int64(s.Time) + int64(s.Composition)).Duration(track.Timescale))
					for _, later := range []time.Duration{0, 30 * time.Millisecond} {
						k, err := p.LastKey(t.Context(), at.Add(later), how)
						if err != nil || !k.At.Equal(at) {
							t.Fatalf("at %v: key frame of %v, %v", at.Add(later), k.At, err)
						}
						data, err := k.MP4(t.Context(), r.store)
						if err != nil {
							t.Fatal(err)
						}
						if got := onlySample(t, data); !bytes.HasSuffix(got, s.Data) { // behind the parameter sets
							t.Errorf("at %v: %d bytes, want the %d that were recorded", at, len(got), len(s.Data))
						}
					}
				}
				if keys < 3 {
					t.Errorf("%d key frames", keys)
				}
			}
			if _, err := p.LastKey(t.Context(), p.epoch.Add(-time.Second), how); fault.KindOf(err) != fault.NotFound {
				t.Errorf("before the beginning: %v", err)
			}
		})
	}
}

// onlySample returns the one sample of a fragmented file.
func onlySample(t *testing.T, data []byte) []byte {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(data))
	if err != nil || len(f.Segments) != 1 || len(f.Segments[0].Fragments) != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	samples, err := f.Segments[0].Fragments[0].GetFullSamples(f.Init.Moov.Mvex.Trex)
	if err != nil || len(samples) != 1 || samples[0].DecodeTime != 0 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	return samples[0].Data
}

// loseIndexes removes the sample indexes.
func (r *recorded) loseIndexes(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.root, r.dir, "*.idx"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d indexes, %v", len(names), err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A list has as many key frames as are wanted, in their order and spread over the time.
func TestKeys(t *testing.T) {
	r := record(t, "h264").open(t)
	p := r.keyPlan(t)
	from, to := p.epoch.Add(time.Second), p.epoch.Add(r.rec.Duration)
	all, err := p.Keys(t.Context(), from, to, 500, Opening{Backend: r.store})
	if err != nil || len(all) < 3 {
		t.Fatalf("%d key frames, %v", len(all), err)
	}
	for i, k := range all {
		if k.At.Before(from) || !k.At.Before(to) || i > 0 && !all[i-1].At.Before(k.At) {
			t.Errorf("key frame %d is at %v", i, k.At)
		}
	}
	few, err := p.Keys(t.Context(), from, to, 2, Opening{Backend: r.store})
	if err != nil || len(few) != 2 {
		t.Errorf("%d of 2 key frames, %v", len(few), err)
	}
	for _, k := range few {
		if !slices.Contains(all, k) {
			t.Errorf("%+v is not in the whole list", k)
		}
	}
}

// A picture is decoded by a program that is not ours.
func TestFFmpegDecodesKey(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, "h264").open(t)
	k, err := r.keyPlan(t).LastKey(t.Context(), r.rec.Start.Add(r.rec.Duration), Opening{Backend: r.store})
	if err != nil {
		t.Fatal(err)
	}
	data, err := k.MP4(t.Context(), r.store)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.mp4")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-i", file, "-f", "framemd5", "-")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	frames := 0
	for line := range bytes.Lines(out) {
		if line[0] != '#' {
			frames++
		}
	}
	if err != nil || frames != 1 || said.Len() > 0 {
		t.Errorf("%d pictures, %v, ffmpeg says %q", frames, err, &said)
	}
}
