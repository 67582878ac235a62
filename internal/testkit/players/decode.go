package players

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/media"
)

const (
	columns = 8
	rows    = 2
	// What programs write for us: so many pictures, and so many samples of sound, a second.
	frameRate = 10
	pcmRate   = 16000
	window    = pcmRate / frameRate // samples that one pitch is found in
	// A difference of brightness that is a bit.
	contrast = 80
	// Sound with less power is silence: -50 dB.
	quiet = 1e-5
)

// FFmpeg decodes a manifest on the disk, Period by Period, for it takes one alone.
func FFmpeg(ctx context.Context, manifest string) *Result {
	parts, err := periods(manifest)
	if err != nil {
		return failed(err)
	}
	out := &Result{End: "ended"}
	for i, part := range parts {
		path := fmt.Sprintf("%s.%d.mpd", manifest, i+1)
		if err := os.WriteFile(path, part, 0o600); err != nil {
			return failed(err)
		}
		r := ffmpeg(ctx, path, has(path, media.Video), has(path, media.Audio))
		r.from(start(part))
		if r.End != "ended" {
			out.End = r.End
		}
		out.Errors = append(out.Errors, r.Errors...)
		out.Pictures, out.Sounds = append(out.Pictures, r.Pictures...), append(out.Sounds, r.Sounds...)
		out.Time, out.Took, out.Note = r.Time, out.Took+r.Took, out.Note+r.Note
	}
	return out
}

// FFmpegHLS decodes an HLS playlist on the disk, with all Periods at once.
func FFmpegHLS(ctx context.Context, playlist string) *Result {
	data, err := os.ReadFile(playlist)
	if err != nil {
		return failed(fmt.Errorf("read playlist: %w", err))
	}
	video := bytes.Contains(data, []byte("RESOLUTION="))
	audio := !video || bytes.Contains(data, []byte("#EXT-X-MEDIA:"))
	return ffmpeg(ctx, playlist, video, audio)
}

// FFmpegURL decodes what is at a URL: an HLS playlist or a file, with picture and sound, of
// which the times jump where a recording ends. It says nothing of time.
func FFmpegURL(ctx context.Context, url string) *Result {
	return ffmpeg(ctx, url, true, true)
}

var period = regexp.MustCompile(`(?s)<Period\b.*?</Period>\n?`)

// periods returns manifests of one Period each.
func periods(manifest string) (parts [][]byte, err error) {
	data, err := os.ReadFile(manifest)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	found := period.FindAllIndex(data, -1)
	if len(found) == 0 {
		return nil, errors.New("the manifest has no Period")
	}
	begin, end := data[:found[0][0]], data[found[len(found)-1][1]:]
	for _, at := range found {
		parts = append(parts, slices.Concat(begin, data[at[0]:at[1]], end))
	}
	return parts, nil
}

var periodStart = regexp.MustCompile(`<Period\b[^>]* start="PT([0-9.]+)S"`)

// start is when the Period of a manifest begins, in seconds: ours have nothing but seconds.
func start(manifest []byte) float64 {
	m := periodStart.FindSubmatch(manifest)
	if m == nil {
		return 0
	}
	at, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0
	}
	return at
}

// from leaves out what ffmpeg made up before the first picture and sound.
func (r *Result) from(at float64) {
	early := func(s Shown) bool { return s.Time < at-0.1 }
	r.Pictures, r.Sounds = slices.DeleteFunc(r.Pictures, early), slices.DeleteFunc(r.Sounds, early)
}

// has reports whether a manifest names media of a kind.
func has(manifest string, kind media.Kind) bool {
	data, err := os.ReadFile(manifest)
	return err == nil && bytes.Contains(data, []byte(`contentType="`+kind.String()+`"`))
}

