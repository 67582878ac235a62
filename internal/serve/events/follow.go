package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/config"
	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/media"
)

const (
	// page is how many changes of the catalogue are looked at together.
	page = 100
	// lookEvery is how often the catalogue is looked at without a sign from it.
	lookEvery = 10 * time.Second
	// forgetEvery is how often it is looked for what need not be remembered.
	forgetEvery = time.Hour
)

// Feed is the changes of a catalogue, which are numbered and stay: *catalogue.DB is one.
// What is told of recordings comes from there, and not from those who make them. So it is
// told also if the program dies between the two.
type Feed interface {
	Feed(ctx context.Context) (id string, err error)
	LastSeq(ctx context.Context) (int64, error)
	Follow(ctx context.Context, c media.Cursor, limit int) (changes []media.Change, next media.Cursor, err error)
	Watch() (changed <-chan struct{}, cancel func())
}

// FollowOptions configure Follow.
type FollowOptions struct {
	Feed Feed
	// Mine reports whether a recording is told of; nil: all are.
	Mine func(media.Recording) bool
	// Uploads reports whether a recording is uploaded after its end; nil: none is.
	Uploads func(media.Recording) bool
	// Show returns a recording as others see it; nil: as it is.
	Show func(media.Recording) media.Recording
}

// The phases of what was told of a recording.
const (
	phaseStarted  = "started"
	phaseEnded    = "ended"
	phaseUploaded = "uploaded"
	phaseDeleted  = "deleted"
)

// follower follows a catalogue's changes. What it has told, and how far it is, is written
// together with the events.
type follower struct {
	FollowOptions
	s      *Service
	ready  bool // the place below is that of the queue
	feed   string
	cursor media.Cursor
	// walk says that it begins anew in a feed that does not go back so far.
	walk   bool
	since  time.Time // recordings that ended before are none of ours
	forgot time.Time
}

// Follow tells of recordings until ctx ends, and then of what there still is.
func (s *Service) Follow(ctx context.Context, o FollowOptions) {
	f := &follower{FollowOptions: o, s: s}
	if f.Mine == nil {
		f.Mine = func(media.Recording) bool { return true }
	}
	if f.Uploads == nil {
		f.Uploads = func(media.Recording) bool { return false }
	}
	if f.Show == nil {
		f.Show = func(r media.Recording) media.Recording { return r }
	}
	changed, cancel := o.Feed.Watch()
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var news fault.News
	for {
		err := f.catchUp(ctx)
		if ctx.Err() != nil {
			break
		}
		if news.Has(err) {
			s.log.Warn("events of recordings wait: the catalogue cannot be followed, will try again", "error", err)
		}
		select {
		case <-changed:
		case <-look.C:
		case <-s.awake:
		case <-ctx.Done():
		}
	}
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancelLast()
	if err := f.catchUp(last); err != nil {
		s.log.Info("the last events of recordings are told after the next start", "error", err)
	}
}

