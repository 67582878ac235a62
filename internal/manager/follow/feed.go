package follow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/live777/recorder/internal/base/fault"
	"github.com/live777/recorder/internal/library/catalogue"
	"github.com/live777/recorder/internal/manager/folder"
	"github.com/live777/recorder/internal/manager/peer"
	"github.com/live777/recorder/internal/media"
	"github.com/live777/recorder/internal/serve/api"
)

const (
	// feedLimit is how many changes are asked for at once.
	feedLimit = api.MaxPage
	// MaxRows bounds the recordings of a node. A node that tells of more is not
	// followed any further.
	MaxRows = 5_000_000
	// feedPause is the least time between two looks at a feed. Changes in between are
	// fetched together.
	feedPause = time.Second
	// feedPoll is how many polling intervals pass between two looks while events come.
	// Events are hints and may get lost.
	feedPoll = 6
	// applyTimeout bounds each use of the catalogue, and each look into storage.
	applyTimeout = 30 * time.Second
)

// Page is an answer of GET /api/recordings?since= of a node.
type Page struct {
	Feed    string          `json:"feed"` // id of the node's database
	Changes peer.ChangeList `json:"changes"`
	Next    int64           `json:"next"` // where to go on
	Base    int64           `json:"base"` // on a walk from the beginning: where that began
}

func (p *Page) cursor() media.Cursor { return media.Cursor{Seq: p.Next, Base: p.Base} }

// Place is a place in a node's feed.
type Place struct {
	feed   string
	cursor media.Cursor
	// walk has the record_dirs that were seen on a walk from the beginning of the feed;
	// nil if there is no walk. What was not seen at its end is gone.
	walk *dirSet
	// again says that the node was followed before. What it tells on the walk may have
	// been deleted since, because its database may be an old copy.
	again bool
}

// At returns the place at the end of a feed.
func At(feed string) *Place { return &Place{feed: feed} }

// Beginning returns the place at which a walk begins.
func Beginning() *Place { return &Place{walk: newDirSet()} }

// follow applies the changes of the node's recordings to the catalogue.
func (f *Feed) follow(ctx context.Context) {
	if !f.o.Fleet.AwaitOpen(ctx) {
		return
	}
	at, known := Place{}, false
	for f.node.AwaitUp(ctx) {
		var err error
		if !known {
			at, err = f.loadCursor(ctx)
			known = err == nil
		}
		if err == nil {
			if err = f.Introduce(ctx); err != nil {
				err = ours(err)
			}
		}
		if err == nil {
			err = f.catchUp(ctx, &at)
		}
		if ctx.Err() != nil {
			return
		}
		f.node.Note("feed", err)
		wait := f.o.Poll
		if err == nil && f.events.Load() {
			wait *= feedPoll
		}
		if !peer.Pause(ctx, min(feedPause, f.o.Poll), nil) || !peer.Pause(ctx, wait, f.now) {
			return
		}
	}
}

// watch wakes follow when the node's catalogue changes.
func (f *Feed) watch(ctx context.Context) {
	for f.node.AwaitUp(ctx) {
		since := f.Level().Seq
		if since == 0 || f.node.IsOriginal() { // not level yet, and not to be told everything twice; or there is none
			if !peer.Pause(ctx, feedPause, nil) {
				return
			}
			continue
		}
		_ = f.node.Events(ctx, "/api/sse/recordings?since="+strconv.FormatInt(since, 10), func([]byte) error {
			f.events.Store(true)
			f.Wake()
			return nil
		}) // why it ended shows at the next look at the feed
		f.events.Store(false)
		if !peer.Pause(ctx, f.o.Poll, nil) {
			return
		}
	}
}

func (f *Feed) loadCursor(ctx context.Context) (Place, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	nodes, err := f.o.Catalogue.Nodes(ctx)
	if err != nil {
		return Place{}, ours(err)
	}
	for _, saved := range nodes {
		if saved.Alias != f.alias {
			continue
		}
		if saved.Cursor == "" { // its first walk did not come to its end
			return Place{}, nil
		}
		cursor, err := media.ParseCursor(saved.Cursor)
		if err != nil {
			f.log.Warn("the place in the node's feed is damaged: beginning again", "error", err)
			return Place{}, nil
		}
		return Place{feed: saved.Feed, cursor: cursor}, nil
	}
	return Place{}, nil
}

