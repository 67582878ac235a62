package command

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/live777/recorder/internal/base/tracing"
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
	// Trace says where the server's traces go. nil: nowhere.
	Trace func(cfg C) tracing.Options
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

// Judge declares a command that looks at something by the configuration. Its code is 1
// where do says that it is not good, and 2 for an error.
func (v *Service[C]) Judge(do func(ctx context.Context, cfg C, stdout io.Writer) (good bool, err error)) func(*flag.FlagSet) Action {
	return func(flags *flag.FlagSet) Action {
		load := v.Configured(flags)
		return func(ctx context.Context, s Surroundings, _ []string) (int, error) {
			cfg, _, err := load(s)
			if err != nil {
				return 2, err
			}
			switch good, err := do(ctx, cfg, s.Stdout); {
			case err != nil:
				return 2, err
			case !good:
				return 1, nil
			}
			return 0, nil
		}
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
	var running atomic.Pointer[Server]
	stop := outlive(func() { v.reload(s, load, running.Load(), log) })
	defer stop()
	traces, err := v.trace(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer traces.Close(context.WithoutCancel(ctx))
	server, err := v.New(ctx, cfg, Version(v.Version), log)
	if err != nil {
		return err
	}
	running.Store(&server)
	server.Welcome(s.Stdout)
	return attended(ctx, findSupervisor(s.Environ, log), server)
}

// trace starts the traces of the server.
func (v *Service[C]) trace(ctx context.Context, cfg C, log *slog.Logger) (*tracing.Tracing, error) {
	if v.Trace == nil {
		return nil, nil //nolint:nilnil // nil is no tracing
	}
	o := v.Trace(cfg)
	o.Service, o.Version, o.Logger = v.Name, Version(v.Version), log
	return tracing.Start(ctx, o)
}

// Reloader is a Server that can take over changes of its configuration.
type Reloader[C Config] interface {
	// Reload takes over all changes or none, and returns the keys. An error says for
	// which of them a restart is needed.
	Reload(next C) (changed []string, err error)
}

// reload reads the configuration again; one that cannot be used leaves everything as it is.
func (v *Service[C]) reload(s Surroundings, load func(Surroundings) (C, *slog.Logger, error), running *Server, log *slog.Logger) {
	if running == nil {
		log.Info("SIGHUP changes nothing: the server has just begun to start")
		return
	}
	r, ok := (*running).(Reloader[C])
	if !ok {
		log.Info("SIGHUP changes nothing: to read the configuration again, restart")
		return
	}
	next, _, err := load(s)
	var changed []string
	if err == nil {
		changed, err = r.Reload(next)
	}
	if err != nil {
		log.Error("SIGHUP: the configuration was not taken over", "error", err)
		return
	}
	log.Info("SIGHUP: the configuration was read again", "changed", changed)
}
