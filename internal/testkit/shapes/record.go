package shapes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/live777/recorder/internal/ingest/live"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/record/recorder"
	"github.com/live777/recorder/internal/storage/fs"
	"github.com/live777/recorder/internal/storage/journal"
)

// Stream is the one that is recorded.
const Stream = "shape"

// Made is a Shape that was recorded.
type Made struct {
	Shape
	Zero       time.Time         // of the Shape, on the wall clock
	Root       string            // of the storage
	Recordings []media.Recording // in the order of time
	Seconds    []Second          // of the Shape: what a player has to show
}

// Tolerance is by how many seconds a picture may be shown early: Chromium shows the
// next one up to half as long before its time as the last one has lasted.
func (m *Made) Tolerance() float64 {
	longest := 0.0
	for _, p := range m.Pubs {
		for _, t := range p.Video {
			longest = max(longest, t.Every/2, float64(t.Step)/2)
		}
	}
	return longest
}

// Sounds reports whether there is any sound.
func (m *Made) Sounds() bool {
	return slices.ContainsFunc(m.Pubs, func(p Publication) bool { return p.Audio != nil })
}

// Options say how a Shape is recorded.
type Options struct {
	Speed   float64 // of time, 1: as it goes
	Segment time.Duration
	Logger  *slog.Logger
	// Started is called when there is something to play of the recording that runs;
	// made has no Recordings yet.
	Started func(made *Made, r *recorder.Recorder, mpd string)
}

// clock is time that goes as fast as it is told to, and knows who has seen it.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	seen time.Time // by the recorder
}

// Seen is Now for the recorder, which asks when it has dealt with what came.
func (c *clock) Seen() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = c.now
	return c.now
}

// behind reports whether the recorder has not seen the time yet.
func (c *clock) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.Before(c.now)
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// shelf is a catalogue in memory.
type shelf struct {
	mu   sync.Mutex
	last map[string]media.Recording
}

func (s *shelf) Put(_ context.Context, r media.Recording) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[r.RecordDir] = r
	return nil
}

// node is what records: all of it but the network.
type node struct {
	root    string
	clock   *clock
	o       Options
	shelf   *shelf
	store   *fs.Store
	dir     *journal.Dir
	streams *live.Streams
	rec     *recorder.Recorder
}

