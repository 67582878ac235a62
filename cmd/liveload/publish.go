package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/live777/recorder/internal/testkit/load"
)

// action is what a command does once its flags are parsed.
type action func(ctx context.Context, stdout, stderr io.Writer) error

// publisher is the command without a name.
type publisher struct {
	o            load.Options
	flags        *flag.FlagSet
	profile      string
	imitate      *load.Profile // nil: none
	video, audio string
	log          string
	publishers   int
	verbose      bool
}

// publish declares the flags of the publishing command.
func publish(flags *flag.FlagSet) action {
	p := &publisher{flags: flags}
	flags.StringVar(&p.profile, "profile", "", "imitate a `kind` of publisher, with media of its own where no files are named; list: which there are")
	flags.StringVar(&p.o.URL, "url", "", "WHIP `endpoint`: http://127.0.0.1:7777/whip/camera")
	flags.StringVar(&p.o.Token, "token", "", "bearer `token`")
	flags.StringVar(&p.video, "video", "", "H264 byte stream or IVF `file`; several, with commas between them, are played one after the other")
	flags.StringVar(&p.audio, "audio", "", "Ogg Opus `file`, also of several channels")
	flags.StringVar(&p.log, "log", "", "write what was sent to `file`, as lines of JSON; with several publishers file.1, file.2 ...")
	flags.IntVar(&p.publishers, "publishers", 1, "`number` of publishers at once; with several their number is appended to the endpoint")
	flags.BoolVar(&p.verbose, "v", false, "log what happens")
	sendFlags(flags, &p.o)
	faultFlags(flags, &p.o)
	return p.run
}

// sendFlags declares what is sent and how fast.
func sendFlags(flags *flag.FlagSet, o *load.Options) {
	flags.DurationVar(&o.Duration, "duration", 0, "of media to send; 0: until interrupted")
	flags.IntVar(&o.Units, "units", 0, "access units to send; 0: no limit")
	flags.Float64Var(&o.Pace, "pace", 1, "media seconds per second")
	flags.IntVar(&o.MTU, "mtu", 1200, "largest RTP packet in `bytes`")
	flags.Func("video-seq", "first sequence `number` of the video", number(&o.VideoSeq, 16))
	flags.Func("audio-seq", "first sequence `number` of the audio", number(&o.AudioSeq, 16))
	flags.Func("video-timestamp", "first RTP `timestamp` of the video", number(&o.VideoTimestamp, 32))
	flags.Func("audio-timestamp", "first RTP `timestamp` of the audio", number(&o.AudioTimestamp, 32))
	flags.BoolVar(&o.SenderReports, "reports", true, "send RTCP sender reports")
	flags.DurationVar(&o.ReportDelay, "report-delay", 200*time.Millisecond, "from the first unit to the first report")
	flags.DurationVar(&o.ReportInterval, "report-interval", time.Second, "between reports")
	flags.BoolVar(&o.KeyFrameOnPLI, "key-frame-on-pli", true, "skip to the next key frame of the file when one is asked for")
	flags.DurationVar(&o.Drain, "drain", 300*time.Millisecond, "wait between the last packet and the end")
	flags.BoolVar(&o.NoDelete, "no-delete", false, "leave without the WHIP DELETE")
	flags.BoolVar(&o.NoUnits, "no-units", false, "keep counters only, for long runs: nothing can be compared")
}

// faultFlags declares what goes wrong.
func faultFlags(flags *flag.FlagSet, o *load.Options) {
	flags.Float64Var(&o.Loss, "loss", 0, "`probability` that a packet is dropped")
	flags.IntVar(&o.LossBurst, "loss-burst", 1, "packets that are lost in a row")
	flags.BoolVar(&o.LossNoRTX, "loss-no-rtx", false, "lost packets are not sent again")
	flags.Float64Var(&o.Reorder, "reorder", 0, "`probability` that a packet is late")
	flags.DurationVar(&o.ReorderBy, "reorder-by", 30*time.Millisecond, "how late")
	flags.Float64Var(&o.Duplicate, "duplicate", 0, "`probability` that a packet is sent twice")
	flags.DurationVar(&o.Jitter, "jitter", 0, "largest random delay")
	flags.DurationVar(&o.VideoDelay, "video-delay", 0, "of all that the video track sends")
	flags.DurationVar(&o.AudioDelay, "audio-delay", 0, "of all that the audio track sends")
	flags.DurationVar(&o.LayerDelay, "layer-delay", 0, "of each simulcast layer against the one before")
	flags.DurationVar(&o.StallAt, "stall-at", 0, "media time from which nothing leaves")
	flags.DurationVar(&o.StallFor, "stall-for", 0, "how long; then everything leaves at once")
	flags.DurationVar(&o.PauseAt, "pause-at", 0, "media time from which nothing is captured")
	flags.DurationVar(&o.PauseFor, "pause-for", 0, "how long")
	flags.DurationVar(&o.JumpAt, "jump-at", 0, "media time at which the RTP timestamps jump")
	flags.DurationVar(&o.JumpBy, "jump-by", 0, "how far, forward or back")
	flags.Float64Var(&o.AudioSkew, "audio-skew", 0, "parts per million by which the audio's RTP clock is fast")
	flags.DurationVar(&o.ClockOffset, "clock-offset", 0, "error of the clock in the reports")
	flags.DurationVar(&o.LieAt, "lie-at", 0, "media time of the one report that is false")
	flags.DurationVar(&o.LieBy, "lie-by", 0, "how far it is ahead")
	flags.BoolVar(&o.NoReportNTP, "no-report-ntp", false, "reports carry no clock")
	flags.Uint64Var(&o.Seed, "seed", 0, "of all random decisions")
}

