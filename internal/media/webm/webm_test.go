package webm

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/at-wat/ebml-go"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/media/codec"
	"github.com/live777/recorder/internal/testkit/load"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var vp8 = &media.Format{Codec: "VP8", RFC6381: "vp8", Timescale: 90000, Width: 320, Height: 180}

// document is a file as an independent reader sees it.
type document struct {
	EBML struct {
		DocType            string `ebml:"EBMLDocType"`
		DocTypeReadVersion uint64 `ebml:"EBMLDocTypeReadVersion"`
	} `ebml:"EBML"`
	Segment struct {
		Info struct {
			TimestampScale uint64 `ebml:"TimecodeScale"`
			MuxingApp      string `ebml:"MuxingApp"`
			WritingApp     string `ebml:"WritingApp"`
		} `ebml:"Info"`
		Tracks struct {
			TrackEntry []trackDocument `ebml:"TrackEntry"`
		} `ebml:"Tracks"`
		Cluster []cluster `ebml:"Cluster"`
	} `ebml:"Segment"`
}

type trackDocument struct {
	TrackNumber uint64 `ebml:"TrackNumber"`
	TrackType   uint64 `ebml:"TrackType"`
	CodecID     string `ebml:"CodecID"`
	Video       struct {
		PixelWidth  uint64 `ebml:"PixelWidth"`
		PixelHeight uint64 `ebml:"PixelHeight"`
	} `ebml:"Video"`
}

type cluster struct {
	Timestamp   uint64       `ebml:"Timecode"`
	SimpleBlock []ebml.Block `ebml:"SimpleBlock"`
	BlockGroup  []struct {
		Block          ebml.Block `ebml:"Block"`
		BlockDuration  uint64     `ebml:"BlockDuration"`
		ReferenceBlock []int64    `ebml:"ReferenceBlock"`
	} `ebml:"BlockGroup"`
}

// read is a sample that was read back.
type read struct {
	at       media.Ticks
	duration media.Ticks // of the last of a Cluster
	key      bool
	data     []byte
}

// samples reads Clusters.
func samples(t testing.TB, clusters []cluster) (out []read) {
	t.Helper()
	for _, c := range clusters {
		for _, b := range c.SimpleBlock {
			out = append(out, read{at: media.Ticks(c.Timestamp) + media.Ticks(b.Timecode), key: b.Keyframe, data: b.Data[0]})
		}
		if len(c.BlockGroup) != 1 {
			t.Fatalf("a Cluster has %d BlockGroups, want one", len(c.BlockGroup))
		}
		g := c.BlockGroup[0]
		out = append(out, read{
			at: media.Ticks(c.Timestamp) + media.Ticks(g.Block.Timecode), duration: media.Ticks(g.BlockDuration),
			key: len(g.ReferenceBlock) == 0, data: g.Block.Data[0],
		})
	}
	return out
}

// check compares a chunk with what was read back of it.
func check(t testing.TB, c *Chunk, got []read) {
	t.Helper()
	if len(got) != len(c.Samples) {
		t.Fatalf("%d samples were read, %d were written", len(got), len(c.Samples))
	}
	at := c.Time
	for i, s := range c.Samples {
		g := got[i]
		if g.at != at || g.key != s.Key || !bytes.Equal(g.data, s.Data) || g.duration != 0 && g.duration != s.Duration {
			t.Fatalf("sample %d: read at %d, duration %d, key %v, %d bytes; written at %d, %+v",
				i, g.at, g.duration, g.key, len(g.data), at, s)
		}
		at += s.Duration
	}
}

func parse(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := ebml.Unmarshal(bytes.NewReader(data), v); err != nil {
		t.Fatalf("an independent reader refuses the file: %v", err)
	}
}

func initOf(t testing.TB, f *media.Format) []byte {
	t.Helper()
	data, err := Init(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	text := []byte(hex.Dump(got))
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s differs (run with -update if that is meant), got\n%s", path, text)
	}
}

