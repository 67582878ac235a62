// Package shapes is a test tool: recordings of known shapes, made in a moment by
// the recorder itself, of media that tells its own time. Each picture shows the
// second at which it was sent, as a bar code, and the pitch of the sound does the
// same: so a test can say which seconds a player really showed.
package shapes

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/testkit/load"
)

// The picture is a bar code of columns: its upper half has the bits, the lower
// half their opposites, so that no plain or broken picture is taken for a second.
const (
	Columns = 8
	Rows    = 2
)

// The sound of second s has the pitch ToneBase + ToneStep·(s mod Tones).
const (
	ToneBase = 500 // Hz
	ToneStep = 150
	Tones    = 16
)

// Rate is the number of pictures a second of all clips.
const Rate = 25

const sampleRate = 48000

// Tone returns the pitch of a second in Hz.
func Tone(second int) float64 { return float64(ToneBase + ToneStep*(second%Tones)) }

// Video says how a clip's pictures are encoded.
type Video struct {
	Codec         string // "H264", "H265", "VP9", "AV1", "VP8"
	Width, Height int
	GOP           int    // pictures from one key frame to the next; 0: one at the beginning alone
	SAR           string // sample aspect ratio "16/11"; empty: square
	BFrames       int    // H264: pictures in a row that refer to later ones
	Step          int    // seconds from one picture to the next; 0: Rate of them in each
	Ids           bool   // H264: other ids of its parameter sets with each key frame
	Counts        bool   // the bar code of a picture is its own number, not its second
}

// interval is the time from one picture to the next.
func (v Video) interval() time.Duration {
	if v.Step > 0 {
		return time.Duration(v.Step) * time.Second
	}
	return time.Second / Rate
}

func (v Video) name() string {
	return strings.NewReplacer("/", "-", " ", "").Replace(fmt.Sprintf("%s-%dx%d-g%d-s%s-b%d-t%d-%v-%v",
		v.Codec, v.Width, v.Height, v.GOP, v.SAR, v.BFrames, v.Step, v.Ids, v.Counts))
}

// arguments are those that ffmpeg encodes with, and the format it writes.
func (v Video) arguments(id int) ([]string, error) {
	gop := v.GOP
	if gop == 0 {
		gop = 100000
	}
	g := strconv.Itoa(gop)
	switch v.Codec {
	case "H264":
		profile := "baseline"
		if v.BFrames > 0 {
			profile = "main"
		}
		return []string{"-c:v", "libx264", "-profile:v", profile, "-preset", "ultrafast", "-tune", "zerolatency", "-bf", strconv.Itoa(v.BFrames),
			"-x264-params", fmt.Sprintf("keyint=%s:min-keyint=%s:scenecut=0:repeat-headers=1:b-adapt=0:b-pyramid=none:open-gop=0:sps-id=%d", g, g, id), "-f", "h264"}, nil
	case "H265":
		return []string{"-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency",
			"-x265-params", fmt.Sprintf("log-level=none:keyint=%s:min-keyint=%s:scenecut=0:open-gop=0:bframes=0:repeat-headers=1", g, g), "-f", "hevc"}, nil
	case "VP8":
		return []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-g", g, "-keyint_min", g, "-b:v", "150k", "-f", "ivf"}, nil
	case "VP9":
		return []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-auto-alt-ref", "0", "-g", g, "-keyint_min", g, "-b:v", "150k", "-f", "ivf"}, nil
	case "AV1":
		return []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-g", g, "-keyint_min", g, "-b:v", "150k", "-f", "ivf"}, nil
	}
	return nil, fmt.Errorf("clip of codec %q", v.Codec)
}

// Studio makes clips and keeps them in a folder. Safe for concurrent use.
type Studio struct {
	dir     string
	seconds int

	mu    sync.Mutex
	clips map[string]*clip
}

type clip struct {
	once   sync.Once
	source *load.Source
	err    error
}

