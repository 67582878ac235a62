package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxBurst is how many lines of one message are written at once, and linesPerSecond
	// how many go on to be: clients can make most of them come as often as they like.
	maxBurst       = 100
	linesPerSecond = 5
	// maxMessages bounds the messages that are told apart; they are written in the code,
	// and are fewer.
	maxMessages = 1000
)

// leftOutKey is the attribute that says how many lines of the same message were left
// out before a line.
const leftOutKey = "left_out"

// limited is a slog.Handler that writes no more than so many lines of one message.
// Those that are left out are counted in the next one that is not. It is safe for
// concurrent use if the handler behind it is.
type limited struct {
	slog.Handler
	*limits
}

type limits struct {
	now   func() time.Time
	level *slog.LevelVar // of the handler

	mu       sync.Mutex
	messages map[string]*bucket
}

// bucket has the lines of one message that may be written.
type bucket struct {
	lines   float64
	at      time.Time
	leftOut int
}

func limit(h slog.Handler, now func() time.Time, level *slog.LevelVar) slog.Handler {
	return limited{h, &limits{now: now, level: level, messages: map[string]*bucket{}}}
}

func (l *limits) take(message string) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.messages[message]
	if b == nil {
		if len(l.messages) >= maxMessages {
			clear(l.messages)
		}
		b = &bucket{lines: maxBurst, at: now}
		l.messages[message] = b
	}
	b.lines = min(maxBurst, b.lines+max(0, now.Sub(b.at).Seconds())*linesPerSecond)
	b.at = now
	if b.lines < 1 {
		b.leftOut++
		return 0, false
	}
	b.lines--
	leftOut, b.leftOut = b.leftOut, 0
	return leftOut, true
}

// Handle implements slog.Handler.
func (l limited) Handle(ctx context.Context, r slog.Record) error {
	leftOut, ok := l.take(r.Message)
	if !ok {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int(leftOutKey, leftOut))
	}
	if err := l.Handler.Handle(ctx, r); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{l.Handler.WithAttrs(attrs), l.limits}
}

// WithGroup implements slog.Handler.
func (l limited) WithGroup(name string) slog.Handler {
	return limited{l.Handler.WithGroup(name), l.limits}
}
