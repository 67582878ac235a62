package verify

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/storage"
)

// Decoder decodes recordings with ffmpeg.
type Decoder struct{ program string }

// NewDecoder finds ffmpeg.
func NewDecoder() (*Decoder, error) {
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fault.Errorf(fault.Unavailable, "decoding needs ffmpeg 5.1 or newer, which is not installed or not in $PATH (Debian: apt install ffmpeg)")
	}
	return &Decoder{program: program}, nil
}

// Decoded is what could be decoded of a recording: of each kind in each Period
// what the best Representation has.
type Decoded struct {
	Picture float64       `json:"picture"` // seconds
	Sound   float64       `json:"sound"`   // seconds
	Parts   []DecodedPart `json:"parts"`
}

// DecodedPart is what could be decoded of a Representation in a Period.
type DecodedPart struct {
	Period  int     `json:"period"` // from 0
	Track   string  `json:"track"`  // Representation@id
	Samples int     `json:"samples"`
	Frames  int     `json:"frames"` // pictures, or pieces of sound, that came out
	Seconds float64 `json:"seconds"`
	Errors  int     `json:"errors,omitempty"` // lines that ffmpeg wrote of them
	kind    media.Kind
}

// maxMessages is how many of ffmpeg's messages about a part are handed on.
const maxMessages = 3

// Decode decodes everything in a recording that has been read. What does not
// decode is a Problem; an error means that the storage or the program failed.
func (d *Decoder) Decode(ctx context.Context, backend storage.Backend, r *Recording) (*Decoded, []Problem, error) {
	out := &Decoded{Parts: []DecodedPart{}}
	var problems []Problem
	for i := range r.Periods {
		best := map[media.Kind]float64{}
		for _, t := range r.Tracks {
			part, messages, err := d.part(ctx, backend, r, t, i)
			if err != nil {
				return nil, nil, fmt.Errorf("decode %s of Period %d: %w", t.ID, i, err)
			}
			if part == nil {
				continue
			}
			out.Parts = append(out.Parts, *part)
			best[t.Kind] = max(best[t.Kind], part.Seconds)
			for _, m := range messages {
				problems = append(problems, Problem{Where: where(i) + ", Representation " + t.ID, What: m})
			}
		}
		out.Picture += best[media.Video]
		out.Sound += best[media.Audio]
	}
	out.Picture, out.Sound = toMillis(out.Picture), toMillis(out.Sound)
	return out, problems, nil
}

// part decodes a track in a Period; nil where it has nothing there.
func (d *Decoder) part(ctx context.Context, backend storage.Backend, r *Recording, t *Track, period int) (*DecodedPart, []string, error) {
	part := &DecodedPart{Period: period, Track: t.ID, kind: t.Kind}
	var names []string
	var length media.Ticks
	for _, in := range t.Inits {
		if inPeriod(in, period) {
			names = append(names, in.Name)
		}
	}
	for _, s := range t.Segments {
		if s.Period == period {
			names = append(names, s.Name)
			part.Samples += s.Samples
			length += s.Duration
		}
	}
	if length == 0 || len(names) < 2 {
		return nil, nil, nil
	}
	files := &objects{ctx: ctx, backend: backend, dir: r.Dir, names: names}
	messages, ticks, err := d.run(ctx, files, part)
	if err := errors.Join(err, files.close()); err != nil {
		return nil, nil, err
	}
	part.Errors = len(messages)
	part.Seconds = length.Duration(t.Timescale).Seconds()
	if t.Kind == media.Audio {
		part.Seconds = min(part.Seconds, media.Ticks(ticks).Duration(t.Timescale).Seconds())
	} else if part.Frames < part.Samples {
		part.Seconds *= float64(part.Frames) / float64(part.Samples)
		messages = append([]string{fmt.Sprintf("%d of %d pictures do not decode", part.Samples-part.Frames, part.Samples)}, messages...)
	}
	if n := len(messages); n > maxMessages {
		messages = append(messages[:maxMessages], fmt.Sprintf("%d more messages of ffmpeg", n-maxMessages))
	}
	part.Seconds = toMillis(part.Seconds)
	return part, messages, nil
}

// run has ffmpeg decode what files has. It returns what ffmpeg says that is wrong,
// and the sum of the durations of what came out.
func (d *Decoder) run(ctx context.Context, files io.Reader, part *DecodedPart) (messages []string, ticks int64, err error) {
	args := []string{"-nostdin", "-hide_banner", "-nostats", "-v", "error", "-threads", "1", "-i", "pipe:0", "-map", "0"}
	if part.kind == media.Video {
		args = append(args, "-fps_mode", "passthrough")
	}
	cmd := exec.CommandContext(ctx, d.program, append(args, "-f", "framecrc", "pipe:1")...)
	stderr := &bounded{}
	cmd.Stdin, cmd.Stderr = files, stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, 0, fmt.Errorf("start ffmpeg: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start ffmpeg: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if duration, ok := frameLine(lines.Text()); ok {
			part.Frames++
			ticks += duration
		}
	}
	readErr := lines.Err()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) && !strings.Contains(err.Error(), "broken pipe") {
		return nil, 0, fmt.Errorf("run ffmpeg: %w", err)
	} else if exit != nil && stderr.Len() == 0 {
		fmt.Fprintf(stderr, "ffmpeg ended with code %d", exit.ExitCode())
	}
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	if readErr != nil {
		return nil, 0, fmt.Errorf("read from ffmpeg: %w", readErr)
	}
	return stderr.messages(), ticks, nil
}

// frameLine reads a line of ffmpeg's framecrc: stream, dts, pts, duration, size, checksum.
func frameLine(line string) (duration int64, ok bool) {
	fields := strings.Split(line, ",")
	if strings.HasPrefix(line, "#") || len(fields) < 6 {
		return 0, false
	}
	duration, err := strconv.ParseInt(strings.TrimSpace(fields[3]), 10, 64)
	return duration, err == nil
}

// bounded keeps the first of what is written to it.
type bounded struct{ bytes.Buffer }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	const limit = 64 << 10
	if room := limit - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// address is where something of ffmpeg's is in its memory.
var address = regexp.MustCompile(` @ 0x[0-9a-f]+`)

// messages returns the lines that were written.
func (b *bounded) messages() (lines []string) {
	for line := range strings.Lines(b.String()) {
		if line = strings.TrimSpace(address.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, "ffmpeg: "+line)
		}
	}
	return lines
}

// objects reads objects one behind the other. One that does not exist is left
// out: that is a problem already.
type objects struct {
	ctx     context.Context
	backend storage.Backend
	dir     string
	names   []string
	open    io.ReadCloser
	err     error // of the storage
}

// Read implements io.Reader.
func (o *objects) Read(p []byte) (int, error) {
	for o.err == nil {
		if o.open == nil && !o.next() {
			return 0, io.EOF
		}
		n, err := o.open.Read(p)
		if errors.Is(err, io.EOF) {
			err = o.open.Close()
			o.open = nil
		}
		o.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF // the program need not know why
}

// next opens the next object, if there is one.
func (o *objects) next() bool {
	for len(o.names) > 0 && o.err == nil {
		body, err := o.backend.Get(o.ctx, path.Join(o.dir, o.names[0]), 0, -1)
		o.names = o.names[1:]
		if err == nil {
			o.open = body
			return true
		}
		if !errors.Is(err, storage.ErrNotFound) {
			o.err = err
		}
	}
	return false
}

// close ends reading, and returns what was wrong with the storage.
func (o *objects) close() error {
	err := o.err
	if o.open != nil {
		err = errors.Join(err, o.open.Close())
	}
	return err
}
