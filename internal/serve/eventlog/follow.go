package eventlog

import (
	"context"
	"slices"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// page is how many changes of the catalogue are looked at together.
	page = 100
	// lookEvery is how often the catalogue is looked at without a sign from it.
	lookEvery = 10 * time.Second
	// remembered is for how long a recording is known to have ended, and told of where it
	// was never known to run.
	remembered = time.Hour
	// before is how many recordings that the catalogue had before are told of.
	before = 100
)

// Catalogue is the recordings and the feed of their changes; *catalogue.DB is one.
type Catalogue interface {
	LastSeq(ctx context.Context) (int64, error)
	Follow(ctx context.Context, c media.Cursor, limit int) (changes []media.Change, next media.Cursor, err error)
	ListPage(ctx context.Context, q media.RecordingQuery) (media.RecordingPage, error)
	Watch() (changed <-chan struct{}, cancel func())
}

// known is what has been told of a recording.
type known struct {
	ended    time.Time // zero: it runs
	degraded bool
}

type follower struct {
	log    *Log
	from   Catalogue
	show   func(media.Recording) media.Recording
	cursor media.Cursor
	ready  bool
	known  map[string]known // those that run, and those that have ended lately
}

// Follow notes what becomes of recordings, until ctx ends: first what the catalogue knows
// of the newest ones, then what changes. show returns a recording as others see it; nil:
// as it is. While the catalogue does not answer, it is asked again.
func (l *Log) Follow(ctx context.Context, from Catalogue, show func(media.Recording) media.Recording) {
	if show == nil {
		show = func(r media.Recording) media.Recording { return r }
	}
	f := &follower{log: l, from: from, show: show, known: map[string]known{}}
	changed, cancel := from.Watch()
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		f.catchUp(ctx)
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// catchUp notes all that has changed. What it does not get to, it gets to the next time:
// the catalogue's own problem is an event of its own.
func (f *follower) catchUp(ctx context.Context) {
	if !f.ready && f.begin(ctx) != nil {
		return
	}
	for {
		changes, next, err := f.from.Follow(ctx, f.cursor, page)
		if fault.KindOf(err) == fault.Conflict { // it does not go back so far: on from its end
			f.ready = false
			return
		}
		if err != nil {
			return
		}
		for _, c := range changes {
			f.take(c)
		}
		f.cursor = next
		if len(changes) == 0 {
			f.forget()
			return
		}
	}
}

// begin takes the place at the end of the feed, and what is known of the recordings before.
func (f *follower) begin(ctx context.Context) error {
	last, err := f.from.LastSeq(ctx)
	if err != nil {
		return err
	}
	p, err := f.from.ListPage(ctx, media.RecordingQuery{Limit: before})
	if err != nil {
		return err
	}
	var entries []Entry
	for _, r := range p.Recordings {
		if _, ok := f.known[r.RecordDir]; ok {
			continue // a truncated feed has it begin anew
		}
		dir := r.RecordDir
		r = f.show(r)
		entries = append(entries, started(r))
		k := known{}
		if r.Status != media.StatusRecording && r.End != nil {
			entries = append(entries, ended(r))
			k.ended = *r.End
		}
		f.known[dir] = k
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	for _, e := range entries {
		f.log.Add(e)
	}
	f.cursor, f.ready = media.Cursor{Seq: last, Base: last}, true
	return nil
}

func (f *follower) take(c media.Change) {
	was, knew := f.known[c.RecordDir]
	if c.Deleted {
		delete(f.known, c.RecordDir)
		gone := f.show(media.Recording{RecordDir: c.RecordDir, Stream: c.Stream})
		f.log.Add(Entry{Kind: Recordings, Type: RecordingDeleted, Stream: c.Stream, Node: gone.Node, RecordDir: gone.RecordDir})
		return
	}
	r := f.show(*c.Recording)
	running := r.Status == media.StatusRecording
	now := f.log.now()
	if !knew && !running && (r.End == nil || now.Sub(*r.End) > remembered) {
		return // such as one that is protected, or that was found in the storage
	}
	if !knew && now.Sub(r.Start) < remembered || knew && running && !was.ended.IsZero() { // also one that goes on
		f.log.Add(started(r))
	}
	if running {
		is := known{degraded: knew && was.degraded}
		if why := loss(r); why != "" && !is.degraded {
			is.degraded = true
			f.log.Add(Entry{Kind: Recordings, Type: RecordingDegraded, Level: Warning, Stream: r.Stream, Node: r.Node, RecordDir: r.RecordDir, Cause: why})
		}
		f.known[c.RecordDir] = is
		return
	}
	if r.End != nil && was.ended.IsZero() {
		f.log.Add(ended(r))
		f.known[c.RecordDir] = known{ended: *r.End, degraded: was.degraded}
	}
}

// loss is the cause of the first media that a recording lacks, "" where it lacks none.
func loss(r media.Recording) string {
	for _, t := range r.Tracks {
		for _, g := range t.Gaps {
			if g.Cause == "loss" || g.Cause == "overrun" || g.Cause == "node" {
				return g.Cause
			}
		}
		if t.PacketsLost > 0 {
			return "loss"
		}
	}
	if r.PacketsOverrun > 0 {
		return "overrun"
	}
	return ""
}

// forget lets go of recordings of which no more is to be told.
func (f *follower) forget() {
	for dir, k := range f.known {
		if !k.ended.IsZero() && f.log.now().Sub(k.ended) > remembered {
			delete(f.known, dir)
		}
	}
}

func started(r media.Recording) Entry {
	return Entry{Time: r.Start, Kind: Recordings, Type: RecordingStarted, Stream: r.Stream, Node: r.Node, RecordDir: r.RecordDir}
}

func ended(r media.Recording) Entry {
	e := Entry{
		Time: *r.End, Kind: Recordings, Type: RecordingEnded, Stream: r.Stream, Node: r.Node, RecordDir: r.RecordDir,
		Status: r.Status, Text: r.Reason, Seconds: r.Duration,
	}
	switch r.Status {
	case media.StatusFailed:
		e.Level = Error
	case media.StatusDegraded:
		e.Level, e.Cause = Warning, loss(r)
	case media.StatusRecording, media.StatusComplete:
	}
	return e
}
