package logging

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A message that comes all the time is written now and then, with how many were left
// out; others are written as if it were not there.
func TestLimit(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	l := slog.New(limit(slog.NewTextHandler(&b, nil), func() time.Time { return now }, nil)).With("node", "a")
	lines := func() int { n := strings.Count(b.String(), "\n"); b.Reset(); return n }
	for i := range 1000 {
		l.Info("session ends", "session", i)
	}
	if n := lines(); n != maxBurst {
		t.Errorf("%d lines at once", n)
	}
	l.Info("recording started")
	if n := lines(); n != 1 {
		t.Errorf("%d lines of another message", n)
	}
	now = now.Add(time.Second)
	l.With("stream", "x").Info("session ends")
	if got := b.String(); !strings.Contains(got, fmt.Sprintf("node=a stream=x %s=%d\n", leftOutKey, 1000-maxBurst)) {
		t.Errorf("it does not say how many were left out: %s", got)
	}
	b.Reset()
	for range 10 * linesPerSecond {
		now = now.Add(100 * time.Millisecond)
		for range 10 {
			l.Info("session ends")
		}
	}
	if n := lines(); n > 6*linesPerSecond {
		t.Errorf("%d lines in 5 s", n)
	}
	h := l.Handler().(limited)
	for i := range 10 * maxMessages {
		h.take(fmt.Sprintf("message %d", i))
	}
	if n := len(h.messages); n > maxMessages {
		t.Errorf("%d messages are kept", n)
	}
}
