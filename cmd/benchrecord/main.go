// Command benchrecord measures what a WHIP server that records needs for a stream: it
// starts the server, publishes to it, and reads what the kernel says of its process. A
// receiver that throws everything away, and any other server, are measured beside it in
// turns, so that each figure is also a ratio of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const help = `usage: benchrecord [flags]

Measures a node that records, and others beside it, with more and more streams of 720p H264
at 2 Mbit/s and Opus, until frames are late or lost. Everything is on this machine.

`

// options are those of the command line.
type options struct {
	program string // live777
	config  string // of it, appended to what the benchmark needs
	receive string // a file for the address; this process is the reference receiver
	steps   []int  // streams
	rounds  int
	warm    time.Duration
	measure time.Duration
	peers   []peer
	out     string
}

// run is main with its surroundings passed in; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "benchrecord: %v\n", err)
		return 2
	case o.receive != "":
		err = receive(ctx, o.receive)
	default:
		err = bench(ctx, o, stdout)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(stderr, "benchrecord: %v\n", err)
		return 1
	}
	return 0
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{steps: []int{1, 10, 30, 60, 90, 120}}
	flags := flag.NewFlagSet("benchrecord", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, help)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.program, "program", "bin/live777", "the node's `program`")
	flags.StringVar(&o.config, "config", "", "`TOML` for the node's configuration, beside what the benchmark sets")
	flags.StringVar(&o.receive, "receive", "", "be the reference receiver, and write its URL to `file`")
	flags.IntVar(&o.rounds, "rounds", 3, "`times` that each server is measured with each number of streams, in turns; the table has medians")
	flags.DurationVar(&o.warm, "warm", 5*time.Second, "of publishing before anything is measured")
	flags.DurationVar(&o.measure, "for", 20*time.Second, "that is measured")
	flags.StringVar(&o.out, "out", "", "write the table to `file` too")
	flags.Func("streams", "`numbers` of streams, with commas between them (default 1,10,30,60,90,120)", func(text string) (err error) {
		o.steps, err = numbers(text)
		return err
	})
	flags.Func("peer", "`name=URL=command` of another server: {n} in the URL is the number of a stream, {dir} in the command a new folder", func(text string) error {
		p, err := parsePeer(text)
		o.peers = append(o.peers, p)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; benchrecord -help tells what there is", flags.Arg(0))
	}
	if o.rounds < 1 || o.measure < time.Second {
		return nil, errors.New("at least one round of a second is needed")
	}
	return o, nil
}

// numbers reads positive numbers with commas between them.
func numbers(text string) (all []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of streams", part)
		}
		all = append(all, n)
	}
	return all, nil
}

// parsePeer reads what the command line says of another server.
func parsePeer(text string) (peer, error) {
	parts := strings.SplitN(text, "=", 3)
	if len(parts) < 3 || parts[0] == "" || !strings.Contains(parts[1], "{n}") || strings.TrimSpace(parts[2]) == "" {
		return peer{}, errors.New("want name=URL=command, with {n} in the URL")
	}
	return peer{name: parts[0], url: parts[1], command: strings.Fields(parts[2])}, nil
}
