// Command liveload publishes media files over WHIP, with faults on demand, and
// compares recordings with what it sent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: liveload [flags]           publish, print what was sent
       liveload compare [flags]   compare a recording with the log of what was sent

`

// errDiffers is the result of a comparison, not a failure of it.
var errDiffers = errors.New("the recording is not what was sent")

// run is main with its surroundings passed in; it returns the exit code: 1 for
// an error or a difference, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command, name := publish, "liveload"
	if len(args) > 0 && args[0] == "compare" {
		command, name, args = comparison, "liveload compare", args[1:]
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	do := command(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "liveload: unexpected argument %q; liveload -help tells what there is\n", flags.Arg(0))
		return 2
	}
	if err := do(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "liveload: %v\n", err)
		return 1
	}
	return 0
}
