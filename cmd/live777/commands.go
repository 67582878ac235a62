package main

import (
	"context"
	"flag"

	"github.com/live777/recorder/internal/base/command"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/node"
)

// rebuild declares the command whose code is 1 where not everything could be
// restored.
func rebuild(flags *flag.FlagSet) command.Action {
	var c node.Command
	flags.BoolVar(&c.Index, "index", false, "make the sample indexes of recordings that lack them, too: this reads their media")
	flags.BoolVar(&c.Fill, "fill", false, "store silence, or the picture before, for segments that the storage has lost, and note their time as filled, so that players play on")
	flags.StringVar(&c.Originals, "originals", "", "`FILE` that tells the streams of recordings that an original live777 made: index.json of a node, or stream and mpd_path from its liveman's database, as JSON")
	return maintenance(flags, &c, node.Rebuild, 1)
}

// verify declares the command whose code is 1 where something is wrong, and 2
// where not everything could be checked.
func verify(flags *flag.FlagSet) command.Action {
	var c node.Command
	flags.IntVar(&c.Sample, "sample", 1, "read one recording in `N`, and compare the sizes of the others with what recording.json says")
	flags.BoolVar(&c.Decode, "decode", false, "decode everything, with ffmpeg: this takes time")
	return maintenance(flags, &c, node.Verify, 2)
}

// maintenance declares a command on storage and catalogue; c has what its own flags
// say. failed is its code for an error; for a result that is not good it is 1.
func maintenance(flags *flag.FlagSet, c *node.Command, do func(context.Context, *config.Config, node.Command) (bool, error), failed int) command.Action {
	load := service().Configured(flags)
	flags.BoolVar(&c.JSON, "json", false, "print JSON, the summary last")
	return func(ctx context.Context, s command.Surroundings, args []string) (int, error) {
		cfg, log, err := load(s)
		if err != nil {
			return failed, err
		}
		c.Prefixes, c.Stdout, c.Stderr, c.Logger = args, s.Stdout, s.Stderr, log
		ok, err := do(ctx, cfg, *c)
		switch {
		case err != nil:
			return failed, err
		case !ok:
			return 1, nil
		}
		return 0, nil
	}
}
