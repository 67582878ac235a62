//go:build !race

package recorder

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/avc"

	"github.com/live777/recorder/internal/base/logging/logtest"
	"github.com/live777/recorder/internal/library/movie"
	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/compare"
	"github.com/live777/recorder/internal/testkit/load"
)

// The order in which the pictures of pyramid.h264 are shown, of each group.
var pyramid = []int64{0, 4, 2, 1, 3, 8, 6, 5, 7, 11, 9, 10}

// TestBFrames records B-frames that other B-frames refer to, with losses, and with
// segments that end where groups of pictures do.
func TestBFrames(t *testing.T) {
	for name, lose := range map[string]func(unit int) bool{
		"whole":  nil,
		"lossy":  func(unit int) bool { return unit == 51 || unit == 98 },
		"starts": func(unit int) bool { return unit < 5 },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			src, err := load.Open(filepath.Join("..", "..", "media", "codec", "testdata", "pyramid.h264"))
			if err != nil {
				t.Fatal(err)
			}
			s := g.publish("camera", src, source(t, "opus_stereo.ogg"))
			step := int64(src.Units[0].Duration)
			s.tracks[0].shown = func(unit int) int64 {
				i := unit % len(pyramid)
				return (pyramid[i] - int64(i)) * step
			}
			s.tracks[0].lose = lose
			g.start("camera", "")
			s.send(20 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			o := compare.Options{}
			if lose == nil {
				if rec.Status != media.StatusComplete || rec.Periods != 1 {
					t.Errorf("ended %s, %q, with %d Periods", rec.Status, rec.Reason, rec.Periods)
				}
			} else {
				for i := range s.log.Video.Units {
					if lose(i) {
						s.log.Video.Units[i].Lost = 1
					}
				}
				o.AllowLost = true
			}
			g.compare(s.log, got, o)
			checkShown(t, g, rec, got)
		})
	}
}

// checkShown wants each picture at a time of its own, and ffmpeg to decode as many as
// there are, and to copy them.
func checkShown(t *testing.T, g *rig, rec media.Recording, got *verify.Recording) {
	t.Helper()
	video, _ := got.Track(media.Video)
	var times []media.Ticks
	reordered := 0
	for i := range video.Samples {
		times = append(times, video.Samples[i].Shown())
		if video.Samples[i].Composition < 0 {
			reordered++
		}
	}
	slices.Sort(times)
	if len(slices.Compact(times)) != len(video.Samples) || reordered < len(times)/3 {
		t.Errorf("%d pictures at %d times, %d are shown before they are decoded", len(video.Samples), len(slices.Compact(times)), reordered)
	}
	mpd := filepath.Join(g.root, filepath.FromSlash(rec.MPDPath))
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", mpd, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-").CombinedOutput()
	if n := strings.Count(string(out), "\n0, "); err != nil || rec.Periods == 1 && n != len(video.Samples) {
		t.Errorf("ffmpeg (install the Debian package ffmpeg if it is missing) decodes %d pictures of %d: %v\n%.1000s", n, len(video.Samples), err, out)
	}
	out, err = exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", mpd, "-c", "copy", filepath.Join(t.TempDir(), "copy.mp4")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg copies it: %v\n%.1000s", err, out)
	}
}

// untold is a pyramid of B-frames of which only pic_order_cnt_type 1 tells the order,
// which few use: its SPS says so, its slices are as they were.
func untold(t *testing.T) *load.Source {
	t.Helper()
	src, err := load.Open(filepath.Join("..", "..", "media", "codec", "testdata", "pyramid.h264"))
	if err != nil {
		t.Fatal(err)
	}
	var sps []byte
	for i, set := range src.ParameterSets {
		if set[0]&0x1f == 7 {
			sps, src.ParameterSets[i] = set, countedOtherwise(set)
		}
	}
	for i := range src.Units {
		src.Units[i].Data = bytes.ReplaceAll(src.Units[i].Data, sps, countedOtherwise(sps))
	}
	return src
}

// countedOtherwise returns an SPS of a High profile with pic_order_cnt_type 1 instead of
// 0 (H.264 7.3.2.1.1).
func countedOtherwise(sps []byte) []byte {
	var bits strings.Builder
	for _, b := range bytes.ReplaceAll(sps[4:], []byte{0, 0, 3}, []byte{0, 0}) {
		fmt.Fprintf(&bits, "%08b", b)
	}
	text, at := bits.String(), 0
	ue := func() {
		zeros := strings.Index(text[at:], "1")
		at += 2*zeros + 1
	}
	for range 4 { // id, chroma format, two bit depths
		ue()
	}
	at += 2 // qpprime_y_zero_transform_bypass_flag, no scaling matrix
	ue()    // log2_max_frame_num
	from := at
	ue() // the type
	ue() // log2_max_pic_order_cnt_lsb
	text = text[:from] + "010" + "1" + "1" + "1" + "1" + text[at:]
	text = strings.TrimRight(text, "0")
	text += strings.Repeat("0", (8-len(text)%8)%8)
	out := slices.Clone(sps[:4])
	zeros := 0
	for i := 0; i < len(text); i += 8 {
		b, _ := strconv.ParseUint(text[i:i+8], 2, 8)
		if zeros >= 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, byte(b))
	}
	return out
}