// start starts the node, again after a crash.
func (n *node) start(ctx context.Context, s *Shape) (err error) {
	if n.store, err = fs.New(n.root, fs.Options{NoSync: true, Logger: n.o.Logger}); err != nil {
		return fmt.Errorf("open storage: %w", err)
	}
	n.dir = journal.Open(filepath.Join(n.root, ".journal"), true)
	n.streams = live.New(live.Options{Now: n.clock.Now, Logger: n.o.Logger, OnPublish: func(st *live.Stream) { n.rec.OnPublish(st) }})
	n.rec, err = recorder.New(recorder.Options{
		Streams: n.streams, Store: n.store, Catalogue: n.shelf, Journals: n.dir, NodeAlias: "node", AutoStreams: []string{"*"},
		MaxRecording: s.Rotate, SegmentDuration: n.o.Segment, ChunkDuration: chunk, Reconnect: 10 * time.Second,
		Now: n.clock.Seen, Logger: n.o.Logger,
	})
	if err != nil {
		return fmt.Errorf("make recorder: %w", err)
	}
	if err = n.rec.Recover(ctx); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

func (n *node) stop(ctx context.Context) error {
	err := n.rec.Close(ctx)
	n.streams.Close()
	return errors.Join(err, n.store.Close())
}

// chunk is what a crash may cost.
const chunk = 500 * time.Millisecond

// pace is how much of a Shape is sent at a time.
const pace = 100 * time.Millisecond

// Record records a Shape below a folder that is empty.
func (st *Studio) Record(ctx context.Context, s Shape, root string, o Options) (*Made, error) {
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	zero := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if o.Speed == 1 {
		zero = time.Now().Add(time.Second)
	}
	n := &node{root: root, clock: &clock{now: zero}, o: o, shelf: &shelf{last: map[string]media.Recording{}}}
	if err := n.start(ctx, &s); err != nil {
		return nil, err
	}
	plan := newPlan(&s)
	played := st.play(ctx, n, &s, plan, zero)
	if err := errors.Join(played, n.stop(ctx)); err != nil {
		return nil, err
	}
	made := &Made{Shape: s, Zero: zero, Root: n.root, Seconds: plan.seconds()}
	for _, r := range n.shelf.last {
		made.Recordings = append(made.Recordings, r)
	}
	sort.Slice(made.Recordings, func(i, j int) bool { return made.Recordings[i].Start.Before(made.Recordings[j].Start) })
	return made, nil
}

// play has the publishers come and go.
func (st *Studio) play(ctx context.Context, n *node, s *Shape, plan *plan, zero time.Time) error {
	begun := time.Now()
	told := false
	for _, p := range s.Pubs {
		sender, err := st.newSender(ctx, p, zero)
		if err != nil {
			return err
		}
		n.wait(ctx, zero, begun, p.From)
		n.await()
		if err := sender.publish(n.streams, Stream, p.From); err != nil {
			return err
		}
		plan.begins(p)
		for at := p.From; at < p.To; at += pace {
			sent := false
			for tr := sender.due(min(at+pace, p.To)); tr != nil; tr = sender.due(min(at+pace, p.To)) {
				n.advance(zero.Add(tr.next))
				sender.send(tr, plan)
				sent = true
			}
			n.wait(ctx, zero, begun, min(at+pace, p.To))
			if !sent || at+pace >= p.To { // what is sent tells the recorder the time
				n.await()
			}
			if n.o.Started != nil && !told {
				told = n.tell(s, zero)
			}
		}
		if s.Crash > 0 && p.To == s.Crash {
			if err := n.crash(ctx, s); err != nil {
				return err
			}
			continue
		}
		sender.pub.Close()
	}
	_, _, err := n.rec.Stop(ctx, Stream)
	return err
}

// tell tells of a recording whose manifest has a segment.
func (n *node) tell(s *Shape, zero time.Time) bool {
	mpd := n.rec.Status(Stream).Info.MPDPath
	data, _, ok := n.rec.Manifest(mpd)
	if !ok || !bytes.Contains(data, []byte("<S ")) {
		return false
	}
	n.o.Started(&Made{Shape: *s, Zero: zero, Root: n.root}, n.rec, mpd)
	return true
}

// advance moves the clock.
func (n *node) advance(to time.Time) { n.clock.set(to) }

// wait waits until it is a time of the Shape.
func (n *node) wait(ctx context.Context, zero, begun time.Time, at time.Duration) {
	n.clock.set(zero.Add(at))
	select {
	case <-time.After(time.Until(begun.Add(time.Duration(float64(at) / n.o.Speed)))): // how fast it goes is what is asked for
	case <-ctx.Done():
	}
}

// await waits until the recorder has looked at the clock, which it does where it waits for
// packets. On a busy machine that takes long, and one that has not seen that nothing came
// takes it for a standstill of its own. Players that follow go by the wall clock, which waits
// for nobody.
func (n *node) await() {
	if n.o.Speed == 1 {
		return
	}
	for deadline := time.Now().Add(lag); n.clock.behind() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// lag is how long a recorder is waited for: longer than it waits for packets. It need not
// come at all where it records nothing.
const lag = 300 * time.Millisecond

// settle is the time in which what was sent has reached the disk for certain.
const settle = time.Second

// crash goes on with what would be on the disk if the node died now.
func (n *node) crash(ctx context.Context, s *Shape) error {
	time.Sleep(settle)
	after := n.root + "-after"
	if err := os.CopyFS(after, os.DirFS(n.root)); err != nil {
		return fmt.Errorf("copy what is on the disk: %w", err)
	}
	if err := n.stop(ctx); err != nil {
		return err
	}
	n.root, n.shelf = after, &shelf{last: map[string]media.Recording{}}
	return n.start(ctx, s)
}