// catchUp tells of all that has changed.
func (f *follower) catchUp(ctx context.Context) error {
	if len(f.s.receivers()) == 0 {
		f.ready = false
		return nil
	}
	if !f.ready {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	for {
		feed, err := f.Feed.Feed(ctx)
		if err != nil {
			return err
		}
		if feed != f.feed {
			f.feed, f.cursor, f.walk = feed, media.Cursor{}, true
		}
		changes, next, err := f.Feed.Follow(ctx, f.cursor, page)
		if fault.KindOf(err) == fault.Conflict && !f.walk {
			f.cursor, f.walk = media.Cursor{}, true
			continue
		}
		if err != nil {
			return err
		}
		if err := f.tell(ctx, changes, next); err != nil {
			return err
		}
		f.cursor = next
		if len(changes) == 0 {
			f.walk = false
			return nil
		}
	}
}

// begin reads from the queue how far it is. Who has never been told of recordings is told
// of what happens from now on.
func (f *follower) begin(ctx context.Context) error {
	states, err := f.s.queue.Load().states(ctx, stateFeed)
	if err != nil {
		return fmt.Errorf("read events.file: %w", err)
	}
	f.feed, f.walk = states["feed"], states["walk"] != ""
	if c, err := media.ParseCursor(states["cursor"]); err == nil && f.feed != "" {
		f.cursor = c
		if ms, err := strconv.ParseInt(states["since"], 10, 64); err == nil {
			f.since = time.UnixMilli(ms)
		}
		f.ready = true
		return nil
	}
	if f.feed, err = f.Feed.Feed(ctx); err != nil {
		return err
	}
	last, err := f.Feed.LastSeq(ctx)
	if err != nil {
		return err
	}
	f.cursor, f.walk, f.since = media.Cursor{Seq: last, Base: last}, false, time.Now()
	f.ready = true
	return nil
}

// tell writes what changes mean, and how far that is.
func (f *follower) tell(ctx context.Context, changes []media.Change, next media.Cursor) error {
	now := time.Now()
	var events []Event
	phases := map[string]told{}
	for _, c := range changes {
		was, err := f.s.queue.Load().told(ctx, c.RecordDir)
		if err != nil {
			return fmt.Errorf("read events.file: %w", err)
		}
		is, some := f.eventsOf(c, was, now)
		events = append(events, some...)
		if is != was {
			phases[c.RecordDir] = is
		}
	}
	walk := ""
	if f.walk && len(changes) > 0 {
		walk = "yes"
	}
	forget := now.Sub(f.forgot) > forgetEvery
	if len(changes) == 0 && !forget && next == f.cursor {
		return nil
	}
	f.forgot = now
	life := f.s.life
	return f.s.commit(ctx, change{events: events, apply: func(tx *sql.Tx) error {
		var errs []error
		for dir, is := range phases {
			errs = append(errs, setTold(life, tx, dir, is, now))
		}
		for name, value := range map[string]string{"feed": f.feed, "cursor": next.String(), "walk": walk, "since": strconv.FormatInt(f.since.UnixMilli(), 10)} {
			errs = append(errs, setState(life, tx, stateFeed, name, value))
		}
		if forget {
			errs = append(errs, forgetRemoved(life, tx, now))
		}
		return errors.Join(errs...)
	}})
}

// eventsOf returns what is to be told of a change, and what is told then. A catalogue tells
// the newest state alone: what was before it follows from that.
func (f *follower) eventsOf(c media.Change, was told, now time.Time) (is told, events []Event) {
	add := func(kind, subject string, at time.Time, ident string, data any) {
		events = append(events, Event{Type: kind, Subject: subject, Time: at, Data: data, ID: IDOf(f.s.o.Source, kind, c.RecordDir, ident)})
	}
	if c.Deleted {
		if was.phase == phaseDeleted || was.phase == "" && (f.walk || !f.Mine(media.Recording{RecordDir: c.RecordDir, Stream: c.Stream})) {
			return was, nil
		}
		shown := f.Show(media.Recording{RecordDir: c.RecordDir, Stream: c.Stream})
		gone := map[string]string{"stream": c.Stream, "record_dir": shown.RecordDir}
		if shown.Node != "" {
			gone["node"] = shown.Node
		}
		// Who follows since yesterday does not know its ident, and must find the same id. No
		// other recording has had this folder.
		add(config.EventDeleted, c.Stream, now, "", map[string]any{"recording": gone})
		return told{phaseDeleted, was.ident}, events
	}
	r := *c.Recording
	if !f.Mine(r) {
		return was, nil
	}
	if was.phase == "" || was.phase == phaseDeleted {
		if r.End != nil && (r.End.Before(f.since) || now.Sub(*r.End) > f.s.o.Keep) {
			return was, nil
		}
		was = told{phaseStarted, r.RecordID} // its Start is not sure before its first media
		add(config.EventRecordingStarted, r.Stream, r.Start, was.ident, f.data(r))
	}
	if was.phase == phaseStarted && r.Status != media.StatusRecording && r.End != nil {
		kind := config.EventRecordingEnded
		if r.Status == media.StatusFailed {
			kind = config.EventRecordingFailed
		}
		add(kind, r.Stream, *r.End, was.ident, f.data(r))
		was.phase = phaseEnded
	}
	if was.phase == phaseEnded && f.Uploads(r) && r.Status != media.StatusRecording && r.DurableThrough >= r.Duration && r.Duration > 0 {
		add(config.EventUploaded, r.Stream, now, was.ident, f.data(r))
		was.phase = phaseUploaded
	}
	return was, events
}

// data is a recording as the API shows it, but for the list of its gaps, which may be long.
func (f *follower) data(r media.Recording) any {
	r = f.Show(r)
	tracks := make([]media.RecordingTrack, len(r.Tracks))
	for i, t := range r.Tracks {
		t.Gaps = nil
		tracks[i] = t
	}
	r.Tracks = tracks
	return map[string]media.Recording{"recording": r}
}
