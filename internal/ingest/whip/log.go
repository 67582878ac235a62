package whip

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
)

// pionLogs passes the WebRTC stack's messages to slog at debug level, because what a
// remote peer can provoke must not fill the log. The sessions log what matters to the
// node.
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

// sparse lets one line a second of its kind into the log: a client can cause them.
type sparse struct{ last atomic.Int64 }

// level is info for the first line in a second, then debug.
func (s *sparse) level() slog.Level {
	now := time.Now().Unix()
	if s.last.Swap(now) == now {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// countingLogger tells what is logged at info level and above to count as well.
type countingLogger struct {
	logging.LeveledLogger
	count func(msg string)
}

func (l countingLogger) Info(msg string)           { l.count(msg); l.LeveledLogger.Info(msg) }
func (l countingLogger) Infof(f string, a ...any)  { l.Info(fmt.Sprintf(f, a...)) }
func (l countingLogger) Warn(msg string)           { l.count(msg); l.LeveledLogger.Warn(msg) }
func (l countingLogger) Warnf(f string, a ...any)  { l.Warn(fmt.Sprintf(f, a...)) }
func (l countingLogger) Error(msg string)          { l.count(msg); l.LeveledLogger.Error(msg) }
func (l countingLogger) Errorf(f string, a ...any) { l.Error(fmt.Sprintf(f, a...)) }