func TestInit(t *testing.T) {
	data := initOf(t, vp8)
	golden(t, "init.hex", data)
	var d document
	parse(t, data, &d)
	if d.EBML.DocType != "webm" || d.EBML.DocTypeReadVersion != 2 || d.Segment.Info.TimestampScale != 1e6 ||
		d.Segment.Info.MuxingApp == "" || d.Segment.Info.WritingApp == "" {
		t.Errorf("header %+v", d)
	}
	want := trackDocument{TrackNumber: 1, TrackType: 1, CodecID: "V_VP8"}
	want.Video.PixelWidth, want.Video.PixelHeight = 320, 180
	if tracks := d.Segment.Tracks.TrackEntry; len(tracks) != 1 || tracks[0] != want {
		t.Errorf("tracks %+v, want %+v", tracks, want)
	}
	if _, err := Init(&media.Format{Codec: "H264"}); fault.KindOf(err) != fault.Unprocessable {
		t.Errorf("H264: %v", err)
	}
}

// chunkOf makes a chunk of samples that last for the given times; every third
// is a key frame, and their sizes differ.
func chunkOf(at media.Ticks, durations ...media.Ticks) Chunk {
	c := Chunk{Time: at}
	for i, d := range durations {
		c.Samples = append(c.Samples, Sample{Data: bytes.Repeat([]byte{byte(i + 1)}, 1+i*61), Duration: d, Key: i%3 == 0})
	}
	return c
}

func TestChunk(t *testing.T) {
	for name, tc := range map[string]struct {
		chunk    Chunk
		clusters []uint64 // their timestamps
	}{
		"nothing":            {Chunk{Time: 7}, nil},
		"one":                {chunkOf(0, 33), []uint64{0}},
		"several":            {chunkOf(256, 33, 34, 33, 33), []uint64{256}},
		"13 hours":           {chunkOf(1<<33, 33, 33), []uint64{1 << 33}},
		"as far as it gets":  {chunkOf(1000, 32767, 1), []uint64{1000}},
		"too far":            {chunkOf(1000, 32768, 33), []uint64{1000, 33768}},
		"too far together":   {chunkOf(0, 20000, 12000, 900, 33), []uint64{0, 32900}},
		"a very long sample": {chunkOf(5, 33, 40000, 90000, 33), []uint64{5, 40038, 130038}},
		"large":              {Chunk{Samples: []Sample{{Data: make([]byte, 1<<21), Duration: 3, Key: true}, {Data: make([]byte, 1<<14-6)}}}, []uint64{0}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.chunk.Append([]byte("before"))
			if string(got[:6]) != "before" {
				t.Fatal("what was there is gone")
			}
			var d struct {
				Cluster []cluster `ebml:"Cluster"`
			}
			parse(t, got[6:], &d)
			var at []uint64
			for _, c := range d.Cluster {
				at = append(at, c.Timestamp)
			}
			if !slices.Equal(at, tc.clusters) {
				t.Errorf("Clusters at %v, want %v", at, tc.clusters)
			}
			check(t, &tc.chunk, samples(t, d.Cluster))
		})
	}
	several := chunkOf(256, 33, 34, 33) // the last is no key frame
	golden(t, "chunk.hex", several.Append(nil))
}