// B-frames of which nothing tells when they are shown are said to be so, while they come,
// once.
func TestOrderUntold(t *testing.T) {
	var log logtest.Buffer
	g := newRig(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s := g.publish("camera", untold(t), source(t, "opus_stereo.ogg"))
	g.start("camera", "")
	s.steps(10 * time.Second)
	if info := g.recorder.Status("camera").Info; info.Tracks[0].Missing != reasonOrder {
		t.Errorf("while it runs: %q", info.Tracks[0].Missing)
	}
	rec := g.stop("camera")
	if rec.Status != media.StatusDegraded || !strings.Contains(rec.Reason, reasonOrder) {
		t.Errorf("ended %s (%s)", rec.Status, rec.Reason)
	}
	if n := strings.Count(log.String(), reasonOrder+"\"\n"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
}

// changed returns a source whose bitstream was changed.
func changed(t *testing.T, name string, change func(*load.Source) (*load.Source, error)) *load.Source {
	t.Helper()
	src, err := change(source(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// setsOnce returns media whose parameter sets, or AV1 sequence header, are in its first
// access unit alone.
func setsOnce(t *testing.T, name string) *load.Source {
	t.Helper()
	src := *source(t, name)
	src.Units = slices.Clone(src.Units)
	for i := 1; i < len(src.Units); i++ {
		var kept []byte
		if src.Codec == "AV1" {
			for rest := src.Units[i].Data; len(rest) > 0; {
				if kind := rest[0] >> 3 & 15; kind != 1 && kind != 2 { // what is before a frame is short
					kept = append(kept, rest...)
					break
				}
				rest = rest[2+int(rest[1]):]
			}
		} else {
			for _, nal := range avc.ExtractNalusFromByteStream(src.Units[i].Data) {
				isSet := src.Codec == "H264" && (nal[0]&0x1f == 7 || nal[0]&0x1f == 8) || src.Codec == "H265" && nal[0]>>1 >= 32 && nal[0]>>1 <= 34
				if !isSet {
					kept = append(append(kept, 0, 0, 0, 1), nal...)
				}
			}
		}
		src.Units[i].Data = kept
	}
	return &src
}

// The parameter sets were sent once, before the recording began.
func TestParameterSetsBeforeTheRecording(t *testing.T) {
	for _, name := range []string{"h264_baseline.h264", "h264_high.h264", "h265.h265", "av1.ivf"} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", setsOnce(t, name), source(t, "opus_stereo.ogg"))
			s.send(4500 * time.Millisecond)
			g.start("camera", "")
			s.send(9 * time.Second)
			rec := g.stop("camera")
			if rec.Status != media.StatusComplete || rec.Periods != 1 {
				t.Errorf("ended %s, %q, with %d Periods", rec.Status, rec.Reason, rec.Periods)
			}
			got := g.read(rec.RecordDir)
			video, _ := got.Track(media.Video)
			if len(video.Samples) < 7*30 {
				t.Errorf("%d frames were recorded", len(video.Samples))
			}
			g.compare(s.log, got, compare.Options{})
		})
	}
}

// seiFirst returns H265 whose key frames begin with SEI, in front of the parameter sets
// (H.265 7.4.2.4.4).
func seiFirst(t *testing.T, name string) *load.Source {
	t.Helper()
	src := *source(t, name)
	src.Units = slices.Clone(src.Units)
	sei := append([]byte{39 << 1, 1, 5, 18}, "load: identified  \x80"...)
	for i := range src.Units {
		if u := &src.Units[i]; u.Key {
			u.Data = slices.Concat([]byte{0, 0, 0, 1}, sei, u.Data)
			u.Sample = slices.Concat([]byte{0, 0, 0, byte(len(sei))}, sei, u.Sample)
		}
	}
	return &src
}

// The same stream with other ids of its sets with each key frame, and with SEI
// before them, is one Period, from its first frame on.
func TestBitstreamsOfSenders(t *testing.T) {
	for name, video := range map[string]*load.Source{
		"other ids":       changed(t, "h264_baseline.h264", (*load.Source).NewIDs),
		"sei first":       changed(t, "h264_baseline.h264", (*load.Source).SEIFirst),
		"sei first, H265": seiFirst(t, "h265.h265"),
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			s := g.publish("camera", video, source(t, "opus_stereo.ogg"))
			g.start("camera", "")
			s.send(30 * time.Second)
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			video, _ := got.Track(media.Video)
			if rec.Status != media.StatusComplete || rec.Periods != 1 || len(video.Inits) != 1 {
				t.Errorf("ended %s, %q, with %d Periods and %d init segments", rec.Status, rec.Reason, rec.Periods, len(video.Inits))
			}
			g.compare(s.log, got, compare.Options{})
		})
	}
}