// catchUp applies pages until there are no more changes. It notes the cursor after it
// has applied a page. If a crash comes in between, the page is applied again, with the
// same result. A walk is noted only at its end, because what it has seen is not stored.
func (f *Feed) catchUp(ctx context.Context, at *Place) error {
	if f.node.IsOriginal() {
		return f.catchUpOriginal(ctx, at)
	}
	for {
		if at.feed == "" && at.walk == nil {
			*at = Place{walk: newDirSet()}
		}
		page, err := f.fetch(ctx, at.cursor)
		if errors.Is(err, catalogue.ErrFeedTruncated) || err == nil && at.feed != "" && page.Feed != at.feed {
			if at.walk != nil && at.cursor == (media.Cursor{}) {
				return fmt.Errorf("the node's feed cannot be followed from its beginning: %w", err)
			}
			f.log.Info("following the node's recordings from the beginning: its database was replaced, or restored, or goes back too far")
			*at = Place{walk: newDirSet(), again: true}
			continue
		}
		if err != nil {
			return err
		}
		if at.walk.len()+len(page.Changes) > f.o.MaxRows {
			return fault.Errorf(fault.Unavailable, "it tells of more than %d recordings", f.o.MaxRows)
		}
		if len(page.Changes) > 0 && page.Next <= at.cursor.Seq {
			return fault.Errorf(fault.Unavailable, "its feed of recordings does not go on: after change %d it leads to %d", at.cursor.Seq, page.Next)
		}
		if at.feed == "" {
			if err := f.begin(ctx, page.Feed, at.again); err != nil {
				return err
			}
		}
		if err := f.Apply(ctx, at, page); err != nil {
			return ours(err)
		}
		at.feed, at.cursor = page.Feed, page.cursor()
		if len(page.Changes) > 0 {
			continue
		}
		if at.walk != nil {
			if err := f.sweep(ctx, at.walk); err != nil {
				return ours(err)
			}
			at.walk, at.again = nil, false
			if err := f.saveCursor(ctx, at); err != nil {
				return ours(err)
			}
		}
		f.setLevel(at.cursor.Seq)
		return nil
	}
}

// begin gives the node the recordings that a node with the same feed has left. It
// stores whose feed it is before the first recording, because the node may come back
// under another alias before the walk ends.
func (f *Feed) begin(ctx context.Context, feed string, again bool) error {
	if err := f.o.Fleet.Succeed(ctx, f.alias, feed); err != nil {
		return ours(err)
	}
	if again {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := f.o.Catalogue.SetCursor(ctx, f.alias, feed, ""); err != nil {
		return ours(err)
	}
	return nil
}

// fetch asks the node for a page of changes.
func (f *Feed) fetch(ctx context.Context, cursor media.Cursor) (*Page, error) {
	page := new(Page)
	query := url.Values{"since": {strconv.FormatInt(cursor.Seq, 10)}, "limit": {strconv.Itoa(feedLimit)}}
	if cursor.Base > 0 {
		query.Set("base", strconv.FormatInt(cursor.Base, 10))
	}
	err := f.client.GetList(ctx, "/api/recordings", query, f.o.Timeout, peer.MaxAnswer, page)
	if fault.KindOf(err) == fault.Conflict {
		return nil, fmt.Errorf("%w: %w", catalogue.ErrFeedTruncated, err)
	}
	if err == nil && page.Feed == "" {
		return nil, fault.New(fault.Unavailable, "its feed of recordings has no id")
	}
	return page, err
}

// Apply puts a page of changes into the catalogue.
func (f *Feed) Apply(ctx context.Context, at *Place, page *Page) error {
	if len(page.Changes) == 0 {
		return nil
	}
	defer func() { // afterwards: until then what was before may be looked up
		for _, c := range page.Changes {
			f.o.Fleet.Forget(f.node.Key(c.RecordDir))
		}
	}()
	var puts []media.Recording
	for _, c := range page.Changes {
		switch {
		case c.Deleted:
			if err := f.remove(ctx, f.node.Key(c.RecordDir)); err != nil {
				return err
			}
		case c.Recording != nil:
			r := *c.Recording
			if !f.node.Keeps() && folder.IsMounted(r.RecordDir) {
				f.log.Error("a recording is left out: its folder looks like one of a node's own", "stream", r.Stream, "record_dir", r.RecordDir)
				continue
			}
			puts = append(puts, r)
			if at.walk != nil {
				at.walk.add(f.node.Key(r.RecordDir))
			}
		}
	}
	puts, err := f.believe(ctx, puts, at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err = f.o.Catalogue.PutAll(ctx, puts)
	if fault.KindOf(err) == fault.Invalid {
		f.log.Error("recordings are left out of the catalogue", "error", err)
		err = nil // the others are in it; asking again would not help
	}
	if err != nil {
		return err
	}
	if at.walk != nil {
		return nil
	}
	return f.saveCursor(ctx, &Place{feed: page.Feed, cursor: page.cursor()})
}

// remove takes a recording out of the catalogue, unless another node has made one
// in the same folder since.
func (f *Feed) remove(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	r, err := f.o.Catalogue.Get(ctx, dir)
	switch {
	case errors.Is(err, catalogue.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.Node != f.alias:
		return nil
	}
	return f.o.Catalogue.Delete(ctx, dir)
}

func (f *Feed) saveCursor(ctx context.Context, at *Place) error {
	return f.o.Catalogue.SetCursor(ctx, f.alias, at.feed, at.cursor.String())
}
