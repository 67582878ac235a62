// Command live777 is a WebRTC live node that records what it carries.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/live777/recorder/internal/command"
	"github.com/live777/recorder/internal/node"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

var program = command.Program{
	Name: "live777",
	Usage: `usage: live777 [serve] [flags]             run the node
       live777 rebuild [flags]             make the catalogue from what is in storage
       live777 verify [flags] [FOLDER...]  check the recordings, all or those in folders of the storage
       live777 hash-password               print what goes into auth.users for a password on standard input

`,
	Commands: map[string]command.Command{
		"serve": {Declare: serve}, "rebuild": {Declare: rebuild}, "verify": {Declare: verify, Arguments: true},
		"hash-password": command.HashPassword,
	},
}

func main() { program.Main() }

// run is main with its surroundings passed in; it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return program.Run(ctx, args, command.Surroundings{Environ: environ, Stdout: stdout, Stderr: stderr})
}

// serve declares the command that runs the node.
func serve(flags *flag.FlagSet) command.Action {
	path := configFlag(flags)
	check := flags.Bool("check-config", false, "print the configuration in effect, or what is wrong with it, and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	return func(ctx context.Context, s command.Surroundings, _ []string) (int, error) {
		if err := serveNode(ctx, s, *path, *check, *showVersion); err != nil {
			return 1, err
		}
		return 0, nil
	}
}

func serveNode(ctx context.Context, s command.Surroundings, path string, check, showVersion bool) error {
	if showVersion {
		_, err := fmt.Fprintln(s.Stdout, "live777", command.Version(version))
		return err
	}
	cfg, log, err := load(path, s)
	if err != nil {
		return err
	}
	if check {
		return cfg.Print(s.Stdout)
	}
	n, err := node.New(ctx, cfg, node.Options{Version: command.Version(version), Logger: log})
	if err != nil {
		return err
	}
	n.Welcome(s.Stdout)
	return n.Run(ctx)
}
