//go:build !race

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/record/arrange/arrangetest"
)

const (
	// commanded is how many scenarios have their commands held against those of before. A
	// test run has one of sampled of them, and with CHAOS_COMMANDS all. Of the first listed
	// the commands are written down.
	commanded = 300
	sampled   = 6
	listed    = 3
	// advanced is how often the recorder looks at the clock.
	advanced = 200 * time.Millisecond
)

// TestCommands holds what an arranger decides in the first scenarios against what it decided
// before: an arranger that was changed inside, and in nothing that it does, decides the same.
func TestCommands(t *testing.T) {
	all := *arrangetest.Update || os.Getenv("CHAOS_COMMANDS") != ""
	var sums strings.Builder
	for seed := range uint64(commanded) {
		if !all && seed >= listed && seed%sampled != 0 {
			continue
		}
		sc := Generate(seed)
		for i := range sc.Lives {
			sc.Lives[i].prepare(t)
		}
		var desk *arrangetest.Desk
		synctest.Test(t, func(t *testing.T) { desk = arranged(t, sc) })
		fmt.Fprintf(&sums, "%d %s\n", seed, desk.Sum())
		if seed < listed {
			arrangetest.Golden(t, fmt.Sprintf("commands_%d", seed), sc.String()+desk.Listing())
		}
	}
	if *arrangetest.Update {
		arrangetest.Golden(t, "commands", sums.String())
		return
	}
	before := arrangetest.Before(t, "commands")
	for sum := range strings.Lines(sums.String()) {
		if !strings.Contains("\n"+before, "\n"+sum) {
			t.Errorf("other commands than before: seed %s", sum)
		}
	}
}

// prepare has a life send files that are the same on every machine.
func (l *Life) prepare(t *testing.T) {
	t.Helper()
	l.Video = slices.Clone(l.Video)
	for i, name := range l.Video {
		if name == sourceRare || name == sourceOnce {
			l.Video[i] = "h264_high.h264"
		}
	}
	for _, name := range append(audioOf(l), l.Video...) {
		source(t, name)
	}
}

// arranged lets a scenario happen to a desk in place of a node. What would happen to the
// node pauses the recording.
func arranged(t *testing.T, sc *Scenario) *arrangetest.Desk {
	t.Helper()
	w := &world{t: t, sc: sc, dice: dice{rand.New(rand.NewPCG(sc.Seed, 999))}, log: &diary{}, start: time.Now()}
	w.node = &node{streams: live.New(live.Options{Now: w.now})}
	defer w.node.streams.Close()
	st, err := w.node.streams.Expect(stream)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := st.Subscribe(live.SubscribeOptions{MaxBytes: 1 << 30, MaxItems: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	desk := arrangetest.New(arrangetest.Options{Segment: sc.Segment, MaxRecording: sc.MaxRecording, RequestKeyFrame: sub.RequestKeyFrame})
	for i := range sc.Lives {
		w.begin(&sc.Lives[i])
	}
	for _, f := range sc.Faults {
		begin, end := func() { desk.Pause(w.now(), true) }, func() { desk.Pause(w.now(), false) }
		if f.Kind == "storage fails" {
			begin, end = desk.Fail, desk.Recover
		}
		w.at(f.At, begin)
		w.at(f.At+f.For, end)
	}
	for at := advanced; at < sc.End; at += advanced {
		w.at(at, func() { desk.Advance(w.now()) })
	}
	now, cancel := context.WithCancel(t.Context())
	cancel() // nothing is waited for
	for items := make([]live.Item, 16); w.queue.Len() > 0; {
		w.step(w.queue.next())
		for n, _ := sub.Read(now, items); n > 0; n, _ = sub.Read(now, items) {
			for i := range items[:n] {
				w.feed(desk, &items[i])
			}
		}
	}
	desk.Leave(w.now())
	return desk
}

// feed gives a desk what has come.
func (w *world) feed(desk *arrangetest.Desk, item *live.Item) {
	switch {
	case item.Joined != nil:
		if err := desk.Join(w.now(), item.Joined.Tracks()); err != nil {
			w.t.Fatal(err)
		}
	case item.Left:
		desk.Leave(w.now())
	case item.Packet != nil:
		desk.Packet(item.Packet)
	case item.Report != nil:
		desk.Report(item.Report)
	}
}
