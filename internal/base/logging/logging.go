// Package logging makes the process's slog.Logger.
package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/live777/recorder/internal/media"
)

// New returns a logger that writes to w from level on ("debug", "info", "warn",
// "error") in format ("text", "json"). Of one message it writes a hundred lines at once
// and then five a second; an attribute left_out says how many were not written.
func New(w io.Writer, level, format string) (*slog.Logger, error) {
	l := new(slog.LevelVar)
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(limit(slog.NewTextHandler(w, o), time.Now, l)), nil
	case "json":
		return slog.New(limit(slog.NewJSONHandler(seen{w}, o), time.Now, l)), nil
	}
	return nil, fmt.Errorf("log format %q is neither text nor json", format)
}

// SetLevel changes from which level on a logger of New writes, and those that were made
// from it by With. Others are left as they are.
func SetLevel(log *slog.Logger, level string) error {
	h, ok := log.Handler().(limited)
	if !ok || h.level == nil {
		return nil
	}
	if err := h.level.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	return nil
}

// seen escapes in JSON the characters that change how what is around them is shown, or
// are not seen: who sends a request has a say in what is logged. It stays the same JSON.
// (The text handler quotes them.)
type seen struct{ w io.Writer }

// Write takes whole lines, as a slog.Handler writes them.
func (s seen) Write(line []byte) (int, error) {
	if i := bytes.IndexFunc(line, hidden); i < 0 {
		return s.w.Write(line)
	}
	var out []byte
	for _, r := range string(line) {
		if !hidden(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}

// hidden leaves out the line feed, which is between the lines.
func hidden(r rune) bool { return r != '\n' && media.IsHidden(r) }
