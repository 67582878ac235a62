package main

import (
	"context"
	"errors"
	"flag"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/live777/recorder/internal/base/command"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/node"
)

// export declares the command that writes a span of a stream as a file. Its code is 1 where
// the file lacks something, and 2 where there is none.
func export(flags *flag.FlagSet) command.Action {
	load := service().Configured(flags)
	var c node.Command
	c.Query = url.Values{}
	flags.StringVar(&c.Output, "o", "", "write this `FILE`, or into this folder; \"-\" writes to standard output. A name that ends with .webm makes a WebM file, which VP8 needs. Without a file name the file is named by stream and time, and is MP4, or WebM if the picture is VP8")
	query := func(name, usage string) {
		flags.Func(name, usage, func(v string) error { c.Query.Set(name, v); return nil })
	}
	query("tracks", "write only the `audio`, as .m4a, or the video")
	query("height", "write the layer of a simulcast with so many `LINES`")
	query("tz", "the time `ZONE` of times without one, \"Europe/Berlin\", and of the clock time in the file's name; by default that of this machine")
	split := flags.Bool("split", false, "write several files where one cannot be, because the codec changes")
	return func(ctx context.Context, s command.Surroundings, args []string) (int, error) {
		args, err := mixed(flags, args)
		if err != nil {
			return 2, err
		}
		if len(args) != 3 {
			return 2, errors.New("export wants a stream, from when and to when: export camera 2026-11-30T14:30 +5m -o clip.mp4")
		}
		c.Query.Set("split", strconv.FormatBool(*split))
		zone := time.Local
		if name := c.Query.Get("tz"); name != "" {
			if zone, err = time.LoadLocation(name); err != nil {
				return 2, err
			}
		} else {
			c.Query.Set("tz", zone.String())
		}
		c.Stream = args[0]
		if c.Span, err = media.ParseTimeSpan(args[1], args[2], time.Now(), zone); err != nil {
			return 2, err
		}
		cfg, log, err := load(s)
		if err != nil {
			return 2, err
		}
		c.Stdout, c.Stderr, c.Logger = s.Stdout, s.Stderr, log
		switch ok, err := node.Export(ctx, cfg, c); {
		case err != nil:
			return 2, err
		case !ok:
			return 1, nil
		}
		return 0, nil
	}
}

// mixed parses flags that stand between and behind arguments, and returns the arguments. A
// minus with a number behind it is a time.
func mixed(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		if a := args[0]; !strings.HasPrefix(a, "-") || len(a) < 2 || a[1] >= '0' && a[1] <= '9' {
			rest, args = append(rest, a), args[1:]
			continue
		}
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		args = flags.Args()
	}
	return rest, nil
}