// The end of a sample's data must not be taken for the size that says that a
// size is not known.
func TestSizes(t *testing.T) {
	for size, want := range map[int]string{
		0: "80", 1: "81", 126: "fe", 127: "407f", 16382: "7ffe", 16383: "203fff", 1<<21 - 2: "3ffffe", 1<<21 - 1: "101fffff",
	} {
		if got := hex.EncodeToString(appendHeader(nil, idTimestamp, size)[1:]); got != want {
			t.Errorf("size %d is %s, want %s", size, got, want)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	c := chunkOf(0, slices.Repeat([]media.Ticks{33}, 15)...)
	dst := c.Append(nil)
	if n := testing.AllocsPerRun(100, func() { dst = c.Append(dst[:0]) }); n > 0 {
		t.Errorf("%v allocations for a chunk into a buffer that is large enough", n)
	}
}

// chunks cuts the frames of the test file into chunks of 15.
func chunks(t testing.TB) (data []byte, frames []Sample) {
	t.Helper()
	src, err := load.Open(filepath.Join("..", "..", "..", "testdata", "media", "vp8.ivf"))
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range src.Units {
		at, next := (i*100+1)/3, ((i+1)*100+1)/3
		frames = append(frames, Sample{Data: u.Data, Duration: media.Ticks(next - at), Key: u.Key})
	}
	c := Chunk{}
	for part := range slices.Chunk(frames, 15) {
		c.Samples = part
		data = c.Append(data)
		for _, s := range part {
			c.Time += s.Duration
		}
	}
	return data, frames
}

// ffmpeg gets out of the file what was put in, and decodes it without a word.
func TestFFmpegReads(t *testing.T) {
	data, frames := chunks(t)
	path := filepath.Join(t.TempDir(), "test.webm")
	if err := os.WriteFile(path, append(initOf(t, vp8), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ffmpeg(t, "-v", "error", "-i", path, "-c", "copy", "-f", "framemd5", "-")
	var at media.Ticks
	var want []string
	for _, s := range frames {
		want = append(want, fmt.Sprintf("0, %10d, %10d, %8d, %8d, %x", at, at, s.Duration, len(s.Data), md5.Sum(s.Data)))
		at += s.Duration
	}
	got := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
	if len(got) != len(want) {
		t.Fatalf("ffmpeg reads %d frames, want %d:\n%s", len(got), len(want), out)
	}
	for i := range want {
		// Only the last Block of a Cluster has a duration of its own, which
		// ffmpeg says as it is; for the others it says the nominal one.
		g, w := strings.Split(got[i], ","), strings.Split(want[i], ",")
		if i%15 != 14 {
			g[3], w[3] = "", ""
		}
		if !slices.Equal(g, w) {
			t.Fatalf("frame %d: ffmpeg reads %q, want %q", i, got[i], want[i])
		}
	}
	if out := ffmpeg(t, "-v", "warning", "-i", path, "-f", "null", "-"); out != "" {
		t.Errorf("ffmpeg decodes it, but says\n%s", out)
	}
}

// TestNeutral has ffmpeg decode the picture that stands in for one: black.
func TestNeutral(t *testing.T) {
	c, _ := codec.Lookup("VP8")
	u, ok := c.Neutral(media.Track{})
	if !ok || !u.Key || u.Format.RFC6381 != "vp8" {
		t.Fatalf("neutral unit %v, %+v", ok, u)
	}
	s := Sample{Data: u.Data, Duration: 40, Key: true}
	chunk := Chunk{Samples: []Sample{s, s, s}}
	path := filepath.Join(t.TempDir(), "neutral.webm")
	if err := os.WriteFile(path, chunk.Append(initOf(t, u.Format)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := ffmpeg(t, "-v", "warning", "-i", path, "-fps_mode", "passthrough", "-vf", "extractplanes=y", "-f", "rawvideo", "-")
	if want := strings.Repeat("\x10", 3*u.Format.Width*u.Format.Height); got != want {
		t.Errorf("ffmpeg decodes %d bytes, want %d, all 16: %.100q", len(got), len(want), got)
	}
}

func ffmpeg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("install the Debian package ffmpeg")
	}
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return string(out)
}

// FuzzChunk checks that an independent reader reads what was written.
func FuzzChunk(f *testing.F) {
	f.Add(uint32(0), []byte{1, 0, 33, 2, 128, 1, 255, 255, 0})
	f.Add(uint32(1<<31), []byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, at uint32, plan []byte) {
		c := Chunk{Time: media.Ticks(at)}
		for ; len(plan) >= 3; plan = plan[3:] {
			c.Samples = append(c.Samples, Sample{
				Data: bytes.Repeat(plan[:1], 1+int(plan[0])), Duration: 1 + media.Ticks(plan[1])<<8 + media.Ticks(plan[2]),
				Key: plan[0]&1 == 0,
			})
		}
		var d struct {
			Cluster []cluster `ebml:"Cluster"`
		}
		parse(t, c.Append(nil), &d)
		check(t, &c, samples(t, d.Cluster))
	})
}
