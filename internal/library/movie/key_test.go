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
						data, err := k.File(t.Context(), r.store)
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

// A picture is decoded by a program that is not ours: the one at a time, bit for bit. VP8 is
// a WebM.
func TestFFmpegDecodesKey(t *testing.T) {
	for name, want := range map[string]string{"h264": "video/mp4", "vp8": "video/webm"} {
		r := record(t, name).referee(t)
		end := r.rec.Start.Add(r.rec.Duration)
		k, err := r.keyPlan(t).LastKey(t.Context(), end, Opening{Backend: r.store})
		if err != nil {
			t.Fatal(err)
		}
		if k.Type() != want || end.Sub(k.At) > 5*time.Second {
			t.Errorf("%s: it is %s, of %v", name, k.Type(), k.At)
		}
		data, err := k.File(t.Context(), r.store)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if said, frames := decoded(t, file); frames != 1 || said != "" {
			t.Errorf("%s: %d pictures, ffmpeg says %q", name, frames, said)
		}
	}
}

// decoded returns how many pictures ffmpeg decodes of a file, and what it warns of.
func decoded(t *testing.T, file string) (said string, frames int) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "warning", "-i", file, "-f", "framemd5", "-")
	var warned bytes.Buffer
	cmd.Stderr = &warned
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("ffmpeg: %v", err)
	}
	for line := range bytes.Lines(out) {
		if line[0] != '#' {
			frames++
		}
	}
	return warned.String(), frames
}

// VP8 has no sample index: the last key frame is found in the segment, and a list has the
// first one of each.
func TestKeysOfWebM(t *testing.T) {
	r := record(t, "vp8").referee(t)
	p, how := r.keyPlan(t), Opening{Backend: r.store}
	track, _ := r.rec.Track(media.Video)
	keys := map[time.Time][]byte{}
	for i := range track.Samples {
		if s := &track.Samples[i]; s.Key {
			keys[p.epoch.Add(s.Time.Duration(track.Timescale))] = s.Data
		}
	}
	for at, data := range keys {
		k, err := p.LastKey(t.Context(), at.Add(time.Millisecond), how)
		if err != nil || !k.At.Equal(at) {
			t.Fatalf("at %v: key frame of %v, %v", at, k.At, err)
		}
		if file, err := k.File(t.Context(), r.store); err != nil || !bytes.Contains(file, data) {
			t.Errorf("at %v: it is another picture, %v", at, err)
		}
	}
	list, err := p.Keys(t.Context(), p.epoch, p.epoch.Add(r.rec.Duration), 500, how)
	if segments := len(p.Files[0].tracks[place(media.Video)][0].segments); err != nil || len(list) < 2 || len(list) > segments || len(keys) < segments {
		t.Errorf("%d key frames of %d, in %d segments, %v", len(list), len(keys), segments, err)
	}
	for _, k := range list {
		if keys[k.At] == nil || int64(len(keys[k.At])) != k.Size || k.Codecs != "vp8" {
			t.Errorf("%+v is none that was recorded", k)
		}
	}
}
