package whip

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// pionLogs gives the WebRTC stack's messages to slog at debug level: what a
// remote peer can provoke must not fill the log, and what matters to the node
// is logged by the sessions.
type pionLogs struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (f pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLogger{f.log.With("scope", scope)}
}

type pionLogger struct{ log *slog.Logger }

func (l pionLogger) write(msg string) { l.log.Debug("WebRTC stack", "message", msg) }

func (l pionLogger) writef(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.write(fmt.Sprintf(format, args...))
	}
}

func (l pionLogger) Trace(string)              {}
func (l pionLogger) Tracef(string, ...any)     {}
func (l pionLogger) Debug(string)              {}
func (l pionLogger) Debugf(string, ...any)     {}
func (l pionLogger) Info(msg string)           { l.write(msg) }
func (l pionLogger) Infof(f string, a ...any)  { l.writef(f, a...) }
func (l pionLogger) Warn(msg string)           { l.write(msg) }
func (l pionLogger) Warnf(f string, a ...any)  { l.writef(f, a...) }
func (l pionLogger) Error(msg string)          { l.write(msg) }
func (l pionLogger) Errorf(f string, a ...any) { l.writef(f, a...) }
