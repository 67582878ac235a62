// Command liveman manages many live777 nodes: one catalogue of their recordings,
// and one address to play, start and stop them.
package main

import (
	"context"
	"flag"
	"io"
	"log/slog"

	_ "golang.org/x/crypto/x509roots/fallback" // for machines and images without certificates of authorities

	"github.com/live777/recorder/internal/base/command"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
	"github.com/live777/recorder/internal/base/migrate"
	"github.com/live777/recorder/internal/base/tracing"
	"github.com/live777/recorder/internal/manager"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

var program = command.Program{
	Name: "liveman", Version: version,
	Summary: "a manager of many live777 nodes: one catalogue of their recordings, and one address to play, start and stop them",
	Commands: map[string]command.Command{
		"serve":         {Summary: "run the manager", Declare: service().Serve},
		"rebuild":       {Summary: "make the catalogue from what is in storage, and from what nodes keep themselves", Declare: rebuild},
		"webhook-test":  {Summary: "send an event to all webhooks and hooks, and tell what they answer", Declare: service().Judge(manager.TestEvents)},
		"health":        {Summary: "ask the server of this configuration whether it answers", Declare: service().Health},
		"hash-password": command.HashPassword, "dev-cert": command.DevCert, "migrate-config": migrate.Command(migrate.Manager),
	},
}

func main() { program.Main() }

// run is main with its surroundings passed in; it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return program.Run(ctx, args, command.Surroundings{Environ: environ, Stdout: stdout, Stderr: stderr})
}

// service is the manager as a command runs it.
func service() *command.Service[*config.Liveman] {
	return &command.Service[*config.Liveman]{
		Name: "liveman", Version: version,
		Load: func(path string, explicit bool, s command.Surroundings) (*config.Liveman, *slog.Logger, error) {
			cfg, err := config.LoadLiveman(path, explicit, s.Environ)
			if err != nil {
				return nil, nil, err
			}
			log, err := logging.New(s.Stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return nil, nil, err
			}
			if config.ExposedLiveman(path) {
				log.Warn("everybody on this machine can read the secrets of the configuration: chmod 640, or less", "file", path)
			}
			return cfg, log, nil
		},
		Trace: func(cfg *config.Liveman) tracing.Options {
			return tracing.Options{Endpoint: cfg.Tracing.Endpoint, Percent: cfg.Tracing.Percent}
		},
		New: func(ctx context.Context, cfg *config.Liveman, version string, log *slog.Logger) (command.Server, error) {
			return manager.New(ctx, cfg, manager.Options{Version: version, Logger: log})
		},
	}
}

// rebuild declares the command whose code is 1 where not everything could be
// restored.
func rebuild(flags *flag.FlagSet) command.Action {
	load := service().Configured(flags)
	var c manager.Command
	flags.BoolVar(&c.JSON, "json", false, "print JSON, the summary last")
	flags.BoolVar(&c.Index, "index", false, "make the sample indexes of recordings in shared storage that lack them, too: this reads their media")
	flags.BoolVar(&c.Fill, "fill", false, "store silence, or the picture before, for segments that shared storage has lost, and note their time as filled, so that players play on")
	flags.StringVar(&c.Originals, "originals", "", "`FILE` that tells the streams of recordings that an original live777 made into shared storage: index.json of a node, or stream and mpd_path from its liveman's database, as JSON")
	return func(ctx context.Context, s command.Surroundings, _ []string) (int, error) {
		cfg, log, err := load(s)
		if err != nil {
			return 1, err
		}
		c.Stdout, c.Stderr, c.Logger = s.Stdout, s.Stderr, log
		ok, err := manager.Rebuild(ctx, cfg, c)
		if err != nil || !ok {
			return 1, err
		}
		return 0, nil
	}
}
