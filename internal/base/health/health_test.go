package health

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is wrong is told since when it is, in words, once in the log, and not any more
// when it is mended.
func TestProblems(t *testing.T) {
	now := time.Unix(1000, 0).UTC()
	var logged bytes.Buffer
	w := New(slog.New(slog.NewTextHandler(&logged, nil)), func() time.Time { return now })
	var wrong error
	w.Add("storage", func(context.Context) error { return wrong })
	w.Add("catalogue", func(context.Context) error { return nil })
	full := errors.New("the disk is full")
	for i, step := range []struct {
		wrong error
		want  []Problem
		lines int
	}{
		{nil, []Problem{}, 0},
		{full, []Problem{{Place: "storage", Text: "the disk is full", Since: time.Unix(1002, 0).UTC(), Serious: true}}, 1},
		{full, []Problem{{Place: "storage", Text: "the disk is full", Since: time.Unix(1002, 0).UTC(), Serious: true}}, 1},
		{errors.Join(Minor(errors.New("slow")), Minor(full)), []Problem{{Place: "storage", Text: "slow; the disk is full", Since: time.Unix(1002, 0).UTC(), Serious: false}}, 2},
		{errors.Join(Minor(errors.New("slow")), full), []Problem{{Place: "storage", Text: "slow; the disk is full", Since: time.Unix(1002, 0).UTC(), Serious: true}}, 3},
		{nil, []Problem{}, 4},
		{Minor(full), []Problem{{Place: "storage", Text: "the disk is full", Since: time.Unix(1012, 0).UTC(), Serious: false}}, 5},
	} {
		now = time.Unix(1000+2*int64(i), 0).UTC()
		wrong = step.wrong
		w.Look(t.Context(), "storage")
		w.Look(t.Context(), "catalogue")
		if got := w.Problems(); !reflect.DeepEqual(got, step.want) {
			t.Errorf("step %d: %+v, want %+v", i, got, step.want)
		}
		if n := strings.Count(logged.String(), "\n"); n != step.lines {
			t.Errorf("step %d: %d lines are logged, want %d:\n%s", i, n, step.lines, logged.String())
		}
	}
}

// A look that does not return is a problem, too: disks hang without an error.
func TestHanging(t *testing.T) {
	now := time.Unix(1000, 0).UTC()
	w := New(slog.New(slog.DiscardHandler), func() time.Time { return now })
	hangs, end := make(chan struct{}), make(chan struct{})
	w.Add("storage", func(context.Context) error { close(hangs); <-end; return nil })
	done := make(chan struct{})
	go func() { w.Look(t.Context(), "storage"); close(done) }()
	<-hangs
	if got := w.Problems(); len(got) != 1 || !got[0].Serious || got[0].Text != "it has not been looked at yet" {
		t.Errorf("at once: %+v", got)
	}
	now = now.Add(patience + time.Second)
	if got := w.Problems(); len(got) != 1 || !got[0].Serious || !got[0].Since.Equal(time.Unix(1000, 0)) {
		t.Errorf("after %v: %+v", patience, got)
	}
	close(end)
	<-done
	if got := w.Problems(); len(got) != 0 {
		t.Errorf("when it has returned: %+v", got)
	}
}

// Before the first look nothing is known, which is not that all is well: it is told, and
// who answers requests waits for the looks, but not for one that hangs.
func TestFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(slog.New(slog.DiscardHandler), nil)
		hangs := make(chan struct{})
		w.Add("storage", func(context.Context) error { time.Sleep(time.Second); return nil })
		w.Add("catalogue", func(context.Context) error { <-hangs; return nil })
		if got := w.Problems(); len(got) != 2 || got[0].Text != "it has not been looked at yet" || !got[0].Serious {
			t.Errorf("before any look: %+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		began := time.Now()
		w.AwaitFirst(ctx)
		if waited := time.Since(began); waited != firstPatience {
			t.Errorf("waited %v for a look that hangs", waited)
		}
		if got := w.Problems(); len(got) != 1 || got[0].Place != "catalogue" {
			t.Errorf("while one hangs: %+v", got)
		}
		close(hangs)
		w.AwaitFirst(ctx)
		if waited := time.Since(began); waited != firstPatience || len(w.Problems()) > 0 {
			t.Errorf("after %v: %+v", waited, w.Problems())
		}
		cancel()
		<-done
	})
}
