package retention

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/testkit/await"
)

// fill makes ten recordings of an hour each, in another order than they ended.
// The first began first and ended last, the second is protected, the third runs.
func (g *rig) fill() {
	for _, i := range []int{7, 3, 9, 0, 4, 1, 8, 2, 6, 5} {
		g.record(dirOf(i), i, func(r *media.Recording) {
			switch i {
			case 0:
				end := r.End.Add(20 * time.Hour)
				r.End = &end
			case 1:
				r.Protected = true
			case 2:
				r.Status, r.End = media.StatusRecording, nil
				g.live.running[dirOf(i)] = *r
			}
		})
	}
}

func TestNoPolicy(t *testing.T) {
	g := newRig(t, nil)
	g.fill()
	g.Apply(t.Context())
	if len(g.left()) != 10 {
		t.Errorf("left are %q", g.left())
	}
}

func TestMaxAge(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxAge = 48 * time.Hour })
	g.fill()
	g.now = began.Add(7*time.Hour + 48*time.Hour) // the seventh ends now
	g.Apply(t.Context())
	g.wantLeft(dirOf(0), dirOf(1), dirOf(2), dirOf(6), dirOf(7), dirOf(8), dirOf(9))
	if lines := g.logged("recorder.retention.max_age_hours"); len(lines) != 3 {
		t.Errorf("%d log lines: %q", len(lines), lines)
	}
	g.Apply(t.Context())
	if len(g.left()) != 7 {
		t.Errorf("applied again: left are %q", g.left())
	}
	g.now = g.now.Add(time.Hour)
	g.Apply(t.Context())
	g.wantLeft(dirOf(0), dirOf(1), dirOf(2), dirOf(7), dirOf(8), dirOf(9))
}

func TestMaxBytes(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxBytes = 6500 })
	g.fill()
	g.Apply(t.Context())
	g.wantLeft(dirOf(0), dirOf(1), dirOf(2), dirOf(7), dirOf(8), dirOf(9))
}

func TestMinFree(t *testing.T) {
	free := int64(5000)
	g := newRig(t, func(o *Options) { o.MinFree, o.Free = 8600, func() (int64, error) { return free, nil } })
	g.fill()
	g.Apply(t.Context())
	g.wantLeft(dirOf(0), dirOf(1), dirOf(2), dirOf(6), dirOf(7), dirOf(8), dirOf(9))
	free = 8600
	g.Apply(t.Context())
	if len(g.left()) != 7 {
		t.Errorf("enough is free, and left are %q", g.left())
	}
}

func TestFreeCannotBeTold(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.MinFree, o.Free = 1, func() (int64, error) { return 0, errors.New("no such disk") }
	})
	g.fill()
	g.Apply(t.Context())
	if len(g.left()) != 10 || len(g.logged("no such disk")) != 1 {
		t.Errorf("left are %q\n%s", g.left(), g.log)
	}
}

// TestPolicyCannotBeMet: that is said once, and again only after it was met.
func TestPolicyCannotBeMet(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxBytes = 1500 })
	g.fill()
	for range 5 {
		g.Apply(t.Context())
	}
	g.wantLeft(dirOf(1), dirOf(2))
	if lines := g.logged("cannot be met"); len(lines) != 1 || !strings.Contains(lines[0], "bytes_over=500") || !strings.Contains(lines[0], "recorder.retention.max_bytes") {
		t.Errorf("log: %q", lines)
	}
	if _, err := g.Protect(t.Context(), dirOf(1), false); err != nil {
		t.Fatal(err)
	}
	g.Apply(t.Context())
	g.wantLeft(dirOf(2))
	if lines := g.logged("met again"); len(lines) != 1 {
		t.Errorf("log: %q", lines)
	}
}

// TestPolicyWhileStorageFails: what cannot be deleted now counts as deleted, for
// it will be: nothing else goes in its place. A storage that is down is not asked
// to delete everything.
func TestPolicyWhileStorageFails(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxBytes = 8500 })
	g.fill()
	g.store.failWith(func(op, key string) error {
		if op == "delete" && strings.HasPrefix(key, dirOf(3)) {
			return fault.New(fault.Unavailable, "that disk is away")
		}
		return nil
	})
	for range 3 {
		g.Apply(t.Context())
	}
	if !g.Deleting(dirOf(3)) {
		t.Errorf("the oldest is not being deleted:\n%s", g.log)
	}
	if got, err := g.db.Usage(t.Context()); err != nil || got != 8000 {
		t.Errorf("recordings have %d bytes, %v; want 8000", got, err)
	}

	g = newRig(t, func(o *Options) { o.MaxAge = time.Hour })
	g.fill()
	asked := 0
	g.store.failWith(func(string, string) error {
		asked++
		return fault.New(fault.Unavailable, "the bucket is away")
	})
	g.Apply(t.Context())
	if len(g.left()) != 10 || asked != maxFailures {
		t.Errorf("left are %q, after the storage was asked %d times", g.left(), asked)
	}
	g.store.failWith(nil)
	g.Apply(t.Context())
	g.wantLeft(dirOf(1), dirOf(2))
}

// TestManyPages: recordings that stay do not hide those behind them.
func TestManyPages(t *testing.T) {
	g := newRig(t, func(o *Options) { o.MaxAge = time.Hour })
	var all []media.Recording
	for i := range 2*pageSize + 5 {
		end := began.Add(time.Duration(i) * time.Second)
		all = append(all, media.Recording{
			Stream: "camera", RecordDir: dirOf(i), Start: began, End: &end, Bytes: 1, Status: media.StatusComplete, Protected: i%10 != 0,
		})
	}
	if err := g.db.PutAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	g.Apply(t.Context())
	used, err := g.db.Usage(t.Context())
	if want := int64(len(all) - (len(all)+9)/10); err != nil || used != want {
		t.Errorf("%d recordings are left, %v; want %d", used, err, want)
	}
}

// TestSetPolicy replaces the policy of a keeper that runs, which applies it at once.
func TestSetPolicy(t *testing.T) {
	g := newRig(t, nil)
	g.record("camera/0000000001", 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if err := g.SetPolicy(Policy{MinFree: 1}); err == nil {
		t.Error("MinFree without Free: no error")
	}
	if err := g.SetPolicy(Policy{MaxAge: time.Hour, Check: time.Hour}); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the policy is applied", func() bool { return len(g.logged("recording deleted")) > 0 })
	g.wantLeft()
}
