package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/live777/recorder/internal/testkit/load"
	"github.com/live777/recorder/internal/testkit/swarm"
)

const (
	clipSeconds = 10
	bitrate     = "2M"
)

// sample is what one server needed in one round.
type sample struct {
	cpu     float64 // ms for a second of a stream
	rss     float64 // MB for a stream, when it was measured
	mallocs float64 // for a packet
	writes  float64 // calls for a second of a stream
	written float64 // bytes for a byte of media
	stats   swarm.Stats
	fault   error // what is wrong with what was recorded
}

// lost reports whether the server, or this machine, was at its end.
func (s *sample) lost() bool {
	return s.stats.NACKs > 0 || s.stats.Late*1000 > s.stats.Frames || s.fault != nil
}

// row is a server with a number of streams.
type row struct {
	server  string
	streams int
	sample
}

// bench measures all servers with all numbers of streams, and writes the table.
func bench(ctx context.Context, o *options, stdout io.Writer) error {
	all, err := servers(o)
	if err != nil {
		return err
	}
	media, err := newMedia(ctx)
	if err != nil {
		return err
	}
	var rows []row
	over := map[string]bool{} // servers that were at their end
	for _, n := range o.steps {
		samples := make([][]sample, len(all))
		for round := range o.rounds {
			for i := range all {
				if over[all[i].name] {
					continue
				}
				s, err := measure(ctx, o, &all[i], media, n)
				if err != nil {
					return fmt.Errorf("measure %s with %d streams: %w", all[i].name, n, err)
				}
				fmt.Fprintf(os.Stderr, "%s, %d streams, round %d: %.2f ms of CPU for a second of a stream; %d frames late, %d packets lost\n",
					all[i].name, n, round+1, s.cpu, s.stats.Late, s.stats.NACKs)
				samples[i] = append(samples[i], s)
			}
		}
		for i, of := range samples {
			if len(of) > 0 {
				r := row{all[i].name, n, median(of)}
				over[r.server] = r.lost()
				rows = append(rows, r)
			}
		}
	}
	text := table(rows)
	if _, err := io.WriteString(stdout, text); err != nil || o.out == "" {
		return err
	}
	return os.WriteFile(o.out, []byte(text), 0o600)
}

// newMedia makes what is published: ten seconds of a moving, noisy picture.
func newMedia(ctx context.Context) (*swarm.Media, error) {
	dir, err := os.MkdirTemp("", "benchrecord")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "clip.h264")
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi",
		"-i", fmt.Sprintf("testsrc2=size=1280x720:rate=30,noise=alls=20:allf=t,trim=duration=%d", clipSeconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-b:v", bitrate, "-maxrate", bitrate, "-bufsize", "1M", "-x264-params", "keyint=60:min-keyint=60:scenecut=0:repeat-headers=1", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a clip with ffmpeg (Debian package ffmpeg): %w: %s", err, out)
	}
	video, err := load.Open(file)
	if err != nil {
		return nil, err
	}
	audio, err := load.Beep(ctx, clipSeconds)
	if err != nil {
		return nil, err
	}
	return swarm.NewMedia(video, audio), nil
}

// measure publishes to a server of its own and says what that needed.
func measure(ctx context.Context, o *options, of *server, media *swarm.Media, streams int) (s sample, err error) {
	p, url, err := of.launch(ctx)
	if p != nil {
		defer func() { err = errors.Join(err, p.close()) }()
	}
	if err != nil {
		return s, err
	}
	w, err := swarm.Connect(ctx, swarm.Options{URL: p.base + url, Streams: streams, Media: media})
	if err != nil {
		return s, err
	}
	if s, err = publish(ctx, o, of, p, w, streams); err != nil {
		return s, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return s, err
	}
	if of.check != nil {
		s.fault = of.check(ctx, p, streams)
	}
	return s, nil
}

// publish sends, and reads what the server needed for it once everything is under way.
func publish(ctx context.Context, o *options, of *server, p *process, w *swarm.Swarm, streams int) (s sample, err error) {
	if _, err := w.Run(ctx, o.warm); err != nil {
		return s, err
	}
	before, err := p.usage(ctx, of.tells)
	if err != nil {
		return s, err
	}
	if s.stats, err = w.Run(ctx, o.measure); err != nil {
		return s, err
	}
	after, err := p.usage(ctx, of.tells)
	if err != nil {
		return s, err
	}
	seconds := o.measure.Seconds() * float64(streams)
	s.cpu = float64((after.cpu - before.cpu).Microseconds()) / 1000 / seconds
	s.rss = float64(after.rss) / 1e6 / float64(streams)
	s.mallocs = (after.mallocs - before.mallocs) / float64(s.stats.Packets)
	s.writes = float64(after.writes-before.writes) / seconds
	s.written = float64(after.written-before.written) / float64(s.stats.Bytes)
	return s, nil
}

// median takes each figure's median, and the worst of what went wrong.
func median(samples []sample) sample {
	of := func(get func(*sample) float64) float64 {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = get(&samples[i])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m := sample{
		cpu: of(func(s *sample) float64 { return s.cpu }), rss: of(func(s *sample) float64 { return s.rss }),
		mallocs: of(func(s *sample) float64 { return s.mallocs }), writes: of(func(s *sample) float64 { return s.writes }),
		written: of(func(s *sample) float64 { return s.written }),
	}
	for i := range samples {
		m.stats.Frames += samples[i].stats.Frames
		m.stats.Late += samples[i].stats.Late
		m.stats.NACKs += samples[i].stats.NACKs
		m.fault = cmp.Or(m.fault, samples[i].fault)
	}
	return m
}

// table is what the benchmark found, as Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| streams | server | CPU, ms per stream-second | ours / it | streams per core | RSS, MB per stream | allocations per packet | " +
		"writes per stream-second | written per byte of media | late frames | lost packets | recordings |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range rows {
		r := &rows[i]
		ours := ""
		for j := range rows {
			if o := &rows[j]; o.streams == r.streams && o.server == rows[0].server && i != j {
				ours = fmt.Sprintf("%.2f", o.cpu/r.cpu)
			}
		}
		mallocs, recordings := "", ""
		if r.server == rows[0].server {
			mallocs, recordings = fmt.Sprintf("%.2f", r.mallocs), "complete"
		}
		if r.fault != nil {
			recordings = r.fault.Error()
		}
		fmt.Fprintf(&b, "| %d | %s | %.1f | %s | %.0f | %.2f | %s | %.1f | %.2f | %d | %d | %s |\n", r.streams, r.server, r.cpu, ours,
			1000/r.cpu, r.rss, mallocs, r.writes, r.written, r.stats.Late, r.stats.NACKs, recordings)
	}
	return b.String()
}
