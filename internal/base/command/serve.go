package command

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
)

// Server is what the command of Serve runs.
type Server interface {
	// Welcome says where it listens and how it is used.
	Welcome(w io.Writer)
	// Run serves until ctx ends.
	Run(ctx context.Context) error
}

// Config is a server's configuration, which can be shown.
type Config interface{ Print(w io.Writer) error }

// Service is a server before it runs.
type Service[C Config] struct {
	Name    string // of the program, and without ".toml" of its file in the working directory
	Version string // of a release build
	// Load reads a configuration, which has to be there if explicit, and makes the
	// logger that it asks for.
	Load func(path string, explicit bool, s Surroundings) (C, *slog.Logger, error)
	New  func(ctx context.Context, cfg C, version string, log *slog.Logger) (Server, error)
}

// Configured declares -config and returns what reads that file.
func (v *Service[C]) Configured(flags *flag.FlagSet) (load func(Surroundings) (C, *slog.Logger, error)) {
	path := flags.String("config", "", "read `file`; without it "+v.Name+".toml of the working directory, if there is one")
	return func(s Surroundings) (C, *slog.Logger, error) {
		if *path == "" {
			return v.Load(v.Name+".toml", false, s)
		}
		return v.Load(*path, true, s)
	}
}

// Serve declares the command that runs the server.
func (v *Service[C]) Serve(flags *flag.FlagSet) Action {
	load := v.Configured(flags)
	check := flags.Bool("check-config", false, "print the configuration in effect, or what is wrong with it, and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	return func(ctx context.Context, s Surroundings, _ []string) (int, error) {
		var err error
		if *showVersion {
			_, err = fmt.Fprintln(s.Stdout, v.Name, Version(v.Version))
		} else {
			err = v.serve(ctx, s, load, *check)
		}
		if err != nil {
			return 1, err
		}
		return 0, nil
	}
}

func (v *Service[C]) serve(ctx context.Context, s Surroundings, load func(Surroundings) (C, *slog.Logger, error), check bool) error {
	cfg, log, err := load(s)
	if err != nil {
		return err
	}
	if check {
		return cfg.Print(s.Stdout)
	}
	stop := outlive(log)
	defer stop()
	server, err := v.New(ctx, cfg, Version(v.Version), log)
	if err != nil {
		return err
	}
	server.Welcome(s.Stdout)
	return attended(ctx, findSupervisor(s.Environ, log), server)
}