// ffmpeg decodes a manifest with the times of its segments. Where its decoder finds
// fault with something, that is an error.
func ffmpeg(ctx context.Context, manifest string, pictures, sound bool) *Result {
	dir, err := os.MkdirTemp("", "ffmpeg-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	video, audio := filepath.Join(dir, "v"), filepath.Join(dir, "a")
	began := time.Now()
	args := []string{"-hide_banner", "-loglevel", "error", "-nostdin"}
	if !strings.Contains(manifest, "://") {
		args = append(args, "-copyts")
	}
	if filepath.Ext(manifest) == filepath.Ext(media.IndexName) {
		// Of one that runs, all; and no word where a manager sends it to a bucket.
		args = append(args, "-live_start_index", "0", "-http_persistent", "0")
	}
	args = append(args, "-i", manifest)
	if pictures {
		args = append(args, "-map", "0:v:0", "-vf", fmt.Sprintf("scale=%d:%d:flags=area,fps=%d:start_time=0", columns, rows, frameRate), "-pix_fmt", "gray", "-f", "rawvideo", video)
	}
	if sound {
		args = append(args, "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", strconv.Itoa(pcmRate), "-f", "s16le", audio)
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	out := decoded(cmd, began, video, audio)
	if out.Note != "" {
		out.Errors = append(out.Errors, out.Note)
	}
	return out
}

// GStreamer plays a manifest from a URL with dashdemux, in a playbin: it joins the
// Periods of a presentation, whose pads come and go. clock: at the speed of a clock, not as
// fast as it goes.
func GStreamer(ctx context.Context, url string, clock bool) *Result {
	dir, err := os.MkdirTemp("", "gst-")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	video, audio := filepath.Join(dir, "v"), filepath.Join(dir, "a")
	began := time.Now()
	cmd := exec.CommandContext(ctx, "gst-launch-1.0", "-q", "playbin", "uri="+url,
		fmt.Sprintf("video-sink=videoconvert ! videoscale add-borders=false ! videorate ! video/x-raw,format=GRAY8,width=%d,height=%d,framerate=%d/1 ! filesink location=%s sync=%t", columns, rows, frameRate, video, clock),
		fmt.Sprintf("audio-sink=audioconvert ! audioresample ! audiorate ! audio/x-raw,format=S16LE,channels=1,rate=%d ! filesink location=%s sync=%t", pcmRate, audio, clock))
	return decoded(cmd, began, video, audio)
}

func failed(err error) *Result { return &Result{End: "error", Errors: []string{err.Error()}} }

// decoded runs a program that writes raw pictures and sound.
func decoded(cmd *exec.Cmd, began time.Time, video, audio string) *Result {
	out := &Result{End: "ended"}
	text, err := cmd.CombinedOutput()
	if err != nil {
		out.End, out.Errors = "error", []string{fmt.Sprintf("%v: %s", err, last(text))}
	}
	out.Took = time.Since(began).Seconds()
	out.Note = string(last(text))
	pictures, err := os.ReadFile(video)
	if err != nil && !os.IsNotExist(err) {
		return failed(err)
	}
	sound, err := os.ReadFile(audio)
	if err != nil && !os.IsNotExist(err) {
		return failed(err)
	}
	out.Pictures, out.Sounds = readPictures(pictures), readSound(sound)
	// How long the last picture lasts, a decoder does not say: as long as there is sound.
	for n := len(out.Pictures); n > 0 && len(out.Pictures) < len(out.Sounds); n++ {
		out.Pictures = append(out.Pictures, Shown{Time: (float64(n) + 0.5) / frameRate, Code: out.Pictures[n-1].Code})
	}
	for _, list := range [][]Shown{out.Pictures, out.Sounds} {
		if len(list) > 0 {
			out.Time = max(out.Time, list[len(list)-1].Time)
		}
	}
	return out
}

// last is the end of a program's output.
func last(text []byte) []byte { return bytes.TrimSpace(text[max(0, len(text)-600):]) }

// stride is that of a line of raw pictures: GStreamer's are multiples of four.
const stride = (columns + 3) / 4 * 4

func readPictures(data []byte) (samples []Shown) {
	for i := 0; len(data) >= stride*rows; i++ {
		samples = append(samples, Shown{Time: (float64(i) + 0.5) / frameRate, Code: readCode(data)})
		data = data[stride*rows:]
	}
	return samples
}

func readCode(picture []byte) (code int) {
	for i := range columns {
		upper, lower := int(picture[i]), int(picture[i+stride])
		if max(upper-lower, lower-upper) < contrast {
			return NoCode
		}
		if upper > lower {
			code |= 1 << i
		}
	}
	return code
}

func readSound(data []byte) (samples []Shown) {
	pcm := make([]float64, window)
	for i := 0; len(data) >= 2*window; i++ {
		for j := range pcm {
			pcm[j] = float64(int16(binary.LittleEndian.Uint16(data[2*j:]))) / 32768
		}
		samples = append(samples, Shown{Time: (float64(i) + 0.5) / frameRate, Pitch: pitch(pcm)})
		data = data[2*window:]
	}
	return samples
}

// pitch is the strongest of the pitches that package shapes makes.
func pitch(pcm []float64) float64 {
	power := 0.0
	for _, v := range pcm {
		power += v * v / float64(len(pcm))
	}
	if power < quiet {
		return Silence
	}
	best, strongest := 0.0, 0.0
	for hz := 200.0; hz < 4000; hz += 50 {
		var re, im float64
		for i, v := range pcm {
			sin, cos := math.Sincos(2 * math.Pi * hz * float64(i) / pcmRate)
			re, im = re+v*cos, im+v*sin
		}
		if p := re*re + im*im; p > strongest {
			best, strongest = hz, p
		}
	}
	return best
}
