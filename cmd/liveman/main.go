// Command liveman manages many live777 nodes: one catalogue of their recordings,
// and one address to play, start and stop them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/live777/recorder/internal/command"
	"github.com/live777/recorder/internal/config"
	"github.com/live777/recorder/internal/logging"
	"github.com/live777/recorder/internal/manager"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

var program = command.Program{
	Name: "liveman",
	Usage: `usage: liveman [serve] [flags]     run the manager
       liveman rebuild [flags]     make the catalogue from what is in storage, and from what nodes keep themselves
       liveman hash-password       print what goes into auth.users for a password on standard input

`,
	Commands: map[string]command.Command{
		"serve": {Declare: serve}, "rebuild": {Declare: rebuild}, "hash-password": command.HashPassword,
	},
}

func main() { program.Main() }

// run is main with its surroundings passed in; it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return program.Run(ctx, args, command.Surroundings{Environ: environ, Stdout: stdout, Stderr: stderr})
}

// configFlag declares -config.
func configFlag(flags *flag.FlagSet) (path *string) {
	return flags.String("config", "", "read `file`; without it liveman.toml of the working directory, if there is one")
}

// load reads the configuration and makes the logger that it asks for.
func load(path string, s command.Surroundings) (*config.Liveman, *slog.Logger, error) {
	explicit := path != ""
	if !explicit {
		path = "liveman.toml"
	}
	cfg, err := config.LoadLiveman(path, explicit, s.Environ)
	if err != nil {
		return nil, nil, err
	}
	log, err := logging.New(s.Stderr, cfg.Log.Level, cfg.Log.Format)
	return cfg, log, err
}

// serve declares the command that runs the manager.
func serve(flags *flag.FlagSet) command.Action {
	path := configFlag(flags)
	check := flags.Bool("check-config", false, "print the configuration in effect, or what is wrong with it, and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	return func(ctx context.Context, s command.Surroundings, _ []string) (int, error) {
		if err := serveManager(ctx, s, *path, *check, *showVersion); err != nil {
			return 1, err
		}
		return 0, nil
	}
}

func serveManager(ctx context.Context, s command.Surroundings, path string, check, showVersion bool) error {
	if showVersion {
		_, err := fmt.Fprintln(s.Stdout, "liveman", command.Version(version))
		return err
	}
	cfg, log, err := load(path, s)
	if err != nil {
		return err
	}
	if check {
		return cfg.Print(s.Stdout)
	}
	m, err := manager.New(ctx, cfg, manager.Options{Version: command.Version(version), Logger: log})
	if err != nil {
		return err
	}
	m.Welcome(s.Stdout)
	return m.Run(ctx)
}

// rebuild declares the command whose code is 1 where not everything could be
// restored.
func rebuild(flags *flag.FlagSet) command.Action {
	path := configFlag(flags)
	asJSON := flags.Bool("json", false, "print JSON, the summary last")
	return func(ctx context.Context, s command.Surroundings, _ []string) (int, error) {
		cfg, log, err := load(*path, s)
		if err != nil {
			return 1, err
		}
		ok, err := manager.Rebuild(ctx, cfg, manager.Command{JSON: *asJSON, Stdout: s.Stdout, Stderr: s.Stderr, Logger: log})
		if err != nil || !ok {
			return 1, err
		}
		return 0, nil
	}
}
