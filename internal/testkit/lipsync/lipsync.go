// Package lipsync is a test tool: it finds the flashes and beeps of a test
// source (see load.Picture) in media files, by ffmpeg, and tells how far sound
// and picture are apart.
package lipsync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Media is what was found in a file, or in the Periods of a recording.
type Media struct {
	Flashes []time.Duration // when the picture becomes white
	Beeps   []time.Duration // when the sound begins
	Picture time.Duration   // that was decoded: from each picture to the next
	Sound   time.Duration   // that was decoded
	Loud    time.Duration   // of Sound that is no digital silence

	last time.Duration // when the last picture begins
	tail time.Duration // that it was taken to last
}

const (
	white       = 200 // mean luma of a flash; that of the picture between is far below
	maxPicture  = 60 * time.Second
	maxOffset   = 400 * time.Millisecond // of a beep that belongs to a flash: there is one each second
	sampleRate  = 48000
	block       = sampleRate / 1000 // samples that are looked at together
	loud        = 1 << 10           // amplitude of a beep
	quietBlocks = 300               // of silence in front of a beep
)

// Find looks for flashes and beeps in media that ffmpeg opens by args, as
// "-i file". Times are those of the file.
func Find(ctx context.Context, args ...string) (*Media, error) {
	m := &Media{}
	if err := m.look(ctx, args); err != nil {
		return nil, fmt.Errorf("find flashes: %w", err)
	}
	if err := m.listen(ctx, args); err != nil {
		return nil, fmt.Errorf("find beeps: %w", err)
	}
	return m, nil
}

// look decodes the picture.
func (m *Media) look(ctx context.Context, args []string) error {
	out, err := ffmpeg(ctx, args, "-map", "0:v:0?", "-an", "-vf",
		"scale=64:36,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", "-fps_mode", "passthrough", "-f", "null", "-")
	if err != nil {
		return err
	}
	// Each picture is a line "frame:0 pts:0 pts_time:0", and one with its value.
	var last, time0 time.Duration
	pictures, bright := 0, true // a file that begins white tells nothing of when it became so
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		line := lines.Text()
		if _, at, ok := strings.Cut(line, "pts_time:"); ok {
			if last, time0, err = next(last, at, pictures); err != nil {
				return err
			}
			m.Picture += time0
			pictures++
			continue
		}
		if _, value, ok := strings.Cut(line, "YAVG="); ok {
			y, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
			if y > white && !bright {
				m.Flashes = append(m.Flashes, last)
			}
			bright = y > white
		}
	}
	if pictures > 1 {
		m.last, m.tail = last, m.Picture/time.Duration(pictures-1) // the last one lasts too
		m.Picture += m.tail
	}
	return lines.Err()
}

// next parses the time of a picture, and returns how long the one before it lasted.
func next(before time.Duration, text string, pictures int) (at, lasted time.Duration, err error) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0, 0, fmt.Errorf("time of a picture: %w", err)
	}
	at = time.Duration(seconds * float64(time.Second))
	if pictures > 0 && at > before && at-before < maxPicture {
		lasted = at - before
	}
	return at, lasted, nil
}

// listen decodes the sound.
func (m *Media) listen(ctx context.Context, args []string) error {
	first, err := startOf(ctx, args)
	if err != nil {
		return err
	}
	pcm, err := ffmpeg(ctx, args, "-map", "0:a:0?", "-vn", "-ac", "1", "-ar", strconv.Itoa(sampleRate), "-f", "s16le", "-")
	if err != nil {
		return err
	}
	samples := len(pcm) / 2
	m.Sound = time.Duration(samples) * time.Second / sampleRate
	quiet := 0
	for at := 0; at+block <= samples; at += block {
		peak := 0
		for i := at; i < at+block; i++ {
			peak = max(peak, abs(int(int16(uint16(pcm[2*i])|uint16(pcm[2*i+1])<<8))))
		}
		if peak > 1 {
			m.Loud += block * time.Second / sampleRate
		}
		if peak > loud {
			if quiet >= quietBlocks {
				m.Beeps = append(m.Beeps, first+time.Duration(at)*time.Second/sampleRate)
			}
			quiet = 0
		} else {
			quiet++
		}
	}
	return nil
}

func abs(v int) int { return max(v, -v) }

// startOf returns the time of the first sound: what comes out of a decoder as raw
// samples has none.
func startOf(ctx context.Context, args []string) (time.Duration, error) {
	out, err := ffmpeg(ctx, args, "-map", "0:a:0?", "-vn", "-af", "ashowinfo", "-frames:a", "1", "-f", "null", "-")
	if err != nil {
		return 0, err
	}
	_, text, ok := strings.Cut(string(out), "pts_time:")
	if !ok {
		return 0, nil // there is no sound
	}
	seconds, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
	if err != nil {
		return 0, fmt.Errorf("time of the first sound: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// ffmpeg runs it and returns what it prints. Of its log only what a filter
// prints is wanted.
func ffmpeg(ctx context.Context, input []string, output ...string) ([]byte, error) {
	args := slices.Concat([]string{"-v", "info", "-nostdin", "-nostats", "-copyts"}, input, output)
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	switch err := cmd.Run(); {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("install ffmpeg (Debian package ffmpeg): %w", err)
	case err != nil && strings.Contains(stderr.String(), "does not contain any stream"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if slices.Contains(output, "ashowinfo") {
		return stderr.Bytes(), nil
	}
	return stdout.Bytes(), nil
}

// Offsets returns, for each flash that has a beep, by how much the beep is later.
func (m *Media) Offsets() (offsets []time.Duration) {
	for _, flash := range m.Flashes {
		best := time.Duration(math.MaxInt64)
		for _, beep := range m.Beeps {
			if d := beep - flash; d.Abs() < best.Abs() {
				best = d
			}
		}
		if best.Abs() <= maxOffset {
			offsets = append(offsets, best)
		}
	}
	return offsets
}

// Offset returns the median of the offsets; ok is false where there are none.
func (m *Media) Offset() (offset time.Duration, ok bool) {
	all := m.Offsets()
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], true
}