// One file of a recording has all pictures and sound: also where a browser gives its
// parameter sets other ids all the time, and of a publisher that was away.
func TestOneFile(t *testing.T) {
	plain := source(t, "h264_baseline.h264")
	for name, videos := range map[string][]*load.Source{
		"plain":     {plain},
		"other ids": {changed(t, "h264_baseline.h264", (*load.Source).NewIDs)},
		"VP9":       {source(t, "vp9.ivf")},
		"reconnect": {plain.Head(5 * time.Second), plain},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil)
			for i, video := range videos {
				if i > 0 {
					g.clock.advance(g.clock.Now().Add(4 * time.Second))
				}
				s := g.publish("camera", video, source(t, "opus_stereo.ogg"))
				if i == 0 {
					g.start("camera", "")
				}
				s.send(12 * time.Second)
				if i+1 < len(videos) {
					s.leave()
				}
			}
			rec := g.stop("camera")
			got := g.read(rec.RecordDir)
			manifest := g.object(path.Join(rec.RecordDir, media.ManifestName))
			m, missing, err := movie.Open(t.Context(), g.store, rec.RecordDir, manifest, movie.Title{})
			if err != nil || len(missing) > 0 {
				t.Fatalf("%v, missing %q", err, missing)
			}
			data, err := io.ReadAll(m.NewReader(t.Context(), g.store))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), media.FileName)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			checkFile(t, file, rec.Duration, got)
		})
	}
}

// checkFile wants all samples of a recording in a file, which lasts as long.
func checkFile(t *testing.T, file string, seconds float64, rec *verify.Recording) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "stream=nb_frames,start_time,duration",
		"-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatalf("ffprobe (Debian package ffmpeg): %v", err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var start, duration float64
		var frames int
		if _, err := fmt.Sscanf(line, "%g,%g,%d", &start, &duration, &frames); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		want := len(rec.Tracks[i].Samples)
		if rec.Tracks[i].Kind == media.Audio {
			want += silences(rec.Tracks[i])
		}
		if frames != want || start > 0.1 || duration < seconds-0.1 || duration > seconds+0.1 {
			t.Errorf("%s: %d frames in %v s from %v s on, want %d in %v s", rec.Tracks[i].ID, frames, duration, start, want, seconds)
		}
	}
}

// silences returns how many packets of 20 ms fill the holes of a track.
func silences(t *verify.Track) (packets int) {
	for i := 1; i < len(t.Samples); i++ {
		hole := t.Samples[i].Time - t.Samples[i-1].Time - t.Samples[i-1].Duration
		packets += int(hole.Duration(t.Timescale) / (20 * time.Millisecond))
	}
	return packets
}

// A sender that refreshes its pictures bit by bit has no key frame but the first, which
// nobody has who joins later: a recording begins at its second recovery point, lacks
// nothing from there on, and ffmpeg decodes all of it.
func TestIntraRefresh(t *testing.T) {
	src, err := load.Open(filepath.Join("..", "..", "media", "codec", "testdata", "refresh.h264"))
	if err != nil {
		t.Fatal(err)
	}
	every := src.Units[0].Duration.Duration(src.ClockRate)
	const joins, begins = 7, 18
	for _, point := range []int{12, begins, 24} {
		src.Units[point].Key = true // as who joins there sees them
	}
	g := newRig(t, nil)
	s := g.publish("camera", src)
	s.send(joins*every - every/2)
	g.start("camera", "")
	s.send(time.Duration(len(src.Units)-joins) * every)
	rec := g.stop("camera")
	got := g.read(rec.RecordDir)
	report := g.compare(s.log, got, compare.Options{})
	if tr := report.Tracks[0]; tr.First != begins || tr.Matched != len(src.Units)-begins || rec.Status != media.StatusComplete {
		t.Errorf("%d pictures from #%d, of %d: %s (%s)", tr.Matched, tr.First, tr.Sent, rec.Status, rec.Reason)
	}
	mpd := filepath.Join(g.root, filepath.FromSlash(rec.MPDPath))
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-flags", "output_corrupt", "-i", mpd, "-fps_mode", "passthrough", "-f", "framemd5", "-").CombinedOutput()
	if n := strings.Count(string(out), "\n0, "); err != nil || n != len(src.Units)-begins {
		t.Errorf("ffmpeg (install the Debian package ffmpeg if it is missing) decodes %d pictures: %v\n%.1000s", n, err, out)
	}
}