// NewStudio returns a Studio whose clips last some seconds.
func NewStudio(dir string, seconds int) *Studio {
	return &Studio{dir: dir, seconds: seconds, clips: map[string]*clip{}}
}

// Video returns a clip of pictures.
func (st *Studio) Video(ctx context.Context, v Video) (*load.Source, error) {
	return st.clip(v.name(), func(path string) error {
		pictures := st.pictures(v)
		if !v.Ids {
			return st.encode(ctx, path, v, 0, pictures)
		}
		// Each group of pictures is a stream of its own, which they are joined from.
		gop := v.GOP * Columns * Rows
		var all []byte
		for i := 0; len(pictures) > 0; i++ {
			n := min(gop, len(pictures))
			if err := st.encode(ctx, path, v, i%16, pictures[:n]); err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("read clip: %w", err)
			}
			all, pictures = append(all, data...), pictures[n:]
		}
		return os.WriteFile(path, all, 0o600)
	})
}

func (st *Studio) encode(ctx context.Context, path string, v Video, id int, pictures []byte) error {
	args, err := v.arguments(id)
	if err != nil {
		return err
	}
	filter := fmt.Sprintf("scale=%d:%d:flags=neighbor,format=yuv420p", v.Width, v.Height)
	if v.SAR != "" {
		filter += ",setsar=" + v.SAR
	}
	input := []string{"-f", "rawvideo", "-pix_fmt", "gray", "-s", fmt.Sprintf("%dx%d", Columns, Rows), "-r", strconv.Itoa(Rate), "-i", "-", "-vf", filter}
	return encode(ctx, path, append(input, args...), pictures)
}

// Audio returns the clip of sound: Opus packets of 20 ms.
func (st *Studio) Audio(ctx context.Context) (*load.Source, error) {
	return st.clip("opus", func(path string) error {
		return encode(ctx, path, []string{"-f", "s16le", "-ar", strconv.Itoa(sampleRate), "-ac", "1", "-i", "-", "-ac", "2",
			"-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20", "-application", "audio", "-f", "ogg"}, st.sound())
	})
}

func (st *Studio) clip(name string, make func(path string) error) (*load.Source, error) {
	st.mu.Lock()
	c := st.clips[name]
	if c == nil {
		c = &clip{}
		st.clips[name] = c
	}
	st.mu.Unlock()
	c.once.Do(func() {
		path := filepath.Join(st.dir, name)
		if c.err = make(path); c.err == nil {
			c.source, c.err = load.Open(path)
		}
	})
	return c.source, c.err
}

func encode(ctx context.Context, path string, args []string, input []byte) error {
	args = append([]string{"-hide_banner", "-loglevel", "error", "-y", "-fflags", "+bitexact"}, append(args, "-threads", "1", path)...)
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("make clip %s: %w: %s", filepath.Base(path), err, out)
	}
	return nil
}

// pictures are those of a clip, a byte for each field of the bar code.
func (st *Studio) pictures(v Video) []byte {
	n := int((time.Duration(st.seconds)*time.Second + v.interval() - 1) / v.interval())
	out := make([]byte, 0, n*Columns*Rows)
	for i := range n {
		code := int(time.Duration(i) * v.interval() / time.Second)
		if v.Counts {
			code = i
		}
		for row := range Rows {
			for column := range Columns {
				level := byte(16)
				if code>>column&1 != row {
					level = 235
				}
				out = append(out, level)
			}
		}
	}
	return out
}

// sound are the samples of a clip. The phase goes on over the seconds: no clicks.
func (st *Studio) sound() []byte {
	out := make([]byte, 0, 2*st.seconds*sampleRate)
	phase := 0.0
	for i := range st.seconds * sampleRate {
		phase += 2 * math.Pi * Tone(i/sampleRate) / sampleRate
		v := int16(9000 * math.Sin(phase))
		out = append(out, byte(v), byte(uint16(v)>>8))
	}
	return out
}
