// Command interop publishes with the programs that people publish with, as many of
// them as there are, and tells what became of it in a table: seconds published,
// recorded, shown, and how far sound and picture are apart.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `usage: interop [flags]

Runs bin/live777, and bin/liveman where -through says so, and publishes to it with each client that is there. Programs are
looked for on this machine, in the folder of -unstable, and where variables say:
OBS, FFMPEG, GST_LAUNCH, CHROMIUM, FIREFOX.

`

// options are the command line.
type options struct {
	repository string
	unstable   string
	through    string
	clients    string
	seconds    int
	out        string
	keep       bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("interop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.repository, "repository", ".", "`folder` of this repository, built by make build")
	flags.StringVar(&o.unstable, "unstable", ".cache/interop/unstable", "`folder` with a Debian unstable, as scripts/unstable.sh makes it")
	flags.StringVar(&o.clients, "clients", "", "`names` of the clients to run, with commas between them; all where none is named")
	flags.StringVar(&o.through, "through", "", "a manager, bin/liveman, that clients publish to and watch: its signalling.mode, `relay or redirect`")
	flags.IntVar(&o.seconds, "seconds", 20, "to publish")
	flags.StringVar(&o.out, "out", "", "`file` with marks in it between which the table is put")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with the recordings")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "interop: unexpected argument %q; interop -help tells what there is\n", flags.Arg(0))
		return 2
	}
	if !slices.Contains([]string{"", "relay", "redirect"}, o.through) {
		fmt.Fprintf(stderr, "interop: -through is relay or redirect, not %q\n", o.through)
		return 2
	}
	if err := interop(ctx, &o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "interop: %v\n", err)
		return 1
	}
	return 0
}

// interop runs the clients one after the other: what they measure is time.
func interop(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	chosen, err := choose(o.clients)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	return tabulate(ctx, o, chosen, b.try, stdout, stderr)
}

// tabulate tries the clients and prints the table. When it is interrupted it prints
// the rows it has, without the client that was on its way, and leaves the file alone.
func tabulate(ctx context.Context, o *options, chosen []client, try func(context.Context, *client) row, stdout, stderr io.Writer) error {
	var rows []row
	for _, c := range chosen {
		fmt.Fprintf(stderr, "interop: %s\n", c.name)
		r := try(ctx, &c)
		if ctx.Err() != nil {
			fmt.Fprint(stdout, render(rows, o.seconds))
			return fmt.Errorf("interrupted at %s, after %d of %d clients: %w", c.name, len(rows), len(chosen), context.Cause(ctx))
		}
		rows = append(rows, r)
	}
	table := render(rows, o.seconds)
	fmt.Fprint(stdout, table)
	if o.out != "" {
		if err := replace(o.out, o.through, table); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if r.fault != "" {
			return errors.New("not everything is as it should be: see the table")
		}
	}
	return nil
}

// choose returns the clients of a list of names.
func choose(names string) ([]client, error) {
	if names == "" {
		return clients, nil
	}
	var chosen []client
	for rest := names; rest != ""; {
		best := -1 // the longest name: there are commas in names, too
		for i, c := range clients {
			after, ok := strings.CutPrefix(rest, c.name)
			if ok && (after == "" || after[0] == ',') && (best < 0 || len(c.name) > len(clients[best].name)) {
				best = i
			}
		}
		if best < 0 {
			var all []string
			for _, c := range clients {
				all = append(all, strconv.Quote(c.name))
			}
			return nil, fmt.Errorf("no client %q; there are: %s", rest, strings.Join(all, ", "))
		}
		chosen = append(chosen, clients[best])
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, clients[best].name), ",")
	}
	return chosen, nil
}

// marks returns the marks around a table in a document: that of clients of a node, or
// through a manager.
func marks(through string) (begin, end string) {
	name := strings.TrimSpace("interop: " + through)
	return "<!-- " + name + " begin -->\n", "<!-- " + name + " end -->"
}

// replace puts the table between the marks of a file.
func replace(file, through, table string) error {
	beginMark, endMark := marks(through)
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("update table: %w", err)
	}
	before, rest, found := strings.Cut(string(data), beginMark)
	_, after, closed := strings.Cut(rest, endMark)
	if !found || !closed {
		return fmt.Errorf("update table: %s has no lines %q and %q", file, strings.TrimSpace(beginMark), endMark)
	}
	text := before + beginMark + table + endMark + after
	temporary := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil { //nolint:gosec // a document that everybody may read
		return fmt.Errorf("update table: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("update table: %w", err)
	}
	return nil
}

// row is a line of the table.
type row struct {
	name, version     string
	published         time.Duration
	picture, sound    time.Duration // recorded
	shownPicture      float64       // seconds, by a player
	shownSound        float64
	filledPicture     float64 // seconds of the recording that stand for what was not sent
	filledSound       float64
	watched           time.Duration // published to a viewer
	seenPicture       float64       // seconds, by the viewer
	seenSound         float64
	offset, reference time.Duration // of the beeps after the flashes: recorded, and in the client's own recording
	hasOffset, hasOwn bool
	made              time.Duration // and as a page made them
	hasMade           bool
	periods           int
	verdict, remark   string
	absent            string // why the client was not run
	fault             string // what is not as it should be
	played            bool
}

// render makes the table.
func render(rows []row, seconds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d s each.\n\n", time.Now().UTC().Format("2006-01-02"), seconds)
	b.WriteString("| client | version | published | recorded: picture, sound | of that filled | Chromium shows | a viewer (WHEP) saw | beep after flash | as made | in its own recording | Periods | verdict |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	var missing []string
	for _, r := range rows {
		if r.absent != "" {
			missing = append(missing, fmt.Sprintf("- %s: %s", r.name, r.absent))
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f s | %.1f s, %.1f s | %s | %s | %s | %s | %s | %s | %d | %s |\n", r.name, r.version,
			r.published.Seconds(), r.picture.Seconds(), r.sound.Seconds(), r.filled(), r.shown(), r.seen(),
			millis(r.offset, r.hasOffset), millis(r.made, r.hasMade), millis(r.reference, r.hasOwn), r.periods, strings.Join(nonEmpty(r.verdict, r.remark, r.fault), "; "))
	}
	if len(missing) > 0 {
		b.WriteString("\nNot there when the table was made:\n\n" + strings.Join(missing, "\n") + "\n")
	}
	return b.String()
}

func (r *row) shown() string {
	if !r.played {
		return ""
	}
	return fmt.Sprintf("%.1f s, %.1f s", r.shownPicture, r.shownSound)
}

// addFault notes something else that is not as it should be.
func (r *row) addFault(fault string) { r.fault = strings.Join(nonEmpty(r.fault, fault), "; ") }

// filled says what of the recording was not sent at all: a busy browser makes less sound.
func (r *row) filled() string {
	if max(r.filledPicture, r.filledSound) < 0.05 {
		return ""
	}
	return fmt.Sprintf("%.1f s, %.1f s", r.filledPicture, r.filledSound)
}

func (r *row) seen() string {
	if r.watched == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f s, %.1f s of %.1f s", r.seenPicture, r.seenSound, r.watched.Seconds())
}

func millis(d time.Duration, ok bool) string {
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

func nonEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}
