// Package command runs a program with commands: the line that named them, their
// flags, signals and exit codes.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/live777/recorder/internal/base/auth"
)

// Default is the command that a line without one means.
const Default = "serve"

// Program is what can be run. Its Commands have one of the name Default.
type Program struct {
	Name     string
	Summary  string // what it is, in a line
	Version  string // of a release build
	Commands map[string]Command
}

// Command is one thing that a program can do.
type Command struct {
	// Declare declares the command's flags and returns what to do with them.
	Declare func(*flag.FlagSet) Action
	Summary string // what it does, in a line
	// Operands says what may stand behind the flags; empty: nothing.
	Operands string
}

// Action does what a command is for; the code is that of the process. An error is
// told to the user.
type Action func(ctx context.Context, s Surroundings, args []string) (code int, err error)

// Surroundings are what a process is given.
type Surroundings struct {
	Environ        []string
	Stdout, Stderr io.Writer
}

// Main runs the program in the process's surroundings and ends it. The context of
// its commands ends with the first signal that would end the process.
func (p *Program) Main() {
	ctx := endBySignal(os.Stderr)
	os.Exit(p.Run(ctx, os.Args[1:], Surroundings{os.Environ(), os.Stdout, os.Stderr}))
}

// Run runs the command that args name, without the program's own name, and returns
// the exit code: 2 for a wrong command line.
func (p *Program) Run(ctx context.Context, args []string, s Surroundings) int {
	name := Default
	if len(args) > 0 && builtin[args[0]] != nil {
		return p.runBuiltin(args[0], args[1:], s)
	}
	if len(args) > 0 && p.Commands[args[0]].Declare != nil {
		name, args = args[0], args[1:]
	}
	command := p.Commands[name]
	flags, do := p.flags(name)
	flags.SetOutput(s.Stderr)
	flags.Usage = func() {
		p.usage(s.Stderr)
		_, _ = fmt.Fprintf(s.Stderr, "flags of %s %s:\n", p.Name, name)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 && command.Operands == "":
		p.complain(s.Stderr, fmt.Errorf("unexpected argument %q; %s -help tells what there is", flags.Arg(0), p.Name))
		return 2
	}
	code, err := do(ctx, s, flags.Args())
	if err != nil {
		p.complain(s.Stderr, err)
	}
	return code
}

// complain writes err for a person. Where that fails, nobody is left to tell.
func (p *Program) complain(stderr io.Writer, err error) {
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
}

// HashPassword is the command that prints the hash of a password.
var HashPassword = Command{Summary: "print what goes into auth.users for a password on standard input", Declare: func(*flag.FlagSet) Action {
	return func(_ context.Context, s Surroundings, _ []string) (int, error) {
		if err := auth.HashCommand(os.Stdin, s.Stdout, s.Stderr); err != nil {
			return 1, err
		}
		return 0, nil
	}
}}

// Version returns release, which is a release build's version, or else what the
// toolchain noted.
func Version(release string) string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