// number parses an unsigned integer of some bits into v.
func number[T uint16 | uint32](v *T, bits int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 0, bits)
		*v = T(n)
		return err
	}
}

func (p *publisher) run(ctx context.Context, stdout, stderr io.Writer) error {
	level := slog.LevelWarn
	if p.verbose {
		level = slog.LevelDebug
	}
	p.o.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if p.profile == "list" {
		for _, profile := range load.Profiles {
			fmt.Fprintf(stdout, "%-22s %s\n", profile.Name, profile.What)
		}
		return nil
	}
	if err := errors.Join(p.open(), p.apply(ctx)); err != nil {
		return err
	}
	if p.publishers < 1 {
		return fmt.Errorf("%d publishers: at least one is needed", p.publishers)
	}
	errs := make([]error, p.publishers)
	var all sync.WaitGroup
	var printing sync.Mutex
	for i := range p.publishers {
		all.Go(func() {
			summary, err := p.one(ctx, i+1)
			errs[i] = err
			printing.Lock()
			defer printing.Unlock()
			fmt.Fprint(stdout, summary)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// open reads the media files.
func (p *publisher) open() (err error) {
	if p.video != "" {
		var parts []*load.Source
		for name := range strings.SplitSeq(p.video, ",") {
			part, err := load.Open(name)
			if err != nil {
				return err
			}
			parts = append(parts, part)
		}
		if p.o.Video, err = load.Join(parts...); err != nil {
			return err
		}
	}
	if p.audio != "" {
		p.o.Audio, err = load.Open(p.audio)
	}
	return err
}

// apply makes the options those of the profile. Flags on the command line have
// the last word.
func (p *publisher) apply(ctx context.Context) (err error) {
	if p.profile == "" {
		p.imitate = &load.Profile{}
		return nil
	}
	if p.imitate, err = load.FindProfile(p.profile); err != nil {
		return err
	}
	given := map[string]string{}
	p.flags.Visit(func(f *flag.Flag) {
		if value := f.Value.String(); value != "" { // what has no value to show is set by no profile
			given[f.Name] = value
		}
	})
	if err := p.imitate.Apply(ctx, &p.o); err != nil {
		return err
	}
	for name, value := range given {
		err = errors.Join(err, p.flags.Set(name, value))
	}
	return err
}

// one runs publisher number n and returns what to tell of it.
func (p *publisher) one(ctx context.Context, n int) (summary string, err error) {
	o, file := p.o, p.log
	o.Seed += uint64(n - 1)
	if p.publishers > 1 {
		o.URL += strconv.Itoa(n)
		file += "." + strconv.Itoa(n)
	}
	logs, err := p.imitate.Publish(ctx, o)
	for i, log := range logs {
		name := file
		if len(logs) > 1 {
			name += ".life" + strconv.Itoa(i+1)
		}
		if p.log != "" {
			err = errors.Join(err, export(log, name))
		}
		summary += describe(log)
	}
	return summary, err
}

// export writes a log to a file.
func export(log *load.Log, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	return errors.Join(log.Export(f), f.Close())
}

// describe tells what was sent.
func describe(log *load.Log) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %.1f s\n", log.URL, max(log.Ended.Sub(log.Started), 0).Seconds())
	for _, t := range log.All() {
		fmt.Fprintf(&b, "  %s %s: %d units in %d packets, %d bytes; %d dropped, %d late, %d twice; %d reports; asked for %d packets again and %d key frames\n",
			t.Kind, t.Codec, t.UnitCount, t.Packets, t.Bytes, len(t.Dropped), t.Reordered, t.Duplicated, t.Reports, t.NACKs, len(t.PLIs))
	}
	return b.String()
}
