package lipsync

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/live777/recorder/internal/library/verify"
	"github.com/live777/recorder/internal/media"
)

// Recorded looks for flashes and beeps in a recording that is below root on disk,
// Period by Period, each track by itself: what a player would show that plays it
// without a fault. Of several layers the first is looked at.
func Recorded(ctx context.Context, root string, rec *verify.Recording) (*Media, error) {
	scratch, err := os.MkdirTemp("", "lipsync-")
	if err != nil {
		return nil, fmt.Errorf("look at a recording: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	all := &Media{}
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		track, ok := rec.Track(kind)
		if !ok {
			continue
		}
		for period := range rec.Periods {
			file := filepath.Join(scratch, fmt.Sprintf("%v-%d", kind, period))
			if err := join(filepath.Join(root, rec.Dir), file, track, period); err != nil {
				return nil, fmt.Errorf("look at a recording: %w", err)
			}
			part, err := Find(ctx, "-i", file)
			if err != nil {
				return nil, fmt.Errorf("look at period %d of %s: %w", period, kind, err)
			}
			if kind == media.Video {
				part.lastUntil(end(rec, track, period))
			}
			all.add(part)
		}
	}
	return all, nil
}

// end returns when the last picture of a Period ends.
func end(rec *verify.Recording, track *verify.Track, period int) time.Duration {
	last := rec.Periods[period].Start
	for _, s := range track.Samples {
		if s.Period == period {
			last = max(last, (s.Time + s.Duration).Duration(track.Timescale))
		}
	}
	return last
}

// lastUntil says until when the last picture lasts, which a file does not tell.
func (m *Media) lastUntil(end time.Duration) {
	if m.Picture > 0 || m.last > 0 {
		m.Picture += end - m.last - m.tail
	}
}

func (m *Media) add(part *Media) {
	m.Flashes = append(m.Flashes, part.Flashes...)
	m.Beeps = append(m.Beeps, part.Beeps...)
	m.Picture += part.Picture
	m.Sound += part.Sound
	m.Loud += part.Loud
}

// join writes the init segment and the segments that a track has in a Period to
// one file.
func join(dir, file string, track *verify.Track, period int) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	for _, in := range track.Inits {
		for _, p := range in.Periods {
			if p == period {
				err = appendFile(out, filepath.Join(dir, in.Name), err)
			}
		}
	}
	for _, s := range track.Segments {
		if s.Period == period {
			err = appendFile(out, filepath.Join(dir, s.Name), err)
		}
	}
	return err
}

func appendFile(to io.Writer, name string, before error) error {
	if before != nil {
		return before
	}
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if closeErr := from.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Seconds is a duration as tables show it.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
