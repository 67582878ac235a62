// Command live777 is a WebRTC live node that records what it carries.
package main

import (
	"context"
	"io"
	"log/slog"

	_ "golang.org/x/crypto/x509roots/fallback" // for machines and images without certificates of authorities

	"github.com/live777/recorder/internal/base/command"
	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/logging"
	"github.com/live777/recorder/internal/base/migrate"
	"github.com/live777/recorder/internal/base/tracing"
	"github.com/live777/recorder/internal/node"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

var program = command.Program{
	Name: "live777", Version: version,
	Summary: "a WebRTC live node that records what it carries",
	Commands: map[string]command.Command{
		"serve":   {Summary: "run the node", Declare: service().Serve},
		"rebuild": {Summary: "make the catalogue from what is in storage", Declare: rebuild},
		"verify": {
			Summary: "check the recordings, all or those in folders of the storage", Declare: verify, Operands: "[FOLDER...]",
		},
		"export": {
			Summary: "write a span of a stream as an MP4 file, from the storage", Declare: export, Operands: "STREAM FROM TO",
		},
		"webhook-test":  {Summary: "send an event to all webhooks and hooks, and tell what they answer", Declare: service().Judge(node.TestEvents)},
		"health":        {Summary: "ask the server of this configuration whether it answers", Declare: service().Health},
		"hash-password": command.HashPassword, "dev-cert": command.DevCert, "migrate-config": migrate.Command(migrate.Node),
	},
}

func main() { program.Main() }

// run is main with its surroundings passed in; it returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return program.Run(ctx, args, command.Surroundings{Environ: environ, Stdout: stdout, Stderr: stderr})
}

// service is the node as a command runs it.
func service() *command.Service[*config.Config] {
	return &command.Service[*config.Config]{
		Name: "live777", Version: version,
		Load: func(path string, explicit bool, s command.Surroundings) (*config.Config, *slog.Logger, error) {
			cfg, err := config.Load(path, explicit, s.Environ)
			if err != nil {
				return nil, nil, err
			}
			log, err := logging.New(s.Stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return nil, nil, err
			}
			if config.Exposed(path) {
				log.Warn("everybody on this machine can read the secrets of the configuration: chmod 640, or less", "file", path)
			}
			return cfg, log, nil
		},
		Trace: func(cfg *config.Config) tracing.Options {
			return tracing.Options{Endpoint: cfg.Tracing.Endpoint, Percent: cfg.Tracing.Percent, Node: cfg.Recorder.NodeAlias}
		},
		New: func(ctx context.Context, cfg *config.Config, version string, log *slog.Logger) (command.Server, error) {
			return node.New(ctx, cfg, node.Options{Version: version, Logger: log})
		},
	}
}
