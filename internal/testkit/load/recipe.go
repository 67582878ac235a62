package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/media"
)

// Picture is video that ffmpeg makes with x264: a test picture, which flashes
// white at each full second for a tenth of it, while the sound beeps, which hums
// between.
type Picture struct {
	Size    string        // "640x360"; empty for that
	GOP     int           // pictures from key frame to key frame; 0 is 60
	Scenes  string        // pictures n with key frames beside those of the GOP, an expression of ffmpeg's: where an encoder takes them for a new scene
	Profile string        // of H264; empty is baseline
	Every   time.Duration // from picture to picture; 0: 30 in a second
	BFrames int           // pictures in a row that refer to later ones; the profile has to allow it
	SAR     string        // shape of the pixels, "16/11"; empty: square
	Seconds int           // of media, before it begins anew; 0 is defaultSeconds
}

const (
	pictureRate    = 30
	defaultSeconds = 30

	// flash is where in time the picture is white and the sound beeps.
	flash = "lt(mod(t,1),0.1)"
)

// made are the sources that were encoded before, by what they were made of: they
// are never changed, and many publishers send the same.
var made = struct {
	sync.Mutex
	sources map[any]*Source
}{sources: map[any]*Source{}}

// once returns what was made of key, and makes it the first time.
func once(key any, encode func() (*Source, error)) (*Source, error) {
	made.Lock()
	defer made.Unlock()
	if src, ok := made.sources[key]; ok {
		return src, nil
	}
	src, err := encode()
	if err == nil {
		made.sources[key] = src
	}
	return src, err
}

// Encode makes the video. It needs ffmpeg with libx264 (Debian package ffmpeg).
func (p Picture) Encode(ctx context.Context) (*Source, error) {
	return once(p, func() (*Source, error) { return p.encode(ctx) })
}

func (p Picture) encode(ctx context.Context) (*Source, error) {
	setDefault(&p.Size, "640x360")
	setDefault(&p.GOP, 2*pictureRate)
	setDefault(&p.Scenes, "0")
	setDefault(&p.Profile, "baseline")
	setDefault(&p.Seconds, defaultSeconds)
	frames := p.Seconds * pictureRate
	if p.Every > 0 {
		frames = max(1, int(time.Duration(p.Seconds)*time.Second/p.Every))
	}
	gop, sar := strconv.Itoa(p.GOP), ""
	params := "repeat-headers=1:scenecut=0:b-adapt=0:b-pyramid=none:keyint=" + gop + ":min-keyint=" + gop
	if p.SAR != "" {
		sar = ",setsar=" + p.SAR
	}
	if p.Profile == "high" {
		params += ":cabac=1:8x8dct=1" // which the preset leaves out
	}
	src, err := ffmpeg(ctx, "-f", "lavfi", "-i",
		fmt.Sprintf("testsrc2=size=%s:rate=%d,drawbox=color=white:t=fill:enable='%s'%s", p.Size, pictureRate, flash, sar),
		"-frames:v", strconv.Itoa(frames), "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "30",
		"-profile:v", p.Profile, "-pix_fmt", "yuv420p", "-bf", strconv.Itoa(p.BFrames), "-threads", "1", "-force_key_frames", "expr:"+p.Scenes,
		"-x264-params", params, "-f", "h264")
	switch {
	case err != nil:
		return nil, err
	case p.Every > 0:
		return src.Every(p.Every), nil
	case p.BFrames > 0:
		src.reorder(p.BFrames)
	}
	return src, nil
}

// reorder says of each unit when it is shown: of so many B-frames and the picture that
// they refer to that picture is sent first.
func (s *Source) reorder(bFrames int) {
	for at := 0; at < len(s.Units); {
		if s.Units[at].Key {
			at++
			continue
		}
		n := 0 // B-frames behind this picture
		for n < bFrames && at+n+1 < len(s.Units) && !s.Units[at+n+1].Key {
			n++
			s.Units[at+n].Composition = -s.Units[at+n].Duration
		}
		s.Units[at].Composition = media.Ticks(n) * s.Units[at].Duration
		at += n + 1
	}
}

// Beep makes the sound that belongs to every Picture, in Opus.
func Beep(ctx context.Context, seconds int) (*Source, error) {
	setDefault(&seconds, defaultSeconds)
	return once(seconds, func() (*Source, error) { return beep(ctx, seconds) })
}

func beep(ctx context.Context, seconds int) (*Source, error) {
	tone := "if(" + flash + ",0.5*sin(2*PI*1000*t),0.01*sin(2*PI*200*t))"
	src, err := ffmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='%s|%[1]s':s=48000:d=%d", tone, seconds),
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-f", "ogg")
	if err != nil {
		return nil, err
	}
	return src.Head(time.Duration(seconds) * time.Second), nil // the encoder's delay makes one packet more
}

// ffmpeg runs it and reads the media that it makes.
func ffmpeg(ctx context.Context, args ...string) (*Source, error) {
	args = append(append([]string{"-v", "error", "-nostdin"}, args...), "pipe:1")
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	switch err := cmd.Run(); {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("make media: install ffmpeg (Debian package ffmpeg), or name media files: %w", err)
	case err != nil:
		return nil, fmt.Errorf("make media: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return Parse(stdout.Bytes())
}
